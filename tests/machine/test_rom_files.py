"""ROM files of a distribution."""

from pathlib import Path

import pytest

from tests.missing import report_missing
from vmxon.errors import ImageError
from vmxon.machine.configuration import PcConfiguration
from vmxon.machine.pc import End, Limits, Pc
from vmxon.machine.rom_files import read_rom, video_rom_beside

SEABIOS = Path("/usr/share/seabios/bios-256k.bin")


def test_a_video_rom_beside(tmp_path: Path) -> None:
    bios = tmp_path / "bios.bin"
    bios.write_bytes(b"rom")
    assert read_rom(bios) == b"rom"
    assert video_rom_beside(bios) == b""
    (tmp_path / "vgabios.bin").write_bytes(b"any")
    assert video_rom_beside(bios) == b"any"
    (tmp_path / "vgabios-stdvga.bin").write_bytes(b"standard")
    assert video_rom_beside(bios) == b"standard"


def test_files_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"none.bin: no such file or directory"):
        read_rom(tmp_path / "none.bin")
    with pytest.raises(ImageError, match=r": is a directory"):
        read_rom(tmp_path)
    (tmp_path / "vgabios.bin").write_bytes(bytes(0x10001))
    with pytest.raises(ImageError, match=r"vgabios.bin: a ROM of more than 0x10000 bytes"):
        video_rom_beside(tmp_path / "bios.bin")


def test_seabios_prints_through_debians_vga_bios() -> None:
    if not SEABIOS.is_file():
        report_missing(f"no {SEABIOS} (package seabios)")
    pc = Pc(
        PcConfiguration(
            memory_size=32 << 20, firmware=read_rom(SEABIOS), video_rom=video_rom_beside(SEABIOS), debug_console=None, no_reboot=True
        )
    )
    pc.run(Limits(instructions=100_000_000))
    text = pc.board.vga.text(pc.board.text_memory)
    assert text.startswith("SeaBIOS (version")
    assert "No bootable device.  Retrying in 60 seconds." in text
    assert pc.end is End.RESET
