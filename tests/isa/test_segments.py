"""Segment registers as operands: MOV, PUSH, POP, far-pointer loads, FS and GS bases, SWAPGS."""

from __future__ import annotations

import struct

import pytest

from tests.processor.system_bench import (
    DATA0,
    FINE,
    FREE,
    GP,
    NP,
    READ_WRITE,
    UD,
    Outcome,
    SystemBench,
    descriptor,
    fault,
)
from vmxon.arch.control import Cr4
from vmxon.processor.state import Segment

PLACE = 0x20000


@pytest.mark.parametrize(
    ("code", "expected"),
    [(b"\x66\x8c\xd8", 0xAAAA_AAAA_AAAA_0010), (b"\x8c\xd8", 0x10), (b"\x48\x8c\xd8", 0x10), (b"\x8c\xc8", 0x08)],
)
def test_mov_to_a_register(code: bytes, expected: int) -> None:
    bench = SystemBench(64)
    bench.state.gpr[0] = 0xAAAA_AAAA_AAAA_AAAA
    assert bench.run(code) == FINE
    assert bench.state.gpr[0] == expected


def test_mov_to_memory_writes_16_bits() -> None:
    bench = SystemBench(64)
    bench.engine.write_physical(PLACE, b"\xee" * 8)
    assert bench.run(b"\x48\x8c\x1c\x25\0\0\2\0") == FINE
    assert bench.engine.read_physical(PLACE, 4) == b"\x10\0\xee\xee"


@pytest.mark.parametrize("code", [b"\x8c\xf0", b"\x8c\xf8", b"\x8e\xf8", b"\x8e\xc8"])
def test_registers_that_do_not_exist(code: bytes) -> None:
    assert SystemBench(32).run(code) == fault(UD, None)


# mode, code of PUSH and POP, register, bytes that the stack pointer moves
STACKED = [
    (32, b"\x1e", b"\x07", Segment.ES, 4),
    (32, b"\x66\x06", b"\x66\x1f", Segment.DS, 2),
    (32, b"\x16", b"\x17", Segment.SS, 4),
    (32, b"\x0e", b"\x0f\xa1", Segment.FS, 4),
    (64, b"\x0f\xa0", b"\x0f\xa9", Segment.GS, 8),
    (64, b"\x66\x0f\xa0", b"\x66\x0f\xa9", Segment.GS, 2),
    (16, b"\x0e", b"\x1f", Segment.DS, 2),
]


@pytest.mark.parametrize(("mode", "push", "pop", "segment", "size"), STACKED)
def test_push_and_pop(mode: int, push: bytes, pop: bytes, segment: Segment, size: int) -> None:
    bench = SystemBench(mode)
    top = bench.state.gpr[4]
    assert bench.run(push + pop, 1) == FINE
    assert top - bench.state.gpr[4] == size
    value = bench.stacked(0, 2)
    assert bench.go_on() == FINE
    assert (bench.state.gpr[4], bench.state.segments[segment].selector) == (top, value)


def test_a_pop_that_faults_moves_nothing() -> None:
    bench = SystemBench(32)
    bench.put_descriptor(FREE, descriptor(0, 0xFFFF, READ_WRITE, 0, False))
    bench.state.gpr[4] -= 4
    top = bench.state.gpr[4]
    bench.engine.write_physical(top, struct.pack("<I", FREE))
    assert bench.run(b"\x07") == fault(NP, FREE)
    assert bench.state.gpr[4] == top - 16
    assert bench.state.segments[Segment.ES].selector == DATA0


def test_pop_ss_pops_from_the_old_stack() -> None:
    bench = SystemBench(32)
    bench.put_descriptor(FREE, descriptor(0x1000, 0xFFFF, READ_WRITE))  # 16-bit
    bench.state.gpr[4] -= 4
    bench.engine.write_physical(bench.state.gpr[4], struct.pack("<I", FREE))
    assert bench.run(b"\x17") == FINE
    assert (bench.state.gpr[4], bench.state.stack_shift, bench.state.interruptibility) == (0x38000, 48, 2)


