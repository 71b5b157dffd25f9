"""``lock``, ``check --locked`` and ``compile`` with a lock file, from the command line."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from modelgrid.cli import main
from modelgrid.lock.store import load_lock, lock_path, save_text
from modelgrid.lock.text import write_lock
from modelgrid.lock.values import Lock, LockedFile, LockedImage, LockedManifest, LockedModel
from tests.lock.images import Pusher
from tests.lock.site import serve
from tests.lock.test_hub import COMMIT, hub, listing

ROOT = Path(__file__).parents[2]
FACTS = str(ROOT / "examples/hosts/cpu01.yaml")
DIGEST = f"sha256:{'a' * 64}"
IMAGE = LockedImage(digest=DIGEST, architectures={"amd64": LockedManifest(digest=f"sha256:{'b' * 64}", size=7)})
WEIGHTS = LockedModel(files={"chat.gguf": LockedFile(size=1, sha256="c" * 64)})


def configuration(folder: Path, image: str = "ghcr.io/org/serve:1", source: str = "/srv/chat.gguf") -> Path:
    file = folder / "grid.yaml"
    file.write_text(
        "version: 1\n"
        "models:\n"
        "  chat:\n"
        "    engine: custom\n"
        f"    image: {image}\n"
        f"    source: {source}\n"
        "    aliases: [talk]\n",
        encoding="utf-8",
    )
    return file


def write(file: Path, lock: Lock) -> None:
    file.with_suffix(".lock").write_text(write_lock(lock), encoding="utf-8")


def lock_of(file: Path) -> Lock:
    lock = load_lock(file.with_suffix(".lock"))
    assert lock is not None
    return lock


LOCKED = Lock(images={"ghcr.io/org/serve:1": IMAGE}, models={"/srv/chat.gguf": WEIGHTS})


def test_a_lock_file_lies_beside_its_configuration() -> None:
    assert lock_path("a/modelgrid.yaml") == Path("a/modelgrid.lock")
    assert lock_path("prod.eu.yaml") == Path("prod.eu.lock")
    assert lock_path("-") is None


# -- check --locked: offline -------------------------------------------------------------------------------------------


def check(file: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, list[tuple[str, str, int]]]:
    code = main(["check", str(file), "--locked", "--format", "json", *more])
    report = json.loads(capsys.readouterr().out)
    return code, [(item["code"], Path(item["file"]).name, item["line"]) for item in report["diagnostics"]]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    weights = tmp_path / "chat.gguf"
    weights.write_bytes(b"GGUF")
    return configuration(tmp_path, source=str(weights))


def full(file: Path) -> Lock:
    return Lock(images=LOCKED.images, models={str(file.parent / "chat.gguf"): WEIGHTS})


def test_a_lock_that_fits_passes(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(file, full(file))
    assert check(file, capsys, "--strict") == (0, [])


def test_what_the_lock_lacks_is_an_error_at_its_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(file, Lock())
    assert check(file, capsys) == (1, [("MG3040", "grid.yaml", 5), ("MG3040", "grid.yaml", 6)])


def test_a_tag_that_changed_is_an_error_that_names_the_old_one(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(file, Lock(images={"ghcr.io/org/serve:0": IMAGE}, models=full(file).models))
    code, found = check(file, capsys)
    assert code == 1
    assert ("MG3041", "grid.yaml", 5) in found
    assert main(["check", str(file), "--locked"]) == 1
    assert "ghcr.io/org/serve:1 is not in the lock file, which has ghcr.io/org/serve:0" in capsys.readouterr().err


def test_what_nobody_uses_is_a_warning_at_its_line_in_the_lock(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(file, Lock(images={**LOCKED.images, "a.b/unused:1": IMAGE}, models=full(file).models))
    assert check(file, capsys) == (0, [("MG3042", "grid.lock", 4)])
    assert check(file, capsys, "--strict")[0] == 1


def test_no_lock_file_is_said_in_one_sentence(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(file), "--locked"]) == 1
    assert f"there is no {file.with_suffix('.lock')} to check against" in capsys.readouterr().err


def test_a_damaged_lock_file_stops_every_command_without_traceback(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.with_suffix(".lock").write_text("<<<<<<< HEAD\n{}\n", encoding="utf-8")
    for command in (["check", str(file)], ["compile", str(file), "-o", str(tmp_path / "out")], ["lock", str(file)]):
        assert main(command) == 1
        assert "marks of a merge" in capsys.readouterr().err


def test_every_image_that_an_engine_may_run_in_is_wanted_and_local_ones_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(
        "version: 1\ntarget: {facts: facts.yaml}\nmodels:\n"
        "  a: {engine: llamacpp, source: /srv/a.gguf}\n"
        "  b: {engine: llamacpp, source: /srv/b.gguf, image: localhost/own}\n"
        "  c: {engine: llamacpp, source: /srv/c.gguf, runtime: native}\n"
        "  llama3: {engine: ollama}\n",
        encoding="utf-8",
    )
    write(file, Lock())
    assert main(["check", str(file), "--locked"]) == 1
    err = capsys.readouterr().err
    for name in ("server", "server-cuda", "server-rocm", "server-intel"):
        assert f"ghcr.io/ggml-org/llama.cpp:{name} is not in the lock file" in err
    assert "ollama://llama3 is not in the lock file" in err
    # with a target, its files are not on this machine
    assert "localhost" not in err
    assert "a.gguf is not" not in err


# -- compile -----------------------------------------------------------------------------------------------------------


def compiled(file: Path, folder: Path, *more: str) -> str:
    output = folder / "out"
    assert main(["compile", str(file), "-o", str(output), "--facts", FACTS, *more]) == 0
    return "".join(path.read_text("utf-8") for path in sorted(output.rglob("*.image")))


def test_images_are_emitted_by_the_digest_of_the_lock(tmp_path: Path) -> None:
    file = configuration(tmp_path)
    assert "Image=ghcr.io/org/serve:1\n" in compiled(file, tmp_path)
    write(file, LOCKED)
    assert f"Image=ghcr.io/org/serve:1@{DIGEST}\n" in compiled(file, tmp_path, "--strict")


def test_compiling_warns_of_what_is_not_locked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = configuration(tmp_path)
    write(file, Lock(models=LOCKED.models))
    assert "Image=ghcr.io/org/serve:1\n" in compiled(file, tmp_path)
    assert "warning[MG3040]" in capsys.readouterr().err
    assert main(["compile", str(file), "-o", str(tmp_path / "out"), "--facts", FACTS, "--strict"]) == 1


def test_an_image_for_another_architecture_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = configuration(tmp_path)
    image = LockedImage(digest=DIGEST, architectures={"arm64": IMAGE.architectures["amd64"]})
    write(file, Lock(images={"ghcr.io/org/serve:1": image}, models=LOCKED.models))
    assert main(["compile", str(file), "-o", str(tmp_path / "out"), "--facts", FACTS]) == 1
    err = capsys.readouterr().err
    assert "MG3043" in err
    assert "is locked for arm64, and the host is x86_64" in err


# -- lock --------------------------------------------------------------------------------------------------------------


@pytest.mark.tools
def test_a_first_lock_holds_everything_and_a_second_changes_nothing(
    registry: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    push = Pusher(registry)
    pushed = push.image("serve", "1")
    weights = os.urandom(1000)
    (tmp_path / "chat.gguf").write_bytes(weights)
    file = configuration(tmp_path, f"{registry}/serve:1", "./chat.gguf")
    assert main(["lock", str(file)]) == 0
    assert capsys.readouterr().out.split() == ["added", "./chat.gguf", "added", f"{registry}/serve:1"]
    lock = lock_of(file)
    image = lock.images[f"{registry}/serve:1"]
    assert image.digest == pushed.digest
    assert {name: (found.digest, found.size) for name, found in image.architectures.items()} == pushed.architectures
    sha256 = hashlib.sha256(weights).hexdigest()
    assert dict(lock.models["./chat.gguf"].files) == {"chat.gguf": LockedFile(size=1000, sha256=sha256)}

    text = file.with_suffix(".lock").read_bytes()
    moved = push.image("serve", "1", b"moved")
    assert moved.digest != pushed.digest
    assert main(["lock", str(file), "--json"]) == 0
    out = json.loads(capsys.readouterr().out)
    assert out == {
        "file": str(file.with_suffix(".lock")),
        "written": False,
        "added": [],
        "updated": [],
        "removed": [],
    }
    assert file.with_suffix(".lock").read_bytes() == text

    assert main(["lock", str(file), "--update", f"{registry}/serve:1"]) == 0
    assert capsys.readouterr().out.split() == ["updated", f"{registry}/serve:1"]
    assert lock_of(file).images[f"{registry}/serve:1"].digest == moved.digest
    assert main(["check", str(file), "--locked", "--strict"]) == 0


@pytest.mark.tools
def test_update_refreshes_what_is_named_and_nothing_else(registry: str, tmp_path: Path) -> None:
    push = Pusher(registry)
    weights = {name: tmp_path / f"{name}.gguf" for name in ("one", "two")}
    for name, path in weights.items():
        path.write_bytes(b"first")
        push.image(name, "1", b"first")
    file = tmp_path / "grid.yaml"
    models = "".join(
        f"  {name}: {{engine: custom, image: '{registry}/{name}:1', source: ./{name}.gguf, aliases: [also-{name}]}}\n"
        for name in weights
    )
    file.write_text(f"version: 1\nmodels:\n{models}", encoding="utf-8")
    assert main(["lock", str(file)]) == 0
    first = lock_of(file)
    for name, path in weights.items():
        path.write_bytes(b"second")
        push.image(name, "1", b"second")
    assert main(["lock", str(file), "--update", f"{registry}/one:1"]) == 0
    second = lock_of(file)
    assert second.images[f"{registry}/one:1"] != first.images[f"{registry}/one:1"]
    assert second.images[f"{registry}/two:1"] == first.images[f"{registry}/two:1"]
    assert second.models == first.models
    assert main(["lock", str(file), "--update", "also-two", "--update", "one"]) == 0
    third = lock_of(file)
    assert third.images == second.images
    assert {file.sha256 for model in third.models.values() for file in model.files.values()} == {
        hashlib.sha256(b"second").hexdigest()
    }


@pytest.mark.tools
def test_a_reference_that_changed_replaces_the_old_one(registry: str, tmp_path: Path) -> None:
    push = Pusher(registry)
    push.image("serve", "1", b"one")
    second = push.image("serve", "2", b"two")
    (tmp_path / "chat.gguf").write_bytes(b"GGUF")
    assert main(["lock", str(configuration(tmp_path, f"{registry}/serve:1", "./chat.gguf"))]) == 0
    file = configuration(tmp_path, f"{registry}/serve:2", "./chat.gguf")
    assert main(["lock", str(file)]) == 0
    assert {name: image.digest for name, image in lock_of(file).images.items()} == {
        f"{registry}/serve:2": second.digest
    }


@pytest.mark.tools
def test_every_name_that_cannot_be_resolved_is_told_at_its_line_and_nothing_is_written(
    registry: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = configuration(tmp_path, f"{registry}/serve:missing", "./missing.gguf")
    write(file, LOCKED)
    before = file.with_suffix(".lock").read_bytes()
    assert main(["lock", str(file)]) == 1
    err = capsys.readouterr().err
    assert f"{file}:5:12" in err
    assert f"{registry} has no missing of serve" in err
    assert f"{file}:6:13" in err
    assert "missing.gguf does not exist" in err
    assert "2 errors; no lock file was written" in err
    assert file.with_suffix(".lock").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {"grid.yaml", "grid.lock"}


def test_a_registry_that_does_not_answer_is_the_hosts_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serve(hub(listing())) as site:
        pass
    file = configuration(tmp_path, f"{site.host}/serve:1")
    assert main(["lock", str(file)]) == 3
    err = capsys.readouterr().err
    assert f"{file}:5:12: cannot resolve {site.host}/serve:1" in err
    assert not file.with_suffix(".lock").exists()


def test_a_repository_is_locked_to_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = configuration(tmp_path, "localhost/own:1", "hf://org/Tiny")
    with serve(hub(listing())) as site:
        monkeypatch.setenv("HF_ENDPOINT", f"http://{site.host}")
        assert main(["lock", str(file)]) == 0
    assert lock_of(file).models["hf://org/Tiny"].revision == COMMIT
    assert main(["check", str(file), "--locked", "--strict"]) == 0


def test_files_of_another_host_are_left_out_with_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = configuration(tmp_path, "localhost/own:1")
    file.write_text(file.read_text("utf-8") + "target: {facts: facts.yaml}\n", encoding="utf-8")
    assert main(["lock", str(file)]) == 0
    assert "not locked: /srv/chat.gguf does not exist on this machine" in capsys.readouterr().err
    assert lock_of(file) == Lock()
    # what somebody locked on the host stays
    write(file, Lock(models=LOCKED.models))
    assert main(["lock", str(file)]) == 0
    assert lock_of(file).models == LOCKED.models


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--update", "chatt"], 'did you mean "chat"?'),
        (["--update", "ghcr.io/org/serve:2"], "ghcr.io/org/serve:1"),
    ],
)
def test_an_update_of_nothing_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    file = configuration(tmp_path)
    assert main(["lock", str(file), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_lock_file_is_no_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("-", "", ".", "/"):
        assert main(["lock", name]) == 2
    assert main(["lock", str(tmp_path / "grid.lock")]) == 2
    assert "own lock file" in capsys.readouterr().err


# -- on the disk -------------------------------------------------------------------------------------------------------


def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "chat.gguf").write_bytes(b"GGUF")
    file = configuration(tmp_path, "localhost/own:1", "./chat.gguf")
    write(file, Lock())
    before = file.with_suffix(".lock").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("modelgrid.lock.store.os.fsync", full)
    assert main(["lock", str(file)]) == 3
    assert "No space left on device" in capsys.readouterr().err
    assert file.with_suffix(".lock").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {"grid.yaml", "grid.lock", "chat.gguf"}


def test_a_link_and_the_mode_of_the_file_stay(tmp_path: Path) -> None:
    real = tmp_path / "shared.lock"
    real.write_text("old", encoding="utf-8")
    real.chmod(0o640)
    (tmp_path / "grid.lock").symlink_to(real)
    save_text(tmp_path / "grid.lock", "new")
    assert (tmp_path / "grid.lock").is_symlink()
    assert (real.read_text("utf-8"), real.stat().st_mode & 0o777) == ("new", 0o640)
