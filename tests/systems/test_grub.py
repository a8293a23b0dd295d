"""GRUB 2 from a rescue disc that Debian's tools make: to its prompt, where it takes keys, finds the disc, and starts kernels from it.

It starts the kernels as our own loader does.
"""

from __future__ import annotations

import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.machine.loader.images import elf
from tests.machine.loader.test_multiboot2 import header
from tests.missing import report_missing
from vmxon.devices.disk import open_image
from vmxon.devices.disk.cdrom import CdromDrive
from vmxon.errors import TimedOut
from vmxon.machine.assembler import assemble
from vmxon.machine.configuration import Firmware, PcConfiguration
from vmxon.machine.loader import load_files
from vmxon.machine.multiboot_program import multiboot_program
from vmxon.machine.pc import Limits, Pc

KERNEL = """
    mov edi, eax
    mov al, 0x4B
    out 0xE9, al
    mov edx, 0xF4
    mov eax, edi
    shr eax, 24
    out dx, al
"""
"""Says K, and leaves with the top byte of the magic that it was given."""
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
    (folder / "files" / "one").write_bytes(multiboot_program(KERNEL))
    (folder / "files" / "two").write_bytes(second_kernel())
    image = folder / "rescue.iso"
    command = ["grub-mkrescue", "-o", image, folder / "files"]
    subprocess.run(command, check=True, capture_output=True)
    return image


def second_kernel() -> bytes:
    """The same for multiboot 2."""
    head = bytes(4) + header()
    return elf(head + assemble(KERNEL, 32, 0x10_0000 + len(head)), entry=0x10_0000 + len(head))


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


@pytest.mark.slow
@pytest.mark.parametrize(("name", "command", "magic"), [("one", "multiboot", 0x2B), ("two", "multiboot2", 0x36)])
def test_grub_and_our_loader_start_the_same_kernels(rescue_disc: Path, name: str, command: str, magic: int) -> None:
    output = bytearray()
    with closing(open_image(rescue_disc)) as disc:
        drives = (None, None, CdromDrive(disc))
        pc = Pc(PcConfiguration(memory_size=64 << 20, drives=drives, firmware=Firmware.OWN), debug_console=output.append)
        run_until(pc, "grub>")
        pc.board.keyboard.type_text(f"{command} /{name}\nboot\n")
        assert pc.run(Limits(instructions=MOST)) == magic << 1 | 1
    image = load_files(rescue_disc.parent / "files" / name, 64 << 20)
    direct = Pc(PcConfiguration(memory_size=64 << 20, kernel=image), debug_console=output.append)
    assert direct.run(Limits(instructions=1_000_000)) == magic << 1 | 1
    assert output == b"KK"
