"""Lists of MSRs that VM entry and exit load and store: 16 bytes an entry (Vol. 3C §25.7.2, §27.4, §28.4, §28.6)."""

from __future__ import annotations

from vmxon.microcode import attempt, inline, microcode, u32, u64
from vmxon.processor.msrs import read_msr, write_msr
from vmxon.processor.state import FaultKind
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.time import read_tsc
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.physical import read_quad, write_physical
from vmxon.vmx.state import read_field

ENTRY_SIZE = 16
FS_BASE, GS_BASE = 0xC000_0100, 0xC000_0101
X2APIC_FIRST, X2APIC_LAST = 0x800, 0x8FF
SMM_MONITOR_CTL, UPDATE_TRIGGER, UPDATE_SIGNATURE = 0x9B, 0x79, 0x8B
TIME_STAMP_COUNTER = 0x10
LONGEST = 512
"""The recommended most entries, IA32_VMX_MISC[27:25] = 0; beyond it the manual leaves everything open, here entry 513 is refused."""


@inline
def never_in_list(index: int) -> bool:
    """MSRs that no list may name: x2APIC registers, what belongs to SMM, and what a microcode update uses."""
    return (
        (index >= X2APIC_FIRST and index <= X2APIC_LAST) or index == SMM_MONITOR_CTL or index == UPDATE_TRIGGER or index == UPDATE_SIGNATURE
    )


@microcode
def load_msr(cpu: Cpu, index: u64, value: u64) -> bool:
    """Load one MSR as WRMSR would at CPL 0; False where the entry is refused."""
    if index >> 32 != 0 or index == FS_BASE or index == GS_BASE or never_in_list(index):
        return False
    return succeeds(cpu, attempt(write_msr, cpu, index, value))


@microcode
def succeeds(cpu: Cpu, done: bool) -> bool:
    """Pass on the result of an attempt; a refused access leaves no trace of its fault."""
    if not done:
        cpu.fault_kind = u32(FaultKind.NONE)
        cpu.request = u32(0)
    return done


@microcode
def load_msr_area(cpu: Cpu, count: VmcsField, address: VmcsField) -> u64:
    """Load a list in order; gives 0, or the number, from 1, of the first entry that was refused."""
    left = read_field(cpu, count)
    place = read_field(cpu, address)
    number = u64(0)
    while number < left:
        number += 1
        if number > LONGEST or not load_msr(cpu, read_quad(cpu, place), read_quad(cpu, place + 8)):
            return number
        place += ENTRY_SIZE
    return u64(0)


@microcode
def fetch_msr(cpu: Cpu, index: u64) -> None:
    """Read an MSR into cpu.request_value, as RDMSR would at CPL 0; the TSC without the guest's offset."""
    if index == TIME_STAMP_COUNTER:
        cpu.request_value = read_tsc(cpu)
    else:
        cpu.request_value = read_msr(cpu, index)


@microcode
def store_msr_area(cpu: Cpu) -> bool:
    """The VM-exit MSR-store list; False where an entry is refused, which is a VMX abort."""
    left = read_field(cpu, VmcsField.VM_EXIT_MSR_STORE_COUNT)
    place = read_field(cpu, VmcsField.VM_EXIT_MSR_STORE_ADDRESS)
    if left > LONGEST:
        return False
    while left != 0:
        index = read_quad(cpu, place)
        if index >> 32 != 0 or never_in_list(index) or not succeeds(cpu, attempt(fetch_msr, cpu, index)):
            return False
        write_physical(cpu, u64, place + 8, cpu.request_value)
        place += ENTRY_SIZE
        left -= 1
    return True
