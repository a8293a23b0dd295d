"""The virtual-APIC page and what the processor does with it (Vol. 3C ch. 30 “APIC Virtualization and Virtual Interrupts”).

VM exits that follow from a write (TPR below threshold, APIC write, virtualized EOI) are trap-like: they are noted in
cpu.virtual_apic_exit and taken before anything else at the next instruction boundary.
"""

from __future__ import annotations

from vmxon.arch.apic import VECTOR_WORDS, ApicRegister, DeliveryMode, InterruptCommand, Shorthand
from vmxon.arch.flags import Rflags
from vmxon.microcode import inline, leading_zeros, microcode, u8, u16, u32, u64
from vmxon.processor.events import delivered, record_event
from vmxon.processor.interrupts import EXTERNAL_INTERRUPT, STI_AND_MOV_SS, deliver
from vmxon.processor.state import HostRequest
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.vmx.controls import PinBased
from vmxon.vmx.controls import PrimaryProcessorBased as Primary
from vmxon.vmx.controls import SecondaryProcessorBased as Secondary
from vmxon.vmx.exit import vm_exit
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.physical import read_physical, write_physical
from vmxon.vmx.state import read_field, write_field
from vmxon.vmx.virtual_events import note_exit
from vmxon.vmx.virtual_ipi import is_virtualized, virtualize_ipi, virtualizes_ipis

R = ApicRegister
CLASS = 0xF0
END_OF_INTERRUPT_MSR = 0x80B
NO_PAGE = (1 << 64) - 1
ACTIVE, HALTED = 0, 1
SELF = Shorthand.SELF << InterruptCommand.shorthand.low
SELF_FIXED = SELF | DeliveryMode.FIXED << InterruptCommand.delivery.low
NOT_SELF_FIXED = 0xFFF0_0000 | 3 << 18 | 3 << 16 | 1 << 15 | 1 << 13 | 1 << 12 | 7 << 8
"""Bits of VICR_LO that must be those of `SELF_FIXED` for the processor to send the self-IPI itself (Vol. 3C §30.1.5)."""
BITMAPS = (
    VmcsField.EOI_EXIT_BITMAP_0,
    VmcsField.EOI_EXIT_BITMAP_1,
    VmcsField.EOI_EXIT_BITMAP_2,
    VmcsField.EOI_EXIT_BITMAP_3,
)
OUTSTANDING, DESCRIPTOR_CONTROL = 1, 32
"""Bit 0 of the word behind the 256 requests of a posted-interrupt descriptor."""


@inline
def uses(cpu: Cpu, control: int) -> bool:
    """A (static mask of a) secondary control is in force."""
    return cpu.vmx_secondary & control != 0


@inline
def tpr_shadow(cpu: Cpu) -> bool:
    """“use TPR shadow”, in non-root operation."""
    return read_field(cpu, VmcsField.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS) & Primary.use_tpr_shadow.mask != 0


@inline
def delivers(cpu: Cpu) -> bool:
    """“virtual-interrupt delivery”."""
    return uses(cpu, Secondary.virtual_interrupt_delivery.mask)


@microcode
def read_virtual(cpu: Cpu, register: u64) -> u64:
    """32 bits of the virtual-APIC page; `register` is the offset / 16."""
    return u64(read_physical(cpu, u32, read_field(cpu, VmcsField.VIRTUAL_APIC_ADDRESS) + (register << 4)))


@microcode
def write_virtual(cpu: Cpu, register: u64, value: u64) -> None:
    """Set 32 bits of the virtual-APIC page."""
    write_physical(cpu, u32, read_field(cpu, VmcsField.VIRTUAL_APIC_ADDRESS) + (register << 4), u32(value))


@microcode
def set_vector(cpu: Cpu, array: u64, vector: u64) -> None:
    """Set a vector's bit in VISR or VIRR."""
    word = array + (vector >> 5)
    write_virtual(cpu, word, read_virtual(cpu, word) | u64(1) << (vector & 31))


@microcode
def clear_vector(cpu: Cpu, array: u64, vector: u64) -> None:
    """Clear a vector's bit in VISR or VIRR."""
    word = array + (vector >> 5)
    write_virtual(cpu, word, read_virtual(cpu, word) & ~(u64(1) << (vector & 31)))


@microcode
def highest(cpu: Cpu, array: u64) -> u64:
    """The highest vector in VISR or VIRR; 0 where there is none."""
    left = u64(VECTOR_WORDS)
    while left != 0:
        left -= 1
        bits = read_virtual(cpu, array + left)
        if bits != 0:
            return left * 32 + (u64(63) - u64(leading_zeros(bits)))
    return u64(0)


@inline
def requested(cpu: Cpu) -> int:
    """RVI, the low byte of the guest interrupt status."""
    return read_field(cpu, VmcsField.GUEST_INTERRUPT_STATUS) & 0xFF


