from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from modelgrid.cli import main
from modelgrid.config.schema import Greenlist
from modelgrid.errors import HostError
from modelgrid.greenlist.fetch import MAX_SIZE, fetch, url_fault
from modelgrid.greenlist.reading import UnreadableError, default_cache, read_list
from tests.greenlist.lists import greenlist, rule

if TYPE_CHECKING:
    from tests.greenlist.conftest import ListServer

DATA = greenlist(rule()).encode()
HASH = hashlib.sha256(DATA).hexdigest()


def no_network(url: str) -> bytes:
    raise HostError(f"cannot fetch {url}: no network")


def refused(section: Greenlist, base: Path, *, cache: Path | None = None) -> UnreadableError:
    with pytest.raises(UnreadableError) as caught:
        read_list(section, base=base, cache=cache)
    return caught.value


# from a URL


def test_a_list_is_fetched_once_and_then_needs_no_network(server: ListServer, tmp_path: Path, cache: Path) -> None:
    server.bodies["/list"] = DATA
    section = Greenlist(source=f"{server.url}/list", sha256=HASH)

    assert read_list(section, base=tmp_path, cache=cache) == DATA
    assert read_list(section, base=tmp_path, cache=cache) == DATA
    assert read_list(section, base=tmp_path, cache=cache, get=no_network) == DATA
    assert server.asked == ["/list"]
    assert [path.name for path in cache.iterdir()] == [f"{HASH}.json"]


def test_a_list_that_changed_is_refused_with_both_hashes_and_not_kept(
    server: ListServer, tmp_path: Path, cache: Path
) -> None:
    changed = greenlist(rule("evil:1b")).encode()
    server.bodies["/list"] = changed
    error = refused(Greenlist(source=f"{server.url}/list", sha256=HASH), tmp_path, cache=cache)

    assert error.code == "MG3031"
    assert error.field == "sha256"
    assert HASH in error.message
    assert hashlib.sha256(changed).hexdigest() in error.message
    assert not cache.exists()


def test_a_kept_list_that_somebody_changed_is_fetched_anew(server: ListServer, tmp_path: Path, cache: Path) -> None:
    server.bodies["/list"] = DATA
    section = Greenlist(source=f"{server.url}/list", sha256=HASH)
    cache.mkdir(parents=True)
    kept = cache / f"{HASH}.json"
    kept.write_bytes(greenlist(rule("evil:1b")).encode())

    with pytest.raises(UnreadableError, match="no network"):
        read_list(section, base=tmp_path, cache=cache, get=no_network)
    assert read_list(section, base=tmp_path, cache=cache) == DATA
    assert kept.read_bytes() == DATA


def test_a_cache_that_cannot_be_written_is_none(server: ListServer, tmp_path: Path) -> None:
    server.bodies["/list"] = DATA
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    section = Greenlist(source=f"{server.url}/list", sha256=HASH)

    for cache in (in_the_way, in_the_way / "below", None):
        assert read_list(section, base=tmp_path, cache=cache) == DATA
    assert len(server.asked) == 3


def test_a_url_without_a_hash_is_not_asked(server: ListServer, tmp_path: Path) -> None:
    error = refused(Greenlist(source=f"{server.url}/list"), tmp_path)

    assert error.code == "MG3032"
    assert error.hint is not None
    assert f"curl -fsS {server.url}/list | sha256sum" in error.hint
    assert server.asked == []


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("http://example.com/list", "must be https"),
        ("http://127.0.0.1.example.com/list", "must be https"),
        ("file:///etc/passwd", "no URL"),
        ("ftp://example.com/list", "must be https"),
        ("https://", "no URL"),
        ("https://[::1/list", "no URL"),
        ("https://example.com:99999/list", "no URL"),
        ("https://example.com/a list", "no URL"),
        ("https://me:secret@example.com/list", "password"),
        ("https://me@example.com/list", "user"),
    ],
)
def test_a_url_that_is_not_safe_is_refused(url: str, part: str, tmp_path: Path) -> None:
    error = refused(Greenlist(source=url, sha256=HASH), tmp_path)

    assert error.code == "MG3032"
    assert part in error.message


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/l?a=b",
        "https://example.com:8443/l",
        "http://127.0.0.1:8000/l",
        "http://[::1]/l",
        "http://localhost/l",
    ],
)
def test_https_and_loopback_are_fetched(url: str) -> None:
    assert url_fault(url) is None


