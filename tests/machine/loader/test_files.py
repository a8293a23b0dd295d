"""Which protocol a file is started by, and flat binaries."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.machine.loader.images import elf, multiboot_header
from tests.machine.loader.test_linux import bzimage, vmlinux
from tests.machine.loader.test_multiboot2 import header, kernel
from vmxon.errors import ImageError
from vmxon.machine.loader import RealStart, load_files
from vmxon.machine.loader.linux import LinuxEntry

MEMORY = 32 << 20
SECTOR = b"\xeb\xfe".ljust(510, b"\0") + b"\x55\xaa"


@pytest.mark.parametrize(
    ("image", "eax", "entry"),
    [
        (elf(multiboot_header() + b"\x90" * 40), 0x2BAD_B002, 0x10_0000),
        (kernel(), 0x36D7_6289, 0x10_0000),
        (elf(bytes(4) + header() + multiboot_header() + b"\x90" * 40), 0x2BAD_B002, 0x10_0000),
        (vmlinux(), 0, 0x100_0000),
        (bzimage(), 0, 0x10_0000),
        (SECTOR, 0, 0x7C00),
    ],
    ids=["multiboot 1", "multiboot 2", "both", "PVH", "bzImage", "flat"],
)
def test_the_protocol_that_the_file_offers(tmp_path: Path, image: bytes, eax: int, entry: int) -> None:
    (tmp_path / "file").write_bytes(image)
    loaded = load_files(tmp_path / "file", MEMORY)
    assert (loaded.eax, loaded.entry) == (eax, entry)


@pytest.mark.parametrize(
    ("image", "what"),
    [
        (elf(b"\x90" * 64), "is an ELF program without a header of a boot protocol"),
        (elf(b"\x90" * 64, bits=64), "is an ELF program without a header of a boot protocol"),
        (b"MZ" + bytes(600), "is no kernel that we know"),
        (b"", "is no kernel that we know"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, image: bytes, what: str) -> None:
    (tmp_path / "file").write_bytes(image)
    with pytest.raises(ImageError) as caught:
        load_files(tmp_path / "file", MEMORY)
    line = str(caught.value)
    assert line.startswith(
        f"{tmp_path / 'file'}: {what}, expected multiboot 1 or 2, a PVH note, a bzImage, or a boot sector (55 aa at 0x1fe)"
    )
    assert line.endswith("; add a multiboot header") == ("ELF" in what)


def test_a_flat_binary_starts_as_a_boot_sector(tmp_path: Path) -> None:
    (tmp_path / "flat").write_bytes(SECTOR + b"more")
    image = load_files(tmp_path / "flat", MEMORY)
    assert [(write.address, write.data) for write in image.writes] == [(0x7C00, SECTOR + b"more")]
    assert image.start == RealStart(0, 0x7C00)


def test_a_disk_is_no_flat_binary(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(SECTOR + bytes(1 << 20))
    line = r"has 0x100200 bytes, and a boot sector, expected at most 0x98000; is it a disk\? give it as --drive"
    with pytest.raises(ImageError, match=line):
        load_files(tmp_path / "disk", MEMORY)


def test_the_entry_of_a_bzimage_is_chosen(tmp_path: Path) -> None:
    (tmp_path / "bzImage").write_bytes(bzimage())
    assert load_files(tmp_path / "bzImage", MEMORY, entry=LinuxEntry.REAL).start == RealStart(0x9020, 0, 0x9000, interrupts=False)
