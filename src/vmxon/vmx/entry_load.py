"""What VM entry loads of the guest (Vol. 3C §27.3.2 “Loading Guest State”)."""

from __future__ import annotations

from vmxon.arch.control import Cr0, Cr4, Dr7, Efer
from vmxon.microcode import inline, microcode, u8, u16, u32, u64
from vmxon.processor.breakpoints import debug_registers_changed
from vmxon.processor.counters import load_global_control
from vmxon.processor.flags import STATUS, write_status
from vmxon.processor.segmentation import refresh_mode, refresh_segments
from vmxon.processor.state import FaultKind
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.tlb import drop_vpid
from vmxon.vmx.controls import Entry, SecondaryProcessorBased
from vmxon.vmx.events import PendingDebugExceptions
from vmxon.vmx.exit_load import CR0_KEPT
from vmxon.vmx.exit_save import REGISTERS, RSP
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.physical import read_quad
from vmxon.vmx.state import read_field
from vmxon.vmx.virtual_apic import start_virtual_apic

RIGHTS = 0x1_F0FF
"""Access rights without the reserved bits."""
DELIVERED = PendingDebugExceptions.enabled_breakpoint.mask | PendingDebugExceptions.bs.mask
"""Either bit makes the pending debug exceptions a #DB (Vol. 3C §27.7.3 “Delivery of Pending Debug Exceptions after VM Entry”)."""
DR7_ZEROS = 1 << 12 | 3 << 14


@inline
def entry_control(cpu: Cpu, mask: int) -> bool:
    """A VM-entry control is 1."""
    return read_field(cpu, VmcsField.VM_ENTRY_CONTROLS) & mask != 0


@microcode
def load_guest_state(cpu: Cpu) -> None:
    """Load the guest-state area, which is known to be good; VPID and EPT are in force already."""
    start_virtual_apic(cpu)
    load_guest_control(cpu)
    load_guest_msrs(cpu)
    for number, register in REGISTERS:
        segment = cpu.segments[number]
        segment.selector = u16(read_field(cpu, register.selector))
        segment.base = read_field(cpu, register.base)
        segment.limit = u32(read_field(cpu, register.limit))
        segment.rights = u32(read_field(cpu, register.rights)) & RIGHTS
    cpu.gdt_base = read_field(cpu, VmcsField.GUEST_GDTR_BASE)
    cpu.gdt_limit = u32(read_field(cpu, VmcsField.GUEST_GDTR_LIMIT))
    cpu.idt_base = read_field(cpu, VmcsField.GUEST_IDTR_BASE)
    cpu.idt_limit = u32(read_field(cpu, VmcsField.GUEST_IDTR_LIMIT))
    cpu.rip = read_field(cpu, VmcsField.GUEST_RIP)
    cpu.gpr[RSP] = read_field(cpu, VmcsField.GUEST_RSP)
    flags = read_field(cpu, VmcsField.GUEST_RFLAGS)
    write_status(cpu, flags)
    cpu.rflags_other = flags & ~u64(STATUS)
    cpu.activity = u8(read_field(cpu, VmcsField.GUEST_ACTIVITY_STATE))
    cpu.interruptibility = u8(read_field(cpu, VmcsField.GUEST_INTERRUPTIBILITY_STATE))
    cpu.pending_debug = read_field(cpu, VmcsField.GUEST_PENDING_DEBUG_EXCEPTIONS)
    if cpu.pending_debug & DELIVERED == 0:
        # Breakpoint conditions that DR7 does not enable raise nothing.
        cpu.pending_debug = u64(0)
    cpu.step_armed = u8(0)
    cpu.delivering = u8(0)
    cpu.fault_kind = u32(FaultKind.NONE)
    load_pdptes(cpu)
    if cpu.vmx_secondary & SecondaryProcessorBased.enable_vpid.mask == 0:
        drop_vpid(cpu, u64(0))
    refresh_mode(cpu)
    refresh_segments(cpu)


@microcode
def load_guest_control(cpu: Cpu) -> None:
    """CR0 but for the bits that transitions leave alone, CR3, CR4, and DR7 under “load debug controls”."""
    cpu.cr0 = (read_field(cpu, VmcsField.GUEST_CR0) & ~u64(CR0_KEPT)) | (cpu.cr0 & CR0_KEPT)
    cpu.cr3 = read_field(cpu, VmcsField.GUEST_CR3)
    cpu.cr4 = read_field(cpu, VmcsField.GUEST_CR4)
    if entry_control(cpu, Entry.load_debug_controls.mask):
        cpu.dr[7] = (read_field(cpu, VmcsField.GUEST_DR7) & ~u64(DR7_ZEROS)) | Dr7.fixed.mask
        cpu.debugctl = read_field(cpu, VmcsField.GUEST_IA32_DEBUGCTL)
    debug_registers_changed(cpu)


@microcode
def load_guest_msrs(cpu: Cpu) -> None:
    """SYSENTER MSRs; what VM-entry controls name; IA32_EFER under its control, else EFER.LMA and LME follow “IA-32e mode guest”."""
    cpu.sysenter_cs = read_field(cpu, VmcsField.GUEST_IA32_SYSENTER_CS)
    cpu.sysenter_esp = read_field(cpu, VmcsField.GUEST_IA32_SYSENTER_ESP)
    cpu.sysenter_eip = read_field(cpu, VmcsField.GUEST_IA32_SYSENTER_EIP)
    if entry_control(cpu, Entry.load_perf_global_ctrl.mask):
        load_global_control(cpu, read_field(cpu, VmcsField.GUEST_IA32_PERF_GLOBAL_CTRL))
    if entry_control(cpu, Entry.load_spec_ctrl.mask):
        cpu.spec_ctrl = read_field(cpu, VmcsField.GUEST_IA32_SPEC_CTRL)
    if entry_control(cpu, Entry.load_pkrs.mask):
        cpu.pkrs = read_field(cpu, VmcsField.GUEST_IA32_PKRS)
    if entry_control(cpu, Entry.load_pat.mask):
        cpu.pat = read_field(cpu, VmcsField.GUEST_IA32_PAT)
    if entry_control(cpu, Entry.load_efer.mask):
        cpu.efer = read_field(cpu, VmcsField.GUEST_IA32_EFER)
    else:
        bits = u64(Efer.lma.mask)
        if cpu.cr0 & Cr0.pg.mask != 0:
            bits = bits | Efer.lme.mask
        cpu.efer = cpu.efer & ~bits
        if entry_control(cpu, Entry.ia32e_mode_guest.mask):
            cpu.efer = cpu.efer | bits


@microcode
def load_pdptes(cpu: Cpu) -> None:
    """The PDPTE registers of a guest with PAE paging: from the VMCS under EPT, else from memory."""
    if cpu.cr0 & Cr0.pg.mask == 0 or cpu.cr4 & Cr4.pae.mask == 0 or cpu.efer & Efer.lma.mask != 0:
        return
    if cpu.second_stage != 0:
        cpu.pdpte[0] = read_field(cpu, VmcsField.GUEST_PDPTE0)
        cpu.pdpte[1] = read_field(cpu, VmcsField.GUEST_PDPTE1)
        cpu.pdpte[2] = read_field(cpu, VmcsField.GUEST_PDPTE2)
        cpu.pdpte[3] = read_field(cpu, VmcsField.GUEST_PDPTE3)
    else:
        table = cpu.cr3 & 0xFFFF_FFE0
        for index in range(4):
            cpu.pdpte[index] = read_quad(cpu, table + 8 * index)
