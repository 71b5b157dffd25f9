"""Every engine on every vendor's GPUs with every runtime: refused by name, or taken by podman's generators and systemd.

All units of all targets are one batch for each suite: the tools start once, and each unit has its target's number in
its name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from modelgrid.compile import Context, compile_config
from modelgrid.config.check import check
from modelgrid.config.load import load
from modelgrid.emit import emit
from modelgrid.emit.names import unit_name
from modelgrid.engines.builtin import Engine, builtin_engines
from modelgrid.engines.names import builtin_abilities, builtin_names
from modelgrid.host.facts import Gpu, HostFacts, Vendor
from modelgrid.ir import Scope
from tests.tools import SUITES, quadlet_generator, systemd_analyze_verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from modelgrid.diagnostics import Report
    from modelgrid.emit import Artifact
    from modelgrid.ir import Deployment

GIB = 1024**3
ENGINES = builtin_engines()
RUNTIMES = ("podman", "docker", "native")
#: podman and systemd of the hosts: Fedora 43, Debian 13, Ubuntu 24.04, RHEL 9.2, Debian 12.
RELEASES = (((5, 8, 2), 258), ((5, 4, 2), 257), ((4, 9, 3), 255), ((4, 4, 1), 252), ((4, 3, 1), 252))
#: The newest podman that each suite's generator reads quadlets for.
NEWEST = {"trixie": (5, 4, 2), "forky": (5, 8, 2)}
PROGRAMS = {
    **{engine.program: f"/usr/local/bin/{engine.program}" for engine in ENGINES.values() if engine.program},
    "podman": "/usr/bin/podman",
    "docker": "/usr/bin/docker",
}
PYTHON = "/opt/modelgrid/bin/python"
OWN_PROGRAM = "/usr/local/bin/own"
OWN = {"image": "registry.example/own:1", "program": OWN_PROGRAM, "command": ["--port", "{port}"]}
EXECUTABLES = (PYTHON, OWN_PROGRAM, *PROGRAMS.values())
#: Kinds of source by how a user writes one that the engine takes.
SOURCES = {"path": "/srv/models/m.gguf", "repository": "hf://Org/Model", "name": "llama3:8b"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A host, and whose systemd the units are for."""

    vendor: Vendor
    arch: str
    podman: tuple[int, ...]
    systemd: int
    scope: Scope

    def __str__(self) -> str:
        version = ".".join(map(str, self.podman[:2]))
        return f"{self.vendor.value}-{self.arch}-{version}-{self.scope.value}"

    @property
    def facts(self) -> HostFacts:
        count = 0 if self.vendor is Vendor.CPU else 8
        return HostFacts(
            system="linux",
            arch=self.arch,
            podman=self.podman,
            systemd=self.systemd,
            python=PYTHON,
            home="/home/ai",
            programs=tuple(sorted(PROGRAMS.items())),
            gpus=tuple(
                Gpu(
                    index=index,
                    uuid=f"GPU-{index}",
                    name="test",
                    memory=192 * GIB,
                    vendor=self.vendor,
                    node="" if self.vendor is Vendor.NVIDIA else f"/dev/dri/renderD{128 + index}",
                )
                for index in range(count)
            ),
        )


TARGETS = [
    Target(vendor=vendor, arch=arch, podman=podman, systemd=systemd, scope=scope)
    for vendor in Vendor
    # of the processor nothing follows but the image: one release shows it
    for arch, releases in (("x86_64", RELEASES), ("aarch64", RELEASES[:1]))
    for podman, systemd in releases
    for scope in Scope
]


def sources(engine: Engine) -> Iterator[str]:
    yield from (text for kind, text in SOURCES.items() if kind in engine.sources)


