"""Raising exceptions: an instruction records what happened and abandons itself; the dispatcher delivers it."""

from __future__ import annotations

from typing import NoReturn

from vmxon.arch.exceptions import Vector
from vmxon.microcode import fault, inline, microcode, u8, u32, u64
from vmxon.processor.state import FaultKind
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.tlb import refresh_context
from vmxon.processor.tlb_pages import forget_faulting

HARDWARE_EXCEPTION = 3


@microcode
def raise_with_code(cpu: Cpu, vector: u32, code: u32) -> NoReturn:
    """Abandon the instruction with an exception that pushes an error code."""
    cpu.fault_kind = u32(FaultKind.EXCEPTION)
    cpu.fault_vector = vector
    cpu.fault_error = code
    cpu.fault_has_error = u8(1)
    cpu.fault_soft = u8(HARDWARE_EXCEPTION)
    fault()


@microcode
def raise_plain(cpu: Cpu, vector: u32) -> NoReturn:
    """Abandon the instruction with an exception that pushes no error code."""
    cpu.fault_kind = u32(FaultKind.EXCEPTION)
    cpu.fault_vector = vector
    cpu.fault_error = u32(0)
    cpu.fault_has_error = u8(0)
    cpu.fault_soft = u8(HARDWARE_EXCEPTION)
    fault()


@inline
def general_protection(cpu: Cpu, code: int) -> NoReturn:
    """#GP(code)."""
    raise_with_code(cpu, u32(Vector.GP), u32(code))


@inline
def stack_fault(cpu: Cpu, code: int) -> NoReturn:
    """#SS(code)."""
    raise_with_code(cpu, u32(Vector.SS), u32(code))


@inline
def not_present(cpu: Cpu, code: int) -> NoReturn:
    """#NP(code)."""
    raise_with_code(cpu, u32(Vector.NP), u32(code))


@inline
def invalid_tss(cpu: Cpu, code: int) -> NoReturn:
    """#TS(code)."""
    raise_with_code(cpu, u32(Vector.TS), u32(code))


@inline
def alignment_check(cpu: Cpu) -> NoReturn:
    """#AC(0)."""
    raise_with_code(cpu, u32(Vector.AC), u32(0))


@inline
def undefined_opcode(cpu: Cpu) -> NoReturn:
    """#UD."""
    raise_plain(cpu, u32(Vector.UD))


@inline
def device_not_available(cpu: Cpu) -> NoReturn:
    """#NM."""
    raise_plain(cpu, u32(Vector.NM))


@inline
def divide_error(cpu: Cpu) -> NoReturn:
    """#DE."""
    raise_plain(cpu, u32(Vector.DE))


@inline
def x87_error(cpu: Cpu) -> NoReturn:
    """#MF."""
    raise_plain(cpu, u32(Vector.MF))


@inline
def simd_error(cpu: Cpu) -> NoReturn:
    """#XM."""
    raise_plain(cpu, u32(Vector.XM))


@microcode
def page_fault(cpu: Cpu, linear: u64, code: u32) -> NoReturn:
    """#PF(code); CR2 is loaded when it is delivered, not when a VM exit takes it. The translation that faulted is forgotten."""
    forget_faulting(cpu, linear)
    refresh_context(cpu)
    cpu.fault_address = linear
    raise_with_code(cpu, u32(Vector.PF), code)


@microcode
def raise_debug(cpu: Cpu, conditions: u64) -> NoReturn:
    """#DB with the DR6 bits `conditions` (Vol. 3B §17.2.3 “Debug Status Register (DR6)”)."""
    cpu.fault_qualification = conditions
    raise_plain(cpu, u32(Vector.DB))


@microcode
def raise_software(cpu: Cpu, vector: u32, kind: int, length: u8) -> NoReturn:
    """INT n (kind 4), INT1 (5), INT3 and INTO (6): an event with an instruction length, delivered like an exception."""
    cpu.fault_kind = u32(FaultKind.EXCEPTION)
    cpu.fault_vector = vector
    cpu.fault_error = u32(0)
    cpu.fault_has_error = u8(0)
    cpu.fault_soft = u8(kind)
    cpu.fault_length = length
    fault()


@microcode
def abandon(cpu: Cpu) -> NoReturn:
    """The state was replaced as a whole; go on at cpu.rip."""
    cpu.fault_kind = u32(FaultKind.ABANDON)
    fault()
