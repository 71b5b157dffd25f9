"""What a greenlist says: its rules, each with its place; and every fault of a text that has not its form.

The form is ``{"version": "1.0", "models": [{"name": "llama3:8b", "container": "ollama", "minVram": 8}]}`` and no other:
``name`` is a model, ``container`` the engine that may serve it, ``minVram`` the GiB of GPU memory that it must get.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from modelgrid.config.faults import TOO_MANY, Fault, suggestion
from modelgrid.config.lines import find_hidden
from modelgrid.diagnostics import Report
from modelgrid.errors import ConfigError
from modelgrid.greenlist.places import read_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from modelgrid.config.load import Document
    from modelgrid.diagnostics import Location, Path

VERSION: Final = "1.0"
_GIB: Final = 1024**3

#: The codes of what has not the form, and of a rule that is given twice.
_FORM: Final = "MG3034"
_TWICE: Final = "MG3035"

#: GiB, a pebibyte: more than any host has, and exact in bytes.
_LARGEST: Final = 1024**2
#: Faults beyond this number are not looked for.
_MAX_FAULTS: Final = 100
#: Characters of a value that a message shows.
_LONGEST: Final = 60

_TOP_KEYS: Final = ("version", "models")
_RULE_KEYS: Final = ("name", "container", "minVram")
_EXAMPLE: Final = '{"name": "llama3:8b", "container": "ollama", "minVram": 8}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One entry of the list: *engine* may serve the model *name*, with *memory* bytes of GPU memory or more.

    *index* is its place in the list.
    """

    name: str
    engine: str
    memory: int
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A greenlist without faults. *by_model*: its rules by name and engine, in the order of the list."""

    document: Document = field(repr=False)
    by_model: Mapping[tuple[str, str], Rule]

    def find(self, name: str, engine: str) -> Rule | None:
        """Return the rule that lets *engine* serve the model *name*; none where there is no such one."""
        return self.by_model.get((name, engine))

    def of_engine(self, engine: str) -> tuple[str, ...]:
        """Return the names that the list has for *engine*."""
        return tuple(rule.name for rule in self.by_model.values() if rule.engine == engine)

    def of_name(self, name: str) -> tuple[Rule, ...]:
        """Return the rules for the model *name*, whatever the engine."""
        return tuple(rule for rule in self.by_model.values() if rule.name == name)

    def place(self, rule: Rule | None, key: str = "name") -> Location:
        """Return where *key* of *rule* stands; without a rule, where the list starts."""
        path: Path = ("models", rule.index, key) if rule is not None else ("models",)
        location = self.document.locate(path)
        assert location is not None, "a Document places everything"
        return location


def read_rules(text: bytes, *, file: str) -> tuple[Rules | None, Report]:
    """Return the rules of the greenlist *text*, none when the report has a fault; *file* is its name in messages."""
    try:
        document = read_json(text, file=file)
    except ConfigError as error:
        unreadable = error.report
    else:
        return _rules(document)
    assert unreadable, "what cannot be read is reported with its place"
    return None, unreadable


def _rules(document: Document) -> tuple[Rules | None, Report]:
    reader = _Reader(document.data)
    faults: list[Fault] = []
    for fault in reader.faults():
        if len(faults) == _MAX_FAULTS:
            faults.append(Fault(code=TOO_MANY, message="there are more faults", path=(), hint="mend these first"))
            break
        faults.append(fault)
    report = document.report + Report.of(fault.diagnose(document) for fault in faults)
    return (None if report else Rules(document=document, by_model=reader.rules)), report


class _Reader:
    """Reads the data of a greenlist. *rules* are complete once :meth:`faults` has ended."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.rules: dict[tuple[str, str], Rule] = {}
        self._data = data

    def faults(self) -> Iterator[Fault]:
        """Yield every fault, in the order of the list."""
        version, models = self._data.get("version"), self._data.get("models")
        if "version" in self._data and version != VERSION:
            message = f"version {_shown(version)} of a greenlist is not supported"
            yield Fault(code=_FORM, message=message, path=("version",), hint=f'write "version": "{VERSION}"')
            return  # another version may have another form
        yield from _keys(self._data, _TOP_KEYS, ())
        if isinstance(models, list):
            for index, entry in enumerate(models):
                yield from self._rule(entry, index)
        elif "models" in self._data:
            yield _wrong(models, ("models",), "a list of rules")

    def _rule(self, entry: Any, index: int) -> Iterator[Fault]:
        path = ("models", index)
        if not isinstance(entry, dict):
            yield _wrong(entry, path, f"a rule, like {_EXAMPLE}")
            return
        found = list(_keys(entry, _RULE_KEYS, path))
        for key in ("name", "container"):
            if key in entry:
                found += _text(entry[key], (*path, key))
        if "minVram" in entry:
            found += _gibibytes(entry["minVram"], (*path, "minVram"))
        yield from found
        if found:
            return
        name, engine = entry["name"], entry["container"]
        rule = Rule(name=name, engine=engine, memory=round(entry["minVram"] * _GIB), index=index)
        other = self.rules.setdefault((name, engine), rule)
        if other is not rule:
            yield Fault(
                code=_TWICE,
                message=f"{name} with {engine} is listed already, as rule {other.index + 1}",
                path=(*path, "name"),
                hint="remove one of the two",
            )


def _keys(section: Mapping[str, Any], known: tuple[str, ...], path: Path) -> Iterator[Fault]:
    """Every key of *section* is one of *known*, and all of them are there."""
    for key in section:
        if key not in known:
            message = f"a greenlist has no key {_shown(key)} here"
            exact = next((name for name in known if name.lower() == key.lower()), None)
            hint = f'write "{exact}"' if exact else suggestion(key, known)
            yield Fault(code=_FORM, message=message, path=(*path, key), hint=hint, at_key=True)
    for key in known:
        if key not in section:
            of = "the rule" if path else "the greenlist"
            hint = f"a rule is {_EXAMPLE}" if path else f'a greenlist is {{"version": "{VERSION}", "models": [...]}}'
            yield Fault(code=_FORM, message=f'{of} has no key "{key}"', path=path, hint=hint)


def _text(value: Any, path: Path) -> Iterator[Fault]:
    if not isinstance(value, str):
        yield _wrong(value, path, "text")
    elif not value or any(char in value for char in "\t\r\n") or any(find_hidden(value)):
        message = f"{path[-1]} is empty" if not value else f"{path[-1]} has a character that cannot be seen"
        yield Fault(code=_FORM, message=message, path=path, hint="write a name, without line breaks")


def _gibibytes(value: Any, path: Path) -> Iterator[Fault]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        yield _wrong(value, path, "a number of GiB")
    elif not 0 <= value <= _LARGEST:
        message = f"{path[-1]} is {_shown(value)}, and it must be from 0 to {_LARGEST}"
        yield Fault(code=_FORM, message=message, path=path, hint="write the GiB of GPU memory that the model needs")


def _wrong(value: Any, path: Path, wanted: str) -> Fault:
    name = str(path[-1]) if isinstance(path[-1], str) else f"rule {path[-1] + 1}"
    return Fault(code=_FORM, message=f"{name} must be {wanted}, not {_shown(value)}", path=path)


def _shown(value: Any) -> str:
    """Return *value* as JSON has it, cut; what is in a list or an object is not shown."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    import json  # noqa: PLC0415  only for a fault

    text = json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
