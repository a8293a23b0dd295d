"""vmxon's processor as the subject of x87 and SSE tests."""

from __future__ import annotations

from functools import cache

from tests.harness import DATA, Bench, assemble
from tests.isa.vector.world import MEMORY, World
from vmxon.processor.state import HostRequest

CR0_NE, CR4_OSFXSR, CR4_OSXMMEXCPT = 1 << 5, 1 << 9, 1 << 10
RSI = 6
TOP_MASK = 7 << 11


class Subject:
    """One processor in 64-bit mode, reused for every case."""

    def __init__(self, bits: int = 64) -> None:
        self.bench = Bench(bits)
        self.state = self.bench.state
        self.state.cr0 = self.state.cr0 | CR0_NE
        self.state.cr4 = self.state.cr4 | CR4_OSFXSR | CR4_OSXMMEXCPT
        self.bench.processor.refresh()

    def load(self, before: World) -> None:
        """Set the state."""
        state = self.state
        state.activity = 0
        state.mxcsr = before.mxcsr
        for index, value in enumerate(before.xmm):
            state.xmm[2 * index], state.xmm[2 * index + 1] = value & (1 << 64) - 1, value >> 64
        top = before.status >> 11 & 7
        state.x87_control, state.x87_status, state.x87_top = before.control, before.status & ~TOP_MASK, top
        state.x87_tag = before.present
        for index, (head, significand) in enumerate(before.stack):
            state.x87_exponent[(top + index) & 7] = head
            state.x87_significand[(top + index) & 7] = significand
        state.gpr[0], state.gpr[1], state.gpr[2], state.gpr[RSI] = before.rax, before.rcx, before.rdx, DATA
        self.bench.engine.call("write_rflags", before.rflags, 0x8D5)
        self.bench.engine.write_physical(DATA, before.memory)

    def after(self) -> World:
        """Read the state."""
        state = self.state
        xmm = tuple(state.xmm[2 * n] | state.xmm[2 * n + 1] << 64 for n in range(4))
        top = state.x87_top
        stack = tuple((state.x87_exponent[(top + n) & 7], state.x87_significand[(top + n) & 7]) for n in range(8))
        rflags = self.bench.engine.call("read_rflags")
        assert rflags is not None
        return World(
            xmm,
            state.mxcsr,
            state.x87_control,
            state.x87_status | top << 11,
            state.x87_tag,
            stack,
            state.gpr[0],
            state.gpr[1],
            state.gpr[2],
            rflags,
            self.bench.engine.read_physical(DATA, MEMORY),
        )

    def run(self, text: str, before: World) -> World:
        """The state after one instruction, which must complete."""
        request = self.attempt(text, before)
        assert request == HostRequest.BUDGET, f"{text} stopped for {request.name}"
        return self.after()

    def attempt(self, text: str, before: World) -> HostRequest:
        """Run one instruction; TRIPLE_FAULT where it raised an exception, for there is no IDT."""
        self.load(before)
        self.bench.load(assemble(text, self.bench.bits))
        return self.bench.processor.run(1)

    def vector(self, text: str, before: World | None = None) -> int | None:
        """The exception that the instruction raises, None where it completes."""
        if self.attempt(text, before or World()) == HostRequest.BUDGET:
            return None
        recorded = self.state.shutdown_faults[0]
        vector, error = recorded >> 32, recorded & 0xFFFFFFFF
        return error >> 3 if vector == 13 and error & 2 else vector


@cache
def subject() -> Subject:
    """The processor that all tests of one process share."""
    return Subject()
