from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from modelgrid.errors import ConfigError
from modelgrid.lock.credentials import find_login, login_files
from modelgrid.lock.references import parse_reference

if TYPE_CHECKING:
    from pathlib import Path


def coded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def write(path: Path, auths: dict[str, object]) -> Path:
    path.write_text(json.dumps({"auths": auths}), encoding="utf-8")
    return path


def test_the_entry_for_the_longest_part_of_the_name_counts(tmp_path: Path) -> None:
    file = write(
        tmp_path / "auth.json",
        {
            "quay.io": {"auth": coded("a:whole")},
            "quay.io/org": {"auth": coded("b:org")},
            "quay.io/org/name": {"auth": coded("c:name")},
            "https://index.docker.io/v1/": {"auth": coded("d:hub")},
        },
    )

    def found(reference: str) -> str | None:
        login = find_login(parse_reference(reference), [tmp_path / "missing.json", file])
        return None if login is None else base64.b64decode(login.basic).decode()

    assert found("quay.io/org/name:1") == "c:name"
    assert found("quay.io/org/other") == "b:org"
    assert found("quay.io/organisation/x") == "a:whole"
    assert found("docker.io/vllm/vllm-openai:v1") == "d:hub"
    assert found("ghcr.io/a/b") is None


def test_an_entry_without_a_password_is_none(tmp_path: Path) -> None:
    entries: list[object] = [{}, {"auth": ""}, {"auth": "?"}, {"auth": coded("nobody")}, [], None, {"auth": 1}]
    for entry in entries:
        assert find_login(parse_reference("a.b/c"), [write(tmp_path / "auth.json", {"a.b": entry})]) is None


def test_a_login_is_not_shown(tmp_path: Path) -> None:
    file = write(tmp_path / "auth.json", {"a.b": {"auth": coded("ada:hidden-word")}})
    login = find_login(parse_reference("a.b/c"), [file])
    assert login is not None
    assert login.basic not in repr(login)


def test_a_broken_file_is_told_without_its_content(tmp_path: Path) -> None:
    file = tmp_path / "auth.json"
    file.write_text('{"auths": hidden-word', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        find_login(parse_reference("a.b/c"), [file])
    assert str(file) in caught.value.message
    assert "hidden-word" not in caught.value.message


def test_files_are_those_of_podman_then_docker(tmp_path: Path) -> None:
    assert login_files({"REGISTRY_AUTH_FILE": "/x/auth.json"}, home=tmp_path) == (type(tmp_path)("/x/auth.json"),)
    assert login_files({"XDG_RUNTIME_DIR": "/run/user/7"}, home=tmp_path) == (
        type(tmp_path)("/run/user/7/containers/auth.json"),
        tmp_path / ".config/containers/auth.json",
        tmp_path / ".docker/config.json",
    )
