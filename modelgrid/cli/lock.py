"""``lock`` and ``check --locked``: what the names of a configuration mean, resolved once and written down."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.cli.output import counted, note, result, result_json
from modelgrid.cli.pipeline import check_file, print_warnings
from modelgrid.diagnostics import Diagnostic, Location, Report, Severity
from modelgrid.errors import ConfigError, HostError, UsageError
from modelgrid.lock.store import lock_path, read_text, save_text
from modelgrid.lock.text import line_of, write_lock

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from modelgrid.cli.pipeline import Checked
    from modelgrid.compile.locks import Wants
    from modelgrid.lock.resolve import NetworkResolver, UnresolvedError
    from modelgrid.lock.values import Lock
    from modelgrid.lock.web import Web


def run_lock(options: argparse.Namespace) -> int:
    """Keep what is locked, resolve what is new or named, and write the lock file when all of it succeeded."""
    path = lock_path(options.file)
    if path is None:
        raise UsageError(f"there is no lock file beside {options.file or 'nothing'}", hint="name a file")
    if path == Path(options.file):
        raise UsageError(f"{path} would be its own lock file", hint="name the configuration, as in modelgrid.yaml")
    checked = check_file(options.file, local=False)
    print_warnings(checked.report)
    wants = _wants(checked)
    lock = _resolve(checked, wants, _named(options.update, wants, checked))
    text = write_lock(lock)
    written = text != read_text(path)
    if written:
        save_text(path, text)
    _show(path, checked.lock, lock, written=written, as_json=options.json)
    return 0


def check_locked(checked: Checked, file: str) -> Report:
    """Return what keeps the lock file of *file* from being the one of the configuration. It asks no network.

    Raises:
        ConfigError: there is no lock file.
    """
    from modelgrid.compile.locks import missing, unused  # noqa: PLC0415  only for `check --locked`

    path = lock_path(file)
    if path is None or checked.lock is None:
        raise ConfigError(f"there is no {path or 'lock file'} to check against", hint="`modelgrid lock` writes it")
    wants = _wants(checked)
    faults = missing(wants, checked.lock, paths=checked.config.target is None)
    diagnostics = [fault.diagnose(checked.document) for fault in faults]
    text = read_text(path) or ""
    for section, name in unused(wants, checked.lock):
        line = line_of(text, section, name)
        excerpt = text.splitlines()[line - 1]
        place = Location(file=str(path), line=line, column=5, length=len(excerpt.strip()), excerpt=excerpt)
        diagnostics.append(
            Diagnostic(
                code="MG3042",
                message=f"no model uses {name}",
                location=place,
                hint="run `modelgrid lock`",
                severity=Severity.WARNING,
            )
        )
    return Report.of(diagnostics)


def _wants(checked: Checked) -> Wants:
    from modelgrid.compile.locks import lockable  # noqa: PLC0415  the engines, once the configuration is sound
    from modelgrid.engines.builtin import builtin_engines  # noqa: PLC0415  the same

    return lockable(checked.config, builtin_engines())


def _named(names: Iterable[str], wants: Wants, checked: Checked) -> frozenset[str]:
    """Return the keys that *names* mean: an image by its reference, a model by name, alias or source."""
    from modelgrid.config.faults import suggestion  # noqa: PLC0415  the same

    aliases = {alias: name for name, model in checked.config.models.items() for alias in model.aliases}
    found = set()
    for name in names:
        key = wants.names.get(aliases.get(name, name), name)
        if key not in wants.images and key not in wants.models:
            raise UsageError(
                f"there is no model or image {name} that can be locked",
                hint=suggestion(name, {*wants.names, *wants.images}),
            )
        found.add(key)
    return frozenset(found)


def _resolve(checked: Checked, wants: Wants, update: frozenset[str]) -> Lock:
    from modelgrid.lock.resolve import relock  # noqa: PLC0415  httpx, once the configuration is sound
    from modelgrid.lock.values import Lock  # noqa: PLC0415  the same
    from modelgrid.lock.web import UnreachableError, Web  # noqa: PLC0415  the same

    asked = ""

    def tell(name: str) -> None:
        nonlocal asked
        asked = name
        note(f"resolving {name}")

    places = {**wants.images, **wants.models}
    with Web() as web:
        try:
            done = relock(
                checked.lock or Lock(),
                images=wants.images.keys(),
                models=wants.sources,
                resolver=_resolver(web, checked),
                update=update,
                tell=tell,
            )
        except UnreachableError as error:
            place = checked.document.locate(places[asked])
            raise HostError(
                f"{place}: {error}", hint="no lock file was written; `compile` and `check --locked` need no network"
            ) from None
    _fail(done.faults, places, checked)
    return done.lock


def _resolver(web: Web, checked: Checked) -> NetworkResolver:
    from modelgrid.cli.weights import describe_path, describe_snapshot  # noqa: PLC0415  as in _resolve
    from modelgrid.lock.credentials import login_files  # noqa: PLC0415  as in _resolve
    from modelgrid.lock.hashing import hash_path  # noqa: PLC0415  the same
    from modelgrid.lock.hub import Hub, endpoint_of, read_token  # noqa: PLC0415  the same
    from modelgrid.lock.registry import Registry  # noqa: PLC0415  the same
    from modelgrid.lock.resolve import NetworkResolver  # noqa: PLC0415  the same

    return NetworkResolver(
        registry=Registry(web, logins=login_files()),
        hub=Hub(web, endpoint=endpoint_of(), token=read_token()),
        hash_path=lambda path: replace(hash_path(path), facts=describe_path(path)),
        base=checked.base,
        describe=describe_snapshot,
    )


def _fail(faults: Mapping[str, UnresolvedError], places: Mapping[str, tuple[str | int, ...]], checked: Checked) -> None:
    """Report everything that could not be resolved; a file of another host, which `target` names, is left out."""
    from modelgrid.config.faults import Fault  # noqa: PLC0415  only on a fault

    found = []
    for name, fault in faults.items():
        if fault.missing and checked.config.target is not None:
            note(f"not locked: {fault.message} on this machine; `modelgrid lock` on the target locks it")
            continue
        found.append(Fault(code="MG3044", message=fault.message, path=places[name], hint=fault.hint))
    report = Report.of(fault.diagnose(checked.document) for fault in found)
    if report:
        raise ConfigError(f"{counted(len(found), 'error')}; no lock file was written", report=report)


def _show(path: Path, old: Lock | None, lock: Lock, *, written: bool, as_json: bool) -> None:
    from modelgrid.lock.resolve import changes  # noqa: PLC0415  as in _resolve
    from modelgrid.lock.values import Lock  # noqa: PLC0415  the same

    found = changes(old or Lock(), lock)
    groups = {"added": found.added, "updated": found.updated, "removed": found.removed}
    if as_json:
        result_json({"file": str(path), "written": written, **groups})
        return
    for word, names in groups.items():
        for name in names:
            result(f"{word:<7} {name}")
    note(f"wrote {path}" if written else f"{path} is up to date")
