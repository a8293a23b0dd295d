"""Symbols: functions and lines of an ELF program made here by hand, and hostile files."""

import shutil
import struct
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vmxon.errors import ImageError
from vmxon.explain.symbols import Symbols

FUNCTION, LABEL = 0x12, 0x10


def elf(symbols):
    """A program with a symbol table only: name → (address, size, type)."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name in symbols)
    entries, place = [struct.pack("<IBBHQQ", 0, 0, 0, 0, 0, 0)], 1
    for name, (address, size, kind) in symbols.items():
        entries.append(struct.pack("<IBBHQQ", place, kind, 0, 1, address, size))
        place += len(name) + 1
    table = b"".join(entries)
    section_names = b"\0.symtab\0.strtab\0.shstrtab\0"
    start = 64
    sections = [
        struct.pack("<IIQQQQIIQQ", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        struct.pack("<IIQQQQIIQQ", 1, 2, 0, 0, start, len(table), 2, 1, 8, 24),
        struct.pack("<IIQQQQIIQQ", 9, 3, 0, 0, start + len(table), len(names), 0, 0, 1, 0),
        struct.pack("<IIQQQQIIQQ", 17, 3, 0, 0, start + len(table) + len(names), len(section_names), 0, 0, 1, 0),
    ]
    body = table + names + section_names
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0x1000, 0, start + len(body), 0, 64, 56, 0, 64, 4, 3)
    return header + body + b"".join(sections)


IMAGE = elf({"setup_vmcs": (0x1000, 0x40, FUNCTION), "main": (0x1040, 0x10, FUNCTION), "end": (0x2000, 0, LABEL)})


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (0xFFF, None),
        (0x1000, "setup_vmcs"),
        (0x1012, "setup_vmcs+0x12"),
        (0x1040, "main"),
        (0x1050, None),
        (0x2005, "end+0x5"),
        (1 << 63, None),
    ],
)
def test_an_address_is_a_function_and_an_offset(address, text):
    assert Symbols(IMAGE)(address) == text


def test_a_shifted_program():
    assert Symbols(IMAGE, shift=0xFFFF_8000_0000_0000)(0xFFFF_8000_0000_1004) == "setup_vmcs+0x4"


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs a C compiler to make a program with line tables")
@pytest.mark.parametrize("version", [4, 5])
def test_lines_of_a_compiled_program(tmp_path, version):
    source, program = tmp_path / "vmx.c", tmp_path / "vmx"
    source.write_text("int first(int x)\n{\n    return x + 1;\n}\nint main(void)\n{\n    return first(1);\n}\n")
    subprocess.run(["gcc", f"-gdwarf-{version}", "-O0", "-o", program, source], check=True, timeout=60)
    symbols = Symbols.of_file(str(program))
    (start,) = (start for start, _, name in symbols._functions if name == "first")
    assert symbols(start) == "first (vmx.c:2)"
    assert symbols(start + 1) == "first+0x1 (vmx.c:2)"
    places = {symbols(start + offset) for offset in range(16)}
    assert any(place is not None and place.endswith("(vmx.c:3)") for place in places)


def test_what_is_no_program_is_one_line(tmp_path):
    with pytest.raises(ImageError, match=r"hello: its symbols cannot be read \(ELFError\), expected an ELF program"):
        Symbols(b"hello", "hello")
    with pytest.raises(ImageError, match="no such file"):
        Symbols.of_file(str(tmp_path / "nothing"))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(IMAGE) - 1), st.integers(0, 255)), min_size=1, max_size=12), st.integers(0, len(IMAGE)))
def test_a_damaged_program_has_symbols_or_is_one_line(changes, length):
    image = bytearray(IMAGE)
    for place, value in changes:
        image[place] = value
    for data in (bytes(image), bytes(image[:length])):
        try:
            found = Symbols(data)(0x1012)
        except ImageError as error:
            found = str(error)
        assert found is None or found.isprintable()
