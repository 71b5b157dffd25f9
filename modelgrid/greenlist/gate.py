"""Holds a configuration to its greenlist: what commands put together from the parts of this package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modelgrid.config.check import MAX_FAULTS
from modelgrid.diagnostics import Diagnostic, Report, Severity
from modelgrid.greenlist.fetch import fetch
from modelgrid.greenlist.memory import check_memory, gpu_memory
from modelgrid.greenlist.models import check_models
from modelgrid.greenlist.reading import UnreadableError, default_cache, is_url, read_list
from modelgrid.greenlist.rules import read_rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from modelgrid.config.load import Document
    from modelgrid.config.schema import Config
    from modelgrid.greenlist.rules import Rules
    from modelgrid.host.facts import Gpu


class Gate:
    """The greenlist of one file, read once.

    :meth:`check` is an ``also`` of :func:`modelgrid.config.check.check`; :meth:`check_host` can be asked after it.

    Attributes:
        rules: what the list says; none before :meth:`check`, without a list, and where that is at fault.
    """

    def __init__(
        self,
        document: Document,
        *,
        base: Path,
        cache: Path | None = None,
        get: Callable[[str], bytes] = fetch,
    ) -> None:
        self.rules: Rules | None = None
        self._document = document
        self._base = base
        self._cache = cache if cache is not None else default_cache()
        self._get = get

    def check(self, config: Config) -> Iterator[Diagnostic]:
        """Read the list that *config* names and yield its faults, or those of the models that break its rules."""
        section = config.greenlist
        if section is None:
            return
        try:
            data = read_list(section, base=self._base, cache=self._cache, get=self._get)
        except UnreadableError as error:
            path = ("greenlist", error.field)
            yield Diagnostic(
                code=error.code,
                message=error.message,
                path=path,
                location=self._document.locate(path),
                hint=error.hint,
            )
            return
        self.rules, report = read_rules(data, file=self._shown(section.source))
        yield from report
        if self.rules is None:
            return
        errors = 0
        for item in check_models(config, self.rules, self._document):
            yield item
            errors += item.severity is Severity.ERROR  # warnings do not count: an error behind them must be seen
            if errors == MAX_FAULTS:
                return

    def check_host(
        self, config: Config, gpus: Iterable[Gpu], *, placed: Mapping[str, Iterable[str]] | None = None
    ) -> Report:
        """Return the models of *config* that get less GPU memory on a host with *gpus* than the list asks for.

        Args:
            config: what :meth:`check` has found no error in.
            gpus: those of the host.
            placed: UUIDs of the GPUs that each model got; left out, each is judged by the largest that it could get.
        """
        if self.rules is None:
            return Report()
        known = tuple(gpus)
        memory = gpu_memory(config, known)
        if placed is not None:
            by_uuid = {gpu.uuid: gpu.memory for gpu in known}
            memory |= {name: sum(by_uuid[uuid] for uuid in uuids) for name, uuids in placed.items()}
        return Report.of(check_memory(config, self.rules, self._document, memory=memory))

    def _shown(self, source: str) -> str:
        """Return the name of the list in messages: a path starts where that of the configuration does."""
        return source if is_url(source) else str(Path(self._document.file).parent / source)
