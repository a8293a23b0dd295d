"""What a VM exit loads of the host (Vol. 3C §28.5 “Loading Host State”)."""

from __future__ import annotations

from vmxon.arch.control import Cr0, Cr4, Dr7, Efer
from vmxon.arch.flags import Rflags
from vmxon.arch.segments import AccessRights
from vmxon.microcode import inline, microcode, u8, u16, u32, u64
from vmxon.processor.breakpoints import debug_registers_changed
from vmxon.processor.counters import load_global_control
from vmxon.processor.flags import write_status
from vmxon.processor.segmentation import refresh_mode, refresh_segments
from vmxon.processor.state import FaultKind, Segment
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.tlb import drop_vpid
from vmxon.vmx.controls import PinBased, PrimaryExit, SecondaryExit, SecondaryProcessorBased
from vmxon.vmx.exit_save import ALL_ONES, RSP, exit_control
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.physical import read_quad
from vmxon.vmx.state import Operation, read_field

CR0_KEPT = Cr0.et.mask | Cr0.nw.mask | Cr0.cd.mask | ~Cr0.layout.named & ALL_ONES
"""Bits of CR0 that transitions leave alone: ET, NW, CD and what is reserved."""
CODE_RIGHTS = 11 | AccessRights.s.mask | AccessRights.p.mask | AccessRights.g.mask
DATA_RIGHTS = 3 | AccessRights.s.mask | AccessRights.p.mask | AccessRights.g.mask | AccessRights.db.mask
TASK_RIGHTS = 11 | AccessRights.p.mask
UNUSABLE = AccessRights.unusable.mask
TASK_LIMIT, TABLE_LIMIT = 0x67, 0xFFFF
NMI_BLOCKING = 8
PDPTE_RESERVED = 0x1E6


@microcode
def load_host_state(cpu: Cpu) -> bool:
    """Load the host-state area of the current VMCS; False where the host's PDPTEs are bad."""
    long_host = exit_control(cpu, PrimaryExit.host_address_space_size.mask)
    kept_vpid = cpu.vmx_secondary & SecondaryProcessorBased.enable_vpid.mask != 0
    virtual_nmis = read_field(cpu, VmcsField.PIN_BASED_VM_EXECUTION_CONTROLS) & PinBased.virtual_nmis.mask != 0
    leave_guest(cpu)
    # Under “virtual NMIs” the bit was the guest's; NMIs themselves were not blocked.
    blocking = cpu.interruptibility & NMI_BLOCKING
    cpu.interruptibility = u8(0) if virtual_nmis else blocking
    load_host_control(cpu, long_host)
    load_host_msrs(cpu, long_host)
    load_host_segments(cpu, long_host)
    cpu.rip = read_field(cpu, VmcsField.HOST_RIP)
    cpu.gpr[RSP] = read_field(cpu, VmcsField.HOST_RSP)
    write_status(cpu, u64(0))
    cpu.rflags_other = u64(Rflags.fixed.mask)
    cpu.activity = u8(0)
    cpu.pending_debug = u64(0)
    cpu.step_armed = u8(0)
    if not kept_vpid:
        drop_vpid(cpu, u64(0))
    refresh_mode(cpu)
    refresh_segments(cpu)
    if not long_host and cpu.cr4 & Cr4.pae.mask != 0:
        return load_host_pdptes(cpu)
    return True


@inline
def leave_guest(cpu: Cpu) -> None:
    """Back to VMX root operation."""
    cpu.vmx_operation = u8(Operation.ROOT)
    cpu.vmx_secondary = u64(0)
    cpu.vmx_tertiary = u64(0)
    cpu.second_stage = u8(0)
    cpu.ept_pointer = u64(0)
    cpu.vpid = u64(0)
    cpu.vmx_timer_deadline = u64(ALL_ONES)
    cpu.vmx_guest_deadline = u64(0)
    cpu.hlat_pointer = u64(0)
    cpu.apic_access_page = u64(ALL_ONES)
    cpu.virtual_apic_interrupt = u8(0)
    cpu.vmx_monitor_trap = u8(0)
    cpu.vmx_monitor_armed = u8(0)
    cpu.vmx_iret = u8(0)
    cpu.delivering = u8(0)
    cpu.fault_kind = u32(FaultKind.NONE)
    cpu.attention = u8(1)


@microcode
def load_host_control(cpu: Cpu, long_host: bool) -> None:
    """CR0, CR3, CR4, DR7."""
    cpu.cr0 = (read_field(cpu, VmcsField.HOST_CR0) & ~u64(CR0_KEPT)) | (cpu.cr0 & CR0_KEPT)
    cpu.cr3 = read_field(cpu, VmcsField.HOST_CR3)
    cr4 = read_field(cpu, VmcsField.HOST_CR4)
    if long_host:
        cr4 = cr4 | Cr4.pae.mask
    else:
        cr4 = cr4 & ~u64(Cr4.pcide.mask)
    cpu.cr4 = cr4
    cpu.dr[7] = u64(Dr7.fixed.mask)
    debug_registers_changed(cpu)


