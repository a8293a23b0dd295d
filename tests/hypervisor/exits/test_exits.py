"""VM exits as values, and the reports made of them."""

import pytest

from vmxon.hypervisor.accounting import Accounting
from vmxon.hypervisor.exits import (
    ControlRegisterWrite,
    EptViolation,
    Event,
    Exit,
    Input,
    Output,
    Plain,
    RawExit,
    StringInputOutput,
    decode_exit,
)
from vmxon.vmx.events import ExitInterruption
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.qualifications import CrAccessType


def raw(reason: int, qualification: int = 0, *, information: int = 0, interruption: int = 0) -> RawExit:
    return RawExit(reason, qualification, 2, 0x1000, interruption, 0xABC000, 0x5000, information)


ROWS: list[tuple[RawExit, Exit]] = [
    (raw(30, 0x60 << 16 | 8 | 0x40), Input(0x60, 1)),
    (raw(30, 0x1F0 << 16 | 1), Output(0x1F0, 2)),
    (raw(30, 0xCF8 << 16 | 3), Output(0xCF8, 4)),
    (
        raw(30, 0x1F0 << 16 | 0x30 | 8 | 1, information=1 << 7),
        StringInputOutput(0x1F0, 2, input=True, repeated=True, linear=0x5000, address_bits=32),
    ),
    (raw(48, 0b10), EptViolation(0xABC000, read=False, write=True, fetch=False, mapped=False)),
    (raw(48, 0b100 | 0b001000), EptViolation(0xABC000, read=False, write=False, fetch=True, mapped=True)),
    (raw(28, 4 | 3 << 8), ControlRegisterWrite(4, CrAccessType.MOV_TO_CR, 3, 0)),
    (raw(28, 3 << 4 | 0x1234 << 16), ControlRegisterWrite(0, CrAccessType.LMSW, 0, 0x1234)),
    (raw(0, 7, interruption=0x8000_0B0E), Event(ExitInterruption(0x8000_0B0E), 7)),
    (raw(12), Plain(ExitReason.HLT)),
    (raw(52), Plain(ExitReason.PREEMPTION_TIMER)),
]


@pytest.mark.parametrize(("given", "value"), ROWS)
def test_an_exit_is_its_class_and_members(given: RawExit, value: Exit) -> None:
    assert decode_exit(given) == value


def test_accounting_sorts_by_count() -> None:
    accounting = Accounting()
    for reason, seconds in ((12, 0.5), (30, 0.25), (30, 0.25)):
        accounting.add(reason, seconds)
    assert accounting.rows() == [("IO INSTRUCTION", 2, 0.5), ("HLT", 1, 0.5)]
