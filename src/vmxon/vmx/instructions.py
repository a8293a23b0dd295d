"""VMXON, VMXOFF, VMCLEAR, VMPTRLD, VMPTRST, VMLAUNCH, VMRESUME, VMCALL (Vol. 3C §31.3 “VMX Instructions”).

The order is the manual's: #UD, VM exit of a guest, #GP(0) above CPL 0, then VMfail. GETSEC needs CR4.SMXE, which no model
lets software set, so it is an undefined opcode like any other.
"""

from __future__ import annotations

from vmxon.arch.control import Cr4
from vmxon.arch.msr import FeatureControl
from vmxon.isa.operands import Operand
from vmxon.isa.record import Record
from vmxon.isa.table import Form, instruction
from vmxon.microcode import inline, microcode, u8, u32, u64
from vmxon.processor.exceptions import general_protection, undefined_opcode
from vmxon.processor.segmentation import SegmentRules
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.vmx.entry import CLEAR, LAUNCHED, enter
from vmxon.vmx.errors import InstructionError
from vmxon.vmx.exit import instruction_exit, non_root
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.operands import memory_information
from vmxon.vmx.physical import fits_physical, read_physical
from vmxon.vmx.regions import activate, clear_region
from vmxon.vmx.results import fail, succeed
from vmxon.vmx.state import NO_VMCS, Operation

REVISION = 0x7FFF_FFFF
SHADOW = 1 << 31
VMXON_ALLOWED = FeatureControl.locked.mask | FeatureControl.vmx_outside_smx.mask
CR0_FIXED0, CR0_FIXED1, CR4_FIXED0, CR4_FIXED1 = 6, 7, 8, 9
SECONDARY_CAPABILITIES = 0x48B - 0x480
SHADOWING = 1 << 14 << 32


@inline
def wrong_mode(cpu: Cpu) -> bool:
    """Real-address, virtual-8086 or compatibility mode."""
    short = cpu.long_mode != 0 and cpu.segment_rules != SegmentRules.LONG
    return cpu.segment_rules == SegmentRules.REAL or cpu.segment_rules == SegmentRules.VIRTUAL_8086 or short


@inline
def require_operation(cpu: Cpu) -> None:
    """#UD outside VMX operation and in modes without VMX instructions."""
    if cpu.vmx_operation == Operation.OUTSIDE or wrong_mode(cpu):
        undefined_opcode(cpu)


@inline
def require_privilege(cpu: Cpu) -> None:
    """#GP(0) above CPL 0."""
    if cpu.cpl != 0:
        general_protection(cpu, 0)


@inline
def exit_from_guest(cpu: Cpu, reason: ExitReason) -> None:
    """A guest's VMX instruction exits, whatever its privilege."""
    if non_root(cpu):
        instruction_exit(cpu, u32(reason), u64(0), u32(0))


@inline
def exit_from_guest_with_memory(cpu: Cpu, reason: ExitReason, record: Record) -> None:
    """The same for an instruction with a memory operand: qualification = displacement, and instruction information."""
    if non_root(cpu):
        instruction_exit(cpu, u32(reason), record.displacement, memory_information(record))


@microcode
def revision_at(cpu: Cpu, region: u64) -> u32:
    """The first word of a region, XOR the processor's revision identifier: 0 for an ordinary VMCS of ours."""
    return read_physical(cpu, u32, region) ^ (u32(cpu.vmx_capability[0]) & REVISION)


@instruction("VMXON", Form("F3 0F C7 /6", "m64"), flow="system", feature="vmx")
def vmxon(cpu: Cpu, pointer: Operand, record: Record) -> None:
    """Enter VMX operation (Vol. 3C “VMXON—Enter VMX Operation”)."""
    if wrong_mode(cpu) or cpu.cr4 & Cr4.vmxe.mask == 0:
        undefined_opcode(cpu)
    exit_from_guest_with_memory(cpu, ExitReason.VMXON, record)
    require_privilege(cpu)
    if cpu.vmx_operation == Operation.ROOT:
        fail(cpu, InstructionError.VMXON_IN_ROOT)
    else:
        if not vmxon_allowed(cpu):
            general_protection(cpu, 0)
        enter_operation(cpu, pointer.read())


@microcode
def vmxon_allowed(cpu: Cpu) -> bool:
    """Firmware allows VMXON, and CR0 and CR4 have the bits that VMX operation fixes (Vol. 3C §24.7, §24.8)."""
    if cpu.feature_control & VMXON_ALLOWED != VMXON_ALLOWED:
        return False
    capability = cpu.vmx_capability
    cr0 = capability[CR0_FIXED0] & ~cpu.cr0 == 0 and cpu.cr0 & ~capability[CR0_FIXED1] == 0
    return cr0 and capability[CR4_FIXED0] & ~cpu.cr4 == 0 and cpu.cr4 & ~capability[CR4_FIXED1] == 0


@microcode
def enter_operation(cpu: Cpu, region: u64) -> None:
    """The rest of VMXON: check the region, become VMX root; there is no current VMCS."""
    cpu.vmcs_pointer = u64(NO_VMCS)
    if not fits_physical(cpu, region) or revision_at(cpu, region) != 0:
        fail(cpu, InstructionError.VMXON_IN_ROOT)
        return
    cpu.vmx_operation = u8(Operation.ROOT)
    cpu.vmxon_pointer = region
    cpu.vmcs = u64(0)
    succeed(cpu)


