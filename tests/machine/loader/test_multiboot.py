"""Multiboot: header, memory map, command line, modules, placement; and one line for each way to be wrong."""

import gzip
import re
import struct
from pathlib import Path

import pytest

from tests.machine.loader.images import elf, multiboot_header
from vmxon.errors import ImageError
from vmxon.machine.loader import BootImage, Module, load_files, load_multiboot
from vmxon.machine.loader.information import InformationFlags
from vmxon.machine.loader.multiboot import find_header

MEMORY = 8 << 20
KERNEL = elf(multiboot_header() + b"\x90" * 100, size=0x1234)


def memory_of(image: BootImage, size: int = MEMORY) -> bytearray:
    """What memory holds after loading."""
    memory = bytearray(b"\xcc" * size)

    def write(address: int, data: bytes) -> None:
        assert address + len(data) <= size
        memory[address : address + len(data)] = data

    image.place(write)
    return memory


def text_at(memory: bytearray, address: int) -> str:
    """A string that ends in 0."""
    return memory[address : memory.index(0, address)].decode()


def words(memory: bytearray, address: int, count: int) -> tuple[int, ...]:
    return struct.unpack_from(f"<{count}I", memory, address)


def test_registers_and_placement() -> None:
    image = load_multiboot(KERNEL, "kernel.x", MEMORY)
    memory = memory_of(image)
    assert (image.entry, image.eax) == (0x10_0000, 0x2BAD_B002)
    assert memory[0x10_0000:0x10_0004] == struct.pack("<I", 0x1BAD_B002)
    assert memory[0x10_0000 + 112 : 0x10_1234] == bytes(0x1234 - 112)
    assert memory[0x10_1234] == 0xCC


def test_the_information_structure() -> None:
    modules = [Module("first", b"A" * 5000, "first one two"), Module("second", b"B", "")]
    image = load_multiboot(KERNEL, "kernel.x", MEMORY, "root=/dev/null quiet", modules)
    memory = memory_of(image)
    fields = words(memory, image.ebx, 22)
    flags = InformationFlags(fields[0])
    assert flags == InformationFlags.make(memory=1, command_line=1, modules=1, memory_map=1, loader_name=1)
    assert fields[1:3] == (639, 7 * 1024)
    assert text_at(memory, fields[4]) == "kernel.x root=/dev/null quiet"
    assert text_at(memory, fields[16]) == "vmxon"
    assert fields[5] == 2
    start, end, line, _ = words(memory, fields[6], 4)
    assert (start % 0x1000, memory[start:end], text_at(memory, line)) == (0, b"A" * 5000, "first one two")
    start, end, line, _ = words(memory, fields[6] + 16, 4)
    assert (start % 0x1000, memory[start:end], text_at(memory, line)) == (0, b"B", "second")


