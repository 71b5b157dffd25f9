"""Estimates in a compilation: from the files of this host, and from the lock file where the target is another."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from modelgrid.cli.pipeline import Compiled, check_file, compile_checked
from modelgrid.cli.weights import describe_path, describe_snapshot
from modelgrid.host.facts import Gpu, HostFacts
from modelgrid.ir import Scope
from modelgrid.lock.hub import Snapshot
from modelgrid.lock.text import write_lock
from modelgrid.lock.values import Lock, LockedFile, LockedModel
from tests.models.ggufs import write
from tests.models.test_config_json import LLAMA_3_8B

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1024**3
FACTS = HostFacts(
    system="linux",
    arch="x86_64",
    podman=(5, 4, 2),
    systemd=257,
    python="/usr/bin/python3",
    gpus=(Gpu(index=0, uuid="GPU-0", name="test", memory=48 * GIB),),
)


def compiled(folder: Path, models: dict[str, Any], lock: Lock | None = None, *, foreign: bool = False) -> Compiled:
    file = folder / "modelgrid.yaml"
    file.write_text(yaml.safe_dump({"version": 1, "models": models}), encoding="utf-8")
    if lock is not None:
        (folder / "modelgrid.lock").write_text(write_lock(lock), encoding="utf-8")
    checked = check_file(str(file), local=not foreign)
    return compile_checked(checked, facts=FACTS, scope=Scope.SYSTEM, foreign=foreign)


def row(found: Compiled) -> tuple[int | None, bool]:
    (use,) = found.gpus
    (only,) = use.rows
    return only.memory, only.estimated


def test_weights_on_this_host_are_read(tmp_path: Path) -> None:
    weights = write(tmp_path / "m.gguf")
    memory, estimated = row(compiled(tmp_path, {"m": {"engine": "llamacpp", "source": "./m.gguf", "context": 512}}))
    more, _ = row(compiled(tmp_path, {"m": {"engine": "llamacpp", "source": "./m.gguf", "context": 4096}}))

    assert estimated
    assert memory is not None
    assert more is not None
    assert weights < memory < more < GIB


def test_what_is_given_goes_before_an_estimate(tmp_path: Path) -> None:
    write(tmp_path / "m.gguf")
    model = {"engine": "llamacpp", "source": "./m.gguf", "vram": "3GiB"}
    assert row(compiled(tmp_path, {"m": model})) == (3 * GIB, False)


def test_weights_that_are_damaged_are_not_estimated(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF\x03\x00\x00\x00 and no more")
    assert row(compiled(tmp_path, {"m": {"engine": "llamacpp", "source": "./m.gguf"}})) == (None, False)


def test_a_locked_repository_is_estimated_for_another_host_and_gets_its_share(tmp_path: Path) -> None:
    snapshot = Snapshot(
        revision="a" * 40,
        files={
            "config.json": LockedFile(size=9, sha256="0" * 64),
            "model.safetensors": LockedFile(size=16_060_522_240, sha256="1" * 64),
        },
        contents={"config.json": json.dumps(LLAMA_3_8B).encode()},
    )
    model = LockedModel(revision=snapshot.revision, files=snapshot.files, facts=describe_snapshot(snapshot))
    spec = {"engine": "vllm", "source": "hf://meta/llama", "context": 8192, "parallel": 4}
    found = compiled(tmp_path, {"m": spec}, Lock(models={"hf://meta/llama": model}), foreign=True)
    _, estimated = row(found)
    (server,) = found.deployment.servers
    memory = server.claims[0].memory

    # 32 layers, 8 heads of 128 for keys and for values, 2 bytes each: 128 KiB per token
    cache = 8192 * 4 * 32 * 8 * 128 * 2 * 2
    assert estimated
    assert 16_060_522_240 + cache < memory < 16_060_522_240 + cache + 4 * GIB
    arguments = getattr(server.launch, "arguments", ())
    share = float(arguments[arguments.index("--gpu-memory-utilization") + 1])
    assert memory <= share * 48 * GIB < memory + 48 * GIB / 50
    assert arguments[arguments.index("--revision") + 1] == "a" * 40


def test_files_of_a_host_are_locked_with_what_an_estimate_needs(tmp_path: Path) -> None:
    write(tmp_path / "m.gguf")
    assert describe_path(tmp_path / "m.gguf")["layers"] == "3x2/16/16"
    assert describe_path(tmp_path / "nothing.gguf") == {}
