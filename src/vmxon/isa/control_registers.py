"""Control, debug and extended control registers: MOV CR, MOV DR, LMSW, SMSW, CLTS, XGETBV, XSETBV."""

from __future__ import annotations

from vmxon.arch.control import Cr0, Cr4, Dr6, Dr7
from vmxon.isa.descriptor_tables import check_umip
from vmxon.isa.operands import Operand
from vmxon.isa.registers import RAX, RCX, RDX
from vmxon.isa.table import Form, instruction
from vmxon.microcode import inline, microcode, u8, u16, u32, u64
from vmxon.processor.breakpoints import debug_registers_changed
from vmxon.processor.control import write_cr0, write_cr3, write_cr4, write_cr8
from vmxon.processor.exceptions import general_protection, raise_debug, undefined_opcode
from vmxon.processor.identification import extended_states
from vmxon.processor.slots import (
    Intercept,
    intercept,
    intercept_clts,
    intercept_cr_read,
    intercept_cr_write,
    intercept_lmsw,
    virtual_cr8_write,
)
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.xsave import components_in_use

MSW = 0xF
"""The bits of CR0 that LMSW writes."""
CONDITIONS_OF_DR6 = Dr6.b0.mask | Dr6.b1.mask | Dr6.b2.mask | Dr6.b3.mask | Dr6.bd.mask | Dr6.bs.mask | Dr6.bt.mask
ONES_OF_DR6 = 0xFFFF_0FF0
ZEROS_OF_DR7 = ~(1 << 15 | 1 << 14 | 1 << 12 | Dr7.rtm.mask) & 0xFFFF_FFFF
READS_DR = 1 << 4
"""Exit qualification: MOV from DR."""


@inline
def check_control(cpu: Cpu, number: int) -> None:
    """#UD for a register that does not exist, then #GP(0) above CPL 0."""
    if number != 0 and number != 2 and number != 3 and number != 4 and number != 8:
        undefined_opcode(cpu)
    if cpu.cpl != 0:
        general_protection(cpu, 0)


