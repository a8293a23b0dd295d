"""VM exits (Vol. 3C ch. 28 “VM Exits”): recording why, saving the guest, loading the host."""

from __future__ import annotations

from typing import NoReturn

from vmxon.arch.control import Efer
from vmxon.arch.flags import Rflags
from vmxon.microcode import inline, microcode, u8, u32, u64
from vmxon.processor.exceptions import abandon
from vmxon.processor.interrupts import leave_interrupted_state
from vmxon.processor.state import HostRequest
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.vmx.controls import PrimaryExit
from vmxon.vmx.events import EventType, ExitInterruption
from vmxon.vmx.exit_load import load_host_state
from vmxon.vmx.exit_reasons import ExitReason, ExitReasonWord
from vmxon.vmx.exit_save import exit_control, save_guest_state
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.msr_area import load_msr_area, store_msr_area
from vmxon.vmx.physical import write_physical
from vmxon.vmx.state import NOTIFY_SWITCHES, Operation, read_field, write_field

VALID = ExitInterruption.valid.mask
HAS_CODE = ExitInterruption.error_code_valid.mask
NMI_UNBLOCKING = ExitInterruption.nmi_unblocking.mask
KIND = ExitInterruption.type.low
NMI_BLOCKING = 8
ABORT_STORE, ABORT_PDPTE, ABORT_LOAD, ABORT_MODE = 1, 2, 4, 6
"""VMX-abort indicators (Vol. 3C §28.7 “VMX Aborts”)."""
SHUTDOWN = 2
"""Activity state."""


@inline
def non_root(cpu: Cpu) -> bool:
    """The processor runs a guest."""
    return cpu.vmx_operation == Operation.NON_ROOT


@inline
def nmi_unblocking(cpu: Cpu) -> int:
    """Bit 12 where an IRET that ended NMI blocking is the instruction that exits, as u32."""
    return u32(cpu.vmx_iret) << 12


@microcode
def vm_exit(cpu: Cpu, reason: u32, qualification: u64, interruption: u32) -> None:
    """Leave the guest. `interruption` is the interruption information (0 for none); its error code, the instruction's length
    and information, and addresses are in the VMCS already. RFLAGS.RF is as it is to be saved.
    """
    write_field(cpu, VmcsField.EXIT_REASON, u64(reason))
    write_field(cpu, VmcsField.EXIT_QUALIFICATION, qualification)
    write_field(cpu, VmcsField.VM_EXIT_INTERRUPTION_INFORMATION, u64(interruption))
    record_idt_vectoring(cpu)
    event = read_field(cpu, VmcsField.VM_ENTRY_INTERRUPTION_INFORMATION)
    write_field(cpu, VmcsField.VM_ENTRY_INTERRUPTION_INFORMATION, event & 0x7FFF_FFFF)
    save_guest_state(cpu)
    if not store_msr_area(cpu):
        vmx_abort(cpu, u32(ABORT_STORE))
        return
    by_nmi = reason == ExitReason.EXCEPTION_OR_NMI and interruption >> KIND & 7 == EventType.NMI
    land(cpu, by_nmi)
    if cpu.vmx_notify & NOTIFY_SWITCHES != 0:
        cpu.request = u32(HostRequest.VM_EXITED)


@microcode
def land(cpu: Cpu, by_nmi: bool) -> None:
    """Load the host state and go on at the host RIP; failures are VMX aborts."""
    if cpu.efer & Efer.lma.mask != 0 and not exit_control(cpu, PrimaryExit.host_address_space_size.mask):
        vmx_abort(cpu, u32(ABORT_MODE))
        return
    if not load_host_state(cpu):
        vmx_abort(cpu, u32(ABORT_PDPTE))
        return
    if by_nmi:
        cpu.interruptibility = cpu.interruptibility | NMI_BLOCKING
    if load_msr_area(cpu, VmcsField.VM_EXIT_MSR_LOAD_COUNT, VmcsField.VM_EXIT_MSR_LOAD_ADDRESS) != 0:
        vmx_abort(cpu, u32(ABORT_LOAD))
        return


@microcode
def vmx_abort(cpu: Cpu, indicator: u32) -> None:
    """A VM exit that cannot be completed: the processor shuts down; the indicator goes into the VMCS region."""
    cpu.vmx_abort = indicator
    cpu.vmx_shutdown = u8(1)
    write_physical(cpu, u32, cpu.vmcs_pointer + 4, indicator)
    cpu.vmx_operation = u8(Operation.ROOT)
    cpu.activity = u8(SHUTDOWN)
    cpu.attention = u8(1)


@microcode
def record_idt_vectoring(cpu: Cpu) -> None:
    """IDT-vectoring information: the event whose delivery the exit interrupted (Vol. 3C §28.2.4)."""
    information = u32(0)
    if cpu.delivering != 0:
        leave_interrupted_state(cpu)
        cpu.pending_debug = u64(0)
        information = cpu.delivering_vector | u32(cpu.delivering_soft) << KIND | VALID
        if cpu.delivering_has_error != 0:
            information = information | HAS_CODE
            write_field(cpu, VmcsField.IDT_VECTORING_ERROR_CODE, u64(cpu.delivering_error))
        if cpu.delivering_soft >= EventType.SOFTWARE_INTERRUPT:
            write_field(cpu, VmcsField.VM_EXIT_INSTRUCTION_LENGTH, u64(cpu.delivering_length))
    write_field(cpu, VmcsField.IDT_VECTORING_INFORMATION, u64(information))


@microcode
def instruction_exit(cpu: Cpu, reason: u32, qualification: u64, information: u32) -> NoReturn:
    """The exit of an instruction that is intercepted before it does anything; the processor goes on in the host."""
    write_field(cpu, VmcsField.VM_EXIT_INSTRUCTION_LENGTH, (cpu.next_rip - cpu.rip) & 15)
    write_field(cpu, VmcsField.VM_EXIT_INSTRUCTION_INFORMATION, u64(information))
    cpu.rflags_other = cpu.rflags_other & ~u64(Rflags.rf.mask)
    cpu.delivering = u8(0)
    vm_exit(cpu, reason, qualification, u32(0))
    abandon(cpu)


@microcode
def fail_entry(cpu: Cpu, reason: u32, qualification: u64) -> None:
    """VM entry failed after its controls and host state were good: land in the host, the guest-state area untouched."""
    write_field(cpu, VmcsField.EXIT_REASON, u64(reason | ExitReasonWord.entry_failed.mask))
    write_field(cpu, VmcsField.EXIT_QUALIFICATION, qualification)
    land(cpu, False)
