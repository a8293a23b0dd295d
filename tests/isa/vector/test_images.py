"""What FNSTENV, FNSAVE and FXSAVE write and their partners read (Vol. 1 Figures 8-9 to 8-12, Table 10-2)."""

from __future__ import annotations

import random
import struct
from dataclasses import replace

import pytest

from tests.harness import CODE, DATA
from tests.isa.vector.numbers import x87_world
from tests.isa.vector.subject import Subject, subject
from tests.isa.vector.world import World, differences

ONE = (0x3FFF, 1 << 63)
NAN = (0x7FFF, 3 << 62)
EMPTY = (0, 0)
LOADED = World(
    control=0x0B7F,
    status=6 << 11 | 1 << 8,
    present=0b11000011,
    stack=(ONE, EMPTY, NAN, (0, 5), EMPTY, EMPTY, EMPTY, EMPTY),
)
"""ST(0) is R6: valid, R7 zero, R0 special (NaN), R1 special (denormal), the others empty."""
TAGS = 0b01_00_11_11_11_11_10_10
"""R7 zero, R6 valid, R5–R2 empty, R1 and R0 special."""


@pytest.fixture(scope="module")
def machine_32() -> Subject:
    return Subject(32)


@pytest.fixture(scope="module")
def machine_16() -> Subject:
    return Subject(16)


def image(machine: Subject, size: int) -> bytes:
    return machine.bench.engine.read_physical(DATA, size)


def with_pointers(machine: Subject) -> None:
    """Pointers that a test recognizes."""
    state = machine.state
    state.x87_ip, state.x87_cs, state.x87_opcode = 0x12345678, 0x1111, 0x5A5
    state.x87_dp, state.x87_ds = 0x9ABCDEF0, 0x2222


def store(machine: Subject, text: str | bytes, size: int) -> bytes:
    """Load LOADED with pointers, run a store, give what it wrote."""
    machine.load(LOADED)
    with_pointers(machine)
    machine.state.gpr[6] = DATA if machine.bench.bits != 16 else 0
    if machine.bench.bits == 16:
        machine.state.segments[3].base = DATA
        machine.bench.processor.refresh()
    machine.state.rip = 0 if machine.bench.bits == 16 else CODE
    machine.bench.step(text)
    return image(machine, size)


def test_protected_32_bit_environment(machine_32: Subject) -> None:
    words = struct.unpack("<7I", store(machine_32, "fnstenv [esi]", 28))
    assert words[:3] == (0xFFFF0B7F, 0xFFFF0000 | LOADED.status, 0xFFFF0000 | TAGS)
    assert words[3:] == (0x12345678, 0x5A5 << 16 | 0x1111, 0x9ABCDEF0, 0xFFFF2222)


def test_the_environment_of_64_bit_mode_is_that_of_32_bits() -> None:
    assert struct.unpack("<7I", store(subject(), "fnstenv [rsi]", 28))[3:5] == (0x12345678, 0x5A5 << 16 | 0x1111)


def test_protected_16_bit_environment(machine_32: Subject) -> None:
    words = struct.unpack("<7H", store(machine_32, "data16 fnstenv [esi]", 14))
    assert words == (0x0B7F, LOADED.status, TAGS, 0x5678, 0x1111, 0xDEF0, 0x2222)


def test_real_mode_environment_holds_linear_addresses(machine_16: Subject) -> None:
    words = struct.unpack("<7H", store(machine_16, "fnstenv [si]", 14))
    instruction, data = 0x12345678 + 0x11110, 0x9ABCDEF0 + 0x22220
    assert words[3:] == (
        instruction & 0xFFFF,
        instruction >> 16 << 12 & 0xF000 | 0x5A5,
        data & 0xFFFF,
        data >> 16 << 12 & 0xF000,
    )


def test_real_mode_32_bit_environment(machine_16: Subject) -> None:
    words = struct.unpack("<7I", store(machine_16, b"\x66\xd9\x34", 28))
    instruction, data = 0x12345678 + 0x11110, 0x9ABCDEF0 + 0x22220
    assert words[3] == 0xFFFF0000 | instruction & 0xFFFF
    assert words[4] == instruction >> 16 << 12 | 0x5A5
    assert words[5:] == (0xFFFF0000 | data & 0xFFFF, data >> 16 << 12)


