"""Says in plain words what pydantic finds: what is wanted, what is there, and the way out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, get_args, get_origin

from pydantic import BaseModel

from modelgrid.config import schema, types
from modelgrid.config.descriptions import describe
from modelgrid.config.faults import TOO_MANY, Fault, suggestion
from modelgrid.config.scalars import AmbiguousError, resolve
from modelgrid.diagnostics import format_path
from modelgrid.redaction import is_secret_name, mask

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelgrid.diagnostics import Path

#: Faults beyond this number are not shown one by one.
MAX_FAULTS: Final = 100

#: Characters of a value that a message shows.
_LONGEST: Final = 60

#: What a key wants, by the type of pydantic's error, in the order of speech.
_WANTED: Final = {
    "model_type": "a mapping",
    "dict_type": "a mapping",
    "list_type": "a list",
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "text",
}

_FORMS: Final = {
    types.TEXT_FORM: ("has a line break or another control character", "write it in one line"),
    types.MODEL_NAME_FORM: (
        "is no name of a model",
        "use letters, digits and . _ : / @ + -, with a letter or digit first",
    ),
    types.ENGINE_NAME_FORM: (
        "is no name of an engine",
        "use lower-case letters, digits and dashes, with a letter first",
    ),
    types.API_PATH_FORM: ("is no path of an API", "start with a / and use letters, digits and / . _ -"),
    types.ABSOLUTE_FORM: ("is no absolute path without a colon", "start with a / and use no colon"),
    types.VERSION_FORM: ("is no version", 'write it like "5.4" or "5.4.2"'),
    types.IMAGES_FORM: ("is no vendor", "use nvidia, amd, intel or cpu, or one of them with a processor: cpu-aarch64"),
    types.VOLUME_FORM: (
        "is neither an absolute path nor a name of a volume",
        "start a path with a /; a name has letters, digits and _ . -; neither has a colon",
    ),
    types.SECRET_NAME_FORM: ("is no such name", "use letters, digits and _ . -, with a letter or digit first"),
    types.UNIT_KEY_FORM: ("is no key of a unit", "write it as its man page does, like LimitMEMLOCK"),
    types.FILE_SHA256_FORM: ("is no SHA-256", "write 64 digits 0-9 a-f, as `sha256sum FILE` prints them"),
    types.SHA256_FORM: ("is no SHA-256", "write 64 digits 0-9 a-f; `modelgrid key new` makes a key and its hash"),
}

_BOUNDS: Final = {
    "greater_than_equal": ("at least", "ge"),
    "greater_than": ("more than", "gt"),
    "less_than_equal": ("at most", "le"),
    "less_than": ("less than", "lt"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The *errors* of pydantic for one *value* of the data, or for the last key of *path*."""

    path: Path
    errors: list[Any]
    value: Any
    is_key: bool

    @property
    def kind(self) -> str:
        """The type of the first error: there are several only where a union has several forms."""
        return str(self.errors[0]["type"])

    @property
    def context(self) -> dict[str, Any]:
        """What pydantic has to say beside the type: bounds, patterns."""
        context: dict[str, Any] = self.errors[0].get("ctx", {})
        return context

    @property
    def name(self) -> str:
        """What a message calls the value: its key, or that of its list and its place in it."""
        start = len(self.path) - 1
        while start > 0 and isinstance(self.path[start], int):
            start -= 1
        return mask(format_path(self.path[start:]).removeprefix("$").removeprefix(".")) if self.path else "the file"

    @property
    def secret(self) -> bool:
        """Whether the value belongs to a name such as ``HF_TOKEN``, and so is never shown."""
        return any(isinstance(step, str) and is_secret_name(step) for step in self.path)

    @property
    def shown(self) -> str:
        """The value, or the key, as a message shows it."""
        if self.is_key:
            return _shown(self.path[-1])
        return "the value" if self.secret else _shown(self.value)


def explain(finding: Finding) -> Fault:
    """Return the fault that *finding* is."""
    return _EXPLANATIONS.get(finding.kind, _wrong_type)(finding)


def is_wrong_type(kind: str) -> bool:
    """Say whether pydantic's error of type *kind* only says that a value is of another type."""
    return kind in _WANTED


def too_many(rest: int) -> Fault:
    """Return the fault that stands for *rest* more."""
    return Fault(code=TOO_MANY, message=f"there are {rest} more faults", path=(), hint="mend these first")


def _missing(finding: Finding) -> Fault:
    section, field = section_at(finding.path[:-1]), str(finding.path[-1])
    return Fault(
        code="MG2002",
        message=f'key "{field}" is missing',
        path=finding.path,
        hint=describe(section.__name__, field),
        at_key=True,
    )


def _unknown(finding: Finding) -> Fault:
    key = str(finding.path[-1])
    hint = suggestion(key, section_at(finding.path[:-1]).model_fields)
    return Fault(code="MG2001", message=f"unknown key {_shown(key)}", path=finding.path, hint=hint, at_key=True)


def _version(finding: Finding) -> Fault:
    return Fault(
        code="MG2007",
        message=f"version {finding.shown} is not supported",
        path=finding.path,
        hint="this ModelGrid reads version 1: write `version: 1`",
    )


