"""Against a small server that answers as the hub does."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from modelgrid.errors import ConfigError
from modelgrid.lock.hub import Hub, Snapshot, endpoint_of, read_token
from modelgrid.lock.registry import RegistryError
from modelgrid.lock.values import LockedFile
from modelgrid.lock.web import AnswerError, Web
from tests.lock.site import Reply, Request, Site, serve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONFIG = b'{"hidden_size": 64}'
LARGE = {"rfilename": "model.safetensors", "size": 5_000_000_000, "blobId": "f" * 40}
LARGE["lfs"] = {"sha256": "a" * 64, "size": 5_000_000_000, "pointerSize": 135}


def blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def listing(**changes: Any) -> dict[str, Any]:
    config = {"rfilename": "config.json", "size": len(CONFIG), "blobId": blob_id(CONFIG)}
    readme = {"rfilename": "docs/a b.md", "size": 2, "blobId": blob_id(b"hi")}
    return {"id": "org/Tiny", "sha": COMMIT, "siblings": [LARGE, config, readme], **changes}


def hub(data: dict[str, Any], **files: bytes) -> Callable[[Request], Reply]:
    contents = {"config.json": CONFIG, "docs/a%20b.md": b"hi"} | files

    def answer(request: Request) -> Reply:
        if request.path == "/api/models/org/Tiny/revision/main":
            assert request.query == "blobs=true"
            return Reply(json.dumps(data).encode())
        start = f"/org/Tiny/resolve/{COMMIT}/"
        if request.path.startswith(start) and (name := request.path.removeprefix(start)) in contents:
            return Reply(contents[name])
        return Reply(status=404)

    return answer


def ask(site: Site, name: str = "org/Tiny", token: str | None = None) -> Snapshot:
    with Web(timeout=5) as web:
        return Hub(web, endpoint=f"http://{site.host}", token=token).snapshot(name)


def test_a_repository_is_its_commit_and_the_hashes_of_its_files() -> None:
    with serve(hub(listing())) as site:
        found = ask(site)
        assert found.revision == COMMIT
        assert dict(found.files) == {
            "model.safetensors": LockedFile(size=5_000_000_000, sha256="a" * 64),
            "config.json": LockedFile(size=len(CONFIG), sha256=hashlib.sha256(CONFIG).hexdigest()),
            "docs/a b.md": LockedFile(size=2, sha256=hashlib.sha256(b"hi").hexdigest()),
        }
        assert dict(found.contents) == {"config.json": CONFIG}
        assert not any(path.endswith("model.safetensors") for path in site.paths)


def test_a_small_file_that_is_not_the_one_in_git_is_refused() -> None:
    changed = hub(listing(), **{"config.json": b'{"hidden_size": 65}'})
    with serve(changed) as site, pytest.raises(AnswerError, match=r"another config\.json than it lists"):
        ask(site)


def test_the_token_goes_to_the_hub_alone() -> None:
    with serve(lambda _: Reply(CONFIG)) as elsewhere:

        def answer(request: Request) -> Reply:
            if request.headers.get("authorization") != "Bearer hf-token":
                return Reply(status=401)
            if request.path.endswith("config.json"):
                return Reply(status=302, headers={"Location": f"http://{elsewhere.host}/cdn"})
            return hub(listing())(request)

        with serve(answer) as site:
            assert ask(site, token="hf-token").contents["config.json"] == CONFIG
            with pytest.raises(RegistryError, match="does not show org/Tiny") as caught:
                ask(site, token="wrong-token")
            assert "wrong-token" not in f"{caught.value.message}{caught.value.hint}"
        assert [request.headers.get("authorization") for request in elsewhere.requests] == [None]


@pytest.mark.parametrize(
    ("reply", "error", "said"),
    [
        (Reply(status=404), RegistryError, "has no org/Tiny"),
        (Reply(status=307, headers={"Location": "/api/models/org/New"}), RegistryError, "under another name"),
        (Reply(status=429), RegistryError, "429"),
        (Reply(status=500), RegistryError, "answers 500"),
        (Reply(b"[]"), AnswerError, "no JSON object"),
        (Reply(json.dumps(listing(sha="main")).encode()), AnswerError, "no commit"),
        (Reply(json.dumps(listing(siblings=[])).encode()), AnswerError, "no files"),
        (Reply(json.dumps(listing(siblings=[{"rfilename": "../x"}])).encode()), AnswerError, "proper name"),
        (Reply(json.dumps(listing(siblings=[{"rfilename": "x", "lfs": {}}])).encode()), AnswerError, "size or hash"),
    ],
)
def test_strange_answers_are_told(reply: Reply, error: type[Exception], said: str) -> None:
    with serve(lambda _: reply) as site, pytest.raises(error, match=said):
        ask(site)


def test_the_environment_names_endpoint_and_file_of_the_token(tmp_path: Path) -> None:
    assert endpoint_of({}) == "https://huggingface.co"
    assert endpoint_of({"HF_ENDPOINT": "https://mirror.example/"}) == "https://mirror.example"
    token = tmp_path / "token"
    token.write_text("some-token\n", encoding="utf-8")
    assert read_token({"HF_TOKEN_PATH": str(token)}) == "some-token"
    assert read_token({"HF_TOKEN": "not-this-one"}) is None
    token.write_text("two words", encoding="utf-8")
    for path in (token, tmp_path / "missing"):
        with pytest.raises(ConfigError) as caught:
            read_token({"HF_TOKEN_PATH": str(path)})
        assert "two words" not in caught.value.message
