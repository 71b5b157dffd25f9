"""What two ModelGrids say to each other: one JSON object a line, in both directions.

The one there greets. Each request is then answered by lines of output as they come, and by the exit code at the end.
An interrupt, or the end of the input, asks the command under way to take back what it did.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from modelgrid.emit.artifact import Artifact

if TYPE_CHECKING:
    from collections.abc import Mapping

#: To be counted up when a line means something else than before.
PROTOCOL = 1

_GREETING = "modelgrid_remote"


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """The first line from there: which protocol it speaks, and its version of ModelGrid."""

    protocol: int
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A command to run there.

    Attributes:
        arguments: of the command line, without the program.
        tree: files that stand there in the place of the configuration; none where the command takes none.
        sums: their checksums, as SHA256SUMS has them.
        weights: names of packages whose weights are unpacked there before.
        cache: the folder that they are unpacked to.
        places: file, line and column of parts of the configuration by their paths, for a plan to name.
    """

    arguments: tuple[str, ...]
    tree: tuple[Artifact, ...] | None = field(default=None, repr=False)
    sums: str = ""
    weights: tuple[str, ...] = ()
    cache: str = ""
    places: Mapping[str, tuple[str, int, int]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A line that the command printed: its *result*, or else a note."""

    result: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The command has ended with exit code *code*."""

    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupt:
    """The command under way shall take back what it did, as with Ctrl-C."""


Message = Greeting | Request | Output | Ended | Interrupt


def encode(message: Message) -> bytes:
    """Write *message* as a line."""
    return json.dumps(_data(message), separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Read a line.

    Raises:
        ValueError: it is none of these messages.
    """
    data = json.loads(line)
    try:
        return _message(data)
    except (KeyError, TypeError) as error:
        raise ValueError(f"no message: {line[:80]!r}") from error


def _data(message: Message) -> dict[str, Any]:
    match message:
        case Greeting():
            return {_GREETING: message.protocol, "version": message.version}
        case Request():
            tree = message.tree
            files = None if tree is None else [{"path": i.path, "mode": i.mode, "content": i.content} for i in tree]
            return {
                "arguments": list(message.arguments),
                "tree": files,
                "sums": message.sums,
                "weights": list(message.weights),
                "cache": message.cache,
                "places": {path: list(place) for path, place in message.places.items()},
            }
        case Output():
            return {"result" if message.result else "note": message.text}
        case Ended():
            return {"exit": message.code}
        case Interrupt():
            return {"interrupt": True}


def _message(data: Mapping[str, Any]) -> Message:
    if _GREETING in data:
        return Greeting(protocol=int(data[_GREETING]), version=str(data["version"]))
    if "arguments" in data:
        tree = data["tree"]
        files = None if tree is None else tuple(Artifact(**file) for file in tree)
        words = tuple(str(word) for word in data["arguments"])
        weights, cache = tuple(data["weights"]), str(data["cache"])
        places = {path: (str(file), int(line), int(column)) for path, (file, line, column) in data["places"].items()}
        return Request(arguments=words, tree=files, sums=str(data["sums"]), weights=weights, cache=cache, places=places)
    if "exit" in data:
        return Ended(code=int(data["exit"]))
    if "interrupt" in data:
        return Interrupt()
    result = "result" in data
    return Output(result=result, text=str(data["result" if result else "note"]))
