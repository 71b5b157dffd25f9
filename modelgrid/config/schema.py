"""The fields of ``modelgrid.yaml``, and nothing else: rules across fields are in :mod:`modelgrid.config.check`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
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
API_PATH_FORM = r"^/[A-Za-z0-9/_.-]*$"
SHA256_FORM = r"^[0-9a-f]{64}$"
#: The same for hashes of files, apart because the way to get one is another.
FILE_SHA256_FORM = r"^[a-f0-9]{64}$"

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
#: 0s would give up every server before its first answer.
StartTimeout = Annotated[
    float,
    _quantity(parse_duration, "15m"),
    PlainSerializer(write_duration),
    _at_least("1s", parse_duration),
    WithJsonSchema({"type": "string", "pattern": f"^{_NOT_ZERO}{_DURATION_FORM}", "examples": ["15m"]}),
]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
ModelName = Annotated[str, StringConstraints(strict=True, max_length=128, pattern=MODEL_NAME_FORM)]
EngineName = Annotated[str, StringConstraints(strict=True, max_length=32, pattern=ENGINE_NAME_FORM)]
Scalar = Annotated[bool, Field(strict=True)] | Annotated[int, Field(strict=True)] | float | Text
ApiPath = Annotated[str, StringConstraints(strict=True, pattern=API_PATH_FORM)]


class Runtime(StrEnum):
    """How a model server runs."""

    PODMAN = "podman"
    NATIVE = "native"


class Task(StrEnum):
    """What a model server is started for."""

    GENERATE = "generate"
    EMBED = "embed"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Target(_Section):
    """What the output must run on. Left out: this host."""

    facts: Text
    """File written by `modelgrid facts` on the host, relative to this file."""


class Greenlist(_Section):
    """The list of models that may be served, in the JSON form that docs/greenlist.md describes."""

    source: Text = Field(examples=["greenlist.json", "https://example.com/greenlist.json"])
    """Where the list is: a file, relative to this one, or an `https://` URL."""
    sha256: Annotated[str, StringConstraints(strict=True, pattern=FILE_SHA256_FORM)] | None = None
    """SHA-256 of the list, 64 hex digits. A URL needs it; with it, a list that changed is refused."""


class Key(_Section):
    """A client's API key, by its hash; made by `modelgrid key new`."""

    name: Text
    """Name of the key, for logs and for taking it back. Never the key."""
    sha256: Annotated[str, StringConstraints(strict=True, pattern=SHA256_FORM)]
    """SHA-256 of the key, 64 hex digits."""
    models: list[Text] = Field(default_factory=lambda: ["*"], min_length=1)
    """Names of models, not aliases, that the key may ask for; `*` and `?` stand for any characters."""


class Gateway(_Section):
    """The OpenAI-compatible endpoint."""

    listen: Text = Field(default="127.0.0.1:8080", examples=["127.0.0.1:8080", "[::]:8080"])
    """Address and port. Beyond loopback at least one key is required."""
    keys: list[Key] = Field(default_factory=list)
    """Keys that clients may use. Without any, on loopback, no key is asked for."""
    max_body: BodySize = Field(default=64 * 1024**2, json_schema_extra={"default": "64MiB"})
    """Largest request body, at least 1KiB; 64MiB when left out."""


class Network(_Section):
    """The internal network of model containers. They reach nothing outside it."""

    subnet: Text = "10.133.0.0/16"
    """IPv4 subnet that nothing else on the host or its LAN uses, /16 to /24."""


class Health(_Section):
    """How to see that a server is ready."""

    path: ApiPath | None = None
    """HTTP path that answers 200 when the server is ready. Left out: that of the built-in engine, else `/health`."""
    command: Text | None = None
    """Command that podman runs in the container instead of a probe from the host."""


class Engine(_Section):
    """A model server: changes to a built-in one, or one of your own."""

    image: Text | None = None
    """Fully qualified container image."""
    program: Text | None = None
    """Program on the host, for `runtime: native`: a name on its PATH or an absolute path."""
    port: Port | None = None
    """Port that the server listens on inside its container."""
    entrypoint: Text | None = None
    """Program in the container instead of the image's entrypoint."""
    command: list[Text] | None = None
    """Arguments. `{model}`, `{source}`, `{host}` and `{port}` are filled in."""
    env: dict[Text, Text] = Field(default_factory=dict)
    """Environment of the server."""
    health: Health | None = None
    """How to see that it is ready."""
    upstream_model: Text | None = Field(default=None, examples=["{source}"])
    """What the server calls the model, if not by the name that clients use. `{model}` and `{source}` are filled in."""
    apis: list[ApiPath] | None = None
    """API paths that the gateway may forward to it."""


class Model(_Section):
    """A model that clients can ask for."""

    engine: EngineName
    """Engine that serves it: llamacpp, ollama, vllm, custom, or one declared under `engines`."""
    runtime: Runtime = Runtime.PODMAN
    """`podman`: a container. `native`: a program on the host."""
    task: Task = Task.GENERATE
    """`generate`: chat and completions. `embed`: embeddings."""
    source: Text | None = Field(default=None, examples=["/srv/models/qwen.gguf", "hf://Qwen/Qwen2.5-7B-Instruct"])
    """Weights: a file or folder of the host (relative to this file), `hf://ORG/NAME`, `package://NAME` for weights
    in a Python package, or the engine's own name of the model."""
    image: Text | None = None
    """Container image instead of the engine's."""
    context: Annotated[int, Field(strict=True, ge=1)] | None = None
    """Context length in tokens."""
    parallel: Annotated[int, Field(strict=True, ge=1)] | None = None
    """Requests served at once."""
    gpus: Annotated[int, Field(strict=True, ge=0)] | list[Annotated[int, Field(strict=True, ge=0)] | Text] | None = None
    """How many GPUs, or which, by index or UUID. Left out: one where the host has any."""
    vram: Size | None = None
    """Memory that the model takes, over all its GPUs."""
    args: dict[Text, Scalar | list[Scalar]] | list[Text] = Field(default_factory=dict)
    """More arguments of the engine: `max-num-seqs: 64` becomes `--max-num-seqs 64`, `true` a bare flag; or a list of
    words, given as they are."""
    env: dict[Text, Text] = Field(default_factory=dict)
    """More environment of the server."""
    aliases: list[ModelName] = Field(default_factory=list)
    """Other names that clients may use."""
    port: Port | None = None
    """Loopback port of the server. Left out, one is chosen that stays the same while the name does."""
    egress: Annotated[bool, Field(strict=True)] | None = None
    """Whether the container may open connections to the outside. Left out: only where it fetches its weights."""
    start_timeout: StartTimeout = Field(default=600.0, json_schema_extra={"default": "10m"})
    """How long the server may take until it is ready, at least 1s; `10m` when left out."""


class Config(_Section):
    """A `modelgrid.yaml`."""

    version: Literal[1]
    """Version of this language."""
    target: Target | None = None
    """The host that the output must run on. Left out: this one."""
    greenlist: Greenlist | None = None
    """The list of models that may be served. Left out: every model may."""
    gateway: Gateway = Field(default_factory=Gateway)
    """Where the gateway listens, and who may use it."""
    network: Network = Field(default_factory=Network)
    """The internal network of model containers."""
    engines: dict[EngineName, Engine] = Field(default_factory=dict)
    """Changes to built-in engines, and engines of your own, by name."""
    models: dict[ModelName, Model] = Field(default_factory=dict)
    """Models by the names that clients ask for."""
