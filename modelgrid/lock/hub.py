"""Asks Hugging Face's hub what a repository holds now: its commit, its files, their hashes (the hub's HTTP API)."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from modelgrid.errors import ConfigError
from modelgrid.lock.registry import RegistryError
from modelgrid.lock.values import LockedFile
from modelgrid.lock.web import AnswerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelgrid.lock.web import Answer, Web

ENDPOINT: Final = "https://huggingface.co"

#: Files whose content estimates are made from; see Snapshot.contents.
DESCRIBING: Final = ("config.json", "model.safetensors.index.json")

_MAX_LISTING: Final = 32 * 1024**2
#: The hub takes no larger file outside of LFS.
_MAX_PLAIN: Final = 32 * 1024**2
_MOST_FILES: Final = 10_000
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A repository at one commit. *contents*: the files of DESCRIBING that it has."""

    revision: str
    files: Mapping[str, LockedFile]
    contents: Mapping[str, bytes] = field(repr=False, default_factory=dict)


def endpoint_of(environment: Mapping[str, str] | None = None) -> str:
    """Return the hub's address: $HF_ENDPOINT, as Hugging Face's own programs have it, else that of the hub."""
    variables = os.environ if environment is None else environment
    return (variables.get("HF_ENDPOINT") or ENDPOINT).rstrip("/")


def read_token(environment: Mapping[str, str] | None = None) -> str | None:
    """Return the token in the file $HF_TOKEN_PATH; none where that is not set.

    Raises:
        ConfigError: the file cannot be read, or holds no token.
    """
    variables = os.environ if environment is None else environment
    path = variables.get("HF_TOKEN_PATH")
    if not path:
        return None
    try:
        token = Path(path).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(f"cannot read the token in {path} ($HF_TOKEN_PATH): {said}") from None
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise ConfigError(f"the file {path} ($HF_TOKEN_PATH) holds no token")
    return token


class Hub:
    """A client for one command. *token* is sent to *endpoint* alone."""

    def __init__(self, web: Web, *, endpoint: str = ENDPOINT, token: str | None = None) -> None:
        self._web = web
        self._endpoint = endpoint
        self._headers = {"authorization": f"Bearer {token}"} if token else {}

    def snapshot(self, repository: str, *, revision: str = "main") -> Snapshot:
        """Return what *repository* (``ORG/NAME``) holds at *revision*, a branch, a tag or a commit.

        The hub says the SHA-256 of large files; small ones are fetched and hashed, and compared with their name in git.

        Raises:
            RegistryError: there is no such repository, or it is closed to this user.
            AnswerError: the hub breaks its protocol, or a file is not what its hash says.
            UnreachableError: it does not answer.
        """
        url = f"{self._endpoint}/api/models/{quote(repository)}/revision/{quote(revision, safe='')}?blobs=true"
        answer = self._web.get(url, limit=_MAX_LISTING, headers=self._headers)
        _check_status(repository, answer)
        data = _parse(answer.body)
        commit, siblings = data.get("sha"), data.get("siblings")
        if not isinstance(commit, str) or not _COMMIT.match(commit):
            raise AnswerError("it names no commit of the repository")
        if not isinstance(siblings, list) or not 0 < len(siblings) <= _MOST_FILES:
            raise AnswerError("it lists no files of the repository")
        files: dict[str, LockedFile] = {}
        contents: dict[str, bytes] = {}
        for item in siblings:
            name = _name(item)
            large = _large(item)
            if large is None:
                content = self._plain(repository, commit, name, item)
                large = LockedFile(size=len(content), sha256=hashlib.sha256(content).hexdigest())
                if name in DESCRIBING:
                    contents[name] = content
            files[name] = large
        return Snapshot(revision=commit, files=files, contents=contents)

    def _plain(self, repository: str, commit: str, name: str, item: Mapping[str, Any]) -> bytes:
        url = f"{self._endpoint}/{quote(repository)}/resolve/{commit}/{quote(name)}"
        answer = self._web.get(url, limit=_MAX_PLAIN, headers=self._headers, follow=True)
        _check_status(repository, answer)
        blob = hashlib.sha1(b"blob %d\0" % len(answer.body) + answer.body, usedforsecurity=False).hexdigest()
        if item.get("blobId") not in {None, blob} or item.get("size") not in {None, len(answer.body)}:
            raise AnswerError(f"it sends another {name} than it lists")
        return answer.body


def _check_status(repository: str, answer: Answer) -> None:
    match answer.status:
        case 200:
            return
        case 401 | 403:
            raise RegistryError(
                f"the hub does not show {repository} to this user ({answer.status})",
                "correct the name; for a gated or private model, put a token that may read it into the file that"
                " $HF_TOKEN_PATH names",
            )
        case 404:
            raise RegistryError(f"the hub has no {repository}", "correct the name: hf://ORG/NAME")
        case 429:
            raise RegistryError("the hub lets this address ask no more for now (429)", "wait, then try again")
        case status if 300 <= status < 400:  # noqa: PLR2004  the redirects
            raise RegistryError(f"the hub has {repository} under another name", "write the name that its page has now")
        case status:
            raise RegistryError(f"the hub answers {status}", "try again later")


def _parse(body: bytes) -> dict[str, Any]:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise AnswerError("it answers with something that is no JSON object")
    return data


def _name(item: Any) -> str:
    name = item.get("rfilename") if isinstance(item, dict) else None
    if not isinstance(name, str) or not name or name.startswith("/") or ".." in name.split("/"):
        raise AnswerError("it lists a file without a proper name")
    return name


def _large(item: Mapping[str, Any]) -> LockedFile | None:
    """Return what the hub says of a file in LFS; none for one that is in git itself."""
    lfs = item.get("lfs")
    if lfs is None:
        return None
    size = lfs.get("size") if isinstance(lfs, dict) else None
    if not isinstance(size, int) or size < 0 or not _SHA256.match(str(lfs.get("sha256"))):
        raise AnswerError("it lists a large file without size or hash")
    return LockedFile(size=size, sha256=lfs["sha256"])
