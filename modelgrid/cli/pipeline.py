"""What most commands start with: read the file, check it, find the target's facts, compile, emit."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING

from modelgrid.cli.output import counted, note, use_colour
from modelgrid.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from modelgrid.compile.placement import GpuUse
    from modelgrid.config.load import Document
    from modelgrid.config.schema import Config
    from modelgrid.diagnostics import Report
    from modelgrid.emit.artifact import Artifact
    from modelgrid.greenlist import Gate
    from modelgrid.host.facts import HostFacts
    from modelgrid.ir import Deployment, Scope
    from modelgrid.lock.values import Lock
    from modelgrid.models.sources import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A configuration without errors.

    *base* is the folder that its relative paths start from; *gate* holds it to its greenlist, where it names one;
    *lock* is what the lock file beside it says, where there is one.
    """

    document: Document
    config: Config
    report: Report
    base: Path
    gate: Gate | None = None
    lock: Lock | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A Deployment without errors, the warnings on the way, and what each GPU holds."""

    deployment: Deployment
    report: Report
    gpus: tuple[GpuUse, ...]


def check_file(file: str, *, strict: bool = False, local: bool = True) -> Checked:
    """Read and check *file*.

    Args:
        file: path, or ``-`` for stdin.
        strict: whether warnings are errors.
        local: whether the target is this host, so that files which it names must exist here.

    Raises:
        ConfigError: the file cannot be read or has faults, all of them in its report; or its lock file is damaged.
    """
    from modelgrid.config.check import check  # noqa: PLC0415  keeps `--help` quick
    from modelgrid.config.load import load  # noqa: PLC0415  the same
    from modelgrid.engines.names import builtin_names  # noqa: PLC0415  the same

    document = load(_read(file), file="stdin" if file == "-" else file)
    base = (Path() if file == "-" else Path(file).parent).resolve()
    has_target = "target" in document.data
    exists = Path.exists if local and not has_target else None
    gate = _gate(document, base) if "greenlist" in document.data else None
    config, report = check(
        document, base=base, exists=exists, engines=builtin_names(), also=gate.check if gate is not None else None
    )
    _fail_on(report, strict=strict)
    assert config is not None, "a report without errors comes with a Config"
    return Checked(document=document, config=config, report=report, base=base, gate=gate, lock=_read_lock(file))


def _gate(document: Document, base: Path) -> Gate:
    from modelgrid.greenlist import Gate  # noqa: PLC0415  only where there is a greenlist

    return Gate(document, base=base)


def compile_checked(
    checked: Checked, *, facts: HostFacts, scope: Scope, foreign: bool = False, strict: bool = False
) -> Compiled:
    """Compile for the host of *facts*; *foreign*: they come from a file, and nothing of this host may count.

    Raises:
        ConfigError: the configuration does not fit the host; the report has every fault.
    """
    from modelgrid.cli.weights import estimator  # noqa: PLC0415  `check` alone does not compile
    from modelgrid.compile import Context, compile_config  # noqa: PLC0415  `check` alone does not compile
    from modelgrid.engines.builtin import builtin_engines  # noqa: PLC0415  the same

    folders = host_folders(scope, facts) if foreign else local_folders(scope)
    deployment, report, gpus = compile_config(
        checked.config,
        Context(
            facts=facts,
            scope=scope,
            engines=builtin_engines(),
            base=checked.base,
            cache=folders.weights,
            state_root=folders.state,
            locate=checked.document.locate,
            words=checked.document.data,
            estimate=estimator(base=checked.base, cache=folders.weights, lock=checked.lock, foreign=foreign),
            revision=checked.lock.revision if checked.lock is not None else lambda _: "",
            foreign=foreign,
        ),
    )
    if checked.gate is not None:
        placed = (
            {name: [claim.uuid for claim in server.claims] for server in deployment.servers for name in server.models}
            if deployment
            else None
        )
        report += checked.gate.check_host(checked.config, facts.gpus, placed=placed)
    _fail_on(report, strict=strict)
    assert deployment is not None, "a report without errors comes with a Deployment"
    if checked.lock is not None:
        deployment, locked = _apply_lock(checked, checked.lock, deployment, facts)
        report += locked
        _fail_on(report, strict=strict)
    return Compiled(deployment=deployment, report=report, gpus=gpus)


def emit_compiled(checked: Checked, compiled: Compiled) -> tuple[Artifact, ...]:
    """Write *compiled* out.

    Raises:
        ConfigError: values cannot be written for the target; the report has the place of each.
    """
    from modelgrid.emit import emit  # noqa: PLC0415  `check` alone does not emit

    with locating(checked.document):
        return emit(compiled.deployment)


@contextmanager
def locating(document: Document) -> Iterator[None]:
    """Add the places in *document* to the diagnostics of a ConfigError that only have paths."""
    try:
        yield
    except ConfigError as error:
        if error.report is not None:
            located = [
                replace(item, location=document.locate(item.path)) if item.path and item.location is None else item
                for item in error.report
            ]
            error.report = type(error.report).of(located)
        raise


def _apply_lock(checked: Checked, lock: Lock, deployment: Deployment, facts: HostFacts) -> tuple[Deployment, Report]:
    """Pin what is locked, and warn of what is not."""
    from modelgrid.compile.locks import apply_lock, lockable, missing  # noqa: PLC0415  only where there is a lock
    from modelgrid.diagnostics import Report  # noqa: PLC0415  the same
    from modelgrid.engines.builtin import builtin_engines  # noqa: PLC0415  the same

    pinned, faults = apply_lock(deployment, lock, machine=facts.arch)
    wants = lockable(checked.config, builtin_engines())
    lacking = missing(wants, lock, warning=True, paths=checked.config.target is None)
    return pinned, Report.of(fault.diagnose(checked.document) for fault in (*faults, *lacking))


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Where weights from Python packages and the state of native servers lie."""

    weights: PurePath
    state: PurePath


