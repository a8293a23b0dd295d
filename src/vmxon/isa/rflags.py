"""The flags register as a whole, and IF: PUSHF, POPF, CLI, STI with their privilege rules."""

from __future__ import annotations

from vmxon.arch.control import Cr4
from vmxon.arch.flags import STATUS, Rflags
from vmxon.isa.operands import FormVariant
from vmxon.isa.table import Form, instruction
from vmxon.microcode import inline, u64
from vmxon.processor.events import STI, start_shadow
from vmxon.processor.exceptions import general_protection, undefined_opcode
from vmxon.processor.flags import read_rflags, write_rflags
from vmxon.processor.segmentation import SegmentRules, refresh_privilege
from vmxon.processor.stack import pop, push, stack_read
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.tlb import select_class
from vmxon.processor.virtual_8086 import (
    check_virtual_flags,
    lacks_iopl,
    need_extensions,
    set_virtual_interrupt_flag,
    virtual_flags,
)

IOPL = Rflags.iopl.mask
ANY_LEVEL_16 = STATUS | Rflags.tf.mask | Rflags.df.mask | Rflags.nt.mask
ANY_LEVEL_32 = ANY_LEVEL_16 | Rflags.ac.mask | Rflags.id.mask
HIDDEN = Rflags.rf.mask | Rflags.vm.mask
"""PUSHF stores these as 0."""


@inline
def has_iopl(cpu: Cpu) -> bool:
    """CPL <= IOPL; in virtual-8086 mode, where CPL is 3, IOPL is 3."""
    return u64(cpu.cpl) <= cpu.rflags_other >> Rflags.iopl.low & 3


@instruction("PUSHF", Form("9C", default64=True), flow="system")
def pushf(cpu: Cpu, form: FormVariant) -> None:
    """Push FLAGS, EFLAGS or RFLAGS without RF and VM (Vol. 2B “PUSHF/PUSHFD/PUSHFQ”)."""
    flags = read_rflags(cpu)
    if lacks_iopl(cpu):
        need_extensions(cpu, form.operand_bits)
        flags = virtual_flags(cpu)
    push(cpu, form.kind, form.kind(flags & ~u64(HIDDEN)))


@instruction("POPF", Form("9D", default64=True), flow="system", writes="of sf zf af pf cf")
def popf(cpu: Cpu, form: FormVariant) -> None:
    """Pop FLAGS, EFLAGS or RFLAGS; who may not change IF and IOPL keeps them (Vol. 2B “POPF/POPFD/POPFQ”)."""
    if lacks_iopl(cpu):
        need_extensions(cpu, form.operand_bits)
        check_virtual_flags(cpu, u64(stack_read(cpu, form.kind, u64(0))))
    value = u64(pop(cpu, form.kind))
    if lacks_iopl(cpu):
        set_virtual_interrupt_flag(cpu, value)
    writable = u64(ANY_LEVEL_16) if form.operand_bits == 16 else u64(ANY_LEVEL_32)
    if has_iopl(cpu):
        writable = writable | Rflags.if_.mask
    if cpu.cpl == 0:
        writable = writable | IOPL
    write_rflags(cpu, value & ~u64(Rflags.rf.mask), writable | Rflags.rf.mask)
    refresh_privilege(cpu)


@inline
def virtual_interrupts(cpu: Cpu) -> bool:
    """CLI and STI without IOPL act on VIF: protected-mode virtual interrupts or virtual-8086 mode extensions."""
    if cpu.segment_rules == SegmentRules.VIRTUAL_8086:
        return cpu.cr4 & Cr4.vme.mask != 0
    return cpu.cpl == 3 and cpu.cr4 & Cr4.pvi.mask != 0


@instruction("CLI", Form("FA"), flow="system")
def cli(cpu: Cpu) -> None:
    """IF := 0 (Vol. 2A “CLI—Clear Interrupt Flag”)."""
    if has_iopl(cpu):
        cpu.rflags_other = cpu.rflags_other & ~u64(Rflags.if_.mask)
    elif virtual_interrupts(cpu):
        cpu.rflags_other = cpu.rflags_other & ~u64(Rflags.vif.mask)
    else:
        general_protection(cpu, 0)


@instruction("STI", Form("FB"), flow="system")
def sti(cpu: Cpu) -> None:
    """IF := 1; where it was 0, interrupts wait for one more instruction (Vol. 2B “STI—Set Interrupt Flag”)."""
    if has_iopl(cpu):
        if cpu.rflags_other & Rflags.if_.mask == 0:
            start_shadow(cpu, STI)
        cpu.rflags_other = cpu.rflags_other | Rflags.if_.mask
    elif virtual_interrupts(cpu) and cpu.rflags_other & Rflags.vip.mask == 0:
        cpu.rflags_other = cpu.rflags_other | Rflags.vif.mask
    else:
        general_protection(cpu, 0)


@instruction("CLAC", Form("NP 0F 01 CA"), flow="system", feature="smap")
def clac(cpu: Cpu) -> None:
    """Clear RFLAGS.AC: supervisor accesses to user pages fault again (Vol. 2A “CLAC—Clear AC Flag in EFLAGS Register”)."""
    set_ac(cpu, False)


@instruction("STAC", Form("NP 0F 01 CB"), flow="system", feature="smap")
def stac(cpu: Cpu) -> None:
    """Set RFLAGS.AC: supervisor accesses to user pages are allowed (Vol. 2B “STAC—Set AC Flag in EFLAGS Register”)."""
    set_ac(cpu, True)


@inline
def set_ac(cpu: Cpu, on: bool) -> None:
    """#UD above CPL 0; the TLB class of supervisor accesses follows AC."""
    if cpu.cpl != 0:
        undefined_opcode(cpu)
    if on:
        cpu.rflags_other = cpu.rflags_other | Rflags.ac.mask
    else:
        cpu.rflags_other = cpu.rflags_other & ~u64(Rflags.ac.mask)
    select_class(cpu)
