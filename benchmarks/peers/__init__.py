"""Other systems that run the same guests: Debian's Bochs and QEMU."""

from __future__ import annotations

from dataclasses import dataclass

START, END = b"S", b"E"


@dataclass(frozen=True, slots=True)
class Run:
    """What a guest printed on port 0xE9, and the host seconds from its first S to its last E (None without both)."""

    printed: bytes
    seconds: float | None


class Stopwatch:
    """Collects what a guest prints and notes when the first S and the last E came."""

    def __init__(self) -> None:
        self.printed = b""
        self._start: float | None = None
        self._end: float | None = None

    def take(self, data: bytes, arrived: float) -> None:
        """`data` came at `arrived`, in seconds of time.monotonic()."""
        self.printed += data
        if self._start is None and START in data:
            self._start = arrived
        if END in data:
            self._end = arrived

    def run(self) -> Run:
        """The result so far."""
        if self._start is None or self._end is None:
            return Run(self.printed, None)
        return Run(self.printed, self._end - self._start)


class PeerFailed(Exception):
    """A peer stopped before the guest had ended; the message has its reason and what the guest had printed."""
