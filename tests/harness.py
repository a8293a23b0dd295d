"""A bare processor for tests: assemble a few instructions, set a mode, run, look."""

from __future__ import annotations

from functools import cache

from vmxon.arch.cpuid import Model
from vmxon.arch.models import MAX
from vmxon.machine.modes import enter_flat_32, enter_long, enter_real
from vmxon.machine.processor import Processor
from vmxon.processor.state import HostRequest

CODE, DATA, STACK, TABLES = 0x10000, 0x20000, 0x38000, 0x1000
MEMORY = 4 << 20


@cache
def assemble(text: str, bits: int = 64) -> bytes:
    """Machine code of Intel-syntax assembly, by LLVM."""
    from vmxon.machine.assembler import assemble as assembler

    return assembler(text, bits)


class Bench:
    """A processor in flat 16, 32 or 64-bit mode with code at CODE, data at DATA, a stack below STACK."""

    def __init__(self, bits: int = 64, model: Model = MAX) -> None:
        self.processor = Processor(model, MEMORY)
        self.engine, self.state = self.processor.engine, self.processor.state
        self.bits = bits
        self.enter(bits)

    def enter(self, bits: int) -> None:
        """Set the mode."""
        self.bits = bits
        if bits == 16:
            enter_real(self.state, CODE >> 4, 0)
        elif bits == 32:
            enter_flat_32(self.state, CODE)
        else:
            self.map_identity()
            enter_long(self.state, CODE, TABLES)
        self.state.gpr[4] = STACK if bits != 16 else 0x8000
        self.state.activity = 0
        self.processor.refresh()

    def map_identity(self) -> None:
        """Identity-map the first GiB with 2-MiB pages, user-accessible."""
        write = self.engine.write_physical
        write(TABLES, (TABLES + 0x1000 | 7).to_bytes(8, "little"))
        write(TABLES + 0x1000, (TABLES + 0x2000 | 7).to_bytes(8, "little"))
        write(TABLES + 0x2000, b"".join((n << 21 | 0x87).to_bytes(8, "little") for n in range(512)))

    def load(self, code: bytes) -> None:
        """Put code where execution starts."""
        self.engine.write_physical(CODE, code)
        self.state.rip = 0 if self.bits == 16 else CODE

    def step(self, code: bytes | str, count: int = 1) -> HostRequest:
        """Run `count` instructions of `code`."""
        self.load(assemble(code, self.bits) if isinstance(code, str) else code)
        return self.processor.run(count)
