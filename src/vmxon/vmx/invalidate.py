"""INVEPT, INVVPID and VMFUNC (Vol. 3C §31.3): what the software TLB must forget, and EPTP switching."""

from __future__ import annotations

from vmxon.arch.msr_vmx import EptVpidCapabilities
from vmxon.isa.operands import Operand
from vmxon.isa.record import Record
from vmxon.isa.table import Form, instruction
from vmxon.microcode import inline, load, microcode, u32, u64
from vmxon.processor.exceptions import undefined_opcode
from vmxon.processor.memory import readable
from vmxon.processor.segmentation import loadable
from vmxon.processor.state import HostRequest
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.tlb import drop_ept, drop_second_stage, drop_vpid, select_space
from vmxon.processor.tlb_pages import EVERY_PCID, forget_but_globals, forget_page
from vmxon.vmx.check import machine_view
from vmxon.vmx.controls import SecondaryProcessorBased
from vmxon.vmx.ept_entries import InveptType, InvvpidType
from vmxon.vmx.errors import InstructionError
from vmxon.vmx.exit import instruction_exit, non_root
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.instruction_information import InvalidationInformation
from vmxon.vmx.instructions import SECONDARY_CAPABILITIES, require_operation, require_privilege
from vmxon.vmx.operands import memory_information, register_number
from vmxon.vmx.physical import read_quad
from vmxon.vmx.results import fail, succeed
from vmxon.vmx.rules.execution import eptp_valid
from vmxon.vmx.state import NOTIFY_SWITCHES, read_field, write_field

EPT_CAPABILITIES = 0x48C - 0x480
RAX, RCX = 0, 1
EPTPS = 512
FUNCTIONS = 64


@inline
def capable(cpu: Cpu, mask: int) -> bool:
    """IA32_VMX_EPT_VPID_CAP has the bit."""
    return cpu.vmx_capability[EPT_CAPABILITIES] & mask != 0


@inline
def exit_of_invalidation(cpu: Cpu, reason: ExitReason, record: Record) -> None:
    """A guest's INVEPT or INVVPID exits."""
    if non_root(cpu):
        register = register_number(record.destination) << InvalidationInformation.register.low
        instruction_exit(cpu, u32(reason), record.displacement, memory_information(record) | register)


@inline
def read_descriptor(cpu: Cpu, operand: Operand, record: Record) -> tuple[int, int]:
    """The 16 bytes of the descriptor."""
    pointer = readable(cpu, operand.linear(16), 16, record.segment)
    return load(u64, pointer), load(u64, pointer + 8)


@instruction(
    "INVEPT",
    Form("66 0F 38 80 /r", "r64, m128", modes="64"),
    Form("66 0F 38 80 /r", "r32, m128", modes="16 32"),
    flow="system",
    feature="vmx",
)
def invept(cpu: Cpu, kind: Operand, descriptor: Operand, record: Record) -> None:
    """Forget translations that came through EPT (Vol. 3C “INVEPT—Invalidate Translations Derived from EPT”)."""
    require_operation(cpu)
    if not capable(cpu, EptVpidCapabilities.invept.mask):
        undefined_opcode(cpu)
    exit_of_invalidation(cpu, ExitReason.INVEPT, record)
    require_privilege(cpu)
    number = u64(kind.read())
    if not invept_type_supported(cpu, number):
        fail(cpu, InstructionError.INVALID_OPERAND)
    else:
        eptp, _ = read_descriptor(cpu, descriptor, record)
        invalidate_ept(cpu, number, eptp)


@microcode
def invept_type_supported(cpu: Cpu, number: u64) -> bool:
    """The processor lists this type of INVEPT."""
    single = number == InveptType.SINGLE_CONTEXT and capable(cpu, EptVpidCapabilities.invept_single.mask)
    return single or (number == InveptType.ALL_CONTEXTS and capable(cpu, EptVpidCapabilities.invept_all.mask))


@microcode
def invalidate_ept(cpu: Cpu, number: u64, eptp: u64) -> None:
    """INVEPT of a supported type."""
    if number == InveptType.SINGLE_CONTEXT:
        if not eptp_valid(machine_view(cpu), eptp):
            fail(cpu, InstructionError.INVALID_OPERAND)
            return
        drop_ept(cpu, eptp)
    else:
        drop_second_stage(cpu)
    select_space(cpu)
    succeed(cpu)
    if cpu.vmx_notify & NOTIFY_SWITCHES != 0:
        cpu.request = u32(HostRequest.INVEPT)


