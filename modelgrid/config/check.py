"""Checks a Document: against the schema, then the rules across fields. Every fault at once, each with its place."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Final

from modelgrid.config import rules, sharing
from modelgrid.config.faults import Fault
from modelgrid.config.literals import check_literals, hide
from modelgrid.config.validation import salvage, validate
from modelgrid.diagnostics import Report
from modelgrid.errors import ConfigError
from modelgrid.models.sources import SourceKind, parse_source
from modelgrid.models.splits import split_names

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from pathlib import Path

    from modelgrid.config.fit import Abilities
    from modelgrid.config.load import Document
    from modelgrid.config.schema import Config
    from modelgrid.diagnostics import Diagnostic

#: Faults of rules beyond this number are not looked for.
MAX_FAULTS: Final = 100


def check(
    document: Document,
    *,
    engines: Iterable[str],
    base: Path | None = None,
    exists: Callable[[Path], bool] | None = None,
    abilities: Callable[[str], Abilities | None] | None = None,
    also: Callable[[Config], Iterable[Diagnostic]] | None = None,
) -> tuple[Config | None, Report]:
    """Return the Config of *document*, none when the report has an error, and the report of all faults and warnings.

    The report includes that of the document.

    Args:
        document: what ``load`` read.
        engines: names of the built-in engines.
        base: folder that relative paths of the file start from.
        exists: tells whether a file of the host exists; left out, no file is looked for, as for another host.
        abilities: what a built-in engine can serve, by its name; left out, sources and tasks are taken as they are.
        also: rules that stand outside of the file, as those of a greenlist; left out, a ``greenlist`` is not read.
    """
    builtin = frozenset(engines)
    config, faults = validate(document.data)
    sound = config if config is not None else salvage(document.data, faults)
    found: Iterator[Fault] = iter(())
    if sound is not None:
        found = chain(
            rules.check_names(sound, declared=_names(document, "models")),
            rules.check_engines(sound, builtin=builtin, declared=_names(document, "engines")),
            rules.check_ports(sound),
            rules.check_listen(sound, keys=_has_keys(document)),
            rules.check_keys(sound),
            rules.check_subnets(sound),
            rules.check_images(sound),
            rules.check_environment(sound),
            rules.check_gpus(sound),
            rules.check_reload(sound),
            sharing.check_servers(sound, declared=_names(document, "servers")),
            sharing.check_fallbacks(sound, declared=_names(document, "models")),
            sharing.check_secrets(sound, declared=_names(document, "secrets")),
            _check_sources(sound, base=base, exists=exists),
        )
    if config is not None and not document.report:
        # these ask for what is not there: a part that was left out as faulty would make them lie
        found = chain(
            found,
            rules.check_fit(config, abilities=abilities) if abilities is not None else (),
            rules.check_engine_needs(config, builtin=builtin),
            rules.check_target(config),
            sharing.check_serving(config),
            rules.check_use(config),
        )
    faults += tuple(islice(found, MAX_FAULTS))
    literals = tuple(islice(check_literals(document), MAX_FAULTS))
    outside = tuple(also(sound)) if also is not None and sound is not None else ()
    diagnostics = (*document.report, *_first_at_place(document, faults), *literals, *outside)
    report = Report.of(hide(diagnostics, literals))
    return None if report.errors else config, report


def _names(document: Document, section: str) -> Collection[str]:
    """Return the names that the file has in *section*, whether what they name is sound or not."""
    entries = document.data.get(section)
    return entries.keys() if isinstance(entries, dict) else ()


def _has_keys(document: Document) -> bool:
    """Say whether the file lists keys, sound or not."""
    gateway = document.data.get("gateway")
    return isinstance(gateway, dict) and bool(gateway.get("keys"))


def _first_at_place(document: Document, faults: Iterable[Fault]) -> Iterator[Diagnostic]:
    """Place *faults*, less those of values that could not be read: what the reader said of them is enough."""
    unreadable = {item.location for item in document.report}
    for fault in faults:
        diagnostic = fault.diagnose(document)
        if diagnostic.location not in unreadable:
            yield diagnostic


def _check_sources(config: Config, *, base: Path | None, exists: Callable[[Path], bool] | None) -> Iterator[Fault]:
    """Every source has a form that is known, and a file that it names exists."""
    for name, model in config.models.items():
        if model.source is None:
            continue
        path = ("models", name, "source")
        try:
            source = parse_source(model.source)
        except ConfigError as error:
            yield Fault(code="MG3018", message=error.message, path=path, hint=error.hint)
            continue
        if source.kind is SourceKind.PATH and base is not None and exists is not None:
            file = base / source.value
            for part in split_names(file.name):
                needed = file if part == file.name else file.with_name(part)
                if not _exists(needed, exists):
                    yield Fault(code="MG3008", message=f"{needed} does not exist", path=path, hint="correct the path")


def _exists(file: Path, exists: Callable[[Path], bool]) -> bool:
    try:
        return exists(file)
    except PermissionError:
        return True  # it cannot be seen from here; the one that runs the server may see it
    except OSError:
        return False
