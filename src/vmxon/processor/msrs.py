"""RDMSR and WRMSR: one arm for each row of the MSR table, made from its storage and its rule (Vol. 4, Vol. 2B “WRMSR”)."""

from __future__ import annotations

from vmxon.arch.apic import X2APIC_FIRST, X2APIC_LAST
from vmxon.arch.features import Feature, Register
from vmxon.arch.msr import ApicBase
from vmxon.arch.msr_rules import Msr, Rule, Storage
from vmxon.arch.performance import GENERAL
from vmxon.microcode import inline, microcode, u32, u64
from vmxon.processor.apic import follow_apic_base, read_x2apic, tell_apic, write_x2apic
from vmxon.processor.control import write_efer
from vmxon.processor.counters import arrange_counters, settle_counters, write_counter
from vmxon.processor.exceptions import general_protection
from vmxon.processor.identification import reports
from vmxon.processor.msr_storage import PLACES, ROWS, read_place, write_place
from vmxon.processor.segmentation import loadable
from vmxon.processor.slots import tsc_offset, vmx_msr_read
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.state import Segment
from vmxon.processor.time import read_tsc, write_tsc
from vmxon.processor.tlb import select_space

TSC, APIC_BASE, EFER, FS_BASE, GS_BASE = 0x10, 0x1B, 0xC000_0080, 0xC000_0100, 0xC000_0101
TSC_ADJUST, TSC_DEADLINE, PKRS = 0x3B, 0x6E0, 0x6E1
FIRST_COUNTER, OVERFLOW_CONTROL = 0xC1, 0x390
FIRST_VMX, LAST_VMX = 0x480, 0x493
ALL = (1 << 64) - 1
MEMORY_TYPES, PAT_TYPES = 0b0111_0011, 0b1111_0011
"""The memory types that MTRRs and the PAT may hold, one bit each."""


