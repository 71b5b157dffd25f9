"""A real registry (Debian's docker-registry) on a free port of the loopback, empty, for each test that asks for it."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.requirements import require_tools

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USER, PASSWORD = "ada", "s3cret-word"
#: bcrypt of PASSWORD, of the lowest cost.
HTPASSWD = f"{USER}:$2y$04$yM8Uq2pOnIjdxUi/1L3kX./uNuDIEU876exTCuWOx/h.cn611vYPu\n"


@contextmanager
def running_registry(folder: Path, *, closed: bool = False) -> Iterator[str]:
    require_tools("docker-registry")
    folder.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = (
        "version: 0.1\nlog: {level: error}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
    )
    if closed:
        (folder / "htpasswd").write_text(HTPASSWD, encoding="utf-8")
        config += f"auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n"
    (folder / "config.yml").write_text(config, encoding="utf-8")
    with (folder / "log").open("wb") as log:
        argv = ["docker-registry", "serve", str(folder / "config.yml")]
        # it takes every variable that starts with REGISTRY_ for a setting
        process = subprocess.Popen(
            argv, stdout=log, stderr=log, env={"PATH": os.defpath, "OTEL_TRACES_EXPORTER": "none"}
        )
    try:
        deadline = time.monotonic() + 20
        while not answers(port):
            assert process.poll() is None, (folder / "log").read_text("utf-8")
            assert time.monotonic() < deadline, (folder / "log").read_text("utf-8")
            time.sleep(0.02)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/v2/", trust_env=False, verify=False).status_code in {200, 401}
    except httpx.TransportError:
        return False


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    with running_registry(tmp_path / "registry") as host:
        yield host


@pytest.fixture
def closed_registry(tmp_path: Path) -> Iterator[str]:
    with running_registry(tmp_path / "closed", closed=True) as host:
        yield host


@pytest.fixture(autouse=True)
def no_logins_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The machine's own logins, tokens and proxies have no say in a test."""
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "no-logins.json"))
    for name in ("HF_ENDPOINT", "HF_TOKEN_PATH", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
