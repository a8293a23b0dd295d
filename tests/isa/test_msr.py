"""RDMSR and WRMSR against the MSR table, and the registers with a mind of their own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.processor.system_bench import FINE, GP, Outcome, SystemBench, fault
from vmxon.arch.features import Feature
from vmxon.arch.model_registers import msrs_of
from vmxon.arch.models import MAX
from vmxon.arch.msr import MSRS
from vmxon.arch.msr_rules import Rule, Storage
from vmxon.arch.performance import GENERAL
from vmxon.processor.msr_storage import reset_msrs
from vmxon.processor.state import Segment

TSC, TSC_ADJUST, APIC_BASE, FEATURE_CONTROL, EFER = 0x10, 0x3B, 0x1B, 0x3A, 0xC000_0080
MODEL = replace(MAX, features=MAX.features | {Feature.APIC, Feature.TSC_ADJUST, Feature.SPEC_CTRL, Feature.SHSTK})
PRESENT = msrs_of(MODEL)
KNOWN = {address: row for address, row in MSRS.items() if row.storage is not Storage.MODEL}
VALUES = (0, 1, 2, 3, 5, 6, 7, 0x10, 0xFF, 0x800, 0x0606_0606_0606_0606, 0x0707_0505_0404_0101, 0x0202, 0x1234_5000,
          0x7FFF_FFFF_FFFF, 0x8000_0000_0000, 0xFFFF_8000_0000_0000, 1 << 52, 1 << 63, (1 << 64) - 1)  # fmt: skip


def make(cpl: int = 0) -> SystemBench:
    bench = SystemBench(64, cpl)
    reset_msrs(bench.state, MODEL)
    bench.state.efer = 0x500
    bench.processor.refresh()
    return bench


def write(bench: SystemBench, address: int, value: int) -> Outcome:
    bench.state.gpr[1] = 0xDEAD_0000_0000_0000 | address
    bench.state.gpr[0], bench.state.gpr[2] = 0xBEEF << 32 | value & 0xFFFFFFFF, 0xBEEF << 32 | value >> 32
    return bench.run(b"\x0f\x30")


def read(bench: SystemBench, address: int) -> int | Outcome:
    bench.state.gpr[1] = address
    outcome = bench.run(b"\x0f\x32")
    return bench.state.gpr[2] << 32 | bench.state.gpr[0] if outcome == FINE else outcome


@pytest.mark.parametrize("address", [a for a in PRESENT if a in KNOWN and a not in (TSC, EFER)], ids=lambda a: MSRS[a].name)
def test_reset_values(address: int) -> None:
    row = MSRS[address]
    expected = fault(GP) if row.storage is Storage.COMMAND else row.reset
    assert read(make(), address) == expected


@pytest.mark.parametrize("address", [a for a in KNOWN if a not in PRESENT], ids=lambda a: MSRS[a].name)
def test_msrs_that_the_model_lacks(address: int) -> None:
    bench = make()
    assert read(bench, address) == fault(GP)
    assert write(make(), address, 0) == fault(GP)


GENERAL_COUNTERS = range(0xC1, 0xC1 + GENERAL)
"""They take 32 bits and their sign (tests/processor/test_counters.py)."""
SPECIAL = (TSC, TSC_ADJUST, APIC_BASE, EFER, *GENERAL_COUNTERS)


@pytest.mark.parametrize("address", [a for a in PRESENT if a in KNOWN and a not in SPECIAL], ids=lambda a: MSRS[a].name)
def test_write_rules(address: int) -> None:
    row = MSRS[address]
    framed = any(field.name == "frame" for field in row.layout.layout.fields)
    for value in VALUES:
        bench = make()
        allowed = row.allows_write(row.reset, value, MAX.linear_width)
        if framed and value & bench.state.physical_reserved:
            allowed = False
        outcome = write(bench, address, value)
        assert outcome == (FINE if allowed else fault(GP)), hex(value)
        if row.storage in (Storage.CELL, Storage.REGISTER):
            assert read(bench, address) == (value if allowed else row.reset), hex(value)


@pytest.mark.parametrize("address", [0x2, 0x480 - 1, 0x1F0, 0xC000_0085, 0xC000_0104, 0x4000_0000, 0xFFFF_FFFF])
def test_unknown_msrs(address: int) -> None:
    assert read(make(), address) == fault(GP)
    assert write(make(), address, 0) == fault(GP)


@pytest.mark.parametrize("cpl", [1, 3])
def test_privilege(cpl: int) -> None:
    assert read(make(cpl), TSC) == fault(GP)
    assert write(make(cpl), TSC, 0) == fault(GP)


def test_lock_of_feature_control() -> None:
    bench = make()
    assert write(bench, FEATURE_CONTROL, 4) == FINE
    assert write(bench, FEATURE_CONTROL, 5) == FINE
    assert write(bench, FEATURE_CONTROL, 5) == fault(GP)
    assert MSRS[FEATURE_CONTROL].rule is Rule.LOCK


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0x501, 0x501),
        (0x101, 0x501),  # LMA is the processor's own, whatever is written
        (0x900, 0xD00),
        (0x500, 0x500),
        (0x001, None),  # LME cannot change under paging
        (0x400, None),
        (0x502, None),
        (0x1500, None),
    ],
)
def test_efer_while_paging(value: int, expected: int | None) -> None:
    bench = make()
    assert write(bench, EFER, value) == (fault(GP) if expected is None else FINE)
    assert bench.state.efer == (0x500 if expected is None else expected)


def test_efer_without_paging() -> None:
    bench = SystemBench(32)
    bench.state.gpr[1] = EFER
    for value in (0x100, 0x901, 0):
        bench.state.gpr[0], bench.state.gpr[2] = value, 0
        assert bench.run(b"\x0f\x30") == FINE
        assert bench.state.efer == value


def test_time_stamp_counter() -> None:
    bench = make()
    first = read(bench, TSC)
    assert read(bench, TSC) == first + 1  # type: ignore[operator]  # one tick for each instruction
    assert write(bench, TSC, 1_000_000) == FINE
    assert read(bench, TSC) == 1_000_001
    adjust = read(bench, TSC_ADJUST)
    assert write(bench, TSC_ADJUST, adjust + 500) == FINE  # type: ignore[operator]
    assert read(bench, TSC) == 1_000_504


@pytest.mark.parametrize(("address", "segment"), [(0xC000_0100, Segment.FS), (0xC000_0101, Segment.GS)])
def test_segment_bases(address: int, segment: Segment) -> None:
    bench = make()
    assert write(bench, address, 0xFFFF_8000_0000_1000) == FINE
    assert bench.state.segments[segment].base == 0xFFFF_8000_0000_1000
    assert write(bench, address, 0x8000_0000_0000) == fault(GP)


@pytest.mark.parametrize(
    ("before", "value", "expected"),
    [
        (0xFEE0_0900, 0xFEE0_0100, FINE),
        (0xFEE0_0900, 0xFED0_0900, FINE),
        (0xFEE0_0900, 0xFEE0_0D00, FINE),  # from xAPIC to x2APIC
        (0xFEE0_0100, 0xFEE0_0D00, fault(GP)),
        (0xFEE0_0900, 0xFEE0_0500, fault(GP)),
        (0xFEE0_0D00, 0xFEE0_0900, fault(GP)),
        (0xFEE0_0D00, 0xFEE0_0100, FINE),
        (0xFEE0_0900, 0xFEE0_0901, fault(GP)),
        (0xFEE0_0900, 1 << 51 | 0x900, fault(GP)),
    ],
)
def test_apic_base(before: int, value: int, expected: Outcome) -> None:
    bench = make()
    bench.state.apic_base = before
    assert write(bench, APIC_BASE, value) == expected
    assert bench.state.apic_base == (value if expected == FINE else before)
