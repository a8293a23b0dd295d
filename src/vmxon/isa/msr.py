"""RDMSR, WRMSR and their kin for lists of MSRs."""

from __future__ import annotations

from vmxon.isa.registers import RAX, RCX, RDI, RDX, RSI
from vmxon.isa.table import Form, instruction
from vmxon.microcode import inline, load, microcode, store, trailing_zeros, u32, u64
from vmxon.processor.exceptions import general_protection
from vmxon.processor.memory import readable, writable
from vmxon.processor.msrs import read_msr, write_msr
from vmxon.processor.slots import intercept_msr, intercept_msr_list, need_msr_lists, virtual_msr_read, virtual_msr_write
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.state import Segment


@microcode
def read_visible(cpu: Cpu, index: u64) -> u64:
    """The MSR as software sees it; #GP(0) where there is none to read."""
    return cpu.request_value if virtual_msr_read(cpu, index) else read_msr(cpu, index)


@microcode
def write_visible(cpu: Cpu, index: u64, value: u64) -> None:
    """Write the MSR as software sees it; #GP(0) where that is not possible."""
    if not virtual_msr_write(cpu, index, value):
        write_msr(cpu, index, value)


@instruction("RDMSR", Form("0F 32"), flow="system", cpl0=True, feature="msr")
def rdmsr(cpu: Cpu) -> None:
    """EDX:EAX := MSR[ECX] (Vol. 2B “RDMSR—Read From Model Specific Register”)."""
    index = u64(u32(cpu.gpr[RCX]))
    intercept_msr(cpu, index, False)
    value = read_visible(cpu, index)
    cpu.gpr[RAX] = u64(u32(value))
    cpu.gpr[RDX] = value >> 32


@inline
def write_operand(cpu: Cpu) -> None:
    """MSR[ECX] := EDX:EAX."""
    index = u64(u32(cpu.gpr[RCX]))
    intercept_msr(cpu, index, True)
    write_visible(cpu, index, u64(u32(cpu.gpr[RDX])) << 32 | u64(u32(cpu.gpr[RAX])))


@instruction("WRMSR", Form("0F 30"), flow="system", cpl0=True, feature="msr")
def wrmsr(cpu: Cpu) -> None:
    """MSR[ECX] := EDX:EAX (Vol. 2D “WRMSR—Write to Model Specific Register”)."""
    write_operand(cpu)


@instruction("WRMSRNS", Form("NP 0F 01 C6"), flow="system", cpl0=True, feature="wrmsrns")
def wrmsrns(cpu: Cpu) -> None:
    """The same: every instruction serializes here (Vol. 2D “WRMSRNS—Non-Serializing Write to Model Specific Register”)."""
    write_operand(cpu)


# Lists. One execution treats the MSR of the lowest bit of RCX; the instruction comes again until RCX is 0.


@inline
def next_of_list(cpu: Cpu) -> int:
    """Eight times the number of the next MSR, after the checks of the tables at RSI and RDI (u64)."""
    if (cpu.gpr[RSI] | cpu.gpr[RDI]) & 7 != 0:
        general_protection(cpu, 0)
    return u64(trailing_zeros(cpu.gpr[RCX])) * 8


@inline
def index_in_list(cpu: Cpu, place: int) -> int:
    """The MSR's address in the table at RSI; #GP(0) where it has more than 32 bits."""
    index = load(u64, readable(cpu, cpu.gpr[RSI] + place, 8, Segment.FLAT_DATA))
    if index >> 32 != 0:
        general_protection(cpu, 0)
    return index


@inline
def pass_on(cpu: Cpu) -> None:
    """This MSR is done; others come next, and events in between."""
    cpu.gpr[RCX] = cpu.gpr[RCX] & (cpu.gpr[RCX] - 1)
    if cpu.gpr[RCX] != 0:
        cpu.next_rip = cpu.rip


@instruction("RDMSRLIST", Form("F2 0F 01 C6", modes="64"), flow="system", cpl0=True, feature="msrlist")
def rdmsrlist(cpu: Cpu) -> None:
    """For each bit of RCX, table at RDI := MSR of the table at RSI (Vol. 2B “RDMSRLIST—Read List of Model Specific Registers”)."""
    need_msr_lists(cpu, False)
    if cpu.gpr[RCX] != 0:
        place = next_of_list(cpu)
        index = index_in_list(cpu, place)
        intercept_msr_list(cpu, index, u64(0), False)
        target = writable(cpu, cpu.gpr[RDI] + place, 8, Segment.FLAT_DATA)
        store(u64, target, read_visible(cpu, index))
        pass_on(cpu)


@instruction("WRMSRLIST", Form("F3 0F 01 C6", modes="64"), flow="system", cpl0=True, feature="msrlist")
def wrmsrlist(cpu: Cpu) -> None:
    """For each bit of RCX, MSR of the table at RSI := table at RDI (Vol. 2D “WRMSRLIST—Write List of Model Specific Registers”)."""
    need_msr_lists(cpu, True)
    if cpu.gpr[RCX] != 0:
        place = next_of_list(cpu)
        index = index_in_list(cpu, place)
        value = load(u64, readable(cpu, cpu.gpr[RDI] + place, 8, Segment.FLAT_DATA))
        intercept_msr_list(cpu, index, value, True)
        write_visible(cpu, index, value)
        pass_on(cpu)