def serving(engine: Engine, runtime: str) -> dict[str, Any]:
    """What says how a server runs, with every field that the engine has something for."""
    spec: dict[str, Any] = {"engine": engine.name, "runtime": runtime, "vram": "2GiB", "env": {"WITH_SPACE": "a b"}}
    spec |= {"context": 4096} if "context" in engine.options else {}
    spec |= {"parallel": 2} if "parallel" in engine.options else {}
    spec |= {"idle_unload": "15m"} if "idle_unload" in engine.options else {}
    spec |= {"resources": {"memory": "64GiB", "cpus": 2.5, "tasks": 4096}, "systemd": {"Nice": 5}}
    if runtime == "native":
        spec["secrets"] = {"HF_TOKEN_PATH": "file"}
    else:
        spec["volumes"] = [
            {"source": "/srv/extra", "target": "/extra", "writable": True},
            {"source": "shared", "target": "/shared"},
            {"source": "/srv/labelled", "target": "/labelled", "relabel": True},
        ]
    if runtime == "podman":
        spec |= {"secrets": {"HF_TOKEN": "podman"}, "selinux": {"type": "nvidia_container_t"}}
    return spec


def grid() -> dict[str, Any]:
    """One configuration with every engine, task, runtime and way of serving."""
    models: dict[str, Any] = {}
    servers: dict[str, Any] = {}
    for engine in ENGINES.values():
        for runtime in RUNTIMES:
            stem = f"{engine.name}-{runtime}"
            first, task = next(sources(engine)), next(iter(engine.tasks))
            for other in engine.tasks:
                models[f"{stem}-{other}"] = {**serving(engine, runtime), "task": other, "source": first}
            for number, source in enumerate(sources(engine)):
                spec = {**serving(engine, runtime), "task": task, "source": source}
                models[f"{stem}-{number}"] = spec | ({"load": "on-demand"} if number else {"replicas": 2})
            if "tensor_parallel" in engine.options:
                models[f"{stem}-wide"] = {**serving(engine, runtime), "task": task, "source": first, "gpus": 2}
            if engine.shared is not None:
                servers[stem] = serving(engine, runtime)
                for name in ("a", "b"):
                    source = first.replace("m.", f"{name}.")
                    models[f"{stem}-shared-{name}"] = {"server": stem, "task": task, "source": source}
    return {
        "version": 1,
        "engines": {"custom": OWN},
        "secrets": {"podman": {"podman": "hf"}, "file": {"file": "/etc/modelgrid/hf"}},
        "servers": servers,
        "models": models,
    }


def compiled(grid_: dict[str, Any], target: Target) -> tuple[Deployment | None, Report]:
    document = load(yaml.safe_dump(grid_, sort_keys=False), file="modelgrid.yaml")
    config, report = check(document, engines=builtin_names(), abilities=builtin_abilities)
    assert config is not None, list(report)
    deployment, report, _ = compile_config(
        config,
        Context(
            facts=target.facts,
            scope=target.scope,
            engines=ENGINES,
            base=PurePosixPath("/etc/modelgrid"),
            cache=PurePosixPath("/var/lib/modelgrid/weights"),
            state_root=PurePosixPath("/var/lib"),
            locate=document.locate,
            foreign=True,
        ),
    )
    return deployment, report


def wide(target: Target) -> dict[str, Any]:
    """The grid without what needs GPUs, on a host without."""
    found = grid()
    if target.vendor is Vendor.CPU:
        found["models"] = {name: spec for name, spec in found["models"].items() if spec.get("gpus") is None}
    return found


def refusal(spec: dict[str, Any], target: Target, *, shared: bool) -> tuple[str, str] | None:
    """The code and field by which a server is to be refused; none for one that the catalogue has on the target."""
    engine, runtime = ENGINES[spec["engine"]], spec["runtime"]
    if runtime == "native":
        if shared and engine.shared is not None and engine.shared.folder:
            return "MG4006", "runtime"
        return None if engine.program or engine.name == "custom" else ("MG4005", "runtime")
    if runtime == "docker" and target.scope is Scope.USER:
        return "MG4006", "runtime"
    vendor = target.vendor.value
    if engine.name == "custom" or {vendor, f"{vendor}-{target.arch}"} & engine.images.keys():
        return None
    has_vendor = any(key.partition("-")[0] == vendor for key in engine.images)
    # placement looks at vendors alone, and gives no GPU to an engine that has no image for its vendor
    return ("MG4006", "engine") if has_vendor or target.vendor is Vendor.CPU else ("MG4002", "gpus")


