"""ELF programs: where their segments go, where they start, and one line for each way to be wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.machine.loader.images import elf
from vmxon.errors import ImageError
from vmxon.machine.loader.elf import load_elf

MEMORY = 8 << 20
BODY = b"\x90" * 64


@pytest.mark.parametrize("bits", [32, 64])
def test_a_segment_goes_to_its_physical_address(bits: int) -> None:
    program = load_elf(elf(BODY, bits=bits, virtual=0x8010_0000, entry=0x8010_0010, size=100), "k", MEMORY)
    (segment,) = program.segments
    assert (segment.physical, segment.data, segment.size) == (0x10_0000, BODY, 100)
    assert program.entry == 0x10_0010
    assert program.bits == bits


def test_an_entry_that_is_a_physical_address_already_is_kept() -> None:
    program = load_elf(elf(BODY, bits=64, virtual=0xFFFF_FFFF_8010_0000, entry=0x10_0020), "k", MEMORY)
    assert program.entry == 0x10_0020


ROWS = [
    (b"", "k: starts with nothing, expected an ELF program (7f 45 4c 46)"),
    (b"MZ\x90\0", "k: starts with 4d 5a 90 00, expected an ELF program (7f 45 4c 46)"),
    (b"\x7fELF\x01", "k: ends at 0x5, inside the ELF header; the file is truncated"),
    (elf(BODY)[:40], "k: ends at 0x28, inside the ELF header; the file is truncated"),
    (elf(BODY)[:4] + b"\x03" + elf(BODY)[5:], "k: ELF class 3 at 0x4, expected 1 (32-bit) or 2 (64-bit)"),
    (elf(BODY)[:5] + b"\x02" + elf(BODY)[6:], "k: ELF byte order 2 at 0x5, expected 1 (little-endian)"),
    (elf(BODY, machine=40), "k: ELF machine 40 at 0x12, expected 3 (i386)"),
    (elf(BODY, bits=64, machine=183), "k: ELF machine 183 at 0x12, expected 62 (x86-64)"),
    (elf(BODY, kind=1), "k: ELF type 1 at 0x10, expected 2 (executable); link the object file"),
    (elf(BODY, rows=0), "k: has 0 program headers, expected 1 to 65534; link it as an executable"),
    (elf(BODY, rows=9), "k: 9 program headers at 0x34 end past the file's 0x94 bytes; the file is truncated"),
    (
        elf(BODY, stored=0x1000),
        "k: segment 0 (0x100000–0x101000) wants 0x54–0x1054 of the file's 0x94 bytes; the file is truncated",
    ),
    (
        elf(BODY, size=8),
        "k: segment 0 (0x100000–0x100008) has 0x40 bytes in the file and 0x8 in memory; the program header is damaged",
    ),
    (
        elf(BODY, physical=0x80_0000),
        "k: segment 0 (0x800000–0x800040) does not fit the guest's memory of 0x800000 bytes; give --memory 10M or more",
    ),
    (
        elf(BODY, bits=64, physical=0xFFFF_FFFF_8000_0000),
        (
            "k: segment 0 (0xffffffff80000000–0xffffffff80000040) does not fit the guest's memory of 0x800000 bytes; "
            "its physical addresses are those of no PC: link it with load addresses (AT) near 0x100000"
        ),
    ),
    (elf(BODY, entry=0x10), "k: the entry point 0x10 lies in no segment; check ENTRY in the linker script"),
    (elf(b""), "k: has no segment to load; link it as an executable"),
]


@pytest.mark.parametrize(("image", "line"), ROWS)
def test_a_wrong_program_gets_one_line(image: bytes, line: str) -> None:
    with pytest.raises(ImageError) as error:
        load_elf(image, "k", MEMORY)
    assert str(error.value) == line


@given(st.data())
def test_a_damaged_program_never_raises_anything_else(data: st.DataObject) -> None:
    image = bytearray(elf(BODY, bits=data.draw(st.sampled_from([32, 64])), size=200))
    for _ in range(data.draw(st.integers(1, 6))):
        image[data.draw(st.integers(4, len(image) - 1))] = data.draw(st.integers(0, 255))
    del image[data.draw(st.integers(0, len(image))) :]
    try:
        program = load_elf(bytes(image), "k", MEMORY)
    except ImageError:
        return
    assert all(s.physical >= 0 and s.physical + s.size <= MEMORY for s in program.segments)
