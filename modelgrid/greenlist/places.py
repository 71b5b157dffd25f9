"""Reads JSON, RFC 8259 to the letter, and keeps the place of every key and value.

The reader of ``modelgrid.yaml`` is not used: YAML is more than JSON, and a greenlist must be JSON to those who wrote
it. Python's ``json`` reads the data; the places come from a walk over the tokens of a text that is known to be sound.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final, NoReturn

from modelgrid.config.lines import Lines, find_hidden
from modelgrid.config.load import Document, decode
from modelgrid.config.nodes import MAX_VALUES, Node
from modelgrid.diagnostics import Diagnostic, Report
from modelgrid.errors import ConfigError

if TYPE_CHECKING:
    from modelgrid.config.lines import Span

#: The code of a text that is not JSON.
_NOT_JSON: Final = "MG3033"
#: Keys that are given twice are not looked for beyond this number.
_MAX_FAULTS: Final = 100
#: No number of a greenlist is longer, and Python refuses to read the longest.
_LONGEST_NUMBER: Final = 40

#: A string, one of ``{}[],:``, or a word such as a number. In sound JSON nothing else is between white space.
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^ \t\r\n{}\[\],:"]+')


class _NumberError(ValueError):
    """A number that JSON does not have, or that is too long."""


def read_json(text: bytes, *, file: str) -> Document:
    """Read a JSON object; *file* is its name in messages. Keys that are given twice are in the Document's report.

    Raises:
        ConfigError: it is no JSON object, or holds what cannot be seen; the report says where.
    """
    decoded = decode(text, file).removeprefix("\ufeff")  # RFC 8259, 8.1: a reader may ignore the mark
    lines = Lines(decoded, file=file)
    for offset, name in find_hidden(decoded):
        _fail(
            Diagnostic(
                code="MG1008",
                message=f"the text has the character {name}, which cannot be seen",
                location=lines.at(offset),
                hint="remove it",
            )
        )
    data = _data(decoded, lines)
    root, faults = _Walk(lines).build()
    if not isinstance(data, dict):
        _fail(_not_json("the greenlist is no JSON object", lines, 0, 'start with {"version": "1.0", "models": ['))
    return Document(file=file, text=decoded, data=data, report=Report.of(faults), _root=root, _lines=lines)


def _data(text: str, lines: Lines) -> Any:
    try:
        return json.loads(text, parse_int=_integer, parse_float=_real, parse_constant=_constant)
    except json.JSONDecodeError as error:
        place = min(error.pos, max(0, len(text.rstrip()) - 1))
        if not text.strip():
            _fail(_not_json("the file is empty", lines, 0, None))
        _fail(_not_json(f"the text is not JSON: {error.msg}", lines, place, "look at this place and just before it"))
    except _NumberError as error:
        _fail(_not_json(str(error), lines, _number_place(text), "write a number such as 8 or 7.5"))
    except RecursionError:
        _fail(_not_json("the text is nested too deeply", lines, 0, "look for brackets that are never closed"))


def _integer(text: str) -> int:
    return int(_short(text))


def _real(text: str) -> float:
    return float(_short(text))


def _short(text: str) -> str:
    if len(text) > _LONGEST_NUMBER:
        raise _NumberError("a number has too many digits")
    return text


def _constant(text: str) -> NoReturn:
    raise _NumberError(f"{text} is no number of JSON")


def _number_place(text: str) -> int:
    """Return where the first number is that :func:`_data` refused."""
    for token in _TOKEN.finditer(text):
        word = token[0]
        if word in {"NaN", "Infinity", "-Infinity"} or (word[0] in "-0123456789" and len(word) > _LONGEST_NUMBER):
            return token.start()
    return 0


def _not_json(message: str, lines: Lines, offset: int, hint: str | None) -> Diagnostic:
    return Diagnostic(code=_NOT_JSON, message=message, location=lines.at(offset), hint=hint)


def _fail(fault: Diagnostic) -> NoReturn:
    raise ConfigError("1 error in the greenlist", report=Report((fault,)))


class _Walk:
    """Makes nodes of the tokens of sound JSON. The nodes have places, and no values."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        # the line ends that `Lines` splits at
        self._starts = [0, *(match.end() for match in re.finditer(r"\r\n|\r|\n", lines.text))]
        self._faults: list[Diagnostic] = []
        self._values = 0

    def build(self) -> tuple[Node, list[Diagnostic]]:
        """Return the node of the whole text, and a fault for each key that its object has already.

        Raises:
            ConfigError: the text has more values than a configuration may have.
        """
        top = Node(None, (0, 0, 0, 0))
        open_nodes: list[Node] = [top]
        keys: list[Node | None] = [None]
        for token in _TOKEN.finditer(self._lines.text):
            word = token[0]
            if word in {",", ":"}:
                continue
            parent = open_nodes[-1]
            if word in {"}", "]"}:
                _, _, end_line, end = self._span(token)
                parent.span = (*parent.span[:2], end_line, end)
                open_nodes.pop()
                keys.pop()
                continue
            node = Node(token, self._span(token))
            if isinstance(parent.value, dict) and keys[-1] is None:
                keys[-1] = node
                continue
            self._count(token)
            self._put(parent, keys[-1], node)
            keys[-1] = None
            if word in {"{", "["}:
                node.value = {} if word == "{" else []
                open_nodes.append(node)
                keys.append(None)
        return top.inside[0], self._faults

    def _count(self, token: re.Match[str]) -> None:
        self._values += 1
        if self._values > MAX_VALUES:
            location = self._lines.location(self._span(token))
            message = f"the greenlist has more than {MAX_VALUES} values"
            _fail(Diagnostic(code="MG1003", message=message, location=location, hint="list fewer models"))

    def _put(self, parent: Node, key: Node | None, node: Node) -> None:
        if key is None:
            parent.inside[len(parent.inside)] = node
            return
        name = json.loads(key.value[0])
        if name in parent.keys and len(self._faults) < _MAX_FAULTS:
            first = parent.keys[name].span[0] + 1
            location = self._lines.location(key.span)
            message = f'key "{name}" is on line {first} already'
            self._faults.append(Diagnostic(code="MG1009", message=message, location=location, hint="remove one"))
        parent.keys[name] = key
        parent.inside[name] = node

    def _span(self, token: re.Match[str]) -> Span:
        """Return the place of *token*, which is within one line: a string of JSON has no line end."""
        line = bisect_right(self._starts, token.start()) - 1
        start = self._starts[line]
        return (line, token.start() - start, line, token.end() - start)
