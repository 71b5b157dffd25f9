"""Requests that wait while their model's route is on hold: its server is being changed, and will be back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from modelgrid.gateway.upstream import AbandonedError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from modelgrid.gateway.upstream import Call


class HeldError(UnavailableError):
    """The route stayed on hold for longer than a request may wait, or too many wait already."""


#: Bytes of bodies that wait at a time; a request with a usual one is never told so.
_BYTES = 512 * 1024 * 1024


class Holding:
    """All requests of this process that wait. They go on in the order in which they came.

    Attributes:
        count: how many there are.
    """

    def __init__(self, changed: Callable[[], None], *, most_bytes: int = _BYTES) -> None:
        """*changed* is called whenever the count is another; *most_bytes* of bodies wait at a time."""
        self.count = 0
        self._bytes = 0
        self._most_bytes = most_bytes
        self._changed = changed
        self._waiters: dict[asyncio.Future[None], None] = {}

    def wake(self) -> None:
        """Let every request look again at its route. Call it when there is another routing table."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, released: Callable[[], bool], *, size: int, seconds: float, most: int, call: Call) -> None:
        """Return when *released* says so; it is asked after each :meth:`wake`.

        Raises:
            HeldError: that took *seconds*, *most* requests wait already, or bodies too large with *size* bytes more.
            AbandonedError: the client left.
        """
        if seconds <= 0 or self.count >= most or self._bytes + size > self._most_bytes:
            raise HeldError("it is being changed")
        loop = asyncio.get_running_loop()
        self._count(1, size)
        try:
            async with asyncio.timeout(seconds):
                while not released():
                    if call.abandoned:
                        raise AbandonedError("the client left")
                    call.waiter = waiter = loop.create_future()
                    self._waiters[waiter] = None
                    try:
                        await waiter
                    finally:
                        del self._waiters[waiter]
        except TimeoutError:
            raise HeldError("it is being changed") from None
        finally:
            call.waiter = None
            self._count(-1, -size)

    def _count(self, change: int, size: int) -> None:
        self.count += change
        self._bytes += size
        self._changed()
