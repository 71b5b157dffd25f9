"""The live folder: how a change that is under way and the gateways that serve meanwhile tell each other where they are.

It lies on a file system that a reboot empties (``/run/modelgrid``, ``$XDG_RUNTIME_DIR/modelgrid``), so nothing of it
outlives one. ``apply`` writes :data:`ROUTING` and :data:`SERVING` there; each worker of a gateway writes what it does
into a folder of its own unit (``RuntimeDirectory=``), one file for each process.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The folder below ``/run`` or ``$XDG_RUNTIME_DIR``.
FOLDER = "modelgrid"

#: A whole manifest, by which gateways route instead of the one of the current generation as long as the file is there.
#: A route without upstreams is on hold: its requests wait.
ROUTING = "routing.json"

#: Which of two gateways new connections go to; see :class:`Serving`.
SERVING = "serving.json"

#: Names of the files of workers, in the runtime folder of the gateway's unit: ``worker-<pid>.json``.
WORKER_PREFIX = "worker-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Which gateway new connections go to, while two share the port (socket(7), SO_ATTACH_REUSEPORT_CBPF).

    Attributes:
        unit: the gateway that takes them; any other ends its connections as soon as they are idle.
        index: the place of its socket among those of the port, in the order of their binding.
    """

    unit: str
    index: int

    def dump(self) -> str:
        """Write it as JSON."""
        return json.dumps({"unit": self.unit, "index": self.index}) + "\n"


def load_serving(text: str | bytes) -> Serving:
    """Read what :meth:`Serving.dump` wrote.

    Raises:
        ValueError: it is not that.
    """
    data = _object(text)
    unit, index = data.get("unit"), data.get("index")
    if not isinstance(unit, str) or type(index) is not int:
        raise ValueError("not a unit and an index")
    return Serving(unit=unit, index=index)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """What one worker of a gateway does.

    Attributes:
        manifest: SHA-256 of the manifest that it routes by, in hex.
        keys: SHA-256 of the file of its keys; empty where it has none.
        serving: the :attr:`Serving.unit` that it last saw; empty where there is no such file.
        in_flight: requests that servers are at work on, by ``address:port``; none for those without.
        held: requests that wait for a route that is on hold.
    """

    manifest: str
    keys: str = ""
    serving: str = ""
    in_flight: Mapping[str, int] = field(default_factory=dict)
    held: int = 0

    def dump(self) -> str:
        """Write it as JSON."""
        return (
            json.dumps(
                {
                    "manifest": self.manifest,
                    "keys": self.keys,
                    "serving": self.serving,
                    "in_flight": dict(sorted(self.in_flight.items())),
                    "held": self.held,
                }
            )
            + "\n"
        )


def load_worker_status(text: str | bytes) -> WorkerStatus:
    """Read what :meth:`WorkerStatus.dump` wrote.

    Raises:
        ValueError: it is not that.
    """
    data = _object(text)
    in_flight = data.get("in_flight")
    words = [data.get(name) for name in ("manifest", "keys", "serving")]
    if not isinstance(in_flight, dict) or not all(isinstance(word, str) for word in words):
        raise ValueError("not the status of a worker")
    return WorkerStatus(
        manifest=data["manifest"],
        keys=data["keys"],
        serving=data["serving"],
        in_flight={str(name): int(count) for name, count in in_flight.items()},
        held=int(data.get("held", 0)),
    )


def _object(text: str | bytes) -> dict[str, Any]:
    data = json.loads(text)
    if not isinstance(data, dict):
        raise ValueError("not an object")  # noqa: TRY004  one kind of error for whatever the file has
    return data
