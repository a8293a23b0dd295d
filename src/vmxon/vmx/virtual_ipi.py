"""IPI virtualization (Vol. 3C §30.1.6 “IPI Virtualization”): a write of the virtual ICR posts an interrupt without a VM exit."""

from __future__ import annotations

from vmxon.arch.apic import DeliveryMode, InterruptCommand, Shorthand
from vmxon.microcode import inline, microcode, u32, u64
from vmxon.processor.state import HostRequest
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.vmx.controls import TertiaryProcessorBased as Tertiary
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.physical import read_physical, read_quad, write_physical
from vmxon.vmx.state import read_field
from vmxon.vmx.virtual_events import note_exit

RESERVED = 0xFFF0_0000 | 3 << 16 | 1 << 13
"""Bits of the low half of the ICR that must be 0."""
EDGE_FIXED = Shorthand.NONE << InterruptCommand.shorthand.low | DeliveryMode.FIXED << InterruptCommand.delivery.low
NOT_EDGE_FIXED = RESERVED | 3 << 18 | 1 << 15 | 1 << 12 | 1 << 11 | 7 << 8
"""Bits that must be those of `EDGE_FIXED`: a fixed, edge-triggered interrupt to a physical destination without shorthand."""
COMMAND_OFFSET = 0x300
LOWEST_VECTOR = 16
VALID, POINTER_LOW = 1, 0x3F
"""A PID pointer is valid if its low six bits are 000001b."""
NOTIFICATION = 32
"""Offset of the word behind the 256 requests of a posted-interrupt descriptor."""
OUTSTANDING, SUPPRESSED = 1, 2
VECTOR, DESTINATION = 16, 32
"""Where in that word the notification vector and its destination begin."""


@inline
def virtualizes_ipis(cpu: Cpu) -> bool:
    """“IPI virtualization”."""
    return cpu.vmx_tertiary & Tertiary.ipi_virtualization.mask != 0


@inline
def is_virtualized(command: int) -> bool:
    """The low half of the ICR is one that the processor sends by itself."""
    return command & NOT_EDGE_FIXED == EDGE_FIXED


@microcode
def virtualize_ipi(cpu: Cpu, vector: u64, target: u64) -> None:
    """Post the vector to the virtual APIC `target`; an APIC-write VM exit where that is not possible."""
    if vector < LOWEST_VECTOR or target > read_field(cpu, VmcsField.LAST_PID_POINTER_INDEX):
        note_exit(cpu, u32(ExitReason.APIC_WRITE), u64(COMMAND_OFFSET))
        return
    pointer = read_quad(cpu, read_field(cpu, VmcsField.PID_POINTER_TABLE_ADDRESS) + target * 8)
    if pointer & POINTER_LOW != VALID or pointer >> u64(cpu.physical_width) != 0:
        note_exit(cpu, u32(ExitReason.APIC_WRITE), u64(COMMAND_OFFSET))
        return
    descriptor = pointer & ~u64(POINTER_LOW)
    word = descriptor + (vector >> 5) * 4
    write_physical(cpu, u32, word, read_physical(cpu, u32, word) | u32(1) << (u32(vector) & 31))
    notification = read_quad(cpu, descriptor + NOTIFICATION)
    if notification & (OUTSTANDING | SUPPRESSED) == 0:
        write_physical(cpu, u64, descriptor + NOTIFICATION, notification | OUTSTANDING)
        cpu.request = u32(HostRequest.NOTIFY)
        cpu.request_address = notification >> VECTOR & 0xFF
        cpu.request_value = notification >> DESTINATION
