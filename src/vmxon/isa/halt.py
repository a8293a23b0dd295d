"""Stopping and flushing: HLT, cache and TLB invalidation."""

from __future__ import annotations

from vmxon.arch.control import Cr4
from vmxon.isa.information import memory_information
from vmxon.isa.operands import Operand
from vmxon.isa.record import Record
from vmxon.isa.table import Form, instruction
from vmxon.microcode import load, microcode, u8, u32, u64
from vmxon.processor.events import HALTED
from vmxon.processor.exceptions import general_protection
from vmxon.processor.memory import readable
from vmxon.processor.segmentation import loadable
from vmxon.processor.slots import Intercept, intercept, intercept_with_information, need_enabled
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.tlb import invalidate_all, select_class, select_space
from vmxon.processor.tlb_pages import EVERY_PCID, forget_but_globals, forget_page, invalidate_page

ONE_ADDRESS, ONE_CONTEXT, ALL_CONTEXTS, ALL_BUT_GLOBAL = range(4)
"""Types of INVPCID."""
REGISTER = 28
"""Place of the type's register in the VM-exit instruction information."""


@instruction("HLT", Form("F4"), flow="system", cpl0=True)
def hlt(cpu: Cpu) -> None:
    """Wait for an interrupt (Vol. 2A “HLT—Halt”)."""
    intercept(cpu, Intercept.HLT, u64(0))
    cpu.activity = u8(HALTED)
    cpu.attention = u8(1)


@instruction("INVD", Form("0F 08"), flow="system", cpl0=True)
def invd(cpu: Cpu) -> None:
    """Nothing: there are no caches (Vol. 2A “INVD—Invalidate Internal Caches”)."""
    intercept(cpu, Intercept.INVD, u64(0))


@instruction("WBINVD", Form("0F 09"), flow="system", cpl0=True)
def wbinvd(cpu: Cpu) -> None:
    """Nothing: there are no caches (Vol. 2D “WBINVD—Write Back and Invalidate Cache”)."""
    intercept(cpu, Intercept.WBINVD, u64(0))


@instruction("INVLPG", Form("0F 01 /7", "mem"), flow="system", cpl0=True)
def invlpg(cpu: Cpu, page: Operand, record: Record) -> None:
    """Forget the translations of one page; in 64-bit mode an address that is not canonical does nothing (Vol. 2A “INVLPG”)."""
    linear = (cpu.segments[u64(record.segment)].base + page.address()) & cpu.linear_mask
    intercept(cpu, Intercept.INVLPG, linear)
    if loadable(cpu, linear):
        invalidate_page(cpu, linear)


@instruction("INVPCID", Form("66 0F 38 82 /r", "r, m128", size="native"), flow="system", feature="invpcid")
def invpcid(cpu: Cpu, kind: Operand, descriptor: Operand, record: Record) -> None:
    """Forget translations by PCID (Vol. 2A “INVPCID—Invalidate Process-Context Identifier”)."""
    need_enabled(cpu, Intercept.INVPCID)
    if cpu.cpl != 0:
        general_protection(cpu, 0)
    information = memory_information(record) | u32(kind.number() >> 3) << REGISTER
    intercept_with_information(cpu, Intercept.INVPCID, record.displacement, information)
    pointer = readable(cpu, descriptor.linear(16), 16, record.segment)
    forget_contexts(cpu, u64(kind.read()), load(u64, pointer), load(u64, pointer + 8))


@microcode
def forget_contexts(cpu: Cpu, kind: u64, pcid: u64, linear: u64) -> None:
    """The four types of INVPCID and their #GP(0)."""
    if kind > ALL_BUT_GLOBAL:
        general_protection(cpu, 0)
    if kind == ALL_CONTEXTS:
        invalidate_all(cpu)
        return
    if kind == ALL_BUT_GLOBAL:
        forget_but_globals(cpu, cpu.vpid, u64(EVERY_PCID))
        select_space(cpu)
        return
    if pcid >> 12 != 0 or (cpu.cr4 & Cr4.pcide.mask == 0 and pcid != 0):
        general_protection(cpu, 0)
    if kind == ONE_CONTEXT:
        forget_but_globals(cpu, cpu.vpid, pcid)
        select_space(cpu)
    else:
        if not loadable(cpu, linear):
            general_protection(cpu, 0)
        forget_page(cpu, linear, cpu.vpid, pcid)
        select_class(cpu)