@microcode
def load_host_msrs(cpu: Cpu, long_host: bool) -> None:
    """IA32_DEBUGCTL, SYSENTER MSRs; IA32_EFER, IA32_PERF_GLOBAL_CTRL, IA32_PKRS and IA32_PAT under their controls."""
    cpu.debugctl = u64(0)
    cpu.sysenter_cs = read_field(cpu, VmcsField.HOST_IA32_SYSENTER_CS)
    cpu.sysenter_esp = read_field(cpu, VmcsField.HOST_IA32_SYSENTER_ESP)
    cpu.sysenter_eip = read_field(cpu, VmcsField.HOST_IA32_SYSENTER_EIP)
    if exit_control(cpu, PrimaryExit.load_efer.mask):
        cpu.efer = read_field(cpu, VmcsField.HOST_IA32_EFER)
    else:
        cpu.efer = cpu.efer & ~u64(Efer.lma.mask | Efer.lme.mask)
        if long_host:
            cpu.efer = cpu.efer | Efer.lma.mask | Efer.lme.mask
    if exit_control(cpu, PrimaryExit.load_perf_global_ctrl.mask):
        load_global_control(cpu, read_field(cpu, VmcsField.HOST_IA32_PERF_GLOBAL_CTRL))
    if exit_control(cpu, PrimaryExit.activate_secondary.mask):
        load_secondary(cpu)
    if exit_control(cpu, PrimaryExit.load_pkrs.mask):
        cpu.pkrs = read_field(cpu, VmcsField.HOST_IA32_PKRS)
    if exit_control(cpu, PrimaryExit.load_pat.mask):
        cpu.pat = read_field(cpu, VmcsField.HOST_IA32_PAT)


@microcode
def load_secondary(cpu: Cpu) -> None:
    """What the secondary VM-exit controls name: IA32_SPEC_CTRL."""
    if read_field(cpu, VmcsField.SECONDARY_VM_EXIT_CONTROLS) & SecondaryExit.load_spec_ctrl.mask != 0:
        cpu.spec_ctrl = read_field(cpu, VmcsField.HOST_IA32_SPEC_CTRL)


@microcode
def load_host_segments(cpu: Cpu, long_host: bool) -> None:
    """Segment and descriptor-table registers: selectors and some bases from the VMCS, the rest is fixed."""
    rights = u32(CODE_RIGHTS | AccessRights.l.mask) if long_host else u32(CODE_RIGHTS | AccessRights.db.mask)
    set_host_segment(cpu, Segment.CS, VmcsField.HOST_CS_SELECTOR, u64(0), rights)
    for segment, selector in (
        (Segment.SS, VmcsField.HOST_SS_SELECTOR),
        (Segment.DS, VmcsField.HOST_DS_SELECTOR),
        (Segment.ES, VmcsField.HOST_ES_SELECTOR),
    ):
        set_host_segment(cpu, segment, selector, u64(0), data_rights(cpu, selector))
    set_host_segment(
        cpu,
        Segment.FS,
        VmcsField.HOST_FS_SELECTOR,
        read_field(cpu, VmcsField.HOST_FS_BASE),
        data_rights(cpu, VmcsField.HOST_FS_SELECTOR),
    )
    set_host_segment(
        cpu,
        Segment.GS,
        VmcsField.HOST_GS_SELECTOR,
        read_field(cpu, VmcsField.HOST_GS_BASE),
        data_rights(cpu, VmcsField.HOST_GS_SELECTOR),
    )
    base = read_field(cpu, VmcsField.HOST_TR_BASE)
    set_host_segment(cpu, Segment.TR, VmcsField.HOST_TR_SELECTOR, base, u32(TASK_RIGHTS))
    cpu.segments[Segment.TR].limit = u32(TASK_LIMIT)
    cpu.segments[Segment.LDTR].selector = u16(0)
    cpu.segments[Segment.LDTR].base = u64(0)
    cpu.segments[Segment.LDTR].limit = u32(0)
    cpu.segments[Segment.LDTR].rights = u32(UNUSABLE)
    cpu.gdt_base = read_field(cpu, VmcsField.HOST_GDTR_BASE)
    cpu.idt_base = read_field(cpu, VmcsField.HOST_IDTR_BASE)
    cpu.gdt_limit = u32(TABLE_LIMIT)
    cpu.idt_limit = u32(TABLE_LIMIT)


@inline
def data_rights(cpu: Cpu, selector: VmcsField) -> int:
    """Flat writable data, or unusable where the selector is null."""
    return u32(DATA_RIGHTS) if read_field(cpu, selector) != 0 else u32(UNUSABLE | AccessRights.db.mask)


@inline
def set_host_segment(cpu: Cpu, segment: Segment, selector: VmcsField, base: int, rights: int) -> None:
    """Load one register; its limit is 4 GiB."""
    cpu.segments[segment].selector = u16(read_field(cpu, selector))
    cpu.segments[segment].base = base
    cpu.segments[segment].limit = u32(0xFFFF_FFFF)
    cpu.segments[segment].rights = rights


@microcode
def load_host_pdptes(cpu: Cpu) -> bool:
    """The PDPTE registers of a host with PAE paging; False where a present entry has a reserved bit."""
    table = cpu.cr3 & 0xFFFF_FFE0
    for index in range(4):
        entry = read_quad(cpu, table + 8 * index)
        if entry & 1 != 0 and (entry & PDPTE_RESERVED != 0 or entry >> u64(cpu.physical_width) != 0):
            return False
        cpu.pdpte[index] = entry
    return True
