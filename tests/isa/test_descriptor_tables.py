"""LGDT … STR, LAR, LSL, VERR, VERW, ARPL."""

from __future__ import annotations

import struct

import pytest

from tests.processor.system_bench import (
    CODE_TYPE,
    CONFORMING,
    EXECUTE_ONLY,
    FINE,
    FREE,
    GDT,
    GP,
    IDT,
    LDT_SELECTOR,
    READ_ONLY,
    READ_WRITE,
    TSS_SELECTOR,
    UD,
    Outcome,
    SystemBench,
    descriptor,
    fault,
)
from vmxon.arch.segments import SystemType

PLACE, ZF = 0x20000, 1 << 6


@pytest.mark.parametrize("mode", [16, 32, 64])
@pytest.mark.parametrize("digit", [2, 3])
@pytest.mark.parametrize("small", [False, True])
def test_load_and_store(mode: int, digit: int, small: bool) -> None:
    bench = SystemBench(mode)
    wide = mode == 64
    base = 0xFFFF_8000_1234_5678 if wide else 0x9234_5678
    bench.engine.write_physical(PLACE, struct.pack("<HQ", 0x1FF, base))
    prefix = b"\x66" if small != (mode == 16) else b""
    address = {16: b"\x07", 32: b"\x07", 64: b"\x07"}[mode]
    register = 3 if mode == 16 else 7  # [BX] or [rDI]
    bench.state.gpr[register] = 0x100 if mode == 16 else PLACE
    if mode == 16:
        bench.state.segments[3].base = PLACE - 0x100
    load = prefix + b"\x0f\x01" + bytes([address[0] | digit << 3])
    store = prefix + b"\x0f\x01" + bytes([address[0] | digit - 2 << 3])
    assert bench.run(load) == FINE
    state = bench.state
    loaded = (state.gdt_base, state.gdt_limit) if digit == 2 else (state.idt_base, state.idt_limit)
    expected = base & 0xFF_FFFF if small and not wide else base
    assert loaded == (expected, 0x1FF)
    bench.engine.write_physical(PLACE, b"\xee" * 12)
    assert bench.run(store) == FINE
    size = 10 if wide else 6
    image = bench.engine.read_physical(PLACE, 12)
    assert image == struct.pack("<HQ", 0x1FF, expected)[:size] + b"\xee" * (12 - size)


@pytest.mark.parametrize("code", ["lgdt [0x20000]", "lidt [0x20000]"])
def test_loads_need_level_0_and_a_canonical_base(code: str) -> None:
    assert SystemBench(64, 3).run(code) == fault(GP)
    bench = SystemBench(64)
    bench.engine.write_physical(PLACE, struct.pack("<HQ", 0xFF, 0x8000_0000_0000))
    assert bench.run(code) == fault(GP)
    assert (bench.state.gdt_base, bench.state.idt_base) == (GDT, IDT)


def test_register_forms_are_undefined() -> None:
    for modrm in (0xD8, 0xD0 | 0x1F):  # LIDT, and a hole beside it
        assert SystemBench(32).run(bytes([0x0F, 0x01, modrm])).vector == UD


@pytest.mark.parametrize(("code", "selector"), [("sldt", LDT_SELECTOR), ("str", TSS_SELECTOR)])
def test_sldt_and_str(code: str, selector: int) -> None:
    for register, expected in (("ax", 0xAAAA_AAAA_AAAA_0000 | selector), ("eax", selector), ("rax", selector)):
        bench = SystemBench(64)
        bench.state.gpr[0] = 0xAAAA_AAAA_AAAA_AAAA
        assert bench.run(f"{code} {register}") == FINE
        assert bench.state.gpr[0] == expected
    bench = SystemBench(64)
    bench.engine.write_physical(PLACE, b"\xee" * 8)
    assert bench.run(f"{code} word ptr [{PLACE}]") == FINE
    assert bench.engine.read_physical(PLACE, 4) == struct.pack("<H", selector) + b"\xee\xee"


@pytest.mark.parametrize("code", ["0f00c0", "0f00c8", "0f00e0", "0f00e8", "0f02c0", "0f03c0", "63c0"])
@pytest.mark.parametrize("mode", [16, 86])
def test_undefined_outside_protected_mode(code: str, mode: int) -> None:
    assert SystemBench(mode, 3).run(bytes.fromhex(code)) == fault(UD, None)


