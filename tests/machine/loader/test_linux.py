"""Linux's two boot protocols: what is laid out where, and hostile files."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmxon.errors import ImageError
from vmxon.machine.loader.image import BootImage, LongStart, Module, RealStart
from vmxon.machine.loader.linux import ZERO_PAGE, LinuxEntry, is_bzimage, load_bzimage
from vmxon.machine.loader.pvh import load_pvh, pvh_entry

MIB = 1 << 20


def bzimage(kernel: bytes = b"\x90" * 512, version: int = 0x020F, needed: int = 0x10000) -> bytes:
    """A boot sector, one setup sector and a kernel."""
    head = bytearray(1024)
    head[0x1F1] = 1
    head[0x1FE:0x200] = b"\x55\xaa"
    head[0x201] = 0x6A
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", head, 0x206, version)
    struct.pack_into("<I", head, 0x22C, 0x7FFF_FFFF)
    struct.pack_into("<I", head, 0x260, needed)
    return bytes(head) + kernel


def vmlinux(entry: int = 0x100_0000, segment: bytes = b"\xf4") -> bytes:
    """A 64-bit ELF with one segment at 16 MiB and a Xen note."""
    note = struct.pack("<III", 4, 4, 18) + b"Xen\0" + struct.pack("<I", entry)
    rows = struct.pack("<IIQQQQQQ", 1, 5, 0x200, 0x100_0000, 0x100_0000, len(segment), 0x1000, 4096)
    rows += struct.pack("<IIQQQQQQ", 4, 4, 0x100, 0, 0, len(note), len(note), 4)
    head = b"\x7fELF\2\1\1".ljust(16, b"\0") + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0x100_0000, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    return (head + rows).ljust(0x100, b"\0") + note.ljust(0x100, b"\0") + segment


def memory_of(image: BootImage, size: int) -> bytearray:
    """What the image makes of zeroed memory."""
    memory = bytearray(size)

    def write(address: int, data: bytes) -> None:
        assert address + len(data) <= size
        memory[address : address + len(data)] = data

    image.place(write)
    return memory


def test_a_bzimage_gets_its_zero_page() -> None:
    image = load_bzimage(bzimage(), "kernel", 8 * MIB, "console=ttyS0", [Module("disk", b"cpio" * 10)])
    memory = memory_of(image, 8 * MIB)
    assert (image.entry, image.esi) == (MIB, ZERO_PAGE)
    page = memory[ZERO_PAGE : ZERO_PAGE + 4096]
    assert page[0x202:0x206] == b"HdrS"
    assert page[0x210] == 0xFF
    assert (page[0x06], page[0x07], page[0x0E], page[0x0F], page[0x10]) == (3, 80, 25, 1, 16)
    assert page[0x211] & 1
    command, disk, size = (struct.unpack_from("<I", page, at)[0] for at in (0x228, 0x218, 0x21C))
    assert memory[command : command + 14] == b"console=ttyS0\0"
    assert memory[disk : disk + size] == b"cpio" * 10
    assert page[0x1E8] == 4
    assert struct.unpack_from("<QQI", page, 0x2D0 + 3 * 20) == (MIB, 7 * MIB, 1)
    assert memory[MIB : MIB + 512] == b"\x90" * 512


def test_a_program_with_a_note_starts_where_it_says() -> None:
    image = load_pvh(vmlinux(), "vmlinux", 32 * MIB, "quiet", [Module("disk", b"x" * 100)])
    memory = memory_of(image, 32 * MIB)
    assert image.entry == 0x100_0000
    magic, version, _, modules, modules_at, command, _, map_at, rows, _ = struct.unpack_from("<IIIIQQQQII", memory, image.ebx)
    assert (magic, version, modules, rows) == (0x336E_C578, 1, 1, 4)
    assert memory[command : command + 6] == b"quiet\0"
    disk, size = struct.unpack_from("<QQ", memory, modules_at)
    assert memory[disk : disk + size] == b"x" * 100
    assert struct.unpack_from("<QQI", memory, map_at) == (0, 0x9FC00, 1)


@pytest.mark.parametrize("root_pointer", [0, 0xE_0000])
def test_both_protocols_say_where_the_acpi_root_pointer_is(root_pointer: int) -> None:
    image = load_bzimage(bzimage(), "kernel", 8 * MIB, root_pointer=root_pointer)
    assert struct.unpack_from("<Q", memory_of(image, 8 * MIB), ZERO_PAGE + 0x070) == (root_pointer,)
    image = load_pvh(vmlinux(), "vmlinux", 32 * MIB, root_pointer=root_pointer)
    assert struct.unpack_from("<Q", memory_of(image, 32 * MIB), image.ebx + 32) == (root_pointer,)


@pytest.mark.parametrize(
    ("image", "size", "line"),
    [
        (bzimage()[:0x250], 8 * MIB, "kernel: ends at 0x250, inside its setup header; the file is truncated"),
        (bzimage()[:1024], 8 * MIB, "kernel: ends at 0x400, before its kernel at 0x400; the file is truncated"),
        (bzimage(version=0x0203), 8 * MIB, "kernel: boot protocol 2.03 at 0x206, expected 2.06 or newer"),
        (bzimage(needed=16 * MIB), 8 * MIB, "kernel: needs 0x1100000 bytes of memory, not 0x800000; give a larger --memory"),
    ],
)
def test_a_wrong_bzimage_is_one_line(image: bytes, size: int, line: str) -> None:
    with pytest.raises(ImageError) as caught:
        load_bzimage(image, "kernel", size)
    assert str(caught.value) == line


def test_two_disks_are_too_many() -> None:
    with pytest.raises(ImageError, match=r"kernel: 2 initial RAM disks, expected one; join them with cat"):
        load_bzimage(bzimage(), "kernel", 8 * MIB, "", [Module("a", b"a"), Module("b", b"b")])


@given(st.binary(max_size=600), st.integers(0, 1200), st.booleans())
def test_a_damaged_file_raises_nothing_else(junk: bytes, at: int, linux: bool) -> None:
    good = bytearray(bzimage() if linux else vmlinux())
    good[at : at + len(junk)] = junk
    image = bytes(good)
    try:
        if is_bzimage(image):
            memory_of(load_bzimage(image, "file", 32 * MIB), 32 * MIB)
        elif pvh_entry(image) is not None:
            memory_of(load_pvh(image, "file", 32 * MIB), 32 * MIB)
    except ImageError:
        pass


def test_the_64_bit_entry_gets_its_page_tables() -> None:
    kernel = bytearray(bzimage())
    kernel[0x236] = 1
    image = load_bzimage(bytes(kernel), "kernel", 8 * MIB, entry=LinuxEntry.LONG)
    assert (image.entry, image.esi) == (MIB + 0x200, ZERO_PAGE)
    assert isinstance(image.start, LongStart)
    memory = memory_of(image, 8 * MIB)
    for address in (0, 0x1234_5678, (4 << 30) - 1):
        table, size = image.start.tables, 39
        while size > 21:
            (entry,) = struct.unpack_from("<Q", memory, table + 8 * (address >> size & 511))
            assert entry & 0xFFF == 3
            table, size = entry & ~0xFFF, size - 9
        (entry,) = struct.unpack_from("<Q", memory, table + 8 * (address >> 21 & 511))
        assert entry == address >> 21 << 21 | 0x83


@pytest.mark.parametrize(("version", "flags"), [(0x020B, 1), (0x020F, 0)])
def test_a_kernel_without_a_64_bit_entry(version: int, flags: int) -> None:
    kernel = bytearray(bzimage(version=version))
    kernel[0x236] = flags
    with pytest.raises(ImageError, match="kernel: has no 64-bit entry, expected bit 0 of xloadflags at 0x236"):
        load_bzimage(bytes(kernel), "kernel", 8 * MIB, entry=LinuxEntry.LONG)


def test_the_real_mode_entry_gets_its_setup_sectors_and_its_heap() -> None:
    image = load_bzimage(bzimage(), "kernel", 8 * MIB, "quiet", [Module("disk", b"cpio")], entry=LinuxEntry.REAL)
    memory = memory_of(image, 8 * MIB)
    assert image.start == RealStart(0x9020, 0, 0x9000, interrupts=False)
    setup = memory[0x9_0000:0x9_0400]
    assert setup[0x202:0x206] == b"HdrS"
    assert (setup[0x210], setup[0x211]) == (0xFF, 0x81)
    (heap,) = struct.unpack_from("<H", setup, 0x224)
    line, disk, size = (struct.unpack_from("<I", setup, at)[0] for at in (0x228, 0x218, 0x21C))
    assert (heap, memory[line : line + 6], memory[disk : disk + size]) == (0xDE00, b"quiet\0", b"cpio")
    assert memory[MIB : MIB + 512] == b"\x90" * 512


def test_setup_sectors_that_have_no_room() -> None:
    kernel = bytearray(bzimage(bytes(200 * 512)))
    kernel[0x1F1] = 127
    with pytest.raises(ImageError, match="kernel: has 0x10000 bytes of setup sectors, expected at most 0xe000"):
        load_bzimage(bytes(kernel), "kernel", 8 * MIB, entry=LinuxEntry.REAL)


def test_pvh_lists_every_module_with_its_string() -> None:
    modules = [Module("a", b"first", "one"), Module("b", b"second"), Module("c", b"third", "three")]
    image = load_pvh(vmlinux(), "vmlinux", 32 * MIB, "", modules)
    memory = memory_of(image, 32 * MIB)
    count, at = struct.unpack_from("<I", memory, image.ebx + 12)[0], struct.unpack_from("<Q", memory, image.ebx + 16)[0]
    listed = [struct.unpack_from("<QQQQ", memory, at + 32 * number) for number in range(count)]
    assert [bytes(memory[start : start + size]) for start, size, _, _ in listed] == [b"first", b"second", b"third"]
    assert [line and memory[line : memory.index(0, line)].decode() for _, _, line, _ in listed] == ["one", 0, "three"]
