"""XSAVE, XSAVEOPT, XSAVEC, XSAVES, XRSTOR, XRSTORS (Vol. 1 ch. 13 “Managing State Using the XSAVE Feature Set”)."""

from __future__ import annotations

from vmxon.arch.cpuid import PKRU_PLACE, PKRU_SIZE, XSAVE_HEADER_END
from vmxon.isa.control_registers import need_osxsave
from vmxon.isa.information import memory_information
from vmxon.isa.operands import MemoryOperand, check_alignment
from vmxon.isa.record import Prefix, Record
from vmxon.isa.registers import RAX, RDX
from vmxon.isa.table import Form, instruction
from vmxon.microcode import inline, load, select, u32, u64
from vmxon.processor.exceptions import device_not_available, general_protection
from vmxon.processor.memory import modifiable, readable
from vmxon.processor.slots import Intercept, intercept_extended_state, need_enabled
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.x87.registers import CR0_TS
from vmxon.processor.xsave import COMPACTED, COMPACTION, PKRU, check_header, restore, save_compacted, save_standard

AREA_ALIGNMENT = 64


@inline
def requested(cpu: Cpu) -> int:
    """EDX:EAX, the components that the program asks for."""
    return u64(u32(cpu.gpr[RDX])) << 32 | u64(u32(cpu.gpr[RAX]))


@inline
def check_available(cpu: Cpu) -> None:
    """#UD unless CR4.OSXSAVE, then #NM where CR0.TS is 1."""
    need_osxsave(cpu)
    check_switched(cpu)


@inline
def check_switched(cpu: Cpu) -> None:
    """#NM where CR0.TS is 1."""
    if cpu.cr0 & CR0_TS != 0:
        device_not_available(cpu)


@inline
def is_wide(record: Record) -> bool:
    """REX.W: pointers of 64 bits."""
    return record.prefixes & Prefix.REX_W != 0


@inline
def save(cpu: Cpu, area: MemoryOperand, record: Record, components: int, kind: str) -> None:
    """Write the components that are asked for and enabled."""
    place = PKRU_PLACE if kind in ("XSAVE", "XSAVEOPT") else XSAVE_HEADER_END
    linear = area.linear(XSAVE_HEADER_END, True)
    check_alignment(cpu, linear, AREA_ALIGNMENT)
    pkru = u64(0)
    if components & PKRU != 0:
        area.linear(place + PKRU_SIZE, True)
        pkru = modifiable(cpu, (linear + place) & cpu.linear_mask, PKRU_SIZE, record.segment)
    pointer = modifiable(cpu, linear, XSAVE_HEADER_END, record.segment)
    if kind in ("XSAVE", "XSAVEOPT"):
        save_standard(cpu, pointer, pkru, components, kind == "XSAVEOPT", is_wide(record))
    else:
        save_compacted(cpu, pointer, pkru, components, is_wide(record))


@instruction("XSAVE", Form("NP 0F AE /4", "m8"), flow="system", feature="xsave")
def xsave(cpu: Cpu, area: MemoryOperand, record: Record) -> None:
    """area := the components of EDX:EAX (Vol. 2D “XSAVE—Save Processor Extended States”)."""
    check_available(cpu)
    save(cpu, area, record, cpu.xcr0 & requested(cpu), "XSAVE")


@instruction("XSAVEOPT", Form("NP 0F AE /6", "m8"), flow="system", feature="xsaveopt")
def xsaveopt(cpu: Cpu, area: MemoryOperand, record: Record) -> None:
    """The same without components in their initial configuration (Vol. 2D “XSAVEOPT”)."""
    check_available(cpu)
    save(cpu, area, record, cpu.xcr0 & requested(cpu), "XSAVEOPT")


@instruction("XSAVEC", Form("NP 0F C7 /4", "m8"), flow="system", feature="xsavec")
def xsavec(cpu: Cpu, area: MemoryOperand, record: Record) -> None:
    """The same in the compacted form (Vol. 2D “XSAVEC—Save Processor Extended States With Compaction”)."""
    check_available(cpu)
    save(cpu, area, record, cpu.xcr0 & requested(cpu), "XSAVEC")


@instruction("XSAVES", Form("NP 0F C7 /5", "m8"), flow="system", feature="xsaves")
def xsaves(cpu: Cpu, area: MemoryOperand, record: Record) -> None:
    """The same with supervisor components (Vol. 2D “XSAVES—Save Processor Extended States Supervisor”)."""
    check_supervisor(cpu, record, Intercept.XSAVES)
    save(cpu, area, record, (cpu.xcr0 | cpu.xss) & requested(cpu), "XSAVES")


@inline
def check_supervisor(cpu: Cpu, record: Record, what: Intercept) -> None:
    """The checks of XSAVES and XRSTORS: #UD, #GP(0) unless CPL is 0, VM exit, #NM."""
    need_osxsave(cpu)
    need_enabled(cpu, what)
    if cpu.cpl != 0:
        general_protection(cpu, 0)
    intercept_extended_state(cpu, what, requested(cpu), memory_information(record))
    check_switched(cpu)


@inline
def load_area(cpu: Cpu, area: MemoryOperand, record: Record, components: int, available: int, demands_compaction: bool) -> None:
    """Read the components that are asked for and enabled."""
    linear = area.linear(XSAVE_HEADER_END)
    check_alignment(cpu, linear, AREA_ALIGNMENT)
    pointer = readable(cpu, linear, XSAVE_HEADER_END, record.segment)
    check_header(cpu, pointer, available, demands_compaction)
    pkru = u64(0)
    if components & PKRU != 0:
        compacted = load(u64, pointer + COMPACTION) & COMPACTED != 0
        place = select(compacted, u64(XSAVE_HEADER_END), u64(PKRU_PLACE))
        area.linear(PKRU_PLACE + PKRU_SIZE)
        pkru = readable(cpu, (linear + place) & cpu.linear_mask, PKRU_SIZE, record.segment)
    restore(cpu, pointer, pkru, components, is_wide(record))


@instruction("XRSTOR", Form("NP 0F AE /5", "m8"), flow="system", feature="xsave")
def xrstor(cpu: Cpu, area: MemoryOperand, record: Record) -> None:
    """The components of EDX:EAX := area (Vol. 2D “XRSTOR—Restore Processor Extended States”)."""
    check_available(cpu)
    load_area(cpu, area, record, cpu.xcr0 & requested(cpu), cpu.xcr0, False)


@instruction("XRSTORS", Form("NP 0F C7 /3", "m8"), flow="system", feature="xsaves")
def xrstors(cpu: Cpu, area: MemoryOperand, record: Record) -> None:
    """The same with supervisor components, from the compacted form only (Vol. 2D “XRSTORS”)."""
    check_supervisor(cpu, record, Intercept.XRSTORS)
    available = cpu.xcr0 | cpu.xss
    load_area(cpu, area, record, available & requested(cpu), available, True)
