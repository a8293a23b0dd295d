"""What a debugger does to a PC: stop it anywhere, look, step, go on. Everything runs in the machine's thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from vmxon.debug.address_space import AddressSpace
from vmxon.debug.registers import linear_rip
from vmxon.debug.stops import Stops, Watchpoint
from vmxon.machine.pc import Pc
from vmxon.processor.state import HostRequest


class StopKind(Enum):
    """Why the machine does not run."""

    INTERRUPTED = "somebody asked for it"
    BREAKPOINT = "a breakpoint is on the next instruction"
    WATCHPOINT = "the last instruction touched watched bytes"
    STEPPED = "the instructions that it was told to run have run"


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop."""

    kind: StopKind
    watchpoint: Watchpoint | None = None


class Debugger:
    """Run control over one PC; `listeners` hear of each stop."""

    def __init__(self, pc: Pc) -> None:
        self.pc = pc
        self.stops = Stops(pc.processor)
        self.listeners: list[Callable[[Stop], None]] = []
        self._range: range | None = None
        pc.services[HostRequest.BREAK] = self._broke
        pc.on_pause = self._stepped
        pc.attended = True

    @property
    def space(self) -> AddressSpace:
        """Linear addresses as they are translated now."""
        return AddressSpace(self.pc.processor)

    # Stops.
    def interrupt(self) -> None:
        """Stop before the next instruction."""
        if not self.pc.paused:
            self._stop(Stop(StopKind.INTERRUPTED))

    def _broke(self) -> None:
        watchpoint = self.stops.take_met()
        self._stop(Stop(StopKind.BREAKPOINT if watchpoint is None else StopKind.WATCHPOINT, watchpoint))

    def _stepped(self) -> None:
        if self._range is not None and linear_rip(self.pc.processor) in self._range:
            self._go(1)
            return
        self._stop(Stop(StopKind.STEPPED))

    def _stop(self, stop: Stop) -> None:
        self._range = None
        self.pc.pause()
        for listener in self.listeners:
            listener(stop)

    # Going on.
    def resume(self) -> None:
        """Run until something stops the machine; a breakpoint on the next instruction does not."""
        self._go(None)

    def step(self, count: int = 1) -> None:
        """Run so many instructions."""
        self._go(count)

    def step_within(self, addresses: range) -> None:
        """Run one instruction, and more as long as RIP stays in a range."""
        self._range = addresses
        self._go(1)

    def _go(self, count: int | None) -> None:
        self.stops.pass_here()
        self.pc.resume(count)