@inline
def exists(cpu: Cpu, number: int) -> bool:
    """The model has the MSR of row `number`."""
    return cpu.msr_absent[number // 64] >> (number % 64) & 1 == 0


@microcode
def read_msr(cpu: Cpu, index: u64) -> u64:
    """The value of an MSR; #GP(0) where there is none to read."""
    for number, row in enumerate(ROWS):
        if index == row.address:
            if not exists(cpu, number):
                general_protection(cpu, 0)
            return read_row(cpu, row)
    if index >= X2APIC_FIRST and index <= X2APIC_LAST:
        return read_x2apic(cpu, index)
    if index < FIRST_VMX or index > LAST_VMX or not vmx_msr_read(cpu, index):
        general_protection(cpu, 0)
    return cpu.request_value


@inline
def read_row(cpu: Cpu, row: Msr) -> int:
    """The value of one row, as u64."""
    if row.feature is Feature.PERFMON:
        settle_counters(cpu)
    if row.address == TSC:
        return tsc_offset(cpu, read_tsc(cpu))
    if row.address == FS_BASE:
        return cpu.segments[Segment.FS].base
    if row.address == GS_BASE:
        return cpu.segments[Segment.GS].base
    if row.storage is Storage.COMMAND:
        general_protection(cpu, 0)
    if row.storage is Storage.CONSTANT:
        return u64(row.reset)
    return read_place(cpu, PLACES[row.address])


@microcode
def write_msr(cpu: Cpu, index: u64, value: u64) -> None:
    """Replace the value of an MSR; #GP(0) where it does not exist or its rule forbids the value."""
    for number, row in enumerate(ROWS):
        if index == row.address:
            if not exists(cpu, number):
                general_protection(cpu, 0)
            check_rule(cpu, row, value)
            write_row(cpu, row, value)
            return
    if index < X2APIC_FIRST or index > X2APIC_LAST:
        general_protection(cpu, 0)
    write_x2apic(cpu, index, value)


@inline
def check_rule(cpu: Cpu, row: Msr, value: int) -> None:
    """#GP(0) where the row's rule, or the width of physical addresses, forbids `value`."""
    if row.rule is Rule.NEVER:
        general_protection(cpu, 0)
    elif row.rule is Rule.CANONICAL:
        if not loadable(cpu, value):
            general_protection(cpu, 0)
    elif row.rule is Rule.PAT:
        check_memory_types(cpu, value, u64(PAT_TYPES))
    elif row.rule is Rule.MEMORY_TYPES:
        check_memory_types(cpu, value, u64(MEMORY_TYPES))
    elif row.writable != ALL and value & ~u64(row.writable) != 0:
        general_protection(cpu, 0)
    if row.rule is Rule.LOW_TYPE:
        check_memory_type(cpu, value & 0xFF, u64(MEMORY_TYPES))
    if row.rule is Rule.LOCK and read_place(cpu, PLACES[row.address]) & 1 != 0:
        general_protection(cpu, 0)
    if "frame" in [field.name for field in row.layout.layout.fields]:
        if value & cpu.physical_reserved != 0:
            general_protection(cpu, 0)


@microcode
def check_memory_types(cpu: Cpu, value: u64, allowed: u64) -> None:
    """Each of the eight bytes is one of the memory types in the set."""
    rest = value
    left = u64(8)
    while left != 0:
        check_memory_type(cpu, rest & 0xFF, allowed)
        rest = rest >> 8
        left -= 1


@microcode
def check_memory_type(cpu: Cpu, kind: u64, allowed: u64) -> None:
    """One memory type; #GP(0) unless the set `allowed` has its bit."""
    if kind > 7 or (allowed >> kind) & 1 == 0:
        general_protection(cpu, 0)


@inline
def write_row(cpu: Cpu, row: Msr, value: int) -> None:
    """Store a value that the rule allows."""
    if row.feature is Feature.PERFMON:
        settle_counters(cpu)
        write_counters(cpu, row, value)
        arrange_counters(cpu)
    elif row.address == TSC:
        write_tsc(cpu, value)
    elif row.address == EFER:
        write_efer(cpu, value)
    elif row.address == FS_BASE:
        cpu.segments[Segment.FS].base = value
    elif row.address == GS_BASE:
        cpu.segments[Segment.GS].base = value
    elif row.address == APIC_BASE:
        write_apic_base(cpu, value)
    elif row.storage in (Storage.CELL, Storage.REGISTER):
        write_place(cpu, PLACES[row.address], value)
    if row.address == PKRS:
        select_space(cpu)
    if row.address in (TSC, TSC_ADJUST, TSC_DEADLINE):
        tell_apic(cpu, row.address, value)


@inline
def write_counters(cpu: Cpu, row: Msr, value: int) -> None:
    """The performance-monitoring MSRs."""
    if row.address == OVERFLOW_CONTROL:
        cpu.counter_global_status = cpu.counter_global_status & ~value
    elif row.address >= FIRST_COUNTER and row.address < FIRST_COUNTER + GENERAL:
        write_counter(cpu, u64(row.address - FIRST_COUNTER), value)
    else:
        write_place(cpu, PLACES[row.address], value)


@microcode
def write_apic_base(cpu: Cpu, value: u64) -> None:
    """IA32_APIC_BASE: x2APIC mode only where it exists, entered and left by way of the modes in between (Vol. 3A §10.12.5)."""
    modes = u64(ApicBase.enabled.mask | ApicBase.x2apic.mask)
    extended = u64(ApicBase.x2apic.mask)
    if value & extended != 0:
        if value & modes != modes or not reports(cpu, u32(1), u64(Register.ECX), u32(Feature.X2APIC.mask)):
            general_protection(cpu, 0)
        if cpu.apic_base & modes == 0:
            general_protection(cpu, 0)
    elif cpu.apic_base & extended != 0 and value & modes != 0:
        general_protection(cpu, 0)
    cpu.apic_base = value
    follow_apic_base(cpu)
    tell_apic(cpu, APIC_BASE, value)