SYSTEM_FOLDERS = Folders(weights=PurePosixPath("/var/lib/modelgrid/weights"), state=PurePosixPath("/var/lib"))


def scope_of(options: argparse.Namespace) -> Scope:
    """Return whose systemd the command is about."""
    from modelgrid.ir import Scope  # noqa: PLC0415  `check` alone needs no scope

    return Scope.USER if options.user else Scope.SYSTEM


def host_folders(scope: Scope, facts: HostFacts) -> Folders:
    """Return the folders of *scope* on the host of *facts*; a user's are those that no variable moves.

    Raises:
        ConfigError: the facts do not name the user's home folder.
    """
    from modelgrid.ir import Scope  # noqa: PLC0415  `check` alone needs no scope

    if scope is Scope.SYSTEM:
        return SYSTEM_FOLDERS
    if not facts.home:
        raise ConfigError(
            "the target's facts name no home folder, which --user needs", hint="write them again with `modelgrid facts`"
        )
    home = PurePosixPath(facts.home)
    return Folders(weights=home / ".cache/modelgrid/models", state=home / ".local/state")


def local_folders(scope: Scope) -> Folders:
    """Return the folders of *scope* on this host; a user's are those of the XDG base directory specification."""
    from modelgrid.ir import Scope  # noqa: PLC0415  `check` alone needs no scope

    if scope is Scope.SYSTEM:
        return SYSTEM_FOLDERS
    from modelgrid.models.weights import default_cache  # noqa: PLC0415  only where weights are a user's

    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    return Folders(weights=default_cache(), state=Path(state))


def target_facts(checked: Checked, facts_file: str | None) -> HostFacts | None:
    """Return the facts of the target that *facts_file* or the configuration names; none where neither does.

    Versions that the target gives take the place of those in its facts. Without a file of facts it is a host with
    these versions, podman and no GPU.

    Raises:
        ConfigError: the file is missing or no facts file.
    """
    target = checked.config.target
    named = facts_file or (target.facts if target is not None else None)
    if named is None and target is None:
        return None
    from modelgrid.host.facts import HostFacts, version_numbers  # noqa: PLC0415  only where there is a target

    if named is None:
        facts = HostFacts(system="linux", arch="x86_64", python=_TARGET_PYTHON)
    else:
        facts = _read_facts(Path(facts_file) if facts_file is not None else checked.base / named)
    if target is not None and target.podman is not None:
        facts = replace(facts, podman=version_numbers(target.podman))
    if target is not None and target.systemd is not None:
        facts = replace(facts, systemd=target.systemd)
    return facts


#: Where Python is on a target of which only versions are known: the folder that the README installs into.
_TARGET_PYTHON = "/opt/modelgrid/bin/python"


def _read_facts(path: Path) -> HostFacts:
    from modelgrid.host.facts_file import load_facts  # noqa: PLC0415  only where there is a target

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read the target's facts {path}: {error}", hint="write them on the host with `modelgrid facts`"
        ) from error
    return load_facts(text, file=str(path))


def package_sources(config: Config) -> list[Source]:
    """Return the sources whose weights are in Python packages, each once."""
    from modelgrid.models.sources import SourceKind, parse_source  # noqa: PLC0415  only where weights are needed

    sources = [parse_source(model.source) for model in config.models.values() if model.source is not None]
    return [source for source in dict.fromkeys(sources) if source.kind is SourceKind.PACKAGE]


def probe_host(programs: Iterable[str] = ()) -> HostFacts:
    """Read the facts of this host. *programs* are looked for beside those of the built-in engines."""
    from modelgrid.engines.builtin import builtin_engines  # noqa: PLC0415  imports of few commands
    from modelgrid.host.probe import probe  # noqa: PLC0415  the same

    builtin = [engine.program for engine in builtin_engines().values() if engine.program]
    return probe([*builtin, *programs])


def declared_programs(config: Config) -> list[str]:
    """Return the programs that engines of *config* name."""
    return [engine.program for engine in config.engines.values() if engine.program is not None]


def print_warnings(report: Report) -> None:
    """Print the warnings of a configuration that has no errors."""
    if report:
        print_report(report, colour=use_colour())


def print_gpus(gpus: tuple[GpuUse, ...]) -> None:
    """Print what each GPU holds."""
    from modelgrid.compile.gpu_table import gpu_lines  # noqa: PLC0415  only where there are GPUs

    for line in gpu_lines(gpus, limit=20):
        note(line)


def print_report(report: Report, *, colour: bool) -> None:
    """Print every diagnostic to stderr."""
    from modelgrid.rendering import render_text  # noqa: PLC0415  only where there is a fault

    note(render_text(report, colour=colour))


def _read_lock(file: str) -> Lock | None:
    path = Path(file).with_suffix(".lock")
    if file == "-" or not path.is_file():
        return None
    from modelgrid.lock.store import load_lock  # noqa: PLC0415  only where there is a lock

    return load_lock(path)


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot read {file}: {error.strerror or error}", hint="`modelgrid init` writes a first configuration"
        ) from error


def failure_of(report: Report, *, strict: bool) -> ConfigError | None:
    """Return the error that *report* is; none where it has nothing that stops. *strict*: warnings stop too."""
    errors, warnings = len(report.errors), len(report.warnings)
    if not errors and not (strict and warnings):
        return None
    said = [counted(errors, "error")] if errors else []
    said += [counted(warnings, "warning")] if strict and warnings else []
    return ConfigError(" and ".join(said), report=report)


def _fail_on(report: Report, *, strict: bool) -> None:
    error = failure_of(report, strict=strict)
    if error is not None:
        raise error