@instruction("VMXOFF", Form("NP 0F 01 C4", ""), flow="system", feature="vmx")
def vmxoff(cpu: Cpu) -> None:
    """Leave VMX operation; active VMCSs stay active (Vol. 3C “VMXOFF—Leave VMX Operation”)."""
    require_operation(cpu)
    exit_from_guest(cpu, ExitReason.VMXOFF)
    require_privilege(cpu)
    cpu.vmx_operation = u8(Operation.OUTSIDE)
    cpu.attention = u8(1)
    succeed(cpu)


@instruction("VMCLEAR", Form("66 0F C7 /6", "m64"), flow="system", feature="vmx")
def vmclear(cpu: Cpu, pointer: Operand, record: Record) -> None:
    """Write a VMCS back to its region and make it clear (Vol. 3C “VMCLEAR—Clear Virtual-Machine Control Structure”)."""
    require_operation(cpu)
    exit_from_guest_with_memory(cpu, ExitReason.VMCLEAR, record)
    require_privilege(cpu)
    clear(cpu, pointer.read())


@microcode
def clear(cpu: Cpu, region: u64) -> None:
    """VMCLEAR of a region."""
    if not fits_physical(cpu, region):
        fail(cpu, InstructionError.VMCLEAR_ADDRESS)
    elif region == cpu.vmxon_pointer:
        fail(cpu, InstructionError.VMCLEAR_VMXON_POINTER)
    else:
        clear_region(cpu, region)
        succeed(cpu)


@instruction("VMPTRLD", Form("NP 0F C7 /6", "m64"), flow="system", feature="vmx")
def vmptrld(cpu: Cpu, pointer: Operand, record: Record) -> None:
    """Make a VMCS active and current (Vol. 3C “VMPTRLD—Load Pointer to Virtual-Machine Control Structure”)."""
    require_operation(cpu)
    exit_from_guest_with_memory(cpu, ExitReason.VMPTRLD, record)
    require_privilege(cpu)
    load_pointer(cpu, pointer.read())


@microcode
def load_pointer(cpu: Cpu, region: u64) -> None:
    """VMPTRLD of a region; a shadow VMCS is accepted where “VMCS shadowing” exists."""
    if not fits_physical(cpu, region):
        fail(cpu, InstructionError.VMPTRLD_ADDRESS)
    elif region == cpu.vmxon_pointer:
        fail(cpu, InstructionError.VMPTRLD_VMXON_POINTER)
    else:
        difference = revision_at(cpu, region)
        if cpu.vmx_capability[SECONDARY_CAPABILITIES] & SHADOWING != 0:
            difference = difference & REVISION
        if difference != 0:
            fail(cpu, InstructionError.VMPTRLD_REVISION)
        else:
            cpu.vmcs = activate(cpu, region)
            cpu.vmcs_pointer = region
            succeed(cpu)


@instruction("VMPTRST", Form("NP 0F C7 /7", "m64"), flow="system", feature="vmx")
def vmptrst(cpu: Cpu, target: Operand, record: Record) -> None:
    """Store the current-VMCS pointer (Vol. 3C “VMPTRST—Store Pointer to Virtual-Machine Control Structure”)."""
    require_operation(cpu)
    exit_from_guest_with_memory(cpu, ExitReason.VMPTRST, record)
    require_privilege(cpu)
    target.write(cpu.vmcs_pointer)
    succeed(cpu)


@instruction("VMLAUNCH", Form("NP 0F 01 C2", ""), flow="system", feature="vmx")
def vmlaunch(cpu: Cpu) -> None:
    """Enter the guest of the current VMCS for the first time (Vol. 3C “VMLAUNCH/VMRESUME”)."""
    require_operation(cpu)
    exit_from_guest(cpu, ExitReason.VMLAUNCH)
    require_privilege(cpu)
    enter(cpu, u64(CLEAR))


@instruction("VMRESUME", Form("NP 0F 01 C3", ""), flow="system", feature="vmx")
def vmresume(cpu: Cpu) -> None:
    """Enter the guest of the current VMCS again (Vol. 3C “VMLAUNCH/VMRESUME”)."""
    require_operation(cpu)
    exit_from_guest(cpu, ExitReason.VMRESUME)
    require_privilege(cpu)
    enter(cpu, u64(LAUNCHED))


@instruction("VMCALL", Form("NP 0F 01 C1", ""), flow="system", feature="vmx")
def vmcall(cpu: Cpu) -> None:
    """Call the hypervisor: exits from a guest in every mode; in root operation it fails (Vol. 3C “VMCALL—Call to VM Monitor”)."""
    if cpu.vmx_operation == Operation.OUTSIDE:
        undefined_opcode(cpu)
    exit_from_guest(cpu, ExitReason.VMCALL)
    if wrong_mode(cpu):
        undefined_opcode(cpu)
    require_privilege(cpu)
    fail(cpu, InstructionError.VMCALL_IN_ROOT)
