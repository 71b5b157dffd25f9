"""Server-sent events on their way through: whole events only, bytes unchanged.

An event that was sent half cannot be taken back, and the error event behind it would be read as its rest. So
the tail of an event waits here until the event is whole, which no client can notice.
"""

from __future__ import annotations

#: An event ends at an empty line (HTML standard, 9.2.5); its line ends are LF, CR LF or CR.
_ENDS = (b"\n\n", b"\n\r\n", b"\r\r")
_LONGEST_END = max(len(end) for end in _ENDS)

#: A longer event passes as it comes.
_LIMIT = 1024 * 1024


class EventCutter:
    """Holds back the unfinished event at the end of what came so far."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; return those that may be sent now."""
        if not self._held and data.endswith(b"\n\n"):
            return data  # nearly always: an engine writes whole events
        start = max(0, len(self._held) - _LONGEST_END + 1)
        self._held += data
        cut = 0
        for end in _ENDS:
            found = self._held.rfind(end, start)
            if found >= 0:
                cut = max(cut, found + len(end))
        if len(self._held) - cut > _LIMIT:
            cut = len(self._held)
        whole = bytes(self._held[:cut])
        del self._held[:cut]
        return whole

    def rest(self) -> bytes:
        """What is held: sent at the proper end of a stream, dropped when it broke."""
        return bytes(self._held)
