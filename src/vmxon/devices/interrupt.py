"""Interrupt lines: a level that listeners watch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from vmxon.devices.state import Saved

Listener = Callable[[bool], None]


class Signal(Protocol):
    """Where a device asserts its request."""

    def set(self, level: bool) -> None: ...

    def pulse(self) -> None: ...


class Line(Saved, saves=("level",)):
    """A wire with a level; every listener hears each change, in the order in which it was connected."""

    def __init__(self, *listeners: Listener) -> None:
        self.level = False
        self.listeners = list(listeners)

    def connect(self, listener: Listener) -> None:
        """Let `listener` hear every change from now on (fan-out: PIC and I/O APIC on one wire)."""
        self.listeners.append(listener)

    def set(self, level: bool) -> None:
        """Drive the wire."""
        level = bool(level)
        if level != self.level:
            self.level = level
            for listener in self.listeners:
                listener(level)

    def pulse(self) -> None:
        """One rising edge, whatever the level was; the wire is high afterwards.

        Meant for square waves whose falling edge nobody watches: a level that stays until it is acknowledged cannot
        turn into a spurious interrupt.
        """
        self.set(False)
        self.set(True)


class SharedLine(Saved, saves=("asserted",)):
    """Several requests on one wire: it is high while any of them is; a pulse is an edge of the wire itself."""

    def __init__(self, line: Signal) -> None:
        self.line = line
        self.asserted = 0
        """A bit for each input that is high."""
        self._inputs = 0

    @property
    def level(self) -> bool:
        """Whether any input is high."""
        return self.asserted != 0

    def input(self) -> SharedInput:
        """One more request."""
        self._inputs += 1
        return SharedInput(self, 1 << self._inputs - 1)

    def drive(self, bit: int, level: bool) -> None:
        """What an input does."""
        self.asserted = self.asserted | bit if level else self.asserted & ~bit
        self.line.set(self.asserted != 0)


class SharedInput:
    """One device's end of a `SharedLine`."""

    def __init__(self, shared: SharedLine, bit: int) -> None:
        self.shared = shared
        self.bit = bit

    def set(self, level: bool) -> None:
        """Drive this end."""
        self.shared.drive(self.bit, level)

    def pulse(self) -> None:
        """One rising edge; this end is high afterwards."""
        self.shared.drive(self.bit, False)
        self.shared.drive(self.bit, True)