@pytest.mark.parametrize("location", ["/list", "list", "//{host}/list", "{url}/list"])
def test_a_redirect_within_the_server_is_followed(server: ListServer, location: str) -> None:
    server.bodies["/list"] = DATA
    server.redirects["/moved"] = location.format(url=server.url, host=server.url.removeprefix("http://"))

    assert fetch(f"{server.url}/moved") == DATA


@pytest.mark.parametrize(
    "location",
    [
        "https://127.0.0.1/list",
        "http://127.0.0.1:1/list",
        "http://localhost/list",
        "//example.com/list",
        "file:///etc/passwd",
        "http://[",
        "http://me:secret@{host}/list",
    ],
)
def test_a_redirect_to_elsewhere_is_refused(server: ListServer, location: str) -> None:
    server.redirects["/moved"] = location.format(host=server.url.removeprefix("http://"))

    with pytest.raises(HostError, match="another server"):
        fetch(f"{server.url}/moved")


def test_redirects_end(server: ListServer) -> None:
    server.redirects["/around"] = "/around"

    with pytest.raises(HostError, match="again and again"):
        fetch(f"{server.url}/around")
    assert len(server.asked) == 4


def test_a_body_of_any_size_is_read_as_far_as_a_list_may_be(server: ListServer) -> None:
    server.bodies["/most"] = b" " * MAX_SIZE
    server.bodies["/huge"] = b" " * (MAX_SIZE + 1)

    assert len(fetch(f"{server.url}/most")) == MAX_SIZE
    with pytest.raises(HostError, match="larger than 1 MiB"):
        fetch(f"{server.url}/huge")


@pytest.mark.parametrize("path", ["/slow", "/slow-headers"])
def test_a_server_that_goes_on_and_on_is_given_up(server: ListServer, path: str) -> None:
    begun = time.monotonic()
    with pytest.raises(HostError, match="in time"):
        fetch(f"{server.url}{path}", seconds=0.5)
    assert time.monotonic() - begun < 10  # the bound, and a loaded machine


def test_packed_content_is_not_unpacked(server: ListServer) -> None:
    server.bodies["/list"] = DATA
    server.headers["Content-Encoding"] = "gzip"

    with pytest.raises(HostError, match="packed"):
        fetch(f"{server.url}/list")


def test_another_status_is_no_list(server: ListServer) -> None:
    with pytest.raises(HostError, match="404"):
        fetch(f"{server.url}/missing")


def test_a_server_that_is_not_there_is_reported(server: ListServer, tmp_path: Path) -> None:
    server.bodies["/list"] = DATA
    error = refused(Greenlist(source="http://127.0.0.1:1/list", sha256=HASH), tmp_path)

    assert error.code == "MG3030"
    assert error.message.startswith("cannot fetch http://127.0.0.1:1/list: ")
    assert error.hint is not None
    assert "needs no network" in error.hint


def test_loopback_is_asked_directly_whatever_the_environment_says(
    server: ListServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    server.bodies["/list"] = DATA

    assert fetch(f"{server.url}/list") == DATA


# from a file


def test_a_file_is_read_from_the_folder_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_bytes(DATA)

    for sha256 in (None, HASH):
        section = Greenlist(source="list.json", sha256=sha256)
        assert read_list(section, base=tmp_path, cache=None, get=no_network) == DATA


def test_a_file_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_bytes(DATA + b" ")
    error = refused(Greenlist(source="list.json", sha256=HASH), tmp_path)

    assert (error.code, error.field) == ("MG3031", "sha256")


def test_what_is_no_readable_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "huge").write_bytes(b" " * (MAX_SIZE + 1))
    os.mkfifo(tmp_path / "pipe")

    for source in ("missing.json", "folder", "huge", "pipe", "~/list.json", "a" * 5000, "/dev/zero"):
        error = refused(Greenlist(source=source), tmp_path)
        assert (error.code, error.field) == ("MG3030", "source")


