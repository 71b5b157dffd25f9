"""The embedded engine takes llama-server's arguments, and says in one sentence why it cannot start."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.up.processes import free_port

ROOT = Path(__file__).parents[2]

#: Stands in for the package: it shows the parameters that it was given, and refuses to serve.
FAKE = """
class Group:
    pass

class CommonParams:
    def __init__(self):
        self.model, self.sampling, self.cpuparams, self.cpuparams_batch = Group(), Group(), Group(), Group()

class llama_pooling_type:
    __members__ = {"LLAMA_POOLING_TYPE_UNSPECIFIED": "unspecified", "LLAMA_POOLING_TYPE_MEAN": "mean pooling"}

def flat(owner):
    for name, value in vars(owner).items():
        if isinstance(value, Group):
            yield from ((f"{name}.{field}", value) for field, value in flat(value))
        else:
            yield name, value

def Server(params):
    print(dict(flat(params)))
    raise RuntimeError("Failed to init server, please check the input params.")
"""


def run(folder: Path, *arguments: str, package: str = FAKE) -> tuple[int, str, str]:
    (folder / "xllamacpp.py").write_text(package)
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-P", "-m", "modelgrid.embedded", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=30, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def weights(tmp_path: Path) -> str:
    path = tmp_path / "weights.gguf"
    path.write_bytes(b"GGUF")
    return str(path)


def test_arguments_become_parameters(tmp_path: Path, weights: str) -> None:
    port = free_port()
    code, output, error = run(
        tmp_path,
        *("--model", weights, "--alias", "gemma", "--host", "127.0.0.1", "--port", str(port)),
        *("--ctx-size", "2048", "--parallel", "2", "--n-gpu-layers", "999", "--threads", "3"),
        *("--embeddings", "--pooling", "mean", "--jinja", "--temp", "0.2", "-r", r"\n\\Question: \d"),
    )

    assert (code, error) == (3, f"modelgrid.embedded: llama.cpp cannot serve {weights}; the lines above say why\n")
    given = {
        "model.path": weights,
        "model_alias": {"gemma"},
        "hostnames": ["127.0.0.1"],
        "port": port,
        "n_ctx": 2048,
        "n_parallel": 2,
        "n_gpu_layers": 999,
        "cpuparams.n_threads": 3,
        "embedding": True,
        "pooling_type": "mean pooling",
        "use_jinja": True,
        "sampling.temp": 0.2,
        "antiprompt": ["\n\\Question: \\d"],
    }
    ours = {"ui": False, "endpoint_slots": False, "cors_origins": ""}
    assert eval(output) == given | ours


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--model", "x", "--mirostat", "2"],
            "--mirostat is not an argument of the embedded engine; llama-server may have it",
        ),
        (["--model", "x", "--ctx", "1"], "--ctx is not an argument of the embedded engine; llama-server may have it"),
        (["--model", "x", "--ctx-size", "big"], "argument --ctx-size/-c: invalid int value: 'big'"),
        (["--model", __file__, "--port", "0", "--pooling", "max"], "--pooling is one of mean, not max"),
        ([], "the following arguments are required: --model/-m"),
    ],
)
def test_wrong_arguments_are_one_sentence(tmp_path: Path, arguments: list[str], message: str) -> None:
    assert run(tmp_path, *arguments) == (2, "", f"modelgrid.embedded: {message}\n")


def test_without_the_package_the_way_to_get_it_is_said(tmp_path: Path) -> None:
    package = "raise ModuleNotFoundError(\"No module named 'xllamacpp'\")"
    message = (
        "modelgrid.embedded: the embedded engine is not installed (No module named 'xllamacpp'); "
        "run: pip install 'modelgrid[local]'\n"
    )

    assert run(tmp_path, "--model", "x", package=package) == (3, "", message)


def test_a_missing_model_file_is_one_sentence(tmp_path: Path) -> None:
    message = "modelgrid.embedded: there is no model file /no/such.gguf\n"

    assert run(tmp_path, "--model", "/no/such.gguf") == (3, "", message)


def test_a_taken_port_is_one_sentence(tmp_path: Path, weights: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = f"modelgrid.embedded: port {port} of 127.0.0.1 is taken by another program\n"

        assert run(tmp_path, "--model", weights, "--port", str(port)) == (3, "", message)


def test_an_address_of_another_host_is_one_sentence(tmp_path: Path, weights: str) -> None:
    message = "modelgrid.embedded: 192.0.2.1 is not an address of this host\n"

    assert run(tmp_path, "--model", weights, "--host", "192.0.2.1") == (3, "", message)