def refused(grid_: dict[str, Any], target: Target) -> dict[tuple[str, ...], str]:
    found: dict[tuple[str, ...], str] = {}
    for section in ("models", "servers"):
        for name, spec in grid_[section].items():
            fault = refusal(spec, target, shared=section == "servers") if "engine" in spec else None
            if fault is not None:
                found[section, name, fault[1]] = fault[0]
    return found


def sound(grid_: dict[str, Any], target: Target) -> dict[str, Any]:
    bad = {(section, name) for section, name, _ in refused(grid_, target)}
    models = {
        name: spec
        for name, spec in grid_["models"].items()
        if ("models", name) not in bad and ("servers", spec.get("server")) not in bad
    }
    servers = {name: spec for name, spec in grid_["servers"].items() if ("servers", name) not in bad}
    return {**grid_, "models": models, "servers": servers}


@pytest.mark.parametrize("target", [target for target in TARGETS if target.podman >= (5, 8)], ids=str)
def test_what_the_catalogue_lacks_is_refused_by_name(target: Target) -> None:
    found = wide(target)
    deployment, report = compiled(found, target)

    assert deployment is None
    assert {item.path: item.code for item in report.errors} == refused(found, target)


def emitted(target: Target) -> tuple[Artifact, ...]:
    deployment, report = compiled(sound(wide(target), target), target)
    assert deployment is not None, list(report.errors)
    return emit(deployment)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The folders ``quadlets`` and ``units`` of each scope, and what the generator is to make."""

    folder: Path
    wanted: set[str]


@pytest.fixture(scope="module")
def batches(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Batch]:
    """Every target that a suite's podman reads, or those of one podman, each file with the number of its target."""
    artifacts = {number: (target, emitted(target)) for number, target in enumerate(TARGETS)}

    def batch(suite: str, scope: Scope, *, podman: tuple[int, ...] = ()) -> Batch:
        folder = tmp_path_factory.mktemp("batch")
        for name in ("quadlets", "units"):
            (folder / name).mkdir()
        wanted = set()
        for number, (target, files) in artifacts.items():
            if target.scope is not scope or target.podman > NEWEST[suite] or podman not in {(), target.podman}:
                continue
            for artifact in files:
                if unit_name(artifact.path) is None:
                    continue
                path = numbered(artifact.path, number)
                (folder / path).write_text(numbered(artifact.content, number), encoding="utf-8")
                if path.startswith("quadlets/"):
                    wanted.add(str(unit_name(path)))
        return Batch(folder=folder, wanted=wanted)

    return batch


def numbered(text: str, number: int) -> str:
    """*text* with the number of its target in the name of each unit, container and network."""
    return re.sub(r"\bmodelgrid(?=[.-](?!yaml))", f"g{number}", text)


@pytest.mark.tools
@pytest.mark.parametrize("scope", Scope, ids=lambda scope: scope.value)
@pytest.mark.parametrize("suite", SUITES)
def test_the_generator_takes_every_quadlet_without_a_word(
    suite: str, scope: Scope, batches: Callable[..., Batch]
) -> None:
    batch = batches(suite, scope)
    result = quadlet_generator(suite, user=scope is Scope.USER)(batch.folder / "quadlets")
    said = [line.partition(": ")[2] for line in result.stderr.splitlines()]

    assert result.returncode == 0
    assert [line for line in said if not line.startswith("Loading source unit file ")] == []
    assert set(re.findall(r"^---(.+)---$", result.stdout, re.MULTILINE)) == batch.wanted


@pytest.mark.tools
@pytest.mark.parametrize("scope", Scope, ids=lambda scope: scope.value)
@pytest.mark.parametrize("podman", [podman for podman, _ in RELEASES], ids=str)
def test_systemd_takes_every_unit_without_a_word(
    podman: tuple[int, ...], scope: Scope, batches: Callable[..., Batch]
) -> None:
    suite = next(suite for suite in SUITES if podman <= NEWEST[suite])
    folder = batches(suite, scope, podman=podman).folder
    result = systemd_analyze_verify(
        suite,
        folder / "units",
        quadlets=folder / "quadlets",
        executables=EXECUTABLES,
        user=scope is Scope.USER,
    )

    assert [*result.stdout.splitlines(), *result.stderr.splitlines()][:20] == []
    assert result.returncode == 0
