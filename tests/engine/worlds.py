"""Processors to compare: native and golden, with the same state and memory; and device memory that answers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from tests.harness import CODE, MEMORY, Bench, assemble
from vmxon.engine.golden_model import GoldenModel
from vmxon.processor.state import HostRequest, ProcessorState

PAGE = 0x1000
DEVICE = MEMORY + 0x10000
"""Linear and physical address of device memory."""
IDT, HANDLERS = 0x6000, 0x7000
ARCHITECTURAL = (
    "gpr", "rip", "rflags_other", "cr0", "cr2", "cr3", "cr4", "efer", "cpl", "interruptibility", "activity", "pending_debug",
    "xmm", "x87_significand", "x87_exponent", "x87_top", "x87_status", "idle_ticks",
)  # fmt: skip


def golden(bits: int) -> Bench:
    """A bench that runs as Python."""
    bench = Bench(bits)
    bench.engine.run = GoldenModel(bench.engine).run  # type: ignore[method-assign]  # the same state and memory
    return bench


def architectural(bench: Bench) -> dict[str, object]:
    """What a program can see of the processor."""
    state = bench.state
    values: dict[str, object] = {"rflags": bench.processor.rflags, "instructions": bench.processor.instructions}
    for name in ARCHITECTURAL:
        member = getattr(state, name)
        values[name] = member if isinstance(member, int) else tuple(member)
    return values


def memory_hash(bench: Bench) -> str:
    """Of all RAM."""
    return hashlib.sha256(bench.engine.memory).hexdigest()


def exception_recorder(bench: Bench) -> None:
    """64-bit mode: each vector's handler stores its number at HANDLERS + 0x800 and halts."""
    write = bench.engine.write_physical
    for vector in range(32):
        address = HANDLERS + vector * 32
        write(address, assemble(f"mov dword ptr [{HANDLERS + 0x800}], {vector + 1}\nhlt"))
        gate = address & 0xFFFF | 8 << 16 | 0x8E00 << 32 | (address >> 16) << 48
        write(IDT + vector * 16, gate.to_bytes(16, "little"))
    # The GDT that delivery reads CS from: null, 64-bit code, data.
    write(0x5000, b"".join(d.to_bytes(8, "little") for d in (0, 0x00AF9B000000FFFF, 0x00CF93000000FFFF)))
    state = bench.state
    state.gdt_base, state.gdt_limit = 0x5000, 0x17
    state.idt_base, state.idt_limit = IDT, 0x1FF
    bench.processor.refresh()


def vector_taken(bench: Bench) -> int | None:
    """The exception that `exception_recorder` saw."""
    number = int.from_bytes(bench.engine.read_physical(HANDLERS + 0x800, 4), "little")
    return number - 1 if number else None


Answer = Callable[[int, int], int]


def run_with_devices(bench: Bench, budget: int, answer: Answer) -> list[tuple[str, int, int, int]]:
    """Run until the budget is spent or the processor halts; gives every access to device memory in order."""
    state, log = bench.state, []
    left = budget
    while left > 0:
        before = bench.processor.instructions
        request = bench.processor.run(left)
        left -= bench.processor.instructions - before
        address, size = state.request_address, state.request_size
        if request is HostRequest.MEMORY_READ:
            value = answer(address, size)
            log.append(("read", address, size, value))
            latch(state, address, value)
        elif request is HostRequest.MEMORY_WRITE:
            log.append(("write", address, size, state.request_value))
        else:
            assert request in (HostRequest.BUDGET, HostRequest.HALT), request
            break
    return log


def latch(state: ProcessorState, address: int, value: int) -> None:
    """Answer a device read."""
    count = state.memory_latch_count
    state.memory_latch_address[count], state.memory_latch_value[count] = address, value
    state.memory_latch_count = count + 1


def program(bench: Bench, text: str, at: int = CODE) -> bytes:
    """Assemble and place code; gives its bytes."""
    code = assemble(text, bench.bits)
    bench.engine.write_physical(at, code)
    return code