@inline
def serviced(cpu: Cpu) -> int:
    """SVI, the high byte."""
    return read_field(cpu, VmcsField.GUEST_INTERRUPT_STATUS) >> 8 & 0xFF


@microcode
def set_status(cpu: Cpu, request: u64, service: u64) -> None:
    """Load RVI and SVI."""
    write_field(cpu, VmcsField.GUEST_INTERRUPT_STATUS, request | service << 8)


@microcode
def update_priority(cpu: Cpu) -> None:
    """PPR virtualization (Vol. 3C §30.1.3 “PPR Virtualization”)."""
    task, service = read_virtual(cpu, u64(R.TASK_PRIORITY)) & 0xFF, serviced(cpu)
    if task >> 4 < service >> 4:
        task = service & CLASS
    write_virtual(cpu, u64(R.PROCESSOR_PRIORITY), task)


@microcode
def evaluate(cpu: Cpu) -> None:
    """Evaluation of pending virtual interrupts (Vol. 3C §30.2.1)."""
    cpu.virtual_apic_interrupt = u8(0)
    window = read_field(cpu, VmcsField.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS) & Primary.interrupt_window_exiting.mask
    priority = read_virtual(cpu, u64(R.PROCESSOR_PRIORITY))
    if window == 0 and requested(cpu) >> 4 > priority >> 4 & 0xF:
        cpu.virtual_apic_interrupt = u8(1)
        cpu.attention = u8(1)


@microcode
def virtualize_priority(cpu: Cpu) -> None:
    """TPR virtualization, after VTPR was written (Vol. 3C §30.1.2 “TPR Virtualization”)."""
    if delivers(cpu):
        update_priority(cpu)
        evaluate(cpu)
    elif below_threshold(cpu):
        note_exit(cpu, u32(ExitReason.TPR_BELOW_THRESHOLD), u64(0))


@microcode
def below_threshold(cpu: Cpu) -> bool:
    """VTPR[7:4] is less than the TPR threshold."""
    return read_virtual(cpu, u64(R.TASK_PRIORITY)) >> 4 & 0xF < read_field(cpu, VmcsField.TPR_THRESHOLD) & 0xF


@microcode
def virtualize_end(cpu: Cpu) -> None:
    """EOI virtualization (Vol. 3C §30.1.4 “EOI Virtualization”)."""
    vector = serviced(cpu)
    clear_vector(cpu, u64(R.IN_SERVICE), vector)
    set_status(cpu, requested(cpu), highest(cpu, u64(R.IN_SERVICE)))
    update_priority(cpu)
    bitmap = u64(0)
    for number, field in enumerate(BITMAPS):
        if vector >> 6 == number:
            bitmap = read_field(cpu, field)
    if bitmap >> (vector & 63) & 1 != 0:
        note_exit(cpu, u32(ExitReason.VIRTUALIZED_EOI), vector)
    else:
        evaluate(cpu)


@microcode
def virtualize_self_interrupt(cpu: Cpu, vector: u64) -> None:
    """Self-IPI virtualization (Vol. 3C §30.1.5 “Self-IPI Virtualization”)."""
    post_virtual(cpu, vector)
    evaluate(cpu)


@microcode
def post_virtual(cpu: Cpu, vector: u64) -> None:
    """Request a virtual interrupt."""
    set_vector(cpu, u64(R.REQUESTS), vector)
    if vector > requested(cpu):
        set_status(cpu, vector, serviced(cpu))


@microcode
def emulate_write(cpu: Cpu, offset: u64) -> None:
    """APIC-write emulation: a store to the APIC-access page has reached the virtual-APIC page (Vol. 3C §30.4.3.2)."""
    register = offset >> 4
    if offset == R.TASK_PRIORITY << 4:
        write_virtual(cpu, register, read_virtual(cpu, register) & 0xFF)
        virtualize_priority(cpu)
    elif register == R.COMMAND_HIGH:
        write_virtual(cpu, register, read_virtual(cpu, register) & 0xFF00_0000)
    elif offset == R.END_OF_INTERRUPT << 4 and delivers(cpu):
        write_virtual(cpu, register, u64(0))
        virtualize_end(cpu)
    elif offset == R.COMMAND << 4:
        send_command(cpu, read_virtual(cpu, register), read_virtual(cpu, u64(R.COMMAND_HIGH)) >> 24)
    else:
        note_exit(cpu, u32(ExitReason.APIC_WRITE), offset)


@microcode
def send_command(cpu: Cpu, command: u64, target: u64) -> None:
    """The low half of the virtual ICR was written: a self-IPI, an IPI to the virtual APIC `target`, or an APIC-write VM exit."""
    if delivers(cpu) and command & NOT_SELF_FIXED == SELF_FIXED and command & CLASS != 0:
        virtualize_self_interrupt(cpu, command & 0xFF)
    elif virtualizes_ipis(cpu) and is_virtualized(command):
        virtualize_ipi(cpu, command & 0xFF, target)
    else:
        note_exit(cpu, u32(ExitReason.APIC_WRITE), u64(R.COMMAND << 4))