# kind, DPL, CPL, RPL, LAR, LSL, VERR, VERW in legacy mode
LOOKS = [
    (READ_WRITE, 0, 0, 0, True, True, True, True),
    (READ_WRITE, 0, 3, 3, False, False, False, False),
    (READ_WRITE, 3, 3, 3, True, True, True, True),
    (READ_WRITE, 1, 0, 2, False, False, False, False),
    (READ_ONLY, 3, 3, 3, True, True, True, False),
    (CODE_TYPE, 3, 3, 3, True, True, True, False),
    (EXECUTE_ONLY, 3, 3, 3, True, True, False, False),
    (CONFORMING, 0, 3, 3, True, True, True, False),
    (CONFORMING & ~2, 0, 3, 3, True, True, False, False),
    (SystemType.LDT, 0, 0, 0, True, True, False, False),
    (SystemType.AVAILABLE_TSS, 3, 3, 3, True, True, False, False),
    (SystemType.BUSY_TSS, 0, 3, 3, False, False, False, False),
    (SystemType.AVAILABLE_TSS_16, 0, 0, 0, True, True, False, False),
    (SystemType.BUSY_TSS_16, 0, 0, 0, True, True, False, False),
    (SystemType.CALL_GATE, 0, 0, 0, True, False, False, False),
    (SystemType.CALL_GATE_16, 0, 0, 0, True, False, False, False),
    (SystemType.TASK_GATE, 0, 0, 0, True, False, False, False),
    (SystemType.INTERRUPT_GATE, 0, 0, 0, False, False, False, False),
    (SystemType.TRAP_GATE_16, 0, 0, 0, False, False, False, False),
    (0, 0, 0, 0, False, False, False, False),
    (8, 0, 0, 0, False, False, False, False),
]
LEGACY_ONLY = {SystemType.AVAILABLE_TSS_16, SystemType.BUSY_TSS_16, SystemType.CALL_GATE_16, SystemType.TASK_GATE}


@pytest.mark.parametrize("mode", [32, 64])
@pytest.mark.parametrize(("kind", "dpl", "cpl", "rpl", "lar", "lsl", "verr", "verw"), LOOKS)
def test_looking_at_descriptors(mode: int, kind: int, dpl: int, cpl: int, rpl: int, lar: bool, lsl: bool, verr: bool, verw: bool) -> None:
    if mode == 64 and kind in LEGACY_ONLY:
        lar = lsl = False
    value = descriptor(0x12345678, 0xA5432, kind, dpl, flags=0xD)
    for code, seen, result in (
        ("lar ecx, ax", lar, value >> 32 & 0xF0FF00),
        ("lsl ecx, ax", lsl, 0xA5432FFF),
        ("verr ax", verr, None),
        ("verw ax", verw, None),
    ):
        bench = SystemBench(mode, cpl)
        bench.put_descriptor(FREE, value, 0)
        bench.state.gpr[0], bench.state.gpr[1] = 0xFFFF_0000 | FREE | rpl, 0x1111_2222_3333
        bench.processor.rflags = 0x8D7 & ~(ZF if seen else 0)
        assert bench.run(code) == FINE
        assert bool(bench.processor.rflags & ZF) == seen, code
        assert bench.processor.rflags | ZF == 0x8D7
        if result is not None:
            assert bench.state.gpr[1] == (result if seen else 0x1111_2222_3333), code


@pytest.mark.parametrize("selector", [0, 3, 0x100, 0x44])
@pytest.mark.parametrize("code", ["lar ecx, ax", "lsl ecx, ax", "verr ax", "verw ax"])
def test_what_is_not_there_clears_zf(code: str, selector: int) -> None:
    bench = SystemBench(32)
    bench.state.gpr[0] = selector
    bench.processor.rflags = 2 | ZF
    assert bench.run(code) == FINE
    assert not bench.processor.rflags & ZF


def test_lar_16_bit() -> None:
    bench = SystemBench(32)
    bench.put_descriptor(FREE, descriptor(0, 0, READ_WRITE, 3, flags=0xF))
    bench.state.gpr[0], bench.state.gpr[1] = FREE, 0x1111_2222
    assert bench.run("lar cx, ax") == FINE
    assert bench.state.gpr[1] == 0x1111_F200


@pytest.mark.parametrize(
    ("destination", "source", "after", "raised"), [(0x10, 0x23, 0x13, True), (0x13, 0x20, 0x13, False), (0x12, 0x02, 0x12, False)]
)
def test_arpl(destination: int, source: int, after: int, raised: bool) -> None:
    bench = SystemBench(32)
    bench.state.gpr[0], bench.state.gpr[1] = 0x5555_0000 | destination, source
    assert bench.run(b"\x63\xc8") == FINE
    assert bench.state.gpr[0] == 0x5555_0000 | after
    assert bool(bench.processor.rflags & ZF) == raised
    bench = SystemBench(32)
    bench.engine.write_physical(PLACE, struct.pack("<H", destination))
    bench.state.gpr[1], bench.state.gpr[3] = source, PLACE
    assert bench.run(b"\x63\x0b") == FINE
    assert bench.engine.read_physical(PLACE, 2) == struct.pack("<H", after)


def outcome_of(code: bytes, mode: int, cpl: int) -> Outcome:
    return SystemBench(mode, cpl).run(code)


def test_lock_prefix_is_undefined() -> None:
    assert outcome_of(b"\xf0\x0f\x01\x17", 32, 0) == fault(UD, None)
