"""Makes texts that look like configurations, well and badly formed. Each is told by its kind and number alone."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT: Final = Path(__file__).parents[2]

#: What grammar and rules give a meaning to, so that mutated text gets beyond the first line.
PIECES: Final = (
    *(
        "\n",
        "\n  ",
        "\n    ",
        "  ",
        ": ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "'",
        '"',
        "|\n",
        ">-\n",
        "&a ",
        "*a",
        "<<: *a",
    ),
    *("? ", "---\n", "...\n", "%YAML 1.2\n", "!x ", "!!str ", "# c", "\t", "\r\n", "\r", "\\", "\\x1b", "\ufeff", "@"),
    *(
        "\u2028",
        "\u202e",
        "\x00",
        "\x85",
        "\ud800",
        "漢",
        "🦙",
        "e\u0301",
        "0",
        "~",
        "null",
        "true",
        "on",
        "012",
        "1.10",
    ),
    *("1_0", "0x1", "1:20", "1e999", ".nan", "-0", "9" * 41, "version: 1\n", "models:", "engine: vllm", "gateway:\n"),
    *(
        "keys:",
        "env:",
        "args:",
        "x-a:",
        "llama3:8b",
        "servers:",
        "server: s",
        "secrets:",
        "replicas: 64",
        "gpus: [0, 1]",
    ),
    *("HF_TOKEN: hunter2", "hf_0123456789abcdefghij", "sk-0123456789abcdefghij", "://a:b@", "Bearer abcdef0123456789"),
    *("-----BEGIN PRIVATE KEY-----", "{model}", "{", "{source", "%n", "$HOME", "${X", "; ", "\\n"),
)

#: Keys that ask for something elsewhere in the file, or for its absence.
_REFERRING: Final = frozenset({"target", "greenlist", "secrets", "engines", "servers", "server", "fallback", "path"})

#: Values by the key that they stand under, sound ones and some that nearly are.
_POOLS: Final[dict[str, tuple[Any, ...]]] = {
    "engine": ("vllm", "llamacpp", "ollama", "sglang", "tei", "custom", "mine", "vlm", "Vllm"),
    "extends": ("vllm", "llamacpp", "custom", "mine"),
    "server": ("s", "shared", "t"),
    "source": (
        "/srv/models/a.gguf",
        "./w.gguf",
        "hf://Org/Name",
        "package://p",
        "llama3:8b",
        "hf://",
        "/a-00001-of-00002.gguf",
    ),
    "image": ("docker.io/a/b:1", "ghcr.io/a/b@sha256:" + "0" * 64, "nginx", "localhost/a", "a b", "-x"),
    "program": ("llama-server", "/usr/bin/x", "../x"),
    "listen": ("127.0.0.1:8080", "[::]:8080", "0.0.0.0:80", "localhost:1", "x", "127.0.0.1:99999", "[::1"),
    "subnet": ("10.133.0.0/16", "10.9.0.0/24", "10.133.0.1/16", "10.0.0.0/8", "::/64", "10.133.0.0/99", "x/y"),
    "docker_subnet": ("10.134.0.0/16", "10.133.0.0/16", "1"),
    "aliases": ("gpt-4o", "a", "b", "llama3:8b", "Org/Name"),
    "fallback": ("a", "b", "llama3:8b", "gpt-4o"),
    "models": ("*", "a*", "[a", "b", "?"),
    "gpus": (0, 1, 2, 9, "GPU-4f7c9a0e-3d52-4b1c-9b38-6f1d2c5a7e10", "GPU-x", "all"),
    "podman": ("5.4", "4.9.4", "5.8.2", "4.3", "999.999.999", "hf-token"),
    "systemd": (252, 257, 230, 999),
    "facts": ("../hosts/gpu01.yaml", "nowhere.yaml"),
    "command": ("--model", "{source}", "{host}:{port}", "{value}", "{nope}", "{", "a b", "--api-key=hunter2", "%i $A"),
    "path": ("/health", "health", "/a b"),
    "apis": ("/v1/chat/completions", "/v1/models", "v1"),
    "target": ("/data", "data", "/a:b", "/"),
    "name": ("a", "cache", "{slug}-cache", "key"),
    "sha256": ("0" * 64, "f" * 64, "0" * 63),
    "secrets": ("hf-token", "nope"),
    "quadlet": ("memlock=-1:-1", "x", "", "a\nb"),
}
_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "models": ("a", "b", "c", "llama3:8b", "Org/Name", "gpt-4o"),
    "servers": ("s", "shared"),
    "engines": ("mine", "vllm", "llamacpp", "custom"),
    "secrets": ("hf-token", "HF_TOKEN_PATH", "API_KEY", "x"),
    "env": ("A", "HF_TOKEN", "LD_PRELOAD", "a-b", "HF_HOME", "1X", "ä"),
    "args": ("max-num-seqs", "api-key", "temp", "host", "x"),
    "images": ("nvidia", "cpu", "cpu-aarch64", "amd", "gpu"),
    "quadlet": ("Ulimit", "ShmSize", "PodmanArgs", "Volume", "Image", "Moon"),
    "systemd": ("Nice", "LimitMEMLOCK", "After", "ExecStart", "Moon", "User"),
}
_BY_PATTERN: Final = (
    ("iB|B)$", ("8GiB", "0B", "1.5 GiB", "80GB", "8", "9999999999999999TiB", "1e3GiB")),
    ("ms|s|m|h|d", ("15m", "1s", "0s", "10ms", "99999999999999999999d", "1h30m", "soon")),
)
_TEXTS: Final = (
    *(
        "a",
        "b c",
        "",
        " ",
        "'",
        '"',
        "\\",
        "#x",
        "a: b",
        "- a",
        "[a",
        "{a}",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`a",
        "|",
        ">",
    ),
    *("yes", "null", "1.10", "0123", "1e5", "~", ".inf", "=", "<<", "---", "漢字", "🦙" * 3, "e\u0301", "x" * 300),
    *(
        "hf_0123456789abcdefghij",
        "https://u:hunter2@h/",
        "a\nb",
        "a\tb",
        "a\x07b",
        "\u202eb",
        "\ufeff",
        "$X %n ;",
        "{model}",
    ),
)
_ANYTHING: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    3.5,
    2**64,
    1e300,
    [],
    {},
    [[]],
    [None],
    {"a": {}},
    "x",
)


def configuration(draw: random.Random) -> str:
    """Return a configuration that follows the schema, but for a few places."""
    grid = _Grid(draw, draw.choice((0.0, 0.0, 0.003, 0.03, 0.15))).make()
    text = _Writer(draw, draw.choice((0.0, 0.0, 0.02, 0.1))).block(grid, 0) + "\n"
    if draw.random() < 0.1:
        text = mutated_text(text, draw)
    return _framed(text, draw)


def mutated(draw: random.Random) -> str:
    """Return an example with parts of it changed, moved or put in place of one another."""
    return _framed(mutated_text(draw.choice(examples()), draw), draw)


def mutated_bytes(draw: random.Random) -> bytes:
    """Return an example with bytes of it changed."""
    data = bytearray(draw.choice(examples()).encode())
    for _ in range(draw.randint(1, 8)):
        place = draw.randrange(len(data) + 1)
        match draw.randrange(4):
            case 0:
                data[place : place + 1] = bytes([draw.randrange(256)])
            case 1:
                data[place:place] = draw.randbytes(draw.randint(1, 4))
            case 2:
                del data[place : place + draw.randint(1, 9)]
            case _:
                data[place : place + 1] = bytes([(data[place] if place < len(data) else 0) ^ 1 << draw.randrange(8)])
    return bytes(data)


def soup(draw: random.Random) -> str:
    """Return pieces of YAML in any order."""
    return "".join(draw.choices(PIECES, k=draw.randint(0, 30)))


def noise(draw: random.Random) -> bytes:
    """Return any bytes."""
    return draw.randbytes(draw.randint(0, 60))


KINDS: Final[dict[str, Callable[[random.Random], str | bytes]]] = {
    "configuration": configuration,
    "mutated": mutated,
    "bytes": mutated_bytes,
    "soup": soup,
    "noise": noise,
}


def make(kind: str, number: int) -> str | bytes:
    """Return input *number* of *kind*: the same one each time."""
    return KINDS[kind](random.Random(f"{kind} {number}"))


def mutated_text(text: str, draw: random.Random) -> str:
    """Change *text* in one to five places."""
    for _ in range(draw.randint(1, 5)):
        start = draw.randrange(len(text) + 1)
        end = min(len(text), start + draw.randint(0, 20))
        lines = text.splitlines(keepends=True) or [""]
        line = draw.randrange(len(lines))
        match draw.randrange(8):
            case 0:
                text = text[:start] + draw.choice(PIECES) + text[start:]
            case 1:
                text = text[:start] + draw.choice(PIECES) + text[end:]
            case 2:
                text = text[:start] + text[end:]
            case 3:
                text = text[:end] + text[start:]
            case 4:
                lines[line] = " " * draw.randint(0, 9) + lines[line].lstrip(" ")
                text = "".join(lines)
            case 5:
                text = "".join((*lines[:line], lines[draw.randrange(len(lines))], *lines[line:]))
            case 6:
                head, colon, _ = lines[line].partition(":")
                lines[line] = f"{head}{colon} {draw.choice((*_TEXTS, *PIECES))}\n"
                text = "".join(lines)
            case _:
                other = draw.choice(examples())
                cut = draw.randrange(len(other) + 1)
                text = text[:start] + other[cut : cut + draw.randint(1, 200)] + text[end:]
    return text


@cache
def examples() -> tuple[str, ...]:
    """Return the texts of the examples."""
    files = sorted((ROOT / "examples").glob("*/modelgrid.yaml"))
    return tuple(file.read_text(encoding="utf-8") for file in files)


@cache
def _schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((ROOT / "schemas" / "modelgrid.schema.json").read_text(encoding="utf-8"))
    return schema


def _framed(text: str, draw: random.Random) -> str:
    """Return *text* with the line ends or the mark of another editor, or with an end that is missing."""
    match draw.randrange(40):
        case 0:
            return text.replace("\n", "\r\n")
        case 1:
            return "\ufeff" + text
        case 2:
            return text[: draw.randrange(len(text) + 1)]
        case 3:
            return text.replace("\n", "\r")
        case 4:
            return f"---\n{text}"
    return text


class _Grid:
    """Makes the data of one configuration from the schema; *odd* is the share of places that do not follow it."""

    def __init__(self, draw: random.Random, odd: float) -> None:
        self._draw = draw
        self._odd = odd
        self._careful = draw.random() < 0.5

    def make(self) -> Any:
        """Return the top mapping."""
        return self._value(_schema(), "", 0)

    def _value(self, schema: dict[str, Any], key: str, depth: int) -> Any:
        draw = self._draw
        if draw.random() < self._odd:
            return draw.choice((*_ANYTHING, *_TEXTS))
        while "$ref" in schema or ("anyOf" in schema and "properties" not in schema):
            if "$ref" in schema:
                schema = _schema()["$defs"][schema["$ref"].rpartition("/")[2]]
            else:
                schema = draw.choice([form for form in schema["anyOf"] if form.get("type") != "null"])
        if choices := schema.get("enum", [schema["const"]] if "const" in schema else []):
            return draw.choice(choices)
        kinds: dict[str, Callable[[], Any]] = {
            "object": lambda: self._mapping(schema, key, depth),
            "array": lambda: [self._value(schema["items"], key, depth + 1) for _ in range(draw.randint(0, 3))],
            "string": lambda: self._text(schema, key),
            "integer": lambda: self._number(schema, key),
            "number": lambda: draw.choice((0.5, 2, 1.5, -1, 0, 1e9)),
            "boolean": lambda: draw.random() < 0.5,
        }
        return kinds[schema["type"]]()

    def _number(self, schema: dict[str, Any], key: str) -> int:
        draw = self._draw
        if key in _POOLS and draw.random() < 0.7:
            return int(self._choice([value for value in _POOLS[key] if isinstance(value, int)] or [1]))
        least = schema.get("minimum", 0)
        if self._careful:
            return max(int(least), 1)
        return draw.choice((least, least + 1, draw.randint(1, 64), schema.get("maximum", 9000), least - 1))

    def _text(self, schema: dict[str, Any], key: str) -> Any:
        draw = self._draw
        for part, values in _BY_PATTERN:
            if part in schema.get("pattern", ""):
                return self._choice(values)
        return self._choice(_POOLS.get(key, _TEXTS) if self._careful or draw.random() < 0.93 else _TEXTS)

    def _choice(self, values: Sequence[Any]) -> Any:
        """Return one of *values*, of which the sound ones come first."""
        return self._draw.choice(values[: max(1, len(values) // 4)] if self._careful else values)

    def _mapping(self, schema: dict[str, Any], key: str, depth: int) -> dict[Any, Any]:
        draw = self._draw
        made: dict[Any, Any] = {}
        if known := schema.get("properties"):
            share = 0.4 if depth == 0 else draw.choice((0.05, 0.1, 0.3))
            wanted = {*schema.get("required", ()), *(name for name in known if draw.random() < share)}
            if depth == 0:
                wanted.add("models")
            for form in schema.get("anyOf", ())[: 1 if draw.random() < 0.8 else 2]:
                wanted.update(form.get("required", ()))
            for name in sorted(wanted - _REFERRING if self._careful else wanted):
                if draw.random() >= self._odd:
                    made[name] = self._value(known[name], name, depth + 1)
            if draw.random() < self._odd * 3:
                made[draw.choice((*sorted(known), "x-mine", "enigne", "version", *_TEXTS[:20]))] = draw.choice(
                    _ANYTHING
                )
            return made
        forms = [*schema.get("patternProperties", {}).values()]
        inner = forms[0] if forms else schema.get("additionalProperties") or {}
        for _ in range(draw.randint(0, 3)):
            names = schema.get("propertyNames", {}).get("enum") or _NAMES.get(key, _TEXTS[:6])
            name = self._choice(names) if draw.random() >= self._odd else draw.choice(_TEXTS)
            made[name] = self._value(inner, key if inner.get("type") == "string" else "", depth + 1)
        return made


class _Writer:
    """Writes data as YAML, each value in one of the ways that YAML has; *odd* is the share of unsound ones."""

    def __init__(self, draw: random.Random, odd: float) -> None:
        self._draw = draw
        self._odd = odd
        self._anchors = 0

    def block(self, value: Any, indent: int) -> str:
        """Return *value* in lines, each indented."""
        draw = self._draw
        pad = " " * indent
        if isinstance(value, dict) and value:
            lines = []
            for key, inner in value.items():
                lines.append(f"{pad}{self._scalar(key, key=True)}:{self._inner(inner, indent)}")
                if draw.random() < self._odd:
                    lines.append(draw.choice((lines[-1], "# a comment", f"{pad}<<: *a1", f"{pad}x-b: &b {{c: 1}}", "")))
            return "\n".join(lines)
        if isinstance(value, list) and value:
            return "\n".join(f"{pad}-{self._inner(item, indent)}" for item in value)
        return f"{pad}{self.flow(value)}"

    def _inner(self, value: Any, indent: int) -> str:
        draw = self._draw
        mark = ""
        if draw.random() < self._odd:
            self._anchors += 1
            mark = draw.choice((f" &a{self._anchors}", " !!str", " !x", " &a1"))
            if draw.random() < 0.5:
                return f" *a{draw.randint(1, self._anchors)}"
        if isinstance(value, dict | list) and value and draw.random() < 0.7:
            return f"{mark}\n{self.block(value, indent + draw.choice((2, 2, 2, 1, 4)))}"
        if isinstance(value, str) and value.strip() and draw.random() < 0.03:
            body = f"\n{' ' * (indent + 2)}".join(value.split("\n"))
            return f"{mark} {draw.choice(('|', '>-', '|+'))}\n{' ' * (indent + 2)}{body}"
        return f"{mark} {self.flow(value)}"

    def flow(self, value: Any) -> str:
        """Return *value* in one line."""
        if isinstance(value, dict):
            return (
                "{"
                + ", ".join(f"{self._scalar(key, key=True)}: {self.flow(item)}" for key, item in value.items())
                + "}"
            )
        if isinstance(value, list):
            return "[" + ", ".join(map(self.flow, value)) + "]"
        return self._scalar(value)

    def _scalar(self, value: Any, *, key: bool = False) -> str:
        draw = self._draw
        if not isinstance(value, str):
            return json.dumps(value) if isinstance(value, bool | None) or value is None else str(value)
        plain = value.replace("-", "a").replace("_", "a").replace("/", "a").isalnum() and value.isascii()
        if (plain and not value[0].isdigit() and draw.random() < 0.9) or draw.random() < self._odd:
            return value
        if "'" not in value and "\n" not in value and draw.random() < 0.3:
            return f"'{value}'"
        return json.dumps(value, ensure_ascii=draw.random() < 0.5)
