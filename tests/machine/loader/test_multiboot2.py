"""Multiboot 2: header tags, boot information, relocation; and one line for each way to be wrong."""

from __future__ import annotations

import struct

import pytest

from tests.machine.loader.images import elf
from tests.machine.loader.test_multiboot import memory_of
from vmxon.errors import ImageError
from vmxon.machine.loader.image import BootImage, Module
from vmxon.machine.loader.multiboot2 import has_header, load_multiboot2, read_header
from vmxon.machine.loader.multiboot2_information import Tag

MEMORY = 8 << 20
MAGIC = 0xE852_50D6


def tag(kind: int, data: bytes = b"", flags: int = 0) -> bytes:
    content = struct.pack("<HHI", kind, flags, 8 + len(data)) + data
    return content + bytes(-len(content) % 8)


def header(*tags: bytes, architecture: int = 0) -> bytes:
    content = b"".join(tags) + tag(0)
    length = 16 + len(content)
    return struct.pack("<4I", MAGIC, architecture, length, -(MAGIC + architecture + length) & 0xFFFF_FFFF) + content


def kernel(*tags: bytes, **layout: int) -> bytes:
    """A 32-bit ELF whose segment begins with 4 bytes that put the header on 8."""
    return elf(bytes(4) + header(*tags) + b"\x90" * 64, **layout)


def information(image: BootImage, size: int = MEMORY) -> tuple[dict[int, list[bytes]], bytearray]:
    """The tags' contents by type, and memory."""
    memory = memory_of(image, size)
    total, _ = struct.unpack_from("<II", memory, image.ebx)
    tags: dict[int, list[bytes]] = {}
    at = image.ebx + 8
    while at < image.ebx + total:
        assert at % 8 == 0
        kind, length = struct.unpack_from("<II", memory, at)
        tags.setdefault(kind, []).append(bytes(memory[at + 8 : at + length]))
        at += length + 7 & ~7
    assert list(tags)[-1] == Tag.END
    return tags, memory


def test_registers_and_placement() -> None:
    image = load_multiboot2(kernel(), "k", MEMORY)
    assert (image.entry, image.eax, image.start) == (0x10_0000, 0x36D7_6289, None)
    assert image.ebx % 8 == 0


def test_what_the_kernel_is_told() -> None:
    modules = [Module("disk", b"A" * 5000, "disk one"), Module("other", b"B", "")]
    tags, memory = information(load_multiboot2(kernel(), "k", MEMORY, "quiet", modules))
    assert tags[Tag.COMMAND_LINE] == [b"k quiet\0"]
    assert tags[Tag.LOADER_NAME] == [b"vmxon\0"]
    first, second = tags[Tag.MODULE]
    start, end = struct.unpack_from("<II", first)
    assert (start % 4096, memory[start:end], first[8:]) == (0, b"A" * 5000, b"disk one\0")
    assert second[8:] == b"other\0"
    assert struct.unpack("<II", tags[Tag.MEMORY][0]) == (639, 7 * 1024)
    rows = tags[Tag.MEMORY_MAP][0]
    assert struct.unpack_from("<II", rows) == (24, 0)
    assert [struct.unpack_from("<QQII", rows, 8 + 24 * n) for n in range(4)] == [
        (0, 0x9_FC00, 1, 0),
        (0x9_FC00, 0x400, 2, 0),
        (0xE_0000, 0x2_0000, 2, 0),
        (0x10_0000, 0x70_0000, 1, 0),
    ]
    assert struct.unpack("<QIIIBBH", tags[Tag.FRAMEBUFFER][0]) == (0xB8000, 160, 80, 25, 16, 2, 0)
    assert not {Tag.SECTIONS, Tag.OLD_ACPI, Tag.LOAD_BASE} & set(tags)


def test_the_acpi_root_pointer_is_copied_out_of_memory() -> None:
    image = load_multiboot2(kernel(), "k", MEMORY, root_pointer=0xE_0000)
    memory = bytearray(MEMORY)
    memory[0xE_0000 : 0xE_0024] = bytes(range(36))

    def write(address: int, data: bytes) -> None:
        memory[address : address + len(data)] = data

    image.place(write, lambda address, size: bytes(memory[address : address + size]))
    copies = [(struct.unpack_from("<I", memory, copy.address - 8)[0], copy) for copy in image.copies]
    assert [(kind, copy.size) for kind, copy in copies] == [(Tag.OLD_ACPI, 20), (Tag.NEW_ACPI, 36)]
    assert all(memory[copy.address : copy.address + copy.size] == bytes(range(copy.size)) for _, copy in copies)


def test_section_headers_come_with_their_symbols() -> None:
    body = bytearray(kernel())
    symbols_at = len(body)
    body += b"SYMBOLS!"
    table = len(body)
    body += bytes(40) + struct.pack("<10I", 1, 2, 0, 0, symbols_at, 8, 0, 0, 4, 16)
    struct.pack_into("<I", body, 0x20, table)
    struct.pack_into("<HHH", body, 0x2E, 40, 2, 0)
    tags, memory = information(load_multiboot2(bytes(body), "k", MEMORY))
    content = tags[Tag.SECTIONS][0]
    assert struct.unpack_from("<III", content) == (2, 40, 0)
    address = struct.unpack_from("<10I", content, 12 + 40)[3]
    assert memory[address : address + 8] == b"SYMBOLS!"


def test_an_entry_tag_replaces_the_entry_of_elf() -> None:
    assert load_multiboot2(kernel(tag(3, struct.pack("<I", 0x10_0020))), "k", MEMORY).entry == 0x10_0020


