"""Which instructions exit (Vol. 3C §26.1 “Instructions That Cause VM Exits”): the slots that instructions call."""

from __future__ import annotations

from vmxon.arch.bits import Bits
from vmxon.arch.flags import Rflags
from vmxon.microcode import implements, inline, microcode, u8, u32, u64
from vmxon.processor.exceptions import abandon, undefined_opcode
from vmxon.processor.interrupt_gates import pushed_flags
from vmxon.processor.slots import (
    Intercept,
    intercept,
    intercept_extended_state,
    intercept_msr,
    intercept_msr_list,
    intercept_port,
    intercept_task_switch,
    intercept_with_information,
    need_enabled,
    need_msr_lists,
)
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.time import read_tsc
from vmxon.vmx.controls import PrimaryProcessorBased as Primary
from vmxon.vmx.controls import SecondaryProcessorBased as Secondary
from vmxon.vmx.controls import TertiaryProcessorBased as Tertiary
from vmxon.vmx.exit import instruction_exit, non_root, vm_exit
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.physical import read_physical
from vmxon.vmx.state import read_field, write_field

ALWAYS = frozenset({Intercept.CPUID, Intercept.GETSEC, Intercept.INVD, Intercept.RSM, Intercept.XSETBV, Intercept.VMCALL})
"""Exit unconditionally; the other VMX instructions look for themselves."""

PRIMARY: dict[Intercept, Bits[bool]] = {
    Intercept.HLT: Primary.hlt_exiting,
    Intercept.INVLPG: Primary.invlpg_exiting,
    Intercept.RDPMC: Primary.rdpmc_exiting,
    Intercept.RDTSC: Primary.rdtsc_exiting,
    Intercept.RDTSCP: Primary.rdtsc_exiting,
    Intercept.MOV_DR: Primary.mov_dr_exiting,
    Intercept.MWAIT: Primary.mwait_exiting,
    Intercept.MONITOR: Primary.monitor_exiting,
    Intercept.PAUSE: Primary.pause_exiting,
    Intercept.INVPCID: Primary.invlpg_exiting,
    Intercept.UMWAIT: Primary.rdtsc_exiting,
    Intercept.TPAUSE: Primary.rdtsc_exiting,
}
"""The primary control that decides."""

SECONDARY: dict[Intercept, Bits[bool]] = {
    Intercept.GDTR_IDTR: Secondary.descriptor_table_exiting,
    Intercept.LDTR_TR: Secondary.descriptor_table_exiting,
    Intercept.WBINVD: Secondary.wbinvd_exiting,
    Intercept.RDRAND: Secondary.rdrand_exiting,
    Intercept.RDSEED: Secondary.rdseed_exiting,
}
"""The secondary control that decides."""

ENABLES: dict[Intercept, Bits[bool]] = {
    Intercept.RDTSCP: Secondary.enable_rdtscp,
    Intercept.INVPCID: Secondary.enable_invpcid,
    Intercept.UMWAIT: Secondary.enable_user_wait_and_pause,
    Intercept.TPAUSE: Secondary.enable_user_wait_and_pause,
    Intercept.XSAVES: Secondary.enable_xsaves,
    Intercept.XRSTORS: Secondary.enable_xsaves,
}
"""The secondary control without which the instruction is undefined in a guest."""

INPUT_OUTPUT_STRING = 1 << 4
PORTS = 0x8000
LOW_MSRS, HIGH_MSRS = 0x2000, 0xC000_0000
WRITE_BITMAPS, HIGH_BITMAP = 2048, 1024


@inline
def primary(cpu: Cpu, control: Bits[bool]) -> bool:
    """A primary processor-based control of the running guest is 1."""
    return read_field(cpu, VmcsField.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS) & control.mask != 0


@inline
def secondary(cpu: Cpu, control: Bits[bool]) -> bool:
    """A secondary processor-based control of the running guest is 1 and activated."""
    return cpu.vmx_secondary & control.mask != 0


@inline
def exits(cpu: Cpu, what: Intercept) -> bool:
    """The controls make this (static) instruction exit."""
    if what in ALWAYS:
        return True
    if what is Intercept.PAUSE:
        return primary(cpu, Primary.pause_exiting) or pause_loop(cpu)
    if what in PRIMARY:
        return primary(cpu, PRIMARY[what])
    if what in SECONDARY:
        return secondary(cpu, SECONDARY[what])
    return False


@implements(need_enabled)
def instruction_enabled(cpu: Cpu, what: int) -> None:
    """#UD in a guest whose controls do not enable the instruction."""
    if non_root(cpu) and not secondary(cpu, ENABLES[Intercept(what)]):
        undefined_opcode(cpu)


@implements(intercept)
def instruction_intercept(cpu: Cpu, what: int, qualification: u64) -> None:
    """An instruction without operands of interest."""
    decide(cpu, what, qualification, u32(0))


@implements(intercept_with_information)
def instruction_intercept_with_information(cpu: Cpu, what: int, qualification: u64, information: u32) -> None:
    """An instruction whose operands the instruction-information field describes."""
    decide(cpu, what, qualification, information)


@implements(intercept_extended_state)
def extended_state_intercept(cpu: Cpu, what: int, components: u64, information: u32) -> None:
    """They exit for components that the XSS-exiting bitmap names (Vol. 3C §26.1.3)."""
    if non_root(cpu) and components & cpu.xss & read_field(cpu, VmcsField.XSS_EXITING_BITMAP) != 0:
        instruction_exit(cpu, u32(what), u64(0), information)


