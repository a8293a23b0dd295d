"""What the hidden part of a segment register allows: limits, types, expand-down, canonical addresses."""

from __future__ import annotations

import pytest

from tests.processor.system_bench import (
    CODE0,
    CODE_TYPE,
    EXECUTE_ONLY,
    EXPAND_DOWN,
    FINE,
    FREE,
    GP,
    HANDLERS,
    READ_ONLY,
    READ_WRITE,
    SS,
    Outcome,
    SystemBench,
    descriptor,
    fault,
    gate,
)

BIG, GRANULAR = 4, 8
BASE = 0x20000

# kind, limit, flags, access, offset, size, allowed
ACCESSES = [
    (READ_WRITE, 0xFFF, BIG, "mov", 0xFFF, 1, True),
    (READ_WRITE, 0xFFF, BIG, "mov", 0x1000, 1, False),
    (READ_WRITE, 0xFFF, BIG, "mov", 0xFFC, 4, True),
    (READ_WRITE, 0xFFF, BIG, "mov", 0xFFD, 4, False),
    (READ_WRITE, 0xFFF, BIG, "store", 0xFFC, 4, True),
    (READ_WRITE, 0xFFF, BIG, "store", 0xFFE, 4, False),
    (READ_WRITE, 1, BIG | GRANULAR, "mov", 0x1FFC, 4, True),
    (READ_WRITE, 1, BIG | GRANULAR, "mov", 0x1FFD, 4, False),
    (READ_WRITE, 0xFFFFF, BIG | GRANULAR, "mov", 0xFFFFFFFE, 4, False),
    (READ_ONLY, 0xFFF, BIG, "mov", 0, 4, True),
    (READ_ONLY, 0xFFF, BIG, "store", 0, 4, False),
    (CODE_TYPE, 0xFFF, BIG, "mov", 0, 4, True),
    (CODE_TYPE, 0xFFF, BIG, "store", 0, 4, False),
    (EXPAND_DOWN, 0xFFF, BIG, "mov", 0xFFF, 1, False),
    (EXPAND_DOWN, 0xFFF, BIG, "mov", 0x1000, 1, True),
    (EXPAND_DOWN, 0xFFF, BIG, "store", 0xFFD, 4, False),
    (EXPAND_DOWN, 0xFFF, 0, "mov", 0xFFFC, 4, True),
    (EXPAND_DOWN, 0xFFF, 0, "mov", 0xFFFD, 4, False),
    (EXPAND_DOWN, 0xFFFF, 0, "mov", 0x10000, 1, False),
    (EXPAND_DOWN, 0xFFFFF, BIG | GRANULAR, "mov", 0xFFFFFFFF, 1, False),
]


@pytest.mark.parametrize(("kind", "limit", "flags", "access", "offset", "size", "allowed"), ACCESSES)
def test_access_through_a_segment(kind: int, limit: int, flags: int, access: str, offset: int, size: int, allowed: bool) -> None:
    bench = SystemBench(32)
    bench.put_descriptor(FREE, descriptor(BASE, limit, kind, flags=flags))
    register = {1: "cl", 4: "ecx"}[size]
    operands = f"{register}, fs:[ebx]" if access == "mov" else f"fs:[ebx], {register}"
    outcome = bench.run(f"mov eax, {FREE}\nmov fs, ax\nmov ebx, {offset:#x}\nmov {operands}", 4)
    assert outcome == (FINE if allowed else fault(GP))


def test_execute_only_code_cannot_be_read() -> None:
    bench = SystemBench(32)
    bench.put_descriptor(FREE, descriptor(0, 0xFFFFF, EXECUTE_ONLY, flags=BIG | GRANULAR))
    jump = b"\xea" + 0x10100.to_bytes(4, "little") + FREE.to_bytes(2, "little")
    bench.engine.write_physical(0x10100, bytes.fromhex("2e8b0d00000100"))  # mov ecx, cs:[0x10000]
    assert bench.run(jump, 2) == fault(GP)


def test_null_register_refuses_every_access() -> None:
    assert SystemBench(32).run("xor eax, eax\nmov es, ax\nmov al, es:[0]", 3) == fault(GP)


@pytest.mark.parametrize("mode", [32, 16])
def test_stack_accesses_raise_stack_faults(mode: int) -> None:
    bench = SystemBench(mode)
    bench.state.segments[2].limit = 0x2FFF
    bench.state.gpr[4], bench.state.gpr[5] = 0x2000, 0x2FFE
    bench.processor.refresh()
    error = None if mode == 16 else 0
    assert bench.run("mov eax, [ebp]") == fault(SS, error)


@pytest.mark.parametrize(
    ("mode", "address", "expected"),
    [(16, 0xFFFE, FINE), (16, 0xFFFF, fault(GP, None)), (86, 0xFFFF, fault(GP))],
)
def test_8086_limits(mode: int, address: int, expected: Outcome) -> None:
    bench = SystemBench(mode, 3)
    assert bench.run(f"mov bx, {address}\nmov ax, [bx]", 2) == expected


@pytest.mark.parametrize(
    ("operand", "expected"),
    [
        ("[rbx]", fault(GP)),
        ("ss:[rbx]", fault(GP)),  # ES, CS, SS and DS overrides do not count in 64-bit mode
        ("[rsp]", fault(SS)),
        ("[rbp]", fault(SS)),
        ("fs:[rbp]", fault(GP)),
        ("fs:[rax]", FINE),
    ],
)
def test_canonical_addresses(operand: str, expected: Outcome) -> None:
    bench = SystemBench(64)
    bench.state.gpr[3] = bench.state.gpr[5] = 0x8000_0000_0000
    bench.state.gpr[0], bench.state.segments[4].base = 0x20000, 0x100
    if operand == "[rsp]":
        # The frame of the fault needs a good stack all the same: IST 1.
        bench.put_gate(SS, gate(CODE0, HANDLERS + 16 * SS, count=1))
        bench.state.gpr[4] = 0x8000_0000_0000
    assert bench.run(f"mov rcx, {operand}") == expected


@pytest.mark.parametrize("mode", [32, 64])
def test_fs_and_gs_have_bases_in_every_mode(mode: int) -> None:
    bench = SystemBench(mode)
    bench.put_descriptor(FREE, descriptor(BASE, 0xFFFF, READ_WRITE, flags=BIG))
    assert bench.run(f"mov eax, {FREE}\nmov gs, ax\nmov ebx, 0x10\nmov dword ptr gs:[ebx], 0x1234", 4) == FINE
    assert bench.engine.read_physical(BASE + 0x10, 4) == b"\x34\x12\0\0"


def test_ds_has_no_base_in_64_bit_mode_but_keeps_it_for_the_others() -> None:
    bench = SystemBench(64)
    bench.put_descriptor(FREE, descriptor(0x5000, 0xF, READ_ONLY, flags=BIG))
    assert bench.run(f"mov eax, {FREE}\nmov ds, ax\nmov dword ptr [0x20100], 7", 3) == FINE
    assert bench.engine.read_physical(0x20100, 1) == b"\x07"
    assert bench.state.segments[3].base == 0x5000