def test_an_address_tag_replaces_elf() -> None:
    tags = (tag(2, struct.pack("<4I", 0x20_0008, 0x20_0000, 0x20_0050, 0x20_1000)), tag(3, struct.pack("<I", 0x20_0048)))
    flat = bytes(8) + header(*tags) + b"\x90" * 100
    image = load_multiboot2(flat, "k", MEMORY)
    memory = memory_of(image)
    assert image.entry == 0x20_0048
    assert memory[0x20_0000:0x20_0050] == flat[:0x50]
    assert memory[0x20_0050:0x20_1000] == bytes(0xFB0)


def test_a_load_address_of_all_ones_means_the_files_beginning() -> None:
    tags = (tag(2, struct.pack("<4I", 0x20_0008, 0xFFFF_FFFF, 0, 0)), tag(3, struct.pack("<I", 0x20_0048)))
    flat = bytes(8) + header(*tags) + b"\x90" * 100
    assert memory_of(load_multiboot2(flat, "k", MEMORY))[0x20_0000 : 0x20_0000 + len(flat)] == flat


@pytest.mark.parametrize(
    ("lowest", "highest", "alignment", "preference", "base"),
    [
        (0, 0xFFFF_FFFF, 0x1000, 0, 0x10_0000),
        (0x20_0000, 0xFFFF_FFFF, 0x1000, 0, 0x20_0000),
        (0x20_0001, 0xFFFF_FFFF, 0x10_0000, 1, 0x30_0000),
        (0, 0xFFFF_FFFF, 0x10_0000, 2, 0x70_0000),
        (0, 0x40_0000, 0x1000, 2, 0x3F_F000),
    ],
)
def test_a_relocatable_image_moves(lowest: int, highest: int, alignment: int, preference: int, base: int) -> None:
    image = load_multiboot2(kernel(tag(10, struct.pack("<4I", lowest, highest, alignment, preference)), entry=0x10_0010), "k", MEMORY)
    tags, memory = information(image)
    assert struct.unpack("<I", tags[Tag.LOAD_BASE][0]) == (base,)
    assert image.entry == base + 0x10
    assert struct.unpack_from("<I", memory, base + 4) == (MAGIC,)


def test_optional_tags_and_those_for_others_are_passed_over() -> None:
    unknown = tag(99, b"x" * 5, flags=1), tag(1, struct.pack("<I", 99), flags=1)
    known = tag(7), tag(5, bytes(12)), tag(6), tag(1, struct.pack("<II", 6, 15))
    assert load_multiboot2(kernel(*unknown, *known), "k", MEMORY).eax == 0x36D7_6289


def test_the_header_lies_in_the_first_32_kib_on_8() -> None:
    assert has_header(bytes(32768 - 24) + header())
    for other in (bytes(32768 - 8) + header(), bytes(4) + header(), header(architecture=4), header()[:12] + bytes(4)):
        assert not has_header(other)


@pytest.mark.parametrize(
    ("image", "line"),
    [
        (b"", "k: no multiboot 2 header in its first 0 bytes"),
        (header(), "k: has a multiboot 2 header without an address tag, and is no ELF program; add the tag or link it as ELF"),
        (header(tag(99)), "k: its multiboot 2 header demands tag 99 at 0x10, expected tags 1 to 10"),
        (header(tag(1, struct.pack("<I", 22))), "k: it demands boot information of type 22, expected 0 to 21"),
        (header(tag(3)), "k: its multiboot 2 entry address tag at 0x10 has 8 bytes; it is damaged"),
        (
            header()[:16] + struct.pack("<HHI", 5, 0, 100),
            "k: its multiboot 2 tag at 0x10 has 0x64 bytes; the header is damaged",
        ),
        (
            header(tag(2, struct.pack("<4I", 0x20_0000, 0x20_0000, 0, 0))),
            "k: it has no entry address tag; check entry_addr",
        ),
        (
            header(tag(2, struct.pack("<4I", 0x1000, 0x2000, 0, 0))),
            "k: its multiboot 2 header is at 0x0 in the file, but says load_addr 0x2000 and header_addr 0x1000",
        ),
        (
            header(tag(2, struct.pack("<4I", 0x20_0000, 0x20_0000, 0x20_9000, 0)), tag(3, bytes(4))),
            "k: its multiboot 2 header wants 0x0–0x9000 of the file's 0x40 bytes; the file is truncated",
        ),
        (
            header(tag(2, struct.pack("<4I", 0x80_0000, 0x80_0000, 0, 0)), tag(3, bytes(4))),
            "k: it loads at 0x800000–0x800040, outside the guest's memory of 0x800000 bytes; give a larger --memory",
        ),
        (
            header(tag(2, struct.pack("<4I", 0x20_0000, 0x20_0000, 0, 0)), tag(3, bytes(4))),
            "k: its entry point 0x0 is outside 0x200000–0x200040; check entry_addr",
        ),
        (
            kernel(tag(10, struct.pack("<4I", 0, 0x10_0010, 1, 0))),
            "k: its 0x74 bytes must lie between 0x0 and 0x100010 on 0x1; give a larger --memory",
        ),
    ],
)
def test_a_wrong_image_gets_one_line(image: bytes, line: str) -> None:
    with pytest.raises(ImageError) as error:
        load_multiboot2(image, "k", MEMORY)
    assert str(error.value) == line


def test_a_header_that_ends_past_the_file() -> None:
    with pytest.raises(ImageError, match="its multiboot 2 header at 0x0 has 0x38 bytes; the file is damaged"):
        read_header(header(tag(3, bytes(4)), tag(6, bytes(8)))[:32], "k")
