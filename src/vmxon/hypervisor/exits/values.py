"""VM exits as values for `match`: the reason is the class, its qualification are the members."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from vmxon.vmx.events import ExitInterruption
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.qualifications import CrAccessQualification, CrAccessType, EptViolationQualification, IoQualification


class RawExit(NamedTuple):
    """What the VMCS says of an exit, by field; a tuple because one is made for each exit."""

    reason: int
    qualification: int
    length: int
    rip: int
    interruption: int
    physical: int
    linear: int
    information: int


@dataclass(frozen=True, slots=True)
class Input:
    """IN of `size` bytes from a port."""

    port: int
    size: int


@dataclass(frozen=True, slots=True)
class Output:
    """OUT of `size` bytes to a port; the value is in the guest's RAX."""

    port: int
    size: int


@dataclass(frozen=True, slots=True)
class StringInputOutput:
    """INS or OUTS at a linear address; `address_bits` is the width of the string registers and of the count."""

    port: int
    size: int
    input: bool
    repeated: bool
    linear: int
    address_bits: int


@dataclass(frozen=True, slots=True)
class EptViolation:
    """An access that EPT does not allow."""

    physical: int
    read: bool
    write: bool
    fetch: bool
    mapped: bool


@dataclass(frozen=True, slots=True)
class ControlRegisterWrite:
    """MOV to a control register, CLTS or LMSW that touches a bit of the host's; `register` holds the value of MOV."""

    number: int
    kind: CrAccessType
    register: int
    source: int


@dataclass(frozen=True, slots=True)
class Event:
    """An exception of the bitmap, or an NMI."""

    information: ExitInterruption
    qualification: int


@dataclass(frozen=True, slots=True)
class Plain:
    """A reason that says everything: CPUID, HLT, RDMSR, VMCALL, the timer, …"""

    reason: ExitReason


Exit = Input | Output | StringInputOutput | EptViolation | ControlRegisterWrite | Event | Plain


def _input_output(raw: RawExit) -> Exit:
    word = IoQualification(raw.qualification)
    port, size = word.port, word.size_minus_one + 1
    if word.string:
        bits = 16 << (raw.information >> 7 & 7)
        return StringInputOutput(port, size, word.input, word.rep, raw.linear, bits)
    return Input(port, size) if word.input else Output(port, size)


def _ept_violation(raw: RawExit) -> Exit:
    word = EptViolationQualification(raw.qualification)
    mapped = word.readable or word.writable or word.executable
    return EptViolation(raw.physical, word.read, word.write, word.fetch, mapped)


def _control_register(raw: RawExit) -> Exit:
    word = CrAccessQualification(raw.qualification)
    return ControlRegisterWrite(word.number, word.access, word.register, word.lmsw_source)


def _event(raw: RawExit) -> Exit:
    return Event(ExitInterruption(raw.interruption), raw.qualification)


DECODERS: dict[int, Callable[[RawExit], Exit]] = {
    ExitReason.IO_INSTRUCTION: _input_output,
    ExitReason.EPT_VIOLATION: _ept_violation,
    ExitReason.CR_ACCESS: _control_register,
    ExitReason.EXCEPTION_OR_NMI: _event,
}


def decode_exit(raw: RawExit) -> Exit:
    """The value for an exit."""
    reason = ExitReason(raw.reason & 0xFFFF)
    decoder = DECODERS.get(reason)
    return decoder(raw) if decoder is not None else Plain(reason)