def _choice(finding: Finding) -> Fault:
    # pydantic gives the values as one text: 'podman' or 'native'
    values = [text.strip("'") for text in str(finding.context["expected"]).replace(" or ", ", ").split(", ")]
    hint = suggestion(finding.value, values) if isinstance(finding.value, str) else f"write {' or '.join(values)}"
    return Fault(code="MG2004", message=f"{finding.name} cannot be {finding.shown}", path=finding.path, hint=hint)


def _malformed(finding: Finding) -> Fault:
    if finding.secret:
        return Fault(code="MG2005", message=f"{finding.name} is malformed", path=finding.path)
    message, _, hint = str(finding.context["error"]).partition("; ")
    return Fault(code="MG2005", message=f"{finding.name}: {mask(message)}", path=finding.path, hint=hint or None)


def _bound(finding: Finding) -> Fault:
    words, bound = _BOUNDS[finding.kind]
    message = f"{finding.name} must be {words} {finding.context[bound]}, and is {finding.shown}"
    return Fault(code="MG2006", message=message, path=finding.path)


def _too_few(finding: Finding) -> Fault:
    return Fault(
        code="MG2006",
        message=f"{finding.name} has no item",
        path=finding.path,
        hint="leave the key out for its default",
    )


def _form(finding: Finding) -> Fault:
    message, hint = _FORMS.get(finding.context["pattern"], ("is malformed", ""))
    what = finding.shown if finding.is_key else f"{finding.name}: {finding.shown}"
    return Fault(
        code="MG2005", message=f"{what} {message}", path=finding.path, hint=hint or None, at_key=finding.is_key
    )


def _empty(finding: Finding) -> Fault:
    what = "a key" if finding.is_key else finding.name
    return Fault(
        code="MG2005", message=f"{what} is empty", path=finding.path, hint="write a text", at_key=finding.is_key
    )


def _too_long(finding: Finding) -> Fault:
    message = f"{finding.shown} is longer than {finding.context['max_length']} characters"
    return Fault(code="MG2005", message=message, path=finding.path, at_key=finding.is_key)


def _wrong_type(finding: Finding) -> Fault:
    value = finding.value
    kinds = {item["type"] for item in finding.errors}
    wanted = list(dict.fromkeys(text for kind, text in _WANTED.items() if kind in kinds))
    if "a number" in wanted and "a whole number" in wanted:
        wanted.remove("a whole number")
    if not wanted:
        return Fault(code="MG2003", message=f"{finding.name}: {finding.errors[0]['msg']}", path=finding.path)
    text = " or ".join(part for part in (", ".join(wanted[:-1]), wanted[-1]) if part)
    found = _kind(value) if finding.secret else _shown(value)
    return Fault(
        code="MG2003",
        message=f"{finding.name} must be {text}, and is {found}",
        path=finding.path,
        hint=_retyped(finding, wanted),
    )


def _retyped(finding: Finding, wanted: list[str]) -> str | None:
    """Return how the value is written in a type that is wanted; none where that is not plain."""
    value, numbers = finding.value, {"a whole number", "a number"} & set(wanted)
    if isinstance(value, bool | int | float):
        if "text" in wanted and not numbers:
            return "quote it" if finding.secret else f'quote it: "{_plain(value)}"'
        return None
    if not isinstance(value, str):
        return None
    try:
        meant = resolve(value)
    except AmbiguousError as error:
        meant = error.meant
    if isinstance(meant, bool) and "true or false" in wanted:
        return f"write {_plain(meant)} without quotes"
    if isinstance(meant, int | float) and not isinstance(meant, bool) and numbers:
        return "write it without quotes"
    return "put it in brackets: [ ]" if "a list" in wanted else None


_EXPLANATIONS: Final[dict[str, Callable[[Finding], Fault]]] = {
    "missing": _missing,
    "extra_forbidden": _unknown,
    "literal_error": _version,
    "enum": _choice,
    "value_error": _malformed,
    "too_short": _too_few,
    "string_pattern_mismatch": _form,
    "string_too_short": _empty,
    "string_too_long": _too_long,
    **dict.fromkeys(_BOUNDS, _bound),
}


def _shown(value: Any) -> str:
    """Return *value* as a message shows it: short, and without a secret."""
    if value is None or isinstance(value, list | dict):
        return _kind(value)
    text = mask(_plain(value))
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
    return f'"{text}"' if isinstance(value, str) else text


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _kind(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, str):
        return "text"
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a mapping"
    return "true or false" if isinstance(value, bool) else "a number"


def section_at(path: Path) -> type[BaseModel]:
    """Return the section of the schema that *path* leads into."""
    section: type[BaseModel] = schema.Config
    steps = iter(path)
    for step in steps:
        if isinstance(step, str) and step in section.model_fields:
            annotation = section.model_fields[step].annotation
            section = _section_in(annotation) or section
            if get_origin(annotation) is dict:
                next(steps, None)  # a name that the user chose
    return section


def _section_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _section_in(inner)) is not None), None)