@instruction(
    "INVVPID",
    Form("66 0F 38 81 /r", "r64, m128", modes="64"),
    Form("66 0F 38 81 /r", "r32, m128", modes="16 32"),
    flow="system",
    feature="vmx",
)
def invvpid(cpu: Cpu, kind: Operand, descriptor: Operand, record: Record) -> None:
    """Forget translations that are tagged with a VPID (Vol. 3C “INVVPID—Invalidate Translations Based on VPID”)."""
    require_operation(cpu)
    if not capable(cpu, EptVpidCapabilities.invvpid.mask):
        undefined_opcode(cpu)
    exit_of_invalidation(cpu, ExitReason.INVVPID, record)
    require_privilege(cpu)
    number = u64(kind.read())
    if number > InvvpidType.SINGLE_CONTEXT_RETAINING_GLOBALS or not invvpid_type_supported(cpu, number):
        fail(cpu, InstructionError.INVALID_OPERAND)
    else:
        vpid, linear = read_descriptor(cpu, descriptor, record)
        invalidate_vpid(cpu, number, vpid, linear)


@inline
def invvpid_type_supported(cpu: Cpu, number: int) -> bool:
    """The processor lists this type of INVVPID (0 to 3)."""
    return cpu.vmx_capability[EPT_CAPABILITIES] >> EptVpidCapabilities.invvpid_address.low >> number & 1 != 0


@microcode
def invalidate_vpid(cpu: Cpu, number: u64, vpid: u64, linear: u64) -> None:
    """INVVPID of a supported type, for every PCID and EPT root; the mappings of EPT alone stay."""
    bad = vpid >> 16 != 0
    if number != InvvpidType.ALL_CONTEXTS:
        bad = bad or vpid == 0
    if number == InvvpidType.INDIVIDUAL_ADDRESS:
        bad = bad or not loadable(cpu, linear)
    if bad:
        fail(cpu, InstructionError.INVALID_OPERAND)
        return
    if number == InvvpidType.ALL_CONTEXTS:
        drop_tagged(cpu)
    elif number == InvvpidType.INDIVIDUAL_ADDRESS:
        forget_page(cpu, linear, vpid, u64(EVERY_PCID))
    elif number == InvvpidType.SINGLE_CONTEXT_RETAINING_GLOBALS:
        forget_but_globals(cpu, vpid, u64(EVERY_PCID))
    else:
        drop_vpid(cpu, vpid)
    select_space(cpu)
    succeed(cpu)


@microcode
def drop_tagged(cpu: Cpu) -> None:
    """Forget the translations of all VPIDs but 0."""
    index = u64(0)
    while index < cpu.tag_count:
        if cpu.tag_vpids[index] != 0:
            cpu.tag_keys[index] = u64(0)
        index += 1


@instruction("VMFUNC", Form("NP 0F 01 D4", ""), flow="system", feature="vmx")
def vmfunc(cpu: Cpu) -> None:
    """Invoke a VM function from a guest, at any privilege: 0 switches EPTP (Vol. 3C “VMFUNC—Invoke VM Function”)."""
    if not non_root(cpu) or cpu.vmx_secondary & SecondaryProcessorBased.enable_vm_functions.mask == 0:
        undefined_opcode(cpu)
    function = cpu.gpr[RAX] & 0xFFFF_FFFF
    if function >= FUNCTIONS:
        undefined_opcode(cpu)
    if read_field(cpu, VmcsField.VM_FUNCTION_CONTROLS) >> function & 1 == 0 or not eptp_switched(cpu):
        instruction_exit(cpu, u32(ExitReason.VMFUNC), u64(0), u32(0))


@microcode
def eptp_switched(cpu: Cpu) -> bool:
    """EPTP switching to entry ECX of the EPTP list; False where there is no such entry or VM entry would refuse it."""
    index = cpu.gpr[RCX] & 0xFFFF_FFFF
    if index >= EPTPS:
        return False
    eptp = read_quad(cpu, read_field(cpu, VmcsField.EPTP_LIST_ADDRESS) + 8 * index)
    if not eptp_valid(machine_view(cpu), eptp):
        return False
    write_field(cpu, VmcsField.EPTP, eptp)
    if cpu.vmx_capability[SECONDARY_CAPABILITIES] >> 32 & SecondaryProcessorBased.ept_violation_ve.mask != 0:
        write_field(cpu, VmcsField.EPTP_INDEX, index)
    cpu.ept_pointer = eptp
    select_space(cpu)
    return True