# At instruction boundaries.


@microcode
def start_virtual_apic(cpu: Cpu) -> None:
    """What VM entry does: recognition of virtual interrupts, and the TPR threshold (Vol. 3C §27.7.7 “VM Exits Induced by the TPR
    Threshold”)."""
    cpu.virtual_apic_interrupt = u8(0)
    cpu.virtual_apic_written = u8(0)
    cpu.virtual_apic_exit = u16(0)
    cpu.apic_access_page = u64(NO_PAGE)
    if uses(cpu, Secondary.virtualize_apic_accesses.mask):
        cpu.apic_access_page = read_field(cpu, VmcsField.APIC_ACCESS_ADDRESS)
    if tpr_shadow(cpu):
        if delivers(cpu):
            update_priority(cpu)
            evaluate(cpu)
        elif uses(cpu, Secondary.virtualize_apic_accesses.mask) and below_threshold(cpu):
            note_exit(cpu, u32(ExitReason.TPR_BELOW_THRESHOLD), u64(0))


@microcode
def virtual_apic_exit(cpu: Cpu) -> bool:
    """Finish a write to the APIC-access page, and take the trap-like VM exit that is due; shutdown and the wait for SIPI hold it back."""
    if cpu.virtual_apic_written != 0:
        cpu.virtual_apic_written = u8(0)
        emulate_write(cpu, u64(cpu.virtual_apic_offset))
    if cpu.virtual_apic_exit == 0 or cpu.activity > HALTED:
        return False
    reason = u32(cpu.virtual_apic_exit)
    cpu.virtual_apic_exit = u16(0)
    vm_exit(cpu, reason, u64(cpu.virtual_apic_qualification), u32(0))
    return True


@microcode
def virtual_interrupt(cpu: Cpu) -> bool:
    """Virtual-interrupt delivery (Vol. 3C §30.2.2): RVI goes into service and through the guest's IDT; it ends HLT."""
    if cpu.virtual_apic_interrupt == 0 or cpu.rflags_other & Rflags.if_.mask == 0:
        return False
    if cpu.interruptibility & STI_AND_MOV_SS != 0 or (cpu.activity != ACTIVE and cpu.activity != HALTED):
        return False
    vector = requested(cpu)
    record_event(cpu, u32(vector), u8(EXTERNAL_INTERRUPT))
    set_vector(cpu, u64(R.IN_SERVICE), vector)
    clear_vector(cpu, u64(R.REQUESTS), vector)
    write_virtual(cpu, u64(R.PROCESSOR_PRIORITY), vector & CLASS)
    set_status(cpu, highest(cpu, u64(R.REQUESTS)), vector)
    cpu.virtual_apic_interrupt = u8(0)
    deliver(cpu)
    if not delivered(cpu):
        # A device must be read first: the interrupt is pending again.
        clear_vector(cpu, u64(R.IN_SERVICE), vector)
        set_vector(cpu, u64(R.REQUESTS), vector)
        set_status(cpu, vector, highest(cpu, u64(R.IN_SERVICE)))
        update_priority(cpu)
        cpu.virtual_apic_interrupt = u8(1)
    return True


@microcode
def posted_interrupts(cpu: Cpu) -> bool:
    """The acknowledged interrupt is the notification: fetch the posted ones (Vol. 3C §30.6 “Posted-Interrupt Processing”)."""
    pins = read_field(cpu, VmcsField.PIN_BASED_VM_EXECUTION_CONTROLS)
    notification = read_field(cpu, VmcsField.POSTED_INTERRUPT_NOTIFICATION_VECTOR) & 0xFF
    if pins & PinBased.posted_interrupts.mask == 0 or u64(cpu.acknowledged_vector) != notification:
        return False
    cpu.acknowledged = u8(0)
    descriptor = read_field(cpu, VmcsField.POSTED_INTERRUPT_DESCRIPTOR_ADDRESS)
    control = read_physical(cpu, u32, descriptor + DESCRIPTOR_CONTROL)
    write_physical(cpu, u32, descriptor + DESCRIPTOR_CONTROL, control & ~u32(OUTSTANDING))
    cpu.request = u32(HostRequest.MSR_WRITE)
    cpu.request_address = u64(END_OF_INTERRUPT_MSR)
    cpu.request_value = u64(0)
    word = u64(0)
    top = requested(cpu)
    while word < VECTOR_WORDS:
        posted = u64(read_physical(cpu, u32, descriptor + word * 4))
        if posted != 0:
            write_physical(cpu, u32, descriptor + word * 4, u32(0))
            register = word + R.REQUESTS
            write_virtual(cpu, register, read_virtual(cpu, register) | posted)
            found = word * 32 + (u64(63) - u64(leading_zeros(posted)))
            if found > top:
                top = found
        word += 1
    set_status(cpu, top, serviced(cpu))
    evaluate(cpu)
    return True
