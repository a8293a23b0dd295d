"""Memtest86+ runs a whole pass over 16 MiB and finds no error."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vmxon.errors import TimedOut
from vmxon.machine.configuration import PcConfiguration
from vmxon.machine.loader import load_files
from vmxon.machine.loader.information import ROOT_POINTER
from vmxon.machine.pc import Limits, Pc

MEMORY = 16 << 20
STEP, MOST = 500_000_000, 24_000_000_000
TEXT = 0xB8000


def screen(pc: Pc) -> str:
    """The text on the screen."""
    return pc.board.vga.text(pc.processor.engine.read_physical(TEXT, 4000))


@pytest.mark.linux
@pytest.mark.slow
def test_a_pass_over_16_mib(memtest: Path) -> None:
    pc = Pc(PcConfiguration(memory_size=MEMORY, kernel=load_files(memtest, MEMORY, "", [], ROOT_POINTER)))
    while pc.processor.instructions < MOST and not re.search(r"Pass: +1 ", screen(pc)):
        with pytest.raises(TimedOut):
            pc.run(Limits(instructions=pc.processor.instructions + STEP))
    shown = screen(pc)
    assert re.search(r"Pass: +1 +Errors: 0$", shown, re.MULTILINE), shown
    assert "Status: Pass" in shown
    assert re.search(r"Memory *: +16MB", shown)
    assert "vmxon processor" in shown
