"""Writes to CR0, CR3, CR4, CR8 and IA32_EFER: what is refused with #GP(0), and what follows from a change.

`write_…` checks and loads, as MOV to CR and WRMSR do. `set_…` loads what is known to be good; task switches and VMX use it too.
"""

from __future__ import annotations

from vmxon.arch.apic import X2APIC_FIRST, ApicRegister
from vmxon.arch.control import Cr0, Cr3, Cr4, Efer
from vmxon.arch.segments import AccessRights
from vmxon.microcode import microcode, u8, u32, u64
from vmxon.processor.apic import tell_apic
from vmxon.processor.breakpoints import debug_registers_changed
from vmxon.processor.exceptions import general_protection
from vmxon.processor.paging import load_pdptes
from vmxon.processor.segmentation import LONG, refresh_mode
from vmxon.processor.slots import cr_fixed_check
from vmxon.processor.state import CodeSize, Segment
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.tlb import invalidate_all
from vmxon.processor.tlb_pages import invalidate_space

KEEP_TRANSLATIONS = 1 << 63
"""Bit of the operand of MOV to CR3 where CR4.PCIDE = 1; never stored."""
PCID = 0xFFF
TASK_PRIORITY = X2APIC_FIRST + ApicRegister.TASK_PRIORITY
WIDE_TSS = 8
PAGING_OF_CR0 = Cr0.pg.mask | Cr0.wp.mask | Cr0.pe.mask
PAGING_OF_CR4 = Cr4.pse.mask | Cr4.pae.mask | Cr4.pge.mask | Cr4.pcide.mask | Cr4.smep.mask | Cr4.smap.mask | Cr4.pke.mask | Cr4.la57.mask
PDPTES_OF_CR0 = Cr0.pg.mask | Cr0.cd.mask | Cr0.nw.mask
PDPTES_OF_CR4 = Cr4.pae.mask | Cr4.pge.mask | Cr4.pse.mask | Cr4.smep.mask


@microcode
def write_cr0(cpu: Cpu, value: u64) -> None:
    """MOV to CR0 and LMSW (Vol. 2B “MOV—Move to/from Control Registers”)."""
    new = (value & Cr0.layout.named) | Cr0.et.mask
    if value >> 32 != 0:
        general_protection(cpu, 0)
    if new & (Cr0.pg.mask | Cr0.pe.mask) == Cr0.pg.mask or new & (Cr0.nw.mask | Cr0.cd.mask) == Cr0.nw.mask:
        general_protection(cpu, 0)
    if not cr_fixed_check(cpu, 0, new):
        general_protection(cpu, 0)
    if new & ~cpu.cr0 & Cr0.pg.mask != 0:
        check_paging_on(cpu)
    elif cpu.cr0 & ~new & Cr0.pg.mask != 0:
        if cpu.code_size == CodeSize.BITS64 or cpu.cr4 & Cr4.pcide.mask != 0:
            general_protection(cpu, 0)
    if new & Cr0.wp.mask == 0 and cpu.cr4 & Cr4.cet.mask != 0:
        general_protection(cpu, 0)
    legacy_pae = cpu.cr4 & Cr4.pae.mask != 0 and cpu.efer & Efer.lme.mask == 0
    if legacy_pae and new & Cr0.pg.mask != 0 and (new ^ cpu.cr0) & PDPTES_OF_CR0 != 0:
        load_pdptes(cpu, cpu.cr3)
    set_cr0(cpu, new)


@microcode
def check_paging_on(cpu: Cpu) -> None:
    """Turning on CR0.PG with EFER.LME: needs CR4.PAE, no 64-bit code segment, no 16-bit TSS; #GP(0)."""
    if cpu.efer & Efer.lme.mask != 0:
        if cpu.cr4 & Cr4.pae.mask == 0 or cpu.segments[Segment.CS].rights & LONG != 0:
            general_protection(cpu, 0)
        task = cpu.segments[Segment.TR].rights
        if task & AccessRights.unusable.mask == 0 and task & WIDE_TSS == 0:
            general_protection(cpu, 0)


