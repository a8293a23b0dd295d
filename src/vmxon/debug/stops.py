"""The debugger's breakpoints and watchpoints on one processor: state of the machine that no guest can see.

    stops = Stops(pc.processor)
    stops.add_breakpoint(0x10_0000)
    stops.add_watchpoint(0xB8000, 2, Access.WRITE)

They hold linear addresses, in whatever mode the processor is. Counts, memory and time of the guest are the same with and without them;
only a watched page is looked up in the page tables at each access, as if the processor's TLB were too small for it.
"""

from __future__ import annotations

from enum import IntFlag
from typing import NamedTuple

from vmxon.machine.processor import Processor

MOST_BREAKPOINTS, MOST_WATCHPOINTS = 64, 16
LAST_ADDRESS = (1 << 64) - 1


class TooMany(Exception):
    """The machine has room for no further stop."""


class Access(IntFlag):
    """Data accesses that a watchpoint stops at; the numbers are those of processor/paging.py."""

    READ = 1
    WRITE = 2


class Watchpoint(NamedTuple):
    """So many bytes from a linear address on, and the accesses that count."""

    address: int
    length: int
    access: Access


class Stops:
    """What stops a processor, and what it met when it stopped."""

    def __init__(self, processor: Processor) -> None:
        self.processor, self.state = processor, processor.state
        self.breakpoints: list[int] = []
        self.watchpoints: list[Watchpoint] = []

    # Breakpoints.
    def add_breakpoint(self, address: int) -> None:
        """Stop before the instruction at a linear address.

        Raises:
            TooMany: there are 64 already.
        """
        if address in self.breakpoints:
            return
        if len(self.breakpoints) == MOST_BREAKPOINTS:
            raise TooMany(f"more than {MOST_BREAKPOINTS} breakpoints")
        self.breakpoints.append(address)
        self._write_breakpoints()
        self._begin_block_at(address)

    def remove_breakpoint(self, address: int) -> None:
        """The other way; an address without a breakpoint is left alone. Blocks stay cut there, which costs nothing to speak of."""
        if address in self.breakpoints:
            self.breakpoints.remove(address)
            self._write_breakpoints()

    def _write_breakpoints(self) -> None:
        for index, address in enumerate(self.breakpoints):
            self.state.debugger_breakpoints[index] = address
        self.state.debugger_breakpoint_count = len(self.breakpoints)

    def _begin_block_at(self, address: int) -> None:
        offsets, word, bit = self.state.debugger_offsets, address >> 6 & 63, 1 << (address & 63)
        if not offsets[word] & bit:
            offsets[word] |= bit
            self.processor.engine.call("flush_blocks")

    def pass_here(self) -> None:
        """Let the next instruction run although a breakpoint is on it."""
        self.state.debugger_passed = self.processor.ticks

    # Watchpoints.
    def add_watchpoint(self, address: int, length: int, access: Access) -> None:
        """Stop behind an instruction that touches one of these bytes.

        Raises:
            TooMany: there are 16 already.
            ValueError: no such bytes.
        """
        watchpoint = Watchpoint(address, length, access)
        if not 0 < length <= LAST_ADDRESS - address + 1:
            raise ValueError(f"{length} bytes at {address:#x} are no bytes of the address space")
        if watchpoint in self.watchpoints:
            return
        if len(self.watchpoints) == MOST_WATCHPOINTS:
            raise TooMany(f"more than {MOST_WATCHPOINTS} watchpoints")
        self.watchpoints.append(watchpoint)
        self._write_watchpoints()

    def remove_watchpoint(self, address: int, length: int, access: Access) -> None:
        """The other way."""
        watchpoint = Watchpoint(address, length, access)
        if watchpoint in self.watchpoints:
            self.watchpoints.remove(watchpoint)
            self._write_watchpoints()

    def _write_watchpoints(self) -> None:
        state = self.state
        for index, watchpoint in enumerate(self.watchpoints):
            state.debugger_watch_first[index] = watchpoint.address
            state.debugger_watch_last[index] = watchpoint.address + watchpoint.length - 1
            state.debugger_watch_kinds[index] = watchpoint.access
        state.debugger_watch_count = len(self.watchpoints)
        self.processor.engine.call("invalidate_everything")  # pages that are watched may no longer be known to the TLB

    def take_met(self) -> Watchpoint | None:
        """The watchpoint that the last instruction met, which is forgotten then."""
        met, self.state.debugger_watch_met = self.state.debugger_watch_met, 0
        return next((watchpoint for index, watchpoint in enumerate(self.watchpoints) if met >> index & 1), None)

    def clear(self) -> None:
        """Remove all of them."""
        self.breakpoints.clear()
        self._write_breakpoints()
        if self.watchpoints:
            self.watchpoints.clear()
            self._write_watchpoints()
        self.take_met()