@inline
def decide(cpu: Cpu, what: int, qualification: int, information: int) -> None:
    """Exit or return; `what` is static."""
    if non_root(cpu) and exits(cpu, Intercept(what)):
        instruction_exit(cpu, u32(what), qualification, information)


@microcode
def pause_loop(cpu: Cpu) -> bool:
    """PAUSE-loop exiting: PAUSEs at CPL 0 less than PLE_GAP apart, for longer than PLE_WINDOW (Vol. 3C §26.1.3)."""
    if cpu.vmx_secondary & Secondary.pause_loop_exiting.mask == 0 or cpu.cpl != 0:
        return False
    now = read_tsc(cpu)
    gap = now - cpu.vmx_pause_last
    cpu.vmx_pause_last = now
    if gap > read_field(cpu, VmcsField.PLE_GAP):
        cpu.vmx_pause_first = now
        return False
    return now - cpu.vmx_pause_first > read_field(cpu, VmcsField.PLE_WINDOW)


@implements(intercept_port)
def port_intercept(cpu: Cpu, port: u64, size: u64, qualification: u64, information: u32, linear: u64) -> None:
    """I/O instructions: bitmaps where they are used, else unconditional exiting (Vol. 3C §26.1.3, Table 28-5)."""
    if non_root(cpu) and port_exits(cpu, port, size):
        if qualification & INPUT_OUTPUT_STRING != 0:
            write_field(cpu, VmcsField.GUEST_LINEAR_ADDRESS, linear)
        instruction_exit(cpu, u32(ExitReason.IO_INSTRUCTION), qualification, information)


@microcode
def port_exits(cpu: Cpu, port: u64, size: u64) -> bool:
    """One of the ports is marked in the bitmaps, or the access wraps around the end of the port space."""
    if not primary(cpu, Primary.use_io_bitmaps):
        return primary(cpu, Primary.unconditional_io_exiting)
    if port + size > 2 * PORTS:
        return True
    at = port
    while at < port + size:
        bitmap = read_field(cpu, VmcsField.IO_BITMAP_A_ADDRESS)
        if at >= PORTS:
            bitmap = read_field(cpu, VmcsField.IO_BITMAP_B_ADDRESS)
        byte = read_physical(cpu, u8, bitmap + (at >> 3 & 0xFFF))
        if byte >> (u8(at) & 7) & 1 != 0:
            return True
        at += 1
    return False


@implements(intercept_msr)
def msr_intercept(cpu: Cpu, index: u64, write: bool) -> None:
    """RDMSR and WRMSR: all exit, but for those that the MSR bitmaps let through."""
    if non_root(cpu) and msr_exits(cpu, index, write):
        reason = u32(ExitReason.WRMSR) if write else u32(ExitReason.RDMSR)
        instruction_exit(cpu, reason, u64(0), u32(0))


@implements(need_msr_lists)
def msr_lists_enabled(cpu: Cpu, write: bool) -> None:
    """“enable MSR-list instructions”, and “use MSR bitmaps”, without which they exit before they look at a list."""
    if non_root(cpu):
        if cpu.vmx_tertiary & Tertiary.enable_msr_list.mask == 0:
            undefined_opcode(cpu)
        if not primary(cpu, Primary.use_msr_bitmaps):
            instruction_exit(cpu, list_reason(write), u64(0), u32(0))


@implements(intercept_msr_list)
def msr_list_intercept(cpu: Cpu, index: u64, value: u64, write: bool) -> None:
    """The MSR of a list that the bitmaps do not let through: its address is the exit qualification, and what was to be written the
    field MSR_DATA."""
    if non_root(cpu) and msr_exits(cpu, index, write):
        if write:
            write_field(cpu, VmcsField.MSR_DATA, value)
        instruction_exit(cpu, list_reason(write), index, u32(0))


@inline
def list_reason(write: bool) -> int:
    """The exit reason, as u32."""
    return u32(ExitReason.WRMSRLIST) if write else u32(ExitReason.RDMSRLIST)


@microcode
def msr_exits(cpu: Cpu, index: u64, write: bool) -> bool:
    """There are no bitmaps, they do not cover the MSR, or its bit is 1 (Vol. 3C §25.6.9 “MSR-Bitmap Address”)."""
    if not primary(cpu, Primary.use_msr_bitmaps):
        return True
    place = read_field(cpu, VmcsField.MSR_BITMAP_ADDRESS)
    number = index
    if index >= HIGH_MSRS:
        number = index - HIGH_MSRS
        place += HIGH_BITMAP
    if number >= LOW_MSRS:
        return True
    if write:
        place += WRITE_BITMAPS
    return read_physical(cpu, u8, place + (number >> 3)) >> (u8(number) & 7) & 1 != 0


@implements(intercept_task_switch)
def task_switch_intercept(cpu: Cpu, selector: u64, source: u64) -> None:
    """Task switches always exit (Table 28-2); one through a gate reports the event that it was to handle."""
    if non_root(cpu):
        if cpu.delivering != 0:
            cpu.rflags_other = cpu.rflags_other | (pushed_flags(cpu) & Rflags.rf.mask)
            vm_exit(cpu, u32(ExitReason.TASK_SWITCH), selector | source << 30, u32(0))
            abandon(cpu)
        instruction_exit(cpu, u32(ExitReason.TASK_SWITCH), selector | source << 30, u32(0))
