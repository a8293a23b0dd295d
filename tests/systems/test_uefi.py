"""A UEFI firmware in the ROM: Debian's OVMF starts its shell on the serial port, takes words, and turns the machine off."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from tests.missing import report_missing
from vmxon.machine.configuration import PcConfiguration
from vmxon.machine.pc import End, Limits, Pc

OVMF = Path("/usr/share/ovmf/OVMF.fd")
ANSWERS = {b"seconds to skip": b"\r", b"Shell> ": b"reset -s\r"}
"""What is typed when the firmware has printed something, once each."""


@pytest.mark.slow
def test_ovmf_starts_its_shell_and_turns_the_machine_off() -> None:
    if not OVMF.exists():
        report_missing("Debian's package ovmf is not installed")
    said, answers = bytearray(), dict(ANSWERS)

    def show(byte: int) -> None:
        said.append(byte)
        for prompt in [prompt for prompt in answers if said.endswith(prompt)]:
            pc.post(partial(pc.board.uarts[0].receive, answers.pop(prompt)))

    pc = Pc(PcConfiguration(memory_size=128 << 20, firmware=OVMF.read_bytes()), serial=(show,))
    pc.run(Limits(280))
    assert pc.end is End.POWER_OFF
    assert b"UEFI Interactive Shell" in said
    assert not answers
