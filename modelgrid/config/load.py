"""Reads the text of a configuration: strict YAML, and the place of every key and value."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import yaml

from modelgrid.config.lines import Lines, find_hidden
from modelgrid.config.nodes import MAX_FAULTS, Builder, Node
from modelgrid.diagnostics import Diagnostic, Location, Report
from modelgrid.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from modelgrid.diagnostics import Path

MAX_SIZE: Final = 10 * 1024**2

#: The parser of libyaml where PyYAML was built with it: both make the same events.
LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file that was read.

    Attributes:
        file: its name, for messages.
        text: what it says, without a byte order mark.
        data: its keys and values, aliases and merge keys resolved, without the user's own ``x-`` keys.
        report: faults that leave the rest readable, such as a key given twice. ``check`` reports them with its own.
    """

    file: str
    text: str = field(repr=False)
    data: dict[str, Any]
    report: Report
    _root: Node = field(repr=False)
    _lines: Lines = field(repr=False)

    def value(self, path: Path) -> Location | None:
        """Return the place of the value at *path*; none where the file has no such value."""
        node = self._node(path)
        return self._lines.location(node.span) if node is not None else None

    def key(self, path: Path) -> Location | None:
        """Return the place of the last key of *path*; none for the top and for items of lists."""
        parent = self._node(path[:-1]) if path else None
        if parent is None or not isinstance(path[-1], str) or path[-1] not in parent.keys:
            return None
        return self._lines.location(parent.keys[path[-1]].span)

    def locate(self, path: Path) -> Location | None:
        """Return the place that a reader would point at for *path*.

        That is the value where it is written in one piece, else its key, and for what the file does not have the
        place of what it should stand in.
        """
        while path:
            node = self._node(path)
            if node is not None:
                start_line, start, end_line, end = node.span
                whole = start_line == end_line and start < end and not node.inside
                key = self.key(path)
                return self._lines.location(node.span) if whole or key is None else key
            path = path[:-1]
        return self._lines.location(self._root.span)

    def between(self, start: int, end: int) -> Location:
        """Return the place of ``text[start:end]``, as far as its first line goes."""
        place = self._lines.at(start)
        length = min(end - start, len(place.excerpt) - place.column + 1)
        return replace(place, length=max(1, length))

    def _node(self, path: Path) -> Node | None:
        node: Node | None = self._root
        for step in path:
            if node is None:
                return None
            node = node.inside.get(step)
        return node


def load(text: bytes | str, *, file: str) -> Document:
    """Read a configuration; *file* is its name in messages.

    Faults that leave the rest readable are in the Document's report.

    Raises:
        ConfigError: it cannot be read; the report says where and why.
    """
    if len(text) > MAX_SIZE:
        fault = Diagnostic(
            code="MG1003", message=f"the file has more than {MAX_SIZE // 1024**2} MiB", hint="split the grid"
        )
        raise _error([fault], file)
    decoded = decode(text, file) if isinstance(text, bytes) else text
    lines = Lines(decoded.removeprefix("\ufeff"), file=file)
    if faults := [*_hidden_characters(lines), *_tabs(lines)]:
        raise _error(faults, file)
    builder = Builder(lines)
    try:
        root = builder.build(_events(lines.text))
    except yaml.YAMLError as error:
        raise _error([*builder.faults, _syntax_fault(error, lines)], file) from None
    except ValueError:
        # the parser in Python: an escape or a version with more digits than Python reads
        fault = Diagnostic(code="MG1002", message="a number in an escape or directive is out of range")
        raise _error([*builder.faults, fault], file) from None
    if root is None and builder.faults:
        raise _error(builder.faults, file)
    if root is None or not isinstance(root.value, dict) or not root.keys:
        raise _error([*builder.faults, _no_keys(root, lines)], file)
    return Document(
        file=file, text=lines.text, data=root.value, report=Report.of(builder.faults), _root=root, _lines=lines
    )


def _events(text: str) -> Iterator[yaml.Event]:
    parser = LOADER(text)
    try:
        while parser.check_event():
            yield parser.get_event()
    finally:
        parser.dispose()


def decode(data: bytes, file: str) -> str:
    """Return the text that *data* is in UTF-8.

    Raises:
        ConfigError: it is not; the report says where.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = Lines(data[: error.start].decode("utf-8").removeprefix("\ufeff"), file=file)
        place = before.at(len(before.text))
        utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        fault = Diagnostic(
            code="MG1001",
            message="the file is UTF-16" if utf16 else f"byte 0x{data[error.start]:02x} is not UTF-8",
            location=Location(file=file, line=place.line, column=place.column),  # no text: none of it can be trusted
            hint="save the file as UTF-8",
        )
        raise _error([fault], file) from None


def _hidden_characters(lines: Lines) -> Iterator[Diagnostic]:
    for offset, name in islice(find_hidden(lines.text), MAX_FAULTS):
        yield Diagnostic(
            code="MG1008",
            message=f"the text has the character {name}, which cannot be seen",
            location=lines.at(offset),
            hint="remove it",
        )


def _tabs(lines: Lines) -> Iterator[Diagnostic]:
    """Report the first tab that indents a line; a file that has one mostly has many."""
    if "\t" not in lines.text:
        return
    for number, line in enumerate(lines.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")):
        indentation = line[: len(line) - len(line.lstrip(" \t"))]
        if "\t" in indentation and len(line) > len(indentation) and not line.startswith("#", len(indentation)):
            column = indentation.index("\t")
            yield Diagnostic(
                code="MG1004",
                message="a tab indents this line",
                location=lines.location((number, column, number, len(indentation))),
                hint="indent with spaces",
            )
            return


def _no_keys(root: Node | None, lines: Lines) -> Diagnostic:
    if root is None:
        message, span = "the file is empty", (0, 0, 0, 1)
    else:
        span = root.span
        kind = (
            "a list" if isinstance(root.value, list) else "an empty mapping" if root.value == {} else "a single value"
        )
        message = f"the file is {kind}"
    return Diagnostic(
        code="MG1007",
        message=message,
        location=lines.location(span),
        hint="start with `version: 1`; `modelgrid init` writes a first file",
    )


def _syntax_fault(error: yaml.YAMLError, lines: Lines) -> Diagnostic:
    from modelgrid.config.syntax import explain_syntax  # noqa: PLC0415  only for a broken file

    return explain_syntax(error, lines)


def _error(faults: list[Diagnostic], file: str) -> ConfigError:
    count = "1 error" if len(faults) == 1 else f"{len(faults)} errors"
    return ConfigError(f"{count} in {file}", report=Report.of(faults))