@instruction("MOV to CR", Form("0F 22 /r", "CR, rm", size="native"), flow="system")
def mov_to_control(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """Load a control register (Vol. 2B “MOV—Move to/from Control Registers”)."""
    check_control(cpu, destination.number())
    write_control(cpu, destination.number(), u64(source.read()), u64(source.number() >> 3))


@microcode
def write_control(cpu: Cpu, number: u8, value: u64, gpr: u64) -> None:
    """The write by number; `gpr` is the number of the source register, for VM exits."""
    if number == 0:
        write_cr0(cpu, intercept_cr_write(cpu, 0, value, gpr))
    elif number == 2:
        cpu.cr2 = value
    elif number == 3:
        write_cr3(cpu, intercept_cr_write(cpu, 3, value, gpr))
    elif number == 4:
        write_cr4(cpu, intercept_cr_write(cpu, 4, value, gpr))
    else:
        priority = intercept_cr_write(cpu, 8, value, gpr)
        if not virtual_cr8_write(cpu, priority):
            write_cr8(cpu, priority)


@instruction("MOV from CR", Form("0F 20 /r", "rm, CR", size="native"), flow="system")
def mov_from_control(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """Read a control register (Vol. 2B “MOV—Move to/from Control Registers”)."""
    check_control(cpu, source.number())
    destination.write(destination.kind(read_control(cpu, source.number(), u64(destination.number() >> 3))))


@microcode
def read_control(cpu: Cpu, number: u8, gpr: u64) -> u64:
    """The read by number; `gpr` is the number of the destination register, for VM exits."""
    if number == 0:
        return intercept_cr_read(cpu, 0, cpu.cr0, gpr)
    if number == 2:
        return cpu.cr2
    if number == 3:
        return intercept_cr_read(cpu, 3, cpu.cr3, gpr)
    if number == 4:
        return intercept_cr_read(cpu, 4, cpu.cr4, gpr)
    return intercept_cr_read(cpu, 8, cpu.cr8, gpr)


@microcode
def debug_register(cpu: Cpu, number: u8, gpr: u64, direction: int) -> u64:
    """Which of DR0–DR3, DR6, DR7 is meant, after #UD, the VM exit and the general-detect #DB (Vol. 3B §18.2.4).

    The VM exit outranks the #UD of DR4 and DR5 under CR4.DE and the #GP of CPL > 0.
    """
    if number > 7:
        undefined_opcode(cpu)
    intercept(cpu, Intercept.MOV_DR, u64(number) | gpr << 8 | direction)
    if number & 6 == 4:
        if cpu.cr4 & Cr4.de.mask != 0:
            undefined_opcode(cpu)
    if cpu.cpl != 0:
        general_protection(cpu, 0)
    if cpu.dr[7] & Dr7.gd.mask != 0:
        raise_debug(cpu, u64(Dr6.bd.mask))
    return u64(number | 2) if number & 6 == 4 else u64(number)


@instruction("MOV to DR", Form("0F 23 /r", "DR, rm", size="native"), flow="system")
def mov_to_debug(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """Load a debug register; DR4 and DR5 are DR6 and DR7 unless CR4.DE (Vol. 2B “MOV—Move to/from Debug Registers”)."""
    index = debug_register(cpu, destination.number(), u64(source.number() >> 3), 0)
    value = u64(source.read())
    if index >= 6 and value >> 32 != 0:
        general_protection(cpu, 0)
    if index == 6:
        value = (value & CONDITIONS_OF_DR6) | ONES_OF_DR6
    elif index == 7:
        value = (value & ZEROS_OF_DR7) | Dr7.fixed.mask
    cpu.dr[index] = value
    debug_registers_changed(cpu)


@instruction("MOV from DR", Form("0F 21 /r", "rm, DR", size="native"), flow="system")
def mov_from_debug(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """Read a debug register (Vol. 2B “MOV—Move to/from Debug Registers”)."""
    index = debug_register(cpu, source.number(), u64(destination.number() >> 3), READS_DR)
    destination.write(destination.kind(cpu.dr[index]))


@instruction("CLTS", Form("0F 06"), flow="system", cpl0=True)
def clts(cpu: Cpu) -> None:
    """CR0.TS := 0 (Vol. 2A “CLTS—Clear Task-Switched Flag in CR0”)."""
    if intercept_clts(cpu) != 0:
        cpu.cr0 = cpu.cr0 & ~u64(Cr0.ts.mask)


@instruction("LMSW", Form("0F 01 /6", "r/m16"), flow="system", cpl0=True)
def lmsw(cpu: Cpu, source: Operand) -> None:
    """CR0 bits 3:0 := source; PE can be set but not cleared (Vol. 2A “LMSW—Load Machine Status Word”)."""
    linear = source.linear(2) if source.is_memory else u64(0)
    word = intercept_lmsw(cpu, u64(source.read()), source.is_memory, linear)
    write_cr0(cpu, (cpu.cr0 & ~u64(MSW)) | (word & MSW) | (cpu.cr0 & Cr0.pe.mask))


@inline
def visible_cr0(cpu: Cpu) -> int:
    """CR0 as the guest sees it, by the same rule as MOV from CR0, but never with a VM exit."""
    return intercept_cr_read(cpu, 0, cpu.cr0, u64(0))


@instruction("SMSW", Form("0F 01 /4", "rm"), flow="system")
def smsw(cpu: Cpu, destination: Operand) -> None:
    """destination := CR0 at the operand size (Vol. 2B “SMSW—Store Machine Status Word”)."""
    check_umip(cpu)
    destination.write(destination.kind(visible_cr0(cpu)))


@instruction("SMSW m16", Form("0F 01 /4", "m16"), flow="system")
def smsw_memory(cpu: Cpu, destination: Operand) -> None:
    """The low 16 bits to memory, whatever the operand size (Vol. 2B “SMSW—Store Machine Status Word”)."""
    check_umip(cpu)
    destination.write(u16(visible_cr0(cpu)))


@inline
def need_osxsave(cpu: Cpu) -> None:
    """#UD unless CR4.OSXSAVE."""
    if cpu.cr4 & Cr4.osxsave.mask == 0:
        undefined_opcode(cpu)


@instruction("XGETBV", Form("NP 0F 01 D0"), flow="system", feature="xsave")
def xgetbv(cpu: Cpu) -> None:
    """EDX:EAX := XCR0, or where ECX is 1 its components in use (Vol. 2D “XGETBV—Get Value of Extended Control Register”)."""
    need_osxsave(cpu)
    if u32(cpu.gpr[RCX]) > 1:
        general_protection(cpu, 0)
    value = cpu.xcr0
    if u32(cpu.gpr[RCX]) == 1:
        value = value & components_in_use(cpu)
    cpu.gpr[RAX] = u64(u32(value))
    cpu.gpr[RDX] = value >> 32


@instruction("XSETBV", Form("NP 0F 01 D1"), flow="system", feature="xsave")
def xsetbv(cpu: Cpu) -> None:
    """XCR0 := EDX:EAX where ECX is 0 (Vol. 2D “XSETBV—Set Extended Control Register”)."""
    need_osxsave(cpu)
    if cpu.cpl != 0:
        general_protection(cpu, 0)
    intercept(cpu, Intercept.XSETBV, u64(0))
    value = u64(u32(cpu.gpr[RDX])) << 32 | u64(u32(cpu.gpr[RAX]))
    # x87 state is always on, and AVX state needs SSE state.
    if u32(cpu.gpr[RCX]) != 0 or value & 1 == 0 or value & 6 == 4 or value & ~extended_states(cpu) != 0:
        general_protection(cpu, 0)
    cpu.xcr0 = value