LOADS = [("C5", Segment.DS), ("C4", Segment.ES), ("0F B2", Segment.SS), ("0F B4", Segment.FS), ("0F B5", Segment.GS)]


@pytest.mark.parametrize(("opcode", "segment"), LOADS)
@pytest.mark.parametrize("small", [False, True])
def test_far_pointer_loads(opcode: str, segment: Segment, small: bool) -> None:
    bench = SystemBench(32)
    bench.put_descriptor(FREE, descriptor(0x4000, 0xFFFF, READ_WRITE, flags=4))
    offset = b"\x78\x56" if small else b"\x78\x56\x34\x12"
    bench.engine.write_physical(PLACE, offset + struct.pack("<H", FREE))
    bench.state.gpr[1] = 0xAAAAAAAA
    code = (b"\x66" if small else b"") + bytes.fromhex(opcode) + b"\x0d" + struct.pack("<I", PLACE)
    assert bench.run(code) == FINE
    assert bench.state.gpr[1] == (0xAAAA5678 if small else 0x12345678)
    register = bench.state.segments[segment]
    assert (register.selector, register.base) == (FREE, 0x4000)


def test_far_pointer_of_64_bits() -> None:
    bench = SystemBench(64)
    bench.engine.write_physical(PLACE, struct.pack("<QH", 0x1122_3344_5566_7788, DATA0))
    assert bench.run(b"\x48\x0f\xb5\x0c\x25\0\0\2\0") == FINE
    assert bench.state.gpr[1] == 0x1122_3344_5566_7788


def test_a_far_load_that_faults_leaves_the_register() -> None:
    bench = SystemBench(32)
    bench.engine.write_physical(PLACE, struct.pack("<IH", 0x12345678, 0x100))
    bench.state.gpr[1] = 7
    assert bench.run(b"\x0f\xb4\x0d" + struct.pack("<I", PLACE)) == fault(GP, 0x100)
    assert bench.state.gpr[1] == 7


@pytest.mark.parametrize(("name", "segment"), [("fs", Segment.FS), ("gs", Segment.GS)])
@pytest.mark.parametrize("cpl", [0, 3])
def test_fsgsbase(name: str, segment: Segment, cpl: int) -> None:
    bench = SystemBench(64, cpl)
    bench.state.cr4 |= Cr4.fsgsbase.mask
    bench.state.gpr[0] = 0xFFFF_8000_1234_5678
    assert bench.run(f"wr{name}base rax\nrd{name}base rcx\nrd{name}base edx", 3) == FINE
    assert bench.state.segments[segment].base == bench.state.gpr[1] == 0xFFFF_8000_1234_5678
    assert bench.state.gpr[2] == 0x1234_5678
    assert bench.run(f"wr{name}base eax") == FINE
    assert bench.state.segments[segment].base == 0x1234_5678


@pytest.mark.parametrize(
    ("mode", "enabled", "value", "expected"),
    [(64, False, 0, fault(UD, None)), (64, True, 0x8000_0000_0000, fault(GP)), (32, True, 0, fault(UD, None))],
)
def test_fsgsbase_refused(mode: int, enabled: bool, value: int, expected: Outcome) -> None:
    bench = SystemBench(mode)
    bench.state.cr4 |= Cr4.fsgsbase.mask if enabled else 0
    bench.state.gpr[0] = value
    assert bench.run(b"\xf3\x48\x0f\xae\xd0" if mode == 64 else b"\xf3\x0f\xae\xd0") == expected


def test_swapgs() -> None:
    bench = SystemBench(64)
    bench.state.segments[Segment.GS].base, bench.state.kernel_gs_base = 0x1000, 0x2000
    assert bench.run("swapgs") == FINE
    assert (bench.state.segments[Segment.GS].base, bench.state.kernel_gs_base) == (0x2000, 0x1000)
    assert SystemBench(64, 3).run("swapgs") == fault(GP)
    assert SystemBench(32).run(b"\x0f\x01\xf8") == fault(UD, None)
