"""``explain``: what a code means, or where each line of a unit comes from and what becomes of it."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from modelgrid.cli.output import note, result, result_json
from modelgrid.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from modelgrid.cli.pipeline import Checked
    from modelgrid.emit.artifact import Artifact
    from modelgrid.ir import Deployment, Scope
    from modelgrid.review.lines import Explained

_CODE = re.compile(r"MG\d{4}", re.IGNORECASE)


def run_explain(options: argparse.Namespace) -> int:
    """Explain the code or the unit that *options* name."""
    if _CODE.fullmatch(options.subject):
        _explain_code(options.subject.upper(), as_json=options.json)
    else:
        _explain_unit(options)
    return 0


def _explain_code(name: str, *, as_json: bool) -> None:
    """Print what a code means, its cause and its fix."""
    from modelgrid.codes import CODES  # noqa: PLC0415  imports of one command only

    code = CODES.get(name)
    if code is None:
        raise UsageError(f"there is no code {name}", hint=f"the codes go from {min(CODES)} to {max(CODES)}")
    if as_json:
        kind = "warning" if code.warning else "error"
        result_json({"code": name, "severity": kind, "title": code.title, "cause": code.cause, "fix": code.fix})
    else:
        result(f"{name}: {code.title}\n\n{code.cause}\n\n{code.fix}")


def _explain_unit(options: argparse.Namespace) -> None:
    """Print the lines of a unit: the place in the file, the key and its value, podman's arguments."""
    from modelgrid.cli.pipeline import (  # noqa: PLC0415  a code needs none of them
        check_file,
        compile_checked,
        declared_programs,
        emit_compiled,
        print_warnings,
        probe_host,
        scope_of,
        target_facts,
    )
    from modelgrid.review.lines import experiments, explain_lines  # noqa: PLC0415  the same

    checked = check_file(options.file, local=False)
    target = target_facts(checked, options.facts)
    facts = target or probe_host(declared_programs(checked.config))
    compiled = compile_checked(checked, facts=facts, scope=scope_of(options), foreign=target is not None)
    print_warnings(checked.report + compiled.report)
    artifacts = emit_compiled(checked, compiled)
    artifact = _find(options.subject, artifacts, compiled.deployment)
    trials = experiments(artifact)
    generated = _generate(artifacts, trials, scope_of(options)) if trials else None
    lines = explain_lines(artifact, generated)
    if options.json:
        result_json({"file": artifact.path, "generator": generated is not None, "lines": _data(lines, checked)})
        return
    from modelgrid.emit.origins import unit_origin  # noqa: PLC0415  a code needs no unit

    whole = unit_origin(artifact)
    result(f"{artifact.path}{f'  from {_place(whole, checked)}' if whole else ''}")
    for text in _text(lines, checked):
        result(text)
    if trials and generated is None:
        note("podman's arguments are those of ModelGrid's table: the generator is not on this host")


def _find(subject: str, artifacts: Sequence[Artifact], deployment: Deployment) -> Artifact:
    """Return the unit that *subject* names: by its own name or its file's, or by the name or an alias of a model.

    Raises:
        UsageError: there is no such unit.
    """
    from modelgrid.emit.names import unit_name  # noqa: PLC0415  a code needs no unit

    units = {unit: item for item in artifacts if (unit := unit_name(item.path)) is not None}
    names: dict[str, Artifact] = {}
    for unit, item in units.items():
        stem = unit.removesuffix(".service")
        for name in (stem.removeprefix("modelgrid-"), stem, PurePosixPath(item.path).name, unit):
            names[name] = item
    # a client's names count first: a model may be called as a unit is
    servers = {name: server.unit for server in reversed(deployment.servers) for name in (server.name, *server.models)}
    names |= {alias: units[servers[route.name]] for route in deployment.routes for alias in route.aliases}
    names |= {name: units[unit] for name, unit in servers.items()}
    if subject in names:
        return names[subject]
    from difflib import get_close_matches  # noqa: PLC0415  only for a name that is wrong

    close = get_close_matches(subject, names, n=1)
    raise UsageError(
        f"there is no unit or model {subject}",
        hint=f"did you mean {close[0]}?" if close else f"the units are {', '.join(sorted(units))}",
    )


def _generate(artifacts: Sequence[Artifact], trials: Mapping[str, str], scope: Scope) -> Mapping[str, str] | None:
    """Run this host's generator on the quadlets and the *trials*; none where the host has no generator."""
    if sys.platform != "linux":
        return None
    from modelgrid.apply.checks.preflight import find_generator, generate  # noqa: PLC0415  the same
    from modelgrid.apply.process import HostProcesses  # noqa: PLC0415  the same
    from modelgrid.apply.store.files import FileSystem  # noqa: PLC0415  only where there may be a generator
    from modelgrid.emit.artifact import QUADLETS  # noqa: PLC0415  the same

    generator = find_generator(FileSystem(), scope)
    if generator is None:
        return None
    with tempfile.TemporaryDirectory(prefix="modelgrid-") as name:
        folder = Path(name)
        for item in artifacts:
            if item.path.startswith(f"{QUADLETS}/"):
                (folder / PurePosixPath(item.path).name).write_text(item.content, encoding="utf-8", newline="\n")
        for file, text in trials.items():
            (folder / file).write_text(text, encoding="utf-8", newline="\n")
        return generate(HostProcesses(), generator, folder, scope)[1]


def _place(origin: str, checked: Checked) -> str:
    """Return *origin* behind its place in the file, alone where it is not of the file."""
    from modelgrid.diagnostics import parse_path  # noqa: PLC0415  a code needs no place

    try:
        location = checked.document.locate(parse_path(origin))
    except ValueError:
        return origin
    return f"{location} at {origin}" if location else origin


def _text(lines: Sequence[Explained], checked: Checked) -> Iterator[str]:
    from modelgrid.redaction import mask_line  # noqa: PLC0415  a code has no secrets

    section = ""
    for line in lines:
        heading, _, key = line.key.rpartition(".")
        if heading != section:
            section = heading
            yield f"[{section}]"
        yield f"{key}={mask_line(line.value)}"
        for origin in line.origins:
            yield f"    from {_place(origin, checked)}"
        if line.podman:
            yield f"    podman: {mask_line(' '.join(line.podman))}"


def _data(lines: Sequence[Explained], checked: Checked) -> list[dict[str, object]]:
    from modelgrid.redaction import mask_line  # noqa: PLC0415  a code has no secrets

    return [
        {
            "line": line.line,
            "key": line.key,
            "value": mask_line(line.value),
            "origins": [_place(origin, checked) for origin in line.origins],
            "podman": None if line.podman is None else [mask_line(word) for word in line.podman],
        }
        for line in lines
    ]