def test_the_memory_map_is_that_of_a_pc() -> None:
    image = load_multiboot(KERNEL, "kernel.x", MEMORY)
    memory = memory_of(image)
    length, address = words(memory, image.ebx + 44, 2)
    rows = [struct.unpack_from("<IQQI", memory, address + 24 * n) for n in range(length // 24)]
    assert rows == [
        (20, 0, 0x9_FC00, 1),
        (20, 0x9_FC00, 0x400, 2),
        (20, 0xE_0000, 0x2_0000, 2),
        (20, 0x10_0000, 0x70_0000, 1),
    ]


def test_information_keeps_out_of_a_kernel_that_lies_low() -> None:
    low = elf(multiboot_header() + b"\x90" * 64, physical=0x1_0000, virtual=0x1_0000, entry=0x1_0000, size=0x3000)
    image = load_multiboot(low, "low", MEMORY)
    assert image.ebx == 0x1_3000


def test_the_address_fields_replace_elf() -> None:
    flat = b"\0" * 8 + multiboot_header(0x1_0003, 0x20_0008, 0x20_0000, 0x20_0030, 0x20_1000, 0x20_0028) + b"\x90" * 100
    image = load_multiboot(flat, "flat", MEMORY)
    memory = memory_of(image)
    assert image.entry == 0x20_0028
    assert memory[0x20_0000:0x20_0030] == flat[:0x30]
    assert memory[0x20_0030:0x20_1000] == bytes(0xFD0)


def test_a_header_needs_its_checksum_and_its_alignment() -> None:
    assert find_header(b"\0" * 8180 + multiboot_header(), "k").offset == 8180
    for bad in (b"\0" * 8184 + multiboot_header(), b"\0" * 2 + multiboot_header(), multiboot_header()[:8] + b"\0" * 4):
        with pytest.raises(ImageError, match="no multiboot header in its first"):
            find_header(bad, "k")


ADDRESSES = (0x20_0000, 0x20_0000, 0, 0, 0x20_0020)
ROWS = [
    (
        multiboot_header(0x1_0003, *ADDRESSES[:2], 0x20_9000, 0, 0x20_0020),
        "k: its multiboot header wants 0x0–0x9000 of the file's 0x20 bytes; the file is truncated",
    ),
    (
        multiboot_header(0x1_0003, 0x1000, 0x2000, 0, 0, 0),
        "k: its multiboot header is at 0x0 in the file, but says load_addr 0x2000 and header_addr 0x1000",
    ),
    (
        multiboot_header(0x1_0003, 0x80_0000, 0x80_0000, 0, 0, 0x80_0000),
        "k: it loads at 0x800000–0x800020, outside the guest's memory of 0x800000 bytes; give a larger --memory",
    ),
    (
        multiboot_header(0x1_0003, 0x20_0000, 0x20_0000, 0, 0, 0x10_0000),
        "k: its entry point 0x100000 is outside 0x200000–0x200020; check entry_addr",
    ),
    (multiboot_header(0x1008), "k: its multiboot header at 0x0 demands feature bits 0x1008, expected bits 2:0 at most"),
    (
        multiboot_header(3),
        "k: has a multiboot header without addresses, and is no ELF program; set header flag 16 or link it as ELF",
    ),
    (
        b"\0" * 20000,
        "k: no multiboot header in its first 8192 bytes; build it with a multiboot 1 header (magic 0x1badb002)",
    ),
]


@pytest.mark.parametrize(("image", "line"), ROWS)
def test_a_wrong_image_gets_one_line(image: bytes, line: str) -> None:
    with pytest.raises(ImageError) as error:
        load_multiboot(image, "k", MEMORY)
    assert str(error.value) == line


def test_too_little_memory_for_a_module() -> None:
    with pytest.raises(ImageError) as error:
        load_multiboot(KERNEL, "k", 2 << 20, "", [Module("initrd", b"x" * (1 << 20))])
    assert str(error.value) == ("initrd: no room for the module of 0x100000 bytes in a memory of 0x200000; give a larger --memory")


def test_files_by_their_paths(tmp_path: Path) -> None:
    (tmp_path / "kernel").write_bytes(KERNEL)
    (tmp_path / "initrd").write_bytes(b"hello")
    image = load_files(tmp_path / "kernel", MEMORY, "a b", [(tmp_path / "initrd", "initrd x")])
    assert any(write.data == b"hello" for write in image.writes)


def test_a_file_larger_than_memory(tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(16 << 20)
    with pytest.raises(ImageError, match=r"big: has more bytes than the guest's memory \(0x800000\)"):
        load_files(big, MEMORY)


def test_a_file_that_vanished(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="gone: no such file or directory"):
        load_files(tmp_path / "gone", MEMORY)


def test_a_kernel_packed_by_gzip(tmp_path: Path) -> None:
    packed = gzip.compress(KERNEL)
    (tmp_path / "kernel.gz").write_bytes(packed)
    image = load_files(tmp_path / "kernel.gz", MEMORY)
    (tmp_path / "kernel").write_bytes(KERNEL)
    assert memory_of(image)[0x10_0000:0x10_2000] == memory_of(load_files(tmp_path / "kernel", MEMORY))[0x10_0000:0x10_2000]
    for data, message in (
        (packed[:40], "ends inside what gzip packed; the file is truncated"),
        (packed[:20] + b"\xff" * 20 + packed[40:], "is packed by gzip, and damaged: "),
        (gzip.compress(bytes(MEMORY + 1)), "unpacks to more bytes than the guest's memory (0x800000); give a larger --memory"),
    ):
        (tmp_path / "bad.gz").write_bytes(data)
        with pytest.raises(ImageError, match=re.escape(message)):
            load_files(tmp_path / "bad.gz", MEMORY)
