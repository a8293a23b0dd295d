"""GRUB 2 from a rescue disc that Debian's tools make: to its prompt, where it takes keys and finds the disc."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.missing import report_missing
from vmxon.devices.disk import open_image
from vmxon.devices.disk.cdrom import CdromDrive
from vmxon.errors import TimedOut
from vmxon.machine.configuration import Firmware, PcConfiguration
from vmxon.machine.pc import Limits, Pc

TOOLS = ("grub-mkrescue", "xorriso", "mformat")
STRETCH = 5_000_000
"""Instructions between two looks at the screen."""
MOST = 200_000_000


@pytest.fixture(scope="module")
def rescue_disc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing or not Path("/usr/lib/grub/i386-pc").is_dir():
        report_missing(f"no {', '.join(missing) or 'GRUB for i386-pc'}: apt install grub-pc-bin grub-common xorriso mtools")
    folder = tmp_path_factory.mktemp("grub")
    (folder / "files").mkdir()
    (folder / "files" / "here.txt").write_text("found\n")
    image = folder / "rescue.iso"
    command = ["grub-mkrescue", "-o", image, folder / "files"]
    subprocess.run(command, check=True, capture_output=True)
    return image


def run_until(pc: Pc, text: str) -> list[str]:
    """Rows of the screen once one of them has `text`."""
    while True:
        with pytest.raises(TimedOut):
            pc.run(Limits(instructions=pc.processor.instructions + STRETCH))
        rows = [row for row in pc.board.vga.text(pc.board.text_memory).splitlines() if row]
        if any(text in row for row in rows):
            return rows
        assert pc.processor.instructions < MOST, rows


@pytest.mark.slow
def test_the_rescue_disc_reaches_its_prompt_and_takes_keys(rescue_disc: Path) -> None:
    with closing(open_image(rescue_disc)) as disc:
        pc = Pc(PcConfiguration(memory_size=64 << 20, drives=(None, None, CdromDrive(disc)), firmware=Firmware.OWN))
        rows = run_until(pc, "grub>")
        assert "GNU GRUB" in rows[0]
        pc.board.keyboard.type_text("cat /here.txt\n")
        rows = run_until(pc, "found")
    assert "grub> cat /here.txt" in rows
