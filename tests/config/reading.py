"""How the tests of this folder read and check text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelgrid.config.check import check
from modelgrid.config.load import Document, load
from modelgrid.errors import ConfigError

if TYPE_CHECKING:
    from modelgrid.config.schema import Config
    from modelgrid.diagnostics import Diagnostic, Report

ENGINES = ("custom", "llamacpp", "ollama", "vllm")
FILE = "modelgrid.yaml"


def read(text: str | bytes) -> tuple[Document | None, Report]:
    """Read *text*: the Document and its report, or that of the error."""
    try:
        document = load(text, file=FILE)
    except ConfigError as error:
        report = error.report
    else:
        return document, document.report
    assert report is not None
    assert report.errors
    return None, report


def check_text(text: str | bytes, **options: Any) -> tuple[Config | None, Report]:
    """Read and check *text*; each reported path is one of the file, or what is missing in one of the file."""
    document, report = read(text)
    if document is None:
        return None, report
    config, report = check(document, **{"engines": ENGINES, **options})
    assert (config is None) == bool(report.errors)
    for item in report:
        assert item.location is not None
        assert document.value(item.path) is not None or document.value(item.path[:-1]) is not None
    return config, report


def places(report: Report) -> list[tuple[str, int, int]]:
    """Return code, line and column of each diagnostic."""
    return [(item.code, *place(item)) for item in report]


def place(item: Diagnostic) -> tuple[int, int]:
    """Return line and column."""
    assert item.location is not None, item
    return item.location.line, item.location.column