def test_fnstenv_masks_all_exceptions() -> None:
    after = subject().run("fnstenv [rsi]", replace(LOADED, control=0x0340, status=0x8081))
    assert (after.control, after.status & 0x8080) == (0x037F, 0)


@pytest.mark.parametrize(("bits", "store_text", "load_text"), [
    (64, "fnsave [rsi]", "frstor [rsi]"),
    (32, "fnsave [esi]", "frstor [esi]"),
    (32, "data16 fnsave [esi]", "data16 frstor [esi]"),
    (64, "fxsave [rsi]", "fxrstor [rsi]"),
    (64, "fxsave64 [rsi]", "fxrstor64 [rsi]"),
    (32, "fxsave [esi]", "fxrstor [esi]"),
])  # fmt: skip
def test_what_is_saved_can_be_restored(bits: int, store_text: str, load_text: str, machine_32: Subject, machine_16: Subject) -> None:
    machine = {64: subject(), 32: machine_32}[bits]
    choose = random.Random(store_text)
    for _ in range(20):
        before = replace(x87_world(choose), control=0x037F | choose.getrandbits(2) << 10, rflags=2, rax=0, rcx=0, rdx=0)
        machine.run(store_text, before)
        saved = image(machine, 512)
        machine.load(World(xmm=(1, 2, 3, 4)))
        machine.bench.engine.write_physical(DATA, saved)
        machine.bench.step(load_text)
        restored = replace(machine.after(), memory=before.memory).visible
        expected = before.visible if "x" in store_text.replace("[esi]", "") else replace(before, xmm=(1, 2, 3, 4)).visible
        assert not differences(restored, expected)


def test_fnsave_initializes() -> None:
    after = subject().run("fnsave [rsi]", LOADED)
    assert (after.control, after.status, after.present) == (0x037F, 0, 0)


def test_fxsave_layout() -> None:
    saved = store(subject(), "fxsave [rsi]", 512)
    assert struct.unpack_from("<HHBxH", saved) == (0x0B7F, LOADED.status, LOADED.present, 0x5A5)
    assert struct.unpack_from("<IHxxIHxx", saved, 8) == (0x12345678, 0x1111, 0x9ABCDEF0, 0x2222)
    assert struct.unpack_from("<II", saved, 24) == (0x1F80, 0xFFFF)
    assert struct.unpack_from("<QQ", saved, 32) == (1 << 63, 0x3FFF)


def test_fxsave64_has_wide_pointers() -> None:
    machine = subject()
    machine.load(LOADED)
    machine.state.x87_ip, machine.state.x87_dp = 0xFFFF_8000_1234_5678, 0x7FFF_0000_0000_0001
    machine.bench.step("fxsave64 [rsi]")
    assert struct.unpack_from("<QQ", image(machine, 32), 8) == (0xFFFF_8000_1234_5678, 0x7FFF_0000_0000_0001)


def test_fxsave_outside_64_bit_mode_keeps_eight_xmm_registers(machine_32: Subject) -> None:
    machine_32.load(World())
    for index in range(32):
        machine_32.state.xmm[index] = 0xA5A5
    machine_32.bench.engine.write_physical(DATA, bytes(512))
    machine_32.bench.step("fxsave [esi]")
    saved = image(machine_32, 512)
    assert saved[160:168] == saved[280:288] == (0xA5A5).to_bytes(8, "little")
    assert saved[288:416] == bytes(128)


@pytest.mark.parametrize(
    ("text", "opcode", "data"),
    [("fld1", 0x1E8, 0), ("fadd dword ptr [rsi + 4]", 0x046, DATA + 4), ("fistp qword ptr [rsi]", 0x73E, DATA)],
)
def test_pointers_of_the_last_instruction(text: str, opcode: int, data: int) -> None:
    machine = subject()
    machine.run("fninit", World())
    machine.run(text, LOADED if "fld1" not in text else World())
    state = machine.state
    assert (state.x87_ip, state.x87_opcode, state.x87_dp) == (CODE, opcode, data)


def test_control_instructions_leave_the_pointers() -> None:
    machine = subject()
    machine.load(LOADED)
    with_pointers(machine)
    machine.bench.step("fnstcw word ptr [rsi]\nfldcw word ptr [rsi]\nfnstsw ax\nfwait", 4)
    assert (machine.state.x87_ip, machine.state.x87_opcode) == (0x12345678, 0x5A5)