# where lists are kept


def test_the_cache_is_the_users_or_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert default_cache({"XDG_CACHE_HOME": "/c", "HOME": "/h"}, system="linux") == Path("/c/modelgrid/greenlist")
    assert default_cache({"XDG_CACHE_HOME": "c", "HOME": "/h"}, system="linux") == Path("/h/.cache/modelgrid/greenlist")
    mac = default_cache({"HOME": "/h"}, system="darwin")
    assert mac == Path("/h/Library/Caches/modelgrid/greenlist")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_cache({"HOME": "/h"}, system="linux") == Path("/var/cache/modelgrid/greenlist")
    assert default_cache({"XDG_CACHE_HOME": "/c"}, system="linux") == Path("/c/modelgrid/greenlist")


# through the commands

ROOT = Path(__file__).parents[2]
CPU, GPU = (str(ROOT / f"examples/hosts/{name}.yaml") for name in ("cpu01", "gpu01"))


def grid(folder: Path, source: str, sha256: str | None, name: str = "llama3:8b") -> str:
    pin = f", sha256: {sha256}" if sha256 else ""
    file = folder / "grid.yaml"
    file.write_text(
        f"version: 1\ngreenlist: {{source: '{source}'{pin}}}\nmodels:\n  {name}: {{engine: ollama, vram: 8GiB}}\n",
        encoding="utf-8",
    )
    return str(file)


def test_commands_hold_a_configuration_to_a_fetched_list(
    server: ListServer, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.bodies["/list"] = DATA
    url = f"{server.url}/list"

    assert main(["check", "--strict", grid(tmp_path, url, HASH)]) == 0
    assert main(["check", grid(tmp_path, url, HASH, name="evil:1b")]) == 1
    shown = capsys.readouterr().err
    assert f"{tmp_path / 'grid.yaml'}:4:3" in shown
    assert f"{url}:1:20" in shown
    assert main(["check", grid(tmp_path, url, "0" * 64)]) == 1
    assert "MG3031" in capsys.readouterr().err
    assert server.asked == ["/list", "/list"]  # the second for the hash that is not kept


def test_a_host_without_the_memory_is_an_error_of_check_and_compile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "list.json").write_bytes(DATA)
    file = grid(tmp_path, "list.json", None)

    assert main(["check", file]) == 0  # of no host, nothing is said
    assert main(["check", file, "--facts", GPU]) == 0
    assert main(["compile", file, "--facts", GPU, "-o", str(tmp_path / "gpu")]) == 0
    capsys.readouterr()
    for command in (["check", file], ["compile", file, "-o", str(tmp_path / "cpu")]):
        assert main([*command, "--facts", CPU]) == 1
        shown = capsys.readouterr().err
        assert "error[MG3037]" in shown
        assert f"{tmp_path / 'list.json'}:2:57: the rule" in shown
    assert not (tmp_path / "cpu").exists()


def test_a_file_without_a_greenlist_imports_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_bytes(DATA)
    with_list = grid(tmp_path, "list.json", None)
    without = tmp_path / "without.yaml"
    without.write_text("version: 1\nmodels: {a: {engine: ollama}}\n", encoding="utf-8")
    script = "import sys; from modelgrid.cli import main; main(['check', sys.argv[1]]); print(*sys.modules)"
    for file, imported in ((str(without), False), (with_list, True)):
        done = subprocess.run(
            [sys.executable, "-c", script, file], cwd=ROOT, capture_output=True, text=True, check=True
        )
        modules = set(done.stdout.split())
        assert ("modelgrid.greenlist" in modules) == imported
        assert not {"httpx", "asyncio"} & modules
