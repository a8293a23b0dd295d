"""Reads of a data port that need no stop: what the device will give next anyway lies where native code can take it.

A device says what its next reads give as long as they only move on in a block (`reads_ahead`). Native code counts what it
took; the device is told before anything else looks at it, so that nobody can see the difference.
"""

from __future__ import annotations

from vmxon.devices.bus import Bus
from vmxon.engine.native import Engine
from vmxon.microcode.layout import member_offset
from vmxon.processor.state import ProcessorState

LEFT = member_offset(ProcessorState, "stream_left") // 8
PAGE = 4096


class PortStream:
    """Bytes that one port gives next."""

    def __init__(self, engine: Engine, ports: Bus) -> None:
        self.state, self.ports = engine.state, ports
        self._words = engine.state.bound_memory.words[8]
        self._part = engine.arena.part("port_stream", PAGE)
        self._address = engine.arena.address("port_stream")
        self._given = 0

    def give(self, port: int, size: int) -> None:
        """Let native code have what follows a read of `size` bytes from `port`."""
        data = self.ports.read_ahead(port, size)[:PAGE]
        if data:
            state = self.state
            self._part[: len(data)] = data
            state.stream_port, state.stream_size, state.stream_next = port, size, self._address
            state.stream_left = self._given = len(data) // size

    def settle(self) -> None:
        """Tell the device what was taken; the rest is taken back."""
        if self._given:
            taken = self._given - int(self._words[LEFT])
            self._given = self._words[LEFT] = 0
            if taken:
                self.ports.read_string(self.state.stream_port, self.state.stream_size, taken)
