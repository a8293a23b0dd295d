"""The trap-like VM exits of APIC virtualization (Vol. 3C §30.1.2, §30.1.4, §30.4.3.3): noted, taken at the next instruction boundary."""

from __future__ import annotations

from vmxon.microcode import microcode, u8, u16, u32, u64
from vmxon.processor.state import ProcessorState as Cpu


@microcode
def note_exit(cpu: Cpu, reason: u32, qualification: u64) -> None:
    """A trap-like VM exit is due."""
    cpu.virtual_apic_exit = u16(reason)
    cpu.virtual_apic_qualification = u16(qualification)
    cpu.attention = u8(1)
