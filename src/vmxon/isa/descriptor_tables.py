"""Descriptor-table registers and selectors under test: LGDT … STR, ARPL, LAR, LSL, VERR, VERW."""

from __future__ import annotations

from vmxon.arch.control import Cr4
from vmxon.arch.exceptions import Vector
from vmxon.isa.information import memory_information, operand_information
from vmxon.isa.operands import FormVariant, Operand
from vmxon.isa.record import Record
from vmxon.isa.status import set_zero
from vmxon.isa.table import Form, instruction
from vmxon.microcode import inline, load, select, store, u16, u32, u64
from vmxon.processor.descriptors import load_ldtr, load_task_register
from vmxon.processor.exceptions import general_protection, undefined_opcode
from vmxon.processor.memory import readable, writable
from vmxon.processor.segmentation import loadable, protected
from vmxon.processor.selector_tests import readable_limit, readable_rights, verify
from vmxon.processor.slots import Intercept, intercept_with_information
from vmxon.processor.state import CodeSize, Segment
from vmxon.processor.state import ProcessorState as Cpu

SGDT, SIDT, LGDT, LIDT = range(4)
SLDT, STR, LLDT, LTR = range(4)
WHICH, OPERAND_32 = 28, 11
"""Places in the VM-exit instruction information."""


@inline
def check_umip(cpu: Cpu) -> None:
    """CR4.UMIP keeps SGDT, SIDT, SLDT, SMSW and STR for CPL 0; #GP(0)."""
    if cpu.cpl != 0 and cpu.cr4 & Cr4.umip.mask != 0:
        general_protection(cpu, 0)


@inline
def intercept_table(cpu: Cpu, record: Record, form: FormVariant, which: int) -> None:
    """The VM exit of LGDT, LIDT, SGDT and SIDT."""
    wide = 0 if form.operand_bits == 16 else 1
    information = memory_information(record) | (wide << OPERAND_32 | which << WHICH)
    intercept_with_information(cpu, Intercept.GDTR_IDTR, record.displacement, information)


@inline
def store_table(cpu: Cpu, destination: Operand, record: Record, base: int, limit: int) -> None:
    """Limit (u16) and base (u64), which is 8 bytes in 64-bit mode and 4 elsewhere."""
    if cpu.code_size == CodeSize.BITS64:
        pointer = writable(cpu, destination.linear(10, True), 10, record.segment)
        store(u16, pointer, limit)
        store(u64, pointer + 2, base)
    else:
        pointer = writable(cpu, destination.linear(6, True), 6, record.segment)
        store(u16, pointer, limit)
        store(u32, pointer + 2, u32(base))


@inline
def load_table(cpu: Cpu, source: Operand, record: Record, form: FormVariant) -> tuple[int, int]:
    """Base (u64) and limit (u32); 24 bits of base with 16-bit operands; #GP(0) unless canonical."""
    base = u64(0)
    limit = u32(0)
    if cpu.code_size == CodeSize.BITS64:
        pointer = readable(cpu, source.linear(10), 10, record.segment)
        limit = u32(load(u16, pointer))
        base = load(u64, pointer + 2)
        if not loadable(cpu, base):
            general_protection(cpu, 0)
    else:
        pointer = readable(cpu, source.linear(6), 6, record.segment)
        limit = u32(load(u16, pointer))
        base = u64(load(u32, pointer + 2))
        if form.operand_bits == 16:
            base = base & 0xFF_FFFF
    return base, limit


@instruction("SGDT", Form("0F 01 /0", "m"), flow="system")
def sgdt(cpu: Cpu, destination: Operand, record: Record, form: FormVariant) -> None:
    """destination := GDTR (Vol. 2B “SGDT—Store Global Descriptor Table Register”)."""
    check_umip(cpu)
    intercept_table(cpu, record, form, SGDT)
    store_table(cpu, destination, record, cpu.gdt_base, u16(cpu.gdt_limit))


@instruction("SIDT", Form("0F 01 /1", "m"), flow="system")
def sidt(cpu: Cpu, destination: Operand, record: Record, form: FormVariant) -> None:
    """destination := IDTR (Vol. 2B “SIDT—Store Interrupt Descriptor Table Register”)."""
    check_umip(cpu)
    intercept_table(cpu, record, form, SIDT)
    store_table(cpu, destination, record, cpu.idt_base, u16(cpu.idt_limit))


@instruction("LGDT", Form("0F 01 /2", "m"), flow="system", cpl0=True)
def lgdt(cpu: Cpu, source: Operand, record: Record, form: FormVariant) -> None:
    """GDTR := source (Vol. 2A “LGDT/LIDT—Load Global/Interrupt Descriptor Table Register”)."""
    intercept_table(cpu, record, form, LGDT)
    base, limit = load_table(cpu, source, record, form)
    cpu.gdt_base = base
    cpu.gdt_limit = limit


