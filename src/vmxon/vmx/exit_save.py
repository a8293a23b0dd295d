"""What a VM exit saves of the guest (Vol. 3C §28.3 “Saving Guest State”)."""

from __future__ import annotations

from vmxon.arch.control import Cr0, Cr4, Efer
from vmxon.arch.msr_vmx import VmxMisc
from vmxon.microcode import inline, microcode, u64
from vmxon.processor.flags import read_rflags
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.state import Segment
from vmxon.vmx.controls import Entry, PinBased, PrimaryExit, TertiaryProcessorBased
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.preemption import timer_left
from vmxon.vmx.rules.terms import CS, DS, ES, FS, GS, LDTR, SS, TR, Register
from vmxon.vmx.rules.view import MISC
from vmxon.vmx.state import read_field, write_field

RSP = 4
REGISTERS: tuple[tuple[Segment, Register], ...] = (
    (Segment.ES, ES),
    (Segment.CS, CS),
    (Segment.SS, SS),
    (Segment.DS, DS),
    (Segment.FS, FS),
    (Segment.GS, GS),
    (Segment.LDTR, LDTR),
    (Segment.TR, TR),
)
"""Which fields describe which register."""
ALL_ONES = (1 << 64) - 1
ENTRY_SETTINGS = 0x484 - 0x480
"""Place of IA32_VMX_ENTRY_CTLS in cpu.vmx_capability."""


@inline
def exit_control(cpu: Cpu, mask: int) -> bool:
    """A primary VM-exit control is 1."""
    return read_field(cpu, VmcsField.PRIMARY_VM_EXIT_CONTROLS) & mask != 0


@inline
def may_be_one(cpu: Cpu, mask: int) -> bool:
    """The processor supports the 1-setting of a VM-entry control."""
    return cpu.vmx_capability[ENTRY_SETTINGS] >> 32 & mask != 0


@microcode
def save_guest_state(cpu: Cpu) -> None:
    """Write the guest-state area of the current VMCS."""
    write_field(cpu, VmcsField.GUEST_CR0, cpu.cr0)
    write_field(cpu, VmcsField.GUEST_CR3, cpu.cr3)
    write_field(cpu, VmcsField.GUEST_CR4, cpu.cr4)
    save_msrs(cpu)
    for number, register in REGISTERS:
        segment = cpu.segments[number]
        write_field(cpu, register.selector, u64(segment.selector))
        write_field(cpu, register.base, segment.base)
        write_field(cpu, register.limit, u64(segment.limit))
        write_field(cpu, register.rights, u64(segment.rights))
    write_field(cpu, VmcsField.GUEST_GDTR_BASE, cpu.gdt_base)
    write_field(cpu, VmcsField.GUEST_GDTR_LIMIT, u64(cpu.gdt_limit))
    write_field(cpu, VmcsField.GUEST_IDTR_BASE, cpu.idt_base)
    write_field(cpu, VmcsField.GUEST_IDTR_LIMIT, u64(cpu.idt_limit))
    write_field(cpu, VmcsField.GUEST_RIP, cpu.rip)
    write_field(cpu, VmcsField.GUEST_RSP, cpu.gpr[RSP])
    write_field(cpu, VmcsField.GUEST_RFLAGS, read_rflags(cpu))
    write_field(cpu, VmcsField.GUEST_ACTIVITY_STATE, u64(cpu.activity))
    write_field(cpu, VmcsField.GUEST_INTERRUPTIBILITY_STATE, u64(cpu.interruptibility))
    write_field(cpu, VmcsField.GUEST_PENDING_DEBUG_EXCEPTIONS, cpu.pending_debug)
    save_pdptes(cpu)
    save_timer(cpu)


@microcode
def save_msrs(cpu: Cpu) -> None:
    """SYSENTER MSRs always, IA32_SPEC_CTRL and IA32_PKRS where VM entry can load them; debug controls and what VM-exit controls name;
    “IA-32e mode guest” follows LMA."""
    write_field(cpu, VmcsField.GUEST_IA32_SYSENTER_CS, cpu.sysenter_cs)
    write_field(cpu, VmcsField.GUEST_IA32_SYSENTER_ESP, cpu.sysenter_esp)
    write_field(cpu, VmcsField.GUEST_IA32_SYSENTER_EIP, cpu.sysenter_eip)
    if exit_control(cpu, PrimaryExit.save_debug_controls.mask):
        write_field(cpu, VmcsField.GUEST_DR7, cpu.dr[7])
        write_field(cpu, VmcsField.GUEST_IA32_DEBUGCTL, cpu.debugctl)
    if may_be_one(cpu, Entry.load_spec_ctrl.mask):
        write_field(cpu, VmcsField.GUEST_IA32_SPEC_CTRL, cpu.spec_ctrl)
    if may_be_one(cpu, Entry.load_pkrs.mask):
        write_field(cpu, VmcsField.GUEST_IA32_PKRS, cpu.pkrs)
    if exit_control(cpu, PrimaryExit.save_perf_global_ctl.mask):
        write_field(cpu, VmcsField.GUEST_IA32_PERF_GLOBAL_CTRL, cpu.counter_global_control)
    if exit_control(cpu, PrimaryExit.save_pat.mask):
        write_field(cpu, VmcsField.GUEST_IA32_PAT, cpu.pat)
    if exit_control(cpu, PrimaryExit.save_efer.mask):
        write_field(cpu, VmcsField.GUEST_IA32_EFER, cpu.efer)
    if cpu.vmx_capability[MISC - 0x480] & VmxMisc.saves_lma.mask != 0:
        controls = read_field(cpu, VmcsField.VM_ENTRY_CONTROLS) & ~u64(Entry.ia32e_mode_guest.mask)
        if cpu.efer & Efer.lma.mask != 0:
            controls = controls | Entry.ia32e_mode_guest.mask
        write_field(cpu, VmcsField.VM_ENTRY_CONTROLS, controls)


@microcode
def save_pdptes(cpu: Cpu) -> None:
    """The PDPTE registers, where the guest uses PAE paging under EPT."""
    paging = cpu.cr0 & Cr0.pg.mask != 0 and cpu.cr4 & Cr4.pae.mask != 0 and cpu.efer & Efer.lma.mask == 0
    if cpu.second_stage != 0 and paging:
        write_field(cpu, VmcsField.GUEST_PDPTE0, cpu.pdpte[0])
        write_field(cpu, VmcsField.GUEST_PDPTE1, cpu.pdpte[1])
        write_field(cpu, VmcsField.GUEST_PDPTE2, cpu.pdpte[2])
        write_field(cpu, VmcsField.GUEST_PDPTE3, cpu.pdpte[3])


@microcode
def save_timer(cpu: Cpu) -> None:
    """What is left of the preemption timer, under “save VMX-preemption timer value”; the guest's own deadline, where it has one."""
    if cpu.vmx_tertiary & TertiaryProcessorBased.apic_timer_virtualization.mask != 0:
        write_field(cpu, VmcsField.GUEST_DEADLINE, cpu.vmx_guest_deadline)
    active = read_field(cpu, VmcsField.PIN_BASED_VM_EXECUTION_CONTROLS) & PinBased.preemption_timer.mask != 0
    if active and exit_control(cpu, PrimaryExit.save_preemption_timer.mask):
        write_field(cpu, VmcsField.VMX_PREEMPTION_TIMER_VALUE, timer_left(cpu))
