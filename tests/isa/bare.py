"""A few instructions of assembly on a bare processor: registers and flags in, registers and flags out."""

from __future__ import annotations

from tests.harness import CODE, Bench, assemble
from vmxon.processor.state import HostRequest

NAMES = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{n}" for n in range(8, 16)))
CF, PF, AF, ZF, SF, DF, OF = 1, 4, 16, 64, 128, 1024, 2048
STATUS = CF | PF | AF | ZF | SF | OF
DATA = 0x20000
DE, UD, GP = 0, 6, 13
IN_IDT = 2
NOTHING = b"\x90" * 128
"""NOPs that follow, so that no code of an earlier test is reached."""


class Bare:
    """A Bench with names for registers and flags, and no IDT, so that an exception ends the run."""

    def __init__(self, bits: int) -> None:
        self.bench = Bench(bits)
        self.engine, self.state = self.bench.engine, self.bench.state
        self.state.idt_limit = 0
        for word in range(len(self.state.features)):
            self.state.features[word] = (1 << 64) - 1

    def run(self, text: str | bytes, count: int = 1, flags: int = 2, **registers: int) -> HostRequest:
        """Run `count` instructions from the given registers; those not given are 0, RSP keeps its place."""
        state = self.state
        for number, name in enumerate(NAMES):
            if name != "rsp" or name in registers:
                state.gpr[number] = registers.get(name, 0)
        self.engine.call("write_rflags", flags, STATUS | DF)
        state.activity = 0
        code = assemble(text, self.bench.bits) if isinstance(text, str) else text
        return self.bench.step(code + NOTHING, count)

    def __getitem__(self, name: str) -> int:
        return self.state.gpr[NAMES.index(name)]

    @property
    def flags(self) -> int:
        """Status flags and DF."""
        return self.bench.processor.rflags & (STATUS | DF)

    @property
    def offset(self) -> int:
        """RIP from the start of the code."""
        return self.state.rip - (CODE if self.bench.bits != 16 else 0)

    def vector(self, text: str | bytes, count: int = 1, flags: int = 2, **registers: int) -> int | None:
        """The exception that the run ends with; None for none. A #GP(index * 8 + 2) stands for the one it replaced."""
        if self.run(text, count, flags, **registers) != HostRequest.TRIPLE_FAULT:
            return None
        vector, error = self.state.shutdown_faults[0] >> 32, self.state.shutdown_faults[0] & 0xFFFFFFFF
        return error >> 3 if vector == GP and error & IN_IDT else vector

    def read(self, address: int, size: int) -> int:
        """An integer in memory."""
        return int.from_bytes(self.engine.read_physical(address, size), "little")

    def write(self, address: int, value: int, size: int) -> None:
        """Store an integer in memory."""
        self.engine.write_physical(address, value.to_bytes(size, "little"))


def ahead(mnemonic: str, distance: int, length: int = 2) -> str:
    """A relative branch of `length` bytes whose target is `distance` bytes after its start."""
    return f"{mnemonic} target\n.skip {distance - length}\ntarget:\nnop"


def parity(value: int) -> int:
    """PF of a result."""
    return 0 if (value & 0xFF).bit_count() & 1 else PF


def result_flags(value: int, bits: int) -> int:
    """ZF, SF and PF of a result."""
    return parity(value) | (ZF if value == 0 else 0) | (SF if value >> (bits - 1) else 0)


def signed(value: int, bits: int) -> int:
    """The number that two's complement means."""
    return value - (1 << bits) if value >> (bits - 1) else value