@microcode
def set_cr0(cpu: Cpu, new: u64) -> None:
    """Load CR0; EFER.LMA follows LME and PG."""
    changed = new ^ cpu.cr0
    cpu.cr0 = new
    cpu.efer = cpu.efer & ~u64(Efer.lma.mask)
    if new & Cr0.pg.mask != 0 and cpu.efer & Efer.lme.mask != 0:
        cpu.efer = cpu.efer | Efer.lma.mask
    if changed & Cr0.pe.mask != 0:
        # CPL is 0 on both sides; later it is read from SS.DPL.
        cpu.segments[Segment.SS].rights = cpu.segments[Segment.SS].rights & ~u32(AccessRights.dpl.mask)
    refresh_mode(cpu)
    if changed & PAGING_OF_CR0 != 0:
        invalidate_all(cpu)


@microcode
def write_cr3(cpu: Cpu, value: u64) -> None:
    """MOV to CR3: reserved bits, PDPTEs, and which translations go (Vol. 3A §4.10.4.1)."""
    reserved = ~u64(Cr3.root.mask | PCID) | cpu.physical_reserved
    keep = cpu.cr4 & Cr4.pcide.mask != 0 and value & KEEP_TRANSLATIONS != 0
    new = value & ~u64(KEEP_TRANSLATIONS) if keep else value
    if new & reserved != 0:
        general_protection(cpu, 0)
    if uses_pdptes(cpu):
        load_pdptes(cpu, new)
    cpu.cr3 = new
    refresh_mode(cpu)
    if not keep:
        invalidate_space(cpu)


@microcode
def uses_pdptes(cpu: Cpu) -> bool:
    """PAE paging outside IA-32e mode."""
    return cpu.cr0 & Cr0.pg.mask != 0 and cpu.cr4 & Cr4.pae.mask != 0 and cpu.efer & Efer.lma.mask == 0


@microcode
def write_cr4(cpu: Cpu, value: u64) -> None:
    """MOV to CR4."""
    changed = value ^ cpu.cr4
    rising = changed & value
    if value & ~cpu.cr4_allowed != 0 or not cr_fixed_check(cpu, 4, value):
        general_protection(cpu, 0)
    if cpu.long_mode != 0 and (changed & Cr4.la57.mask != 0 or value & Cr4.pae.mask == 0):
        general_protection(cpu, 0)
    if rising & Cr4.pcide.mask != 0 and (cpu.long_mode == 0 or cpu.cr3 & PCID != 0):
        general_protection(cpu, 0)
    if value & Cr4.cet.mask != 0 and cpu.cr0 & Cr0.wp.mask == 0:
        general_protection(cpu, 0)
    legacy_pae = cpu.cr0 & Cr0.pg.mask != 0 and value & Cr4.pae.mask != 0 and cpu.efer & Efer.lma.mask == 0
    if legacy_pae and changed & PDPTES_OF_CR4 != 0:
        load_pdptes(cpu, cpu.cr3)
    set_cr4(cpu, value)


@microcode
def set_cr4(cpu: Cpu, value: u64) -> None:
    """Load CR4."""
    changed = value ^ cpu.cr4
    cpu.cr4 = value
    refresh_mode(cpu)
    if changed & PAGING_OF_CR4 != 0:
        invalidate_all(cpu)
    if changed & Cr4.de.mask != 0:
        debug_registers_changed(cpu)


@microcode
def write_cr8(cpu: Cpu, value: u64) -> None:
    """MOV to CR8: the task priority, bits 3:0."""
    if value & ~u64(0xF) != 0:
        general_protection(cpu, 0)
    cpu.cr8 = value
    cpu.attention = u8(1)
    tell_apic(cpu, TASK_PRIORITY, value << 4)


@microcode
def write_efer(cpu: Cpu, value: u64) -> None:
    """WRMSR of IA32_EFER: reserved bits; LME only while paging is off; LMA is the processor's own."""
    if value & ~(cpu.efer_allowed | Efer.lma.mask) != 0:
        general_protection(cpu, 0)
    if (value ^ cpu.efer) & Efer.lme.mask != 0 and cpu.cr0 & Cr0.pg.mask != 0:
        general_protection(cpu, 0)
    set_efer(cpu, (value & ~u64(Efer.lma.mask)) | (cpu.efer & Efer.lma.mask))


@microcode
def set_efer(cpu: Cpu, value: u64) -> None:
    """Load IA32_EFER, LMA included."""
    changed = value ^ cpu.efer
    cpu.efer = value
    refresh_mode(cpu)
    if changed & Efer.nxe.mask != 0:
        invalidate_all(cpu)
