"""Clients that ask without a pause: each on a new connection, on a kept one, and for streams."""

from __future__ import annotations

import http.client
import json
import threading
from typing import Any

STREAM_END = b"data: [DONE]\n\n"


class Load:
    """Clients of every kind, that ask until they are told to stop, as a context.

    Arguments:
        host: where the gateway answers, at *port*.
        key: sent as the API key; none where none is asked for.
        model: is asked for.
        stream: further fields of a request for a stream, which should make it last.
        each: clients of each kind.

    Attributes:
        failures: what came that was no whole answer.
        done: requests that came to an end, by kind.
    """

    def __init__(
        self,
        port: int,
        *,
        host: str = "127.0.0.1",
        key: str | None = None,
        model: str = "a",
        stream: dict[str, Any] | None = None,
        each: int = 3,
    ) -> None:
        self.failures: list[object] = []
        self.done = {"fresh": 0, "kept": 0, "stream": 0}
        self._address = (host, port)
        self._model = model
        self._stream = stream or {}
        self._fields = {"content-type": "application/json"}
        if key is not None:
            self._fields["authorization"] = f"Bearer {key}"
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(kind,)) for kind in self.done for _ in range(each)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def __str__(self) -> str:
        return f"{len(self.failures)} of {sum(self.done.values())} requests failed ({self.done})"

    def _run(self, kind: str) -> None:
        connection = self._connect()
        while not self._stop.is_set():
            try:
                self._ask(connection, stream=kind == "stream")
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{kind}: {error!r}")
                connection.close()
            self.done[kind] += 1
            if kind != "kept":
                connection.close()
                connection = self._connect()
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, *, stream: bool) -> None:
        body = {"model": self._model, "messages": [], "stream": stream, **(self._stream if stream else {})}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), self._fields)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200 or (stream and not content.endswith(STREAM_END)):
            self.failures.append((answer.status, content))

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self._address, timeout=30)