@instruction("LIDT", Form("0F 01 /3", "m"), flow="system", cpl0=True)
def lidt(cpu: Cpu, source: Operand, record: Record, form: FormVariant) -> None:
    """IDTR := source (Vol. 2A “LGDT/LIDT—Load Global/Interrupt Descriptor Table Register”)."""
    intercept_table(cpu, record, form, LIDT)
    base, limit = load_table(cpu, source, record, form)
    cpu.idt_base = base
    cpu.idt_limit = limit


@inline
def intercept_selector(cpu: Cpu, operand: Operand, record: Record, which: int) -> None:
    """The VM exit of LLDT, LTR, SLDT and STR."""
    information = operand_information(operand, record) | which << WHICH
    intercept_with_information(cpu, Intercept.LDTR_TR, record.displacement, information)


@inline
def need_protected(cpu: Cpu) -> None:
    """#UD in real-address and virtual-8086 mode."""
    if not protected(cpu):
        undefined_opcode(cpu)


for _digit, _name, _segment in ((0, "SLDT", Segment.LDTR), (1, "STR", Segment.TR)):

    @instruction(_name, Form(f"0F 00 /{_digit}", "rm"), Form(f"0F 00 /{_digit}", "m16"), flow="system")
    def store_selector(cpu: Cpu, destination: Operand, record: Record, segment: int = _segment, which: int = _digit) -> None:
        """destination := selector of LDTR or TR, zero-extended (Vol. 2B “SLDT”, “STR”)."""
        need_protected(cpu)
        check_umip(cpu)
        intercept_selector(cpu, destination, record, which)
        destination.write(destination.kind(cpu.segments[segment].selector))


@instruction("LLDT", Form("0F 00 /2", "r/m16"), flow="system")
def lldt(cpu: Cpu, source: Operand, record: Record) -> None:
    """Load LDTR from the GDT (Vol. 2A “LLDT—Load Local Descriptor Table Register”)."""
    need_protected(cpu)
    if cpu.cpl != 0:
        general_protection(cpu, 0)
    intercept_selector(cpu, source, record, LLDT)
    load_ldtr(cpu, u64(source.read()), u32(Vector.GP))


@instruction("LTR", Form("0F 00 /3", "r/m16"), flow="system")
def ltr(cpu: Cpu, source: Operand, record: Record) -> None:
    """Load TR from the GDT and mark the TSS busy (Vol. 2A “LTR—Load Task Register”)."""
    need_protected(cpu)
    if cpu.cpl != 0:
        general_protection(cpu, 0)
    intercept_selector(cpu, source, record, LTR)
    load_task_register(cpu, u64(source.read()))


@instruction("VERR", Form("0F 00 /4", "r/m16"), writes="zf", flow="system")
def verr(cpu: Cpu, source: Operand) -> None:
    """ZF := the segment is readable at this level (Vol. 2D “VERR/VERW—Verify a Segment for Reading or Writing”)."""
    need_protected(cpu)
    set_zero(cpu, verify(cpu, u64(source.read()), False))


@instruction("VERW", Form("0F 00 /5", "r/m16"), writes="zf", flow="system")
def verw(cpu: Cpu, source: Operand) -> None:
    """ZF := the segment is writable at this level (Vol. 2D “VERR/VERW”)."""
    need_protected(cpu)
    set_zero(cpu, verify(cpu, u64(source.read()), True))


@instruction("LAR", Form("0F 02 /r", "r, r/m16"), writes="zf", flow="system")
def lar(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := access rights of the descriptor, ZF := 1, where this level may see it (Vol. 2A “LAR”)."""
    need_protected(cpu)
    found, rights = readable_rights(cpu, u64(source.read()))
    if found:
        destination.write(destination.kind(rights))
    set_zero(cpu, found)


@instruction("LSL", Form("0F 03 /r", "r, r/m16"), writes="zf", flow="system")
def lsl(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := limit in bytes, ZF := 1, where this level may see it (Vol. 2A “LSL—Load Segment Limit”)."""
    need_protected(cpu)
    found, limit = readable_limit(cpu, u64(source.read()))
    if found:
        destination.write(destination.kind(limit))
    set_zero(cpu, found)


@instruction("ARPL", Form("63 /r", "r/m16, r16", modes="16 32"), writes="zf", modifies=True, flow="system")
def arpl(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """Raise the RPL of destination to that of source; ZF := it was lower (Vol. 2A “ARPL—Adjust RPL Field”)."""
    need_protected(cpu)
    selector, wanted = destination.read(), source.read() & 3
    lower = selector & 3 < wanted
    destination.write(select(lower, (selector & 0xFFFC) | wanted, selector))
    set_zero(cpu, lower)
