"""The register stack and the status word."""

from __future__ import annotations

from vmxon.microcode import fault, inline, microcode, u8, u16, u32, u64
from vmxon.processor.exceptions import device_not_available, x87_error
from vmxon.processor.floating.extended import INDEFINITE, INDEFINITE_HEAD
from vmxon.processor.floating.formats import BEFORE, INVALID, ROUNDED_UP, STACK_FAULT
from vmxon.processor.state import FaultKind, HostRequest
from vmxon.processor.state import ProcessorState as Cpu

C0, C1, C2, C3 = 1 << 8, 1 << 9, 1 << 10, 1 << 14
CONDITIONS = C0 | C1 | C2 | C3
SUMMARY, BUSY = 1 << 7, 1 << 15
"""ES: an unmasked exception is pending; B mirrors it (Vol. 1 §8.1.3 “x87 FPU Status Register”)."""
FLAGS = 0x3F
TOP_SHIFT = 11
CR0_MP, CR0_EM, CR0_TS, CR0_NE = 1 << 1, 1 << 2, 1 << 3, 1 << 5


@inline
def check_available(cpu: Cpu) -> None:
    """#NM where CR0.EM or CR0.TS is 1: the first thing that every x87 instruction but WAIT does."""
    if cpu.cr0 & (CR0_EM | CR0_TS) != 0:
        device_not_available(cpu)


@inline
def check_pending(cpu: Cpu) -> None:
    """#MF or FERR# where an unmasked exception waits: what every waiting instruction does next."""
    if cpu.x87_status & SUMMARY != 0:
        report_error(cpu)
    elif cpu.x87_reported != 0:
        cpu.x87_reported = u8(0)


@microcode
def report_error(cpu: Cpu) -> None:
    """#MF; with CR0.NE = 0 FERR#, which a PC turns into IRQ 13 (Vol. 1 §8.7.2 “MS-DOS* Compatibility Sub-mode”).

    The instruction then waits for the interrupt, which comes before it runs again. Where none comes, a PC stands still; here the
    instruction goes on as under IGNNE#, so that a guest that forgot its interrupt does not hang.
    """
    if cpu.cr0 & CR0_NE != 0:
        x87_error(cpu)
    if cpu.x87_reported == 0:
        cpu.x87_reported = u8(1)
        cpu.request = u32(HostRequest.NUMERIC_ERROR)
        cpu.fault_kind = u32(FaultKind.HOST)
        fault()


@inline
def physical(cpu: Cpu, index: int) -> int:
    """The number of the physical register behind ST(index)."""
    return (cpu.x87_top + index) & 7


@inline
def is_empty(cpu: Cpu, index: int) -> bool:
    """Whether ST(index) is tagged empty."""
    return (u32(cpu.x87_tag) >> physical(cpu, index)) & 1 == 0


@inline
def head(cpu: Cpu, index: int) -> int:
    """Sign and biased exponent of ST(index), as u32."""
    return u32(cpu.x87_exponent[physical(cpu, index)])


@inline
def significand(cpu: Cpu, index: int) -> int:
    """Significand of ST(index)."""
    return cpu.x87_significand[physical(cpu, index)]


@inline
def put(cpu: Cpu, index: int, new_head: int, new_significand: int) -> None:
    """Write ST(index), which is then not empty."""
    register = physical(cpu, index)
    cpu.x87_exponent[register] = u16(new_head)
    cpu.x87_significand[register] = new_significand
    cpu.x87_tag = u16(u32(cpu.x87_tag) | (u32(1) << register))


@inline
def free(cpu: Cpu, index: int) -> None:
    """Tag ST(index) empty."""
    cpu.x87_tag = u16(u32(cpu.x87_tag) & ~(u32(1) << physical(cpu, index)))


@inline
def rotate(cpu: Cpu, distance: int) -> None:
    """Add to TOP."""
    cpu.x87_top = (cpu.x87_top + distance) & 7


@inline
def pop(cpu: Cpu) -> None:
    """Empty ST(0) and let the next register take its place."""
    free(cpu, 0)
    rotate(cpu, 1)


@inline
def pops(cpu: Cpu, count: int) -> None:
    """Pop a static number of times."""
    for _ in range(count):
        pop(cpu)


@inline
def set_conditions(cpu: Cpu, value: int) -> None:
    """C0–C3 from a u32 in their places of the status word."""
    cpu.x87_status = u16((u32(cpu.x87_status) & ~u32(CONDITIONS)) | value)


@inline
def clear_c1(cpu: Cpu) -> None:
    """What an instruction does that neither rounds nor touches the stack's ends."""
    cpu.x87_status = u16(cpu.x87_status & ~u16(C1))


@microcode
def summarize(cpu: Cpu) -> None:
    """ES and B from the flags and their masks, after either was loaded."""
    status = u32(cpu.x87_status) & ~u32(SUMMARY | BUSY)
    if status & ~u32(cpu.x87_control) & FLAGS != 0:
        status = status | (SUMMARY | BUSY)
    cpu.x87_status = u16(status)


@microcode
def report(cpu: Cpu, flags: u32) -> bool:
    """Record exceptions and C1; True where an unmasked exception forbids any result in a register."""
    unmasked = flags & ~u32(cpu.x87_control) & FLAGS
    refused = unmasked & BEFORE != 0
    found = flags
    if refused & (flags & STACK_FAULT == 0):
        # There is no result, hence no exception of a result and no rounding.
        found = flags & BEFORE
    status = (u32(cpu.x87_status) & ~u32(C1)) | found
    if unmasked != 0:
        status = status | (SUMMARY | BUSY)
    cpu.x87_status = u16(status)
    return refused


@microcode
def push(cpu: Cpu, new_head: u32, new_significand: u64, flags: u32) -> None:
    """Push a number that was loaded with `flags`; a denormal is pushed even where that is unmasked.

    Overflow of the stack comes first (Vol. 1 §8.5.1.1 “Stack Overflow or Underflow Exception (#IS)”).
    """
    if is_empty(cpu, 7):
        report(cpu, flags)
        if flags & ~u32(cpu.x87_control) & INVALID == 0:
            rotate(cpu, 7)
            put(cpu, 0, new_head, new_significand)
    else:
        push_indefinite(cpu, u32(INVALID | STACK_FAULT | ROUNDED_UP))


@microcode
def push_indefinite(cpu: Cpu, flags: u32) -> None:
    """The masked response to a stack fault of a load."""
    if not report(cpu, flags):
        rotate(cpu, 7)
        put(cpu, 0, u32(INDEFINITE_HEAD), u64(INDEFINITE))


@microcode
def underflow(cpu: Cpu, destination: u32, count: int) -> None:
    """The stack is too short: the masked response puts the indefinite into ST(destination) and pops."""
    if not report(cpu, u32(INVALID | STACK_FAULT)):
        put(cpu, destination, u32(INDEFINITE_HEAD), u64(INDEFINITE))
        pops(cpu, count)
