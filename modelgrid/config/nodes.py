"""Builds data from the events of a YAML parser, and keeps the place of every key and value.

PyYAML's own composer is not used: it recurses, keeps the last of two equal keys, and expands aliases without a bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

import yaml

from modelgrid.config.lines import find_hidden
from modelgrid.config.scalars import AmbiguousError, resolve
from modelgrid.diagnostics import Diagnostic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from modelgrid.config.lines import Lines, Span

#: Bounds of a file. A grid of a thousand models has a tenth of these values.
MAX_DEPTH: Final = 100
MAX_VALUES: Final = 100_000
MAX_FAULTS: Final = 100

#: Sections whose keys are names that the user chooses. In every other one a key that starts with ``x-`` is the
#: user's own: it is kept out of the data, and its anchors can be used.
NAMING: Final = frozenset(
    {
        *("models", "engines", "servers", "secrets", "env", "env_native", "args"),
        *("images", "options", "vendors", "tasks", "quadlet", "systemd"),
    }
)

_MERGE: Final = "<<"


class Node:
    """A value of the file with its place.

    Attributes:
        value: the data: a scalar, or a list or dict of the data of what is inside.
        span: its place.
        keys: of a mapping, the node of each key; merged ones included.
        inside: of a mapping, the node of each value by key; of a list, the nodes of its items by index.
        size: how many values it is, itself and all aliases included.
        height: how deep it is nested, 1 for a scalar.
    """

    __slots__ = ("height", "inside", "keys", "size", "span", "value")

    def __init__(self, value: Any, span: Span) -> None:
        self.value = value
        self.span = span
        self.keys: dict[str, Node] = {}
        self.inside: dict[str | int, Node] = {}
        self.size = 1
        self.height = 1


class _Open:
    """A list or mapping whose end has not come yet. *key* waits for its value."""

    __slots__ = ("anchor", "key", "merging", "naming", "node", "sources")

    def __init__(self, node: Node, *, anchor: str | None, naming: bool) -> None:
        self.node = node
        self.anchor = anchor
        self.naming = naming
        self.key: Node | None = None
        self.merging = False
        self.sources: list[Node] | None = None


class _Stop(Exception):  # noqa: N818  no error by itself: the fault is in the list already
    """A fault after which nothing can be built."""


class Builder:
    """Builds the nodes of one document. *faults* has what was found wrong; building goes on where it can."""

    def __init__(self, lines: Lines) -> None:
        self.faults: list[Diagnostic] = []
        self._lines = lines
        self._stack: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._values = 0
        self._root: Node | None = None

    def build(self, events: Iterable[yaml.Event]) -> Node | None:
        """Return the top node; none when there is none, or when a fault left nothing to go on with.

        Raises:
            yaml.YAMLError: the parser that makes *events* cannot go on.
        """
        documents = 0
        try:
            for event in events:
                if isinstance(event, yaml.ScalarEvent):
                    self._scalar(event)
                elif isinstance(event, yaml.CollectionStartEvent):
                    self._start(event)
                elif isinstance(event, yaml.CollectionEndEvent):
                    self._end(event)
                elif isinstance(event, yaml.AliasEvent):
                    self._alias(event)
                elif isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        self._stop("MG1006", "a second document starts here", _span(event), "keep one for each file")
        except _Stop:
            return None
        return self._root

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        span = _span(event)
        self._count(1, span)
        plain = not event.style  # the parser in C says "", that in Python None
        value: Any = event.value
        if event.tag is not None:
            self._tag(event.tag, span)
        elif plain:
            try:
                value = resolve(value)
            except AmbiguousError as fault:
                self._fault("MG1011", fault.message, span, fault.hint)
        elif hidden := next(find_hidden(value), None):
            # an escape in double quotes: line ends and tabs may be meant, these never are
            self._fault("MG1008", f"the text has the character {hidden[1]}", span, "remove the escape")
            value = ""  # what it holds is not fit to be handled any further
        node = Node(value, span)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        self._add(node, merging=plain and value == _MERGE)

    def _start(self, event: yaml.CollectionStartEvent) -> None:
        span = _span(event)
        self._count(1, span)
        self._check_depth(len(self._stack) + 1, span)
        if event.tag is not None:
            self._tag(event.tag, span)
        mapping = isinstance(event, yaml.MappingStartEvent)
        parent = self._stack[-1] if self._stack else None
        key = parent.key.value if parent is not None and parent.key is not None else None
        naming = mapping and isinstance(key, str) and key in NAMING  # what stands as key may be a list or mapping
        if event.anchor is not None:
            # until it is complete, an alias to it would stand inside of it
            self._anchors.pop(event.anchor, None)
        self._stack.append(_Open(Node({} if mapping else [], span), anchor=event.anchor, naming=naming))

    def _end(self, event: yaml.CollectionEndEvent) -> None:
        done = self._stack.pop()
        node = done.node
        line, column, *_ = node.span
        node.span = (line, column, *_span(event)[2:])
        for source in done.sources or ():
            self._merge(done, source)
        if done.anchor is not None:
            self._anchors[done.anchor] = node
        self._add(node)

    def _alias(self, event: yaml.AliasEvent) -> None:
        span = _span(event)
        target = self._anchors.get(event.anchor or "")
        if target is None:
            inside = any(item.anchor == event.anchor for item in self._stack)
            what = f"*{event.anchor} stands inside of what it names" if inside else f"no &{event.anchor} stands above"
            self._fault("MG1013", what, span, "put the anchor before its first use, in an x- section at the top")
            self._add(Node(None, span))
            return
        self._count(target.size, span)
        self._check_depth(len(self._stack) + target.height, span)
        node = Node(target.value, span)
        node.keys, node.inside, node.size, node.height = target.keys, target.inside, target.size, target.height
        self._add(node)

    def _add(self, node: Node, *, merging: bool = False) -> None:
        """Put a complete *node* where it belongs: at the top, into the open list, or as key or value."""
        if not self._stack:
            self._root = node
            return
        parent = self._stack[-1]
        outer = parent.node
        outer.size += node.size
        outer.height = max(outer.height, node.height + 1)
        if isinstance(outer.value, list):
            outer.inside[len(outer.value)] = node
            outer.value.append(node.value)
        elif parent.key is None:
            parent.key, parent.merging = node, merging
        else:
            self._pair(parent, parent.key, node)
            parent.key, parent.merging = None, False

    def _pair(self, parent: _Open, key: Node, node: Node) -> None:
        mapping = parent.node
        name = key.value
        if parent.merging:
            if parent.sources is not None:
                self._fault(
                    "MG1014", "a second << in one mapping", key.span, "write one, with a list: <<: [*one, *two]"
                )
            parent.sources = self._sources(node)
        elif not isinstance(name, str):
            self._key_fault(key)
        elif name in mapping.keys:
            first = mapping.keys[name].span[0] + 1
            self._fault("MG1009", f'key "{name}" is on line {first} already', key.span, "remove one, or join the two")
        else:
            mapping.keys[name] = key
            mapping.inside[name] = node
            if parent.naming or not name.startswith("x-"):
                mapping.value[name] = node.value

    def _sources(self, node: Node) -> list[Node]:
        """Return the mappings that the value *node* of a merge key names."""
        sources = list(node.inside.values()) if isinstance(node.value, list) else [node]
        if all(isinstance(source.value, dict) for source in sources):
            return sources
        self._fault("MG1014", "<< takes a mapping or a list of mappings", node.span, "write <<: *name")
        return []

    def _merge(self, target: _Open, source: Node) -> None:
        """Add the keys of *source* that *target* does not have: its own win, then those of earlier sources."""
        mapping = target.node
        for name, node in source.inside.items():
            if name not in mapping.inside and isinstance(name, str):
                self._count(node.size + 1, node.span)
                mapping.size += node.size + 1
                mapping.height = max(mapping.height, node.height + 1)
                mapping.keys[name] = source.keys[name]
                mapping.inside[name] = node
                if target.naming or not name.startswith("x-"):
                    mapping.value[name] = node.value

    def _key_fault(self, key: Node) -> None:
        value = key.value
        if isinstance(value, list | dict):
            what = "a list" if isinstance(value, list) else "a mapping"
            self._fault("MG1010", f"{what} cannot be a key", key.span, "a { or [ at the start of text needs quotes")
            return
        text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        self._fault("MG1010", f"key {text} is not text", key.span, f'quote it: "{text}"')

    def _count(self, number: int, span: Span) -> None:
        self._values += number
        if self._values > MAX_VALUES:
            message = f"the file has more than {MAX_VALUES} values, aliases included"
            self._stop("MG1003", message, span, "use fewer aliases, or split the grid into several files")

    def _check_depth(self, depth: int, span: Span) -> None:
        if depth > MAX_DEPTH:
            self._stop("MG1005", f"this is nested more than {MAX_DEPTH} deep", span, "look for a bracket left open")

    def _tag(self, tag: str, span: Span) -> None:
        shown = tag.replace("tag:yaml.org,2002:", "!!")
        self._fault("MG1012", f"the tag {shown} is not allowed", span, "remove it; put text in quotes")

    def _stop(self, code: str, message: str, span: Span, hint: str) -> NoReturn:
        self._report(code, message, span, hint)
        raise _Stop

    def _fault(self, code: str, message: str, span: Span, hint: str) -> None:
        self._report(code, message, span, hint)
        if len(self.faults) >= MAX_FAULTS:
            self._stop("MG2008", "there are more faults", span, "mend these first")

    def _report(self, code: str, message: str, span: Span, hint: str) -> None:
        self.faults.append(
            Diagnostic(
                code=code, message=message, path=tuple(self._path()), location=self._lines.location(span), hint=hint
            )
        )

    def _path(self) -> Iterator[str | int]:
        """Yield the steps to what is being built, as far as the data will have them."""
        for item in self._stack:
            if isinstance(item.node.value, list):
                yield len(item.node.value)
                continue
            name = item.key.value if item.key is not None else None
            if item.merging or not isinstance(name, str):
                return  # a key that the data will not have
            yield name
            if name in item.node.keys:
                return  # given twice: the data has the first value


def _span(event: yaml.Event) -> Span:
    start, end = event.start_mark, event.end_mark
    assert start is not None, "the parsers mark every event"
    assert end is not None, "the parsers mark every event"
    return (start.line, start.column, end.line, end.column)
