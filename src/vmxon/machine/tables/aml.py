"""An encoder of ACPI machine language: each function gives the bytes of one term.

Source: ACPI Specification 6.4, §20.2 “AML Grammar Definition”; each docstring names the grammar's symbol. Names are paths as
in ASL: `_HID`, `\\_SB.PCI0`, `^LNKA`.
"""

from __future__ import annotations

import struct
from enum import IntEnum

NULL = b"\0"
"""NullName, as the target of a result that is only used in place."""
SEGMENT = 4


class Space(IntEnum):
    """Where an operation region lies."""

    MEMORY = 0
    IO = 1
    PCI_CONFIGURATION = 2


class Access(IntEnum):
    """The width in which a field's region is accessed."""

    ANY = 0
    BYTE = 1
    WORD = 2
    DOUBLE = 3


def path(text: str) -> bytes:
    """NameString."""
    prefix = text[: len(text) - len(text.lstrip("\\^"))]
    segments = [_segment(part) for part in text[len(prefix) :].split(".") if part]
    head = prefix.encode()
    match len(segments):
        case 0:
            return head + NULL
        case 1:
            return head + segments[0]
        case 2:
            return head + b"\x2e" + b"".join(segments)
    return head + b"\x2f" + bytes((len(segments),)) + b"".join(segments)


def _segment(text: str) -> bytes:
    known = all(c == "_" or (c.isascii() and (c.isupper() or c.isdigit())) for c in text)
    if not 0 < len(text) <= SEGMENT or text[0].isdigit() or not known:
        raise ValueError(f"a name in AML must be one to four of A–Z, 0–9 and _, not {text!r}")
    return text.ljust(SEGMENT, "_").encode()


def length(content: int, own: bool = True) -> bytes:
    """PkgLength of so many bytes, its own bytes included unless `own` is false (the width of a field in bits)."""
    for follow in range(4):
        total = content + (1 + follow if own else 0)
        if total < (1 << 6 if follow == 0 else 1 << 4 + 8 * follow):
            break
    else:
        raise ValueError(f"an AML package of {content:#x} bytes must be below {1 << 28:#x}")
    if follow == 0:
        return bytes((total,))
    return bytes((follow << 6 | total & 0xF,)) + (total >> 4).to_bytes(follow, "little")


def _package(opcode: bytes, content: bytes) -> bytes:
    return opcode + length(len(content)) + content


def integer(value: int) -> bytes:
    """ConstObj or the shortest constant that holds the value."""
    if value in (0, 1):
        return bytes((value,))
    for limit, prefix, layout in ((1 << 8, b"\x0a", "<B"), (1 << 16, b"\x0b", "<H"), (1 << 32, b"\x0c", "<I")):
        if value < limit:
            return prefix + struct.pack(layout, value)
    return b"\x0e" + struct.pack("<Q", value)


def string(text: str) -> bytes:
    """String."""
    return b"\x0d" + text.encode("ascii") + NULL


def plug_and_play(identity: str) -> bytes:
    """EISAID: three letters and four hexadecimal digits in 32 bits (§19.6.36 “EISAID”)."""
    first, second, third = (ord(c) - 0x40 for c in identity[:3])
    word = first << 26 | second << 21 | third << 16 | int(identity[3:], 16)
    return integer(int.from_bytes(word.to_bytes(4, "big"), "little"))


def buffer(data: bytes) -> bytes:
    """DefBuffer."""
    return _package(b"\x11", integer(len(data)) + data)


def package(*elements: bytes) -> bytes:
    """DefPackage."""
    return _package(b"\x12", bytes((len(elements),)) + b"".join(elements))


def name(at: str, value: bytes) -> bytes:
    """DefName."""
    return b"\x08" + path(at) + value


def scope(at: str, *terms: bytes) -> bytes:
    """DefScope."""
    return _package(b"\x10", path(at) + b"".join(terms))


def device(at: str, *terms: bytes) -> bytes:
    """DefDevice."""
    return _package(b"\x5b\x82", path(at) + b"".join(terms))


def method(at: str, arguments: int, *terms: bytes, serialized: bool = False) -> bytes:
    """DefMethod."""
    return _package(b"\x14", path(at) + bytes((arguments | serialized << 3,)) + b"".join(terms))


def region(at: str, space: Space, offset: int, size: int) -> bytes:
    """DefOpRegion."""
    return b"\x5b\x80" + path(at) + bytes((space,)) + integer(offset) + integer(size)


def fields(of_region: str, access: Access, *units: tuple[str, int]) -> bytes:
    """DefField: names and widths in bits, from the region's first bit on; other bits keep their value."""
    content = b"".join(_segment(unit) + length(bits, own=False) for unit, bits in units)
    return _package(b"\x5b\x81", path(of_region) + bytes((access,)) + content)


def double_field(source: bytes, byte: int, at: str) -> bytes:
    """DefCreateDWordField: a name for 32 bits of a buffer."""
    return b"\x8a" + source + integer(byte) + path(at)


def argument(number: int) -> bytes:
    """ArgObj."""
    return bytes((0x68 + number,))


def local(number: int) -> bytes:
    """LocalObj."""
    return bytes((0x60 + number,))


def store(value: bytes, target: bytes) -> bytes:
    """DefStore."""
    return b"\x70" + value + target


def both(left: bytes, right: bytes, target: bytes = NULL) -> bytes:
    """DefAnd: the bits that both have."""
    return b"\x7b" + left + right + target


def either(left: bytes, right: bytes, target: bytes = NULL) -> bytes:
    """DefOr: the bits that either has."""
    return b"\x7d" + left + right + target


def when(condition: bytes, *terms: bytes) -> bytes:
    """DefIfElse without its else."""
    return _package(b"\xa0", condition + b"".join(terms))


def give(value: bytes) -> bytes:
    """DefReturn."""
    return b"\xa4" + value
