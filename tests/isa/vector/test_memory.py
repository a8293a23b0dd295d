"""Memory operands: a fault leaves no trace, and an operand may cross pages."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.harness import CODE, assemble
from tests.isa.vector.instructions import LATER, MMX, SSE, X87
from tests.isa.vector.numbers import x87_world
from tests.isa.vector.subject import Subject, subject
from tests.isa.vector.world import World, differences

WITH_MEMORY = [text for text in (*SSE, *X87, *LATER, *MMX) if "[rsi" in text]
IMAGES = ["fxsave [rsi]", "fxrstor [rsi]", "fnsave [rsi]", "frstor [rsi]", "fnstenv [rsi]", "fldenv [rsi]"]
UNMAPPED = 0x4000_0000_00
"""Canonical, beyond what the page tables map."""
PAGE_FAULT = 14
RSI = 6
MASKED = 0x037F


@pytest.mark.parametrize("text", [*WITH_MEMORY, *IMAGES])
def test_a_page_fault_leaves_no_trace(text: str) -> None:
    machine = subject()
    before = replace(x87_world(random.Random(text)), control=MASKED)
    machine.load(before)
    pointers = machine.state.x87_ip, machine.state.x87_dp, machine.state.x87_opcode
    machine.state.gpr[RSI] = UNMAPPED
    machine.bench.load(assemble(text))
    machine.bench.processor.run(1)
    vector, error = machine.state.shutdown_faults[0] >> 32, machine.state.shutdown_faults[0] & 0xFFFFFFFF
    assert vector == PAGE_FAULT or (vector, error >> 3) == (13, PAGE_FAULT)
    assert not differences(machine.after(), before)
    assert (machine.state.x87_ip, machine.state.x87_dp, machine.state.x87_opcode) == pointers


CROSSING = 0x2_1000
"""A page boundary."""


def across(machine: Subject, text: str, distance: int, content: bytes) -> bytes:
    """Run with [rsi] `distance` bytes before a page boundary; give what is there afterwards."""
    machine.state.gpr[RSI] = CROSSING - distance
    machine.bench.engine.write_physical(CROSSING - distance, content)
    machine.state.rip = CODE
    machine.bench.step(text)
    return machine.bench.engine.read_physical(CROSSING - distance, len(content))


@pytest.mark.parametrize("distance", [1, 3, 8, 9, 15])
@pytest.mark.parametrize("text", ["movups xmmword ptr [rsi], xmm0", "movups xmm1, xmmword ptr [rsi]"])
def test_unaligned_moves_cross_pages(text: str, distance: int) -> None:
    machine = subject()
    value = 0x0123456789ABCDEF_FEDCBA9876543210
    machine.load(World(xmm=(value, 0, 0, 0)))
    content = across(machine, text, distance, value.to_bytes(16, "little") if "xmm1" in text else bytes(16))
    assert content == value.to_bytes(16, "little")
    assert machine.after().xmm[0] == value
    assert machine.after().xmm[1] == (value if "xmm1" in text else 0)


@pytest.mark.parametrize("distance", [1, 4, 8, 9])
def test_extended_numbers_cross_pages(distance: int) -> None:
    machine = subject()
    number = (0xC000, 0xC90FDAA22168C235)
    machine.load(World(present=1, stack=(number, *((0, 0),) * 7)))
    content = across(machine, "fstp tbyte ptr [rsi]", distance, bytes(10))
    assert content == number[1].to_bytes(8, "little") + number[0].to_bytes(2, "little")
    across(machine, "fld tbyte ptr [rsi]", distance, content)
    assert machine.after().stack[0] == number


@pytest.mark.parametrize("distance", [16, 256, 496])
def test_fxsave_images_cross_pages(distance: int) -> None:
    machine = subject()
    before = replace(x87_world(random.Random(distance)), control=MASKED)
    machine.load(before)
    content = across(machine, "fxsave [rsi]", distance, bytes(512))
    machine.load(World())
    across(machine, "fxrstor [rsi]", distance, content)
    restored = replace(machine.after(), memory=before.memory, rflags=before.rflags, rax=before.rax, rcx=before.rcx, rdx=before.rdx)
    assert not differences(restored.visible, before.visible)


@pytest.mark.parametrize("bits", [16, 32])
def test_other_modes_execute_the_same(bits: int) -> None:
    machine = Subject(bits)
    machine.load(World(xmm=(0x40400000, 0x3F800000, 0, 0), present=1, stack=((0x4000, 3 << 62), *((0, 0),) * 7)))
    machine.state.gpr[RSI] = 0x200
    pointer = "[si]" if bits == 16 else "[esi + 0x20000]"
    machine.bench.step(f"addss xmm0, xmm1\nmovups xmmword ptr {pointer}, xmm0\nfadd dword ptr {pointer}", 3)
    assert machine.after().xmm[0] == 0x40800000
    assert machine.after().stack[0] == (0x4001, 7 << 61)
