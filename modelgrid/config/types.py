"""The scalar types of ``modelgrid.yaml``: texts with a form, sizes, spans of time, names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from modelgrid.quantities import parse_duration, parse_size, write_duration, write_size

if TYPE_CHECKING:
    from collections.abc import Callable


def _quantity(parse: Callable[[str], float], example: str) -> BeforeValidator:
    def validate(value: Any) -> float:
        if not isinstance(value, str):
            # a ValueError whatever the type: it is what pydantic collects
            raise ValueError(f"{value!r} has no unit; write a number and a unit, like {example}")  # noqa: TRY004
        try:
            return parse(value)
        except OverflowError as error:
            raise ValueError(f"the number is too large; write a number and a unit, like {example}") from error

    return BeforeValidator(validate)


def _at_least(least: str, parse: Callable[[str], float]) -> AfterValidator:
    """Refuse a quantity below *least* with the error that pydantic has for numbers, and the bound with its unit."""
    bound = parse(least)

    def validate(value: float) -> float:
        if value < bound:
            raise PydanticCustomError("greater_than_equal", "must be at least {ge}", {"ge": least})
        return value

    return AfterValidator(validate)


#: No control character in any string: one newline in a unit's value would start a section of its own.
TEXT_FORM = r"^[^\x00-\x1f\x7f]*$"
MODEL_NAME_FORM = r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$"
ENGINE_NAME_FORM = r"^[a-z][a-z0-9-]*$"
ABSOLUTE_FORM = r"^/[^:\x00-\x1f\x7f]*$"
API_PATH_FORM = r"^/[A-Za-z0-9/_.-]*$"
SHA256_FORM = r"^[0-9a-f]{64}$"
#: The same for hashes of files, apart because the way to get one is another.
FILE_SHA256_FORM = r"^[a-f0-9]{64}$"
VERSION_FORM = r"^[0-9]{1,3}(\.[0-9]{1,3}){1,2}$"
IMAGES_FORM = r"^(cpu|nvidia|amd|intel)(-(x86_64|aarch64))?$"
VOLUME_FORM = r"^(/[^:\x00-\x1f\x7f]*|[A-Za-z0-9][A-Za-z0-9_.-]*)$"
SECRET_NAME_FORM = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"  # noqa: S105  the form of a name
UNIT_KEY_FORM = r"^[A-Z][A-Za-z0-9]*$"

Text = Annotated[str, StringConstraints(strict=True, min_length=1, pattern=TEXT_FORM)]
_SIZE_FORM = r"[0-9]+(\.[0-9]+)? ?([kMGT]B|[KMGT]iB|B)$"
_DURATION_FORM = "([0-9]+(ms|s|m|h|d))+$"
#: What a regular expression can say of a lower bound: zero is below it.
_NOT_ZERO = "(?=.*[1-9])"
Size = Annotated[
    int,
    _quantity(parse_size, "8GiB"),
    PlainSerializer(write_size),
    WithJsonSchema({"type": "string", "pattern": f"^{_SIZE_FORM}", "examples": ["8GiB"]}),
]
#: A request body that holds a question. 0B would refuse every request.
BodySize = Annotated[
    Size,
    _at_least("1KiB", parse_size),
    WithJsonSchema({"type": "string", "pattern": f"^{_NOT_ZERO}{_SIZE_FORM}", "examples": ["64MiB"]}),
]
#: A time to wait for something. 0s would give up before it can come.
Span = Annotated[
    float,
    _quantity(parse_duration, "15m"),
    PlainSerializer(write_duration),
    _at_least("1s", parse_duration),
    WithJsonSchema({"type": "string", "pattern": f"^{_NOT_ZERO}{_DURATION_FORM}", "examples": ["15m"]}),
]
#: A time that one may be willing to wait for something, or not: 0s.
Patience = Annotated[
    float,
    _quantity(parse_duration, "5m"),
    PlainSerializer(write_duration),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION_FORM}", "examples": ["5m"]}),
]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
ModelName = Annotated[str, StringConstraints(strict=True, max_length=128, pattern=MODEL_NAME_FORM)]
#: Longer than any name needs. The time that a pattern takes grows with the square of its length.
NamePattern = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=128, pattern=TEXT_FORM)]
ServerName = Annotated[str, StringConstraints(strict=True, max_length=32, pattern=ENGINE_NAME_FORM)]
EngineName = Annotated[str, StringConstraints(strict=True, max_length=32, pattern=ENGINE_NAME_FORM)]
Scalar = Annotated[bool, Field(strict=True)] | Annotated[int, Field(strict=True)] | float | Text
ApiPath = Annotated[str, StringConstraints(strict=True, pattern=API_PATH_FORM)]
UnitKey = Annotated[str, StringConstraints(strict=True, max_length=64, pattern=UNIT_KEY_FORM)]
SecretName = Annotated[str, StringConstraints(strict=True, max_length=64, pattern=SECRET_NAME_FORM)]
UnitValue = Scalar | list[Scalar]
VendorName = Literal["nvidia", "amd", "intel", "cpu"]
SourceName = Literal["path", "package", "repository", "name", "none"]
OptionName = Literal["context", "parallel", "gpus", "tensor_parallel", "memory_share", "idle_unload", "revision"]
