"""The processor's side of its local APIC: the mode, the APIC page and the x2APIC MSRs; the APIC itself is a device.

A read waits for Python's answer in the latch; a write is checked here and then made by Python (HostRequest.MSR_WRITE).
"""

from __future__ import annotations

from vmxon.arch.apic import X2APIC_FIRST, X2APIC_READABLE, ApicMode, ApicRegister
from vmxon.arch.msr import ApicBase
from vmxon.microcode import fault, inline, microcode, u8, u32, u64
from vmxon.processor.exceptions import general_protection
from vmxon.processor.state import FaultKind, HostRequest
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.tlb import invalidate_everything

MSR_LATCH = 1 << 32
"""Added to an MSR's number in cpu.latch_address, to tell it from ports."""
WRITABLE = [row for row in ApicRegister if "w" in row.x2access]
NO_PAGE = (1 << 64) - 1


@microcode
def follow_apic_base(cpu: Cpu) -> None:
    """IA32_APIC_BASE was written: the mode, and where in memory the APIC page is."""
    old = cpu.apic_page
    cpu.apic_mode = u8(ApicMode.DISABLED)
    cpu.apic_page = u64(NO_PAGE)
    if cpu.apic_base & ApicBase.enabled.mask != 0:
        cpu.apic_mode = u8(ApicMode.X2APIC)
        if cpu.apic_base & ApicBase.x2apic.mask == 0:
            cpu.apic_mode = u8(ApicMode.XAPIC)
            cpu.apic_page = cpu.apic_base & ApicBase.frame.mask
    if old != cpu.apic_page:
        invalidate_everything(cpu)


@inline
def tell_apic(cpu: Cpu, index: int, value: int) -> None:
    """Have Python act on the write of an MSR that the APIC cares for."""
    if cpu.apic_mode != ApicMode.DISABLED or index == 0x1B:
        cpu.request = u32(HostRequest.MSR_WRITE)
        cpu.request_address = u64(index)
        cpu.request_value = value


@microcode
def read_x2apic(cpu: Cpu, index: u64) -> u64:
    """RDMSR of 800H–8FFH; #GP(0) outside x2APIC mode and for what cannot be read."""
    exists = False
    for number in sorted(X2APIC_READABLE):
        if index == X2APIC_FIRST + number:
            exists = True
    if not exists or cpu.apic_mode != ApicMode.X2APIC:
        general_protection(cpu, 0)
    if cpu.latch_valid != 0 and cpu.latch_address == index | MSR_LATCH:
        cpu.latch_valid = u32(0)
        return cpu.latch_value
    cpu.request = u32(HostRequest.MSR_READ)
    cpu.request_address = index
    cpu.fault_kind = u32(FaultKind.HOST)
    fault()


@microcode
def write_x2apic(cpu: Cpu, index: u64, value: u64) -> None:
    """WRMSR to 800H–8FFH; #GP(0) outside x2APIC mode, for what cannot be written, and for reserved bits."""
    exists = False
    for row in WRITABLE:
        if index == X2APIC_FIRST + row:
            exists = value & ~u64(row.writable | row.read_only) == 0
    if not exists or cpu.apic_mode != ApicMode.X2APIC:
        general_protection(cpu, 0)
    tell_apic(cpu, index, value)
