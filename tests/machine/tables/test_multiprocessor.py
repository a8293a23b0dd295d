import struct

import pytest

from vmxon.machine.tables import Hardware, system_tables

MIB = 1 << 20


def memory(hardware: Hardware) -> bytearray:
    bytes_ = bytearray(0x10_0000)
    for piece in system_tables(hardware, 0x306C3, 0xBFEB_FBFF):
        bytes_[piece.address : piece.end] = piece.data
    return bytes_


@pytest.mark.parametrize("pci", [False, True])
def test_the_table_is_found_from_the_last_kib_of_conventional_memory(pci: bool) -> None:
    found = memory(Hardware(8 * MIB, processors=2, io_apic=True, pci=pci))
    pointer = found[0x9_FFF0:0xA_0000]
    assert (pointer[:4], pointer[8:10], sum(pointer) & 0xFF) == (b"_MP_", b"\x01\x04", 0)
    place = struct.unpack_from("<I", pointer, 4)[0]
    length, count = struct.unpack_from("<H", found, place + 4)[0], struct.unpack_from("<H", found, place + 34)[0]
    table = found[place : place + length]
    assert (table[:4], sum(table) & 0xFF) == (b"PCMP", 0)
    assert struct.unpack_from("<I", table, 36) == (0xFEE0_0000,)
    entries, at = [], 44
    while at < length:
        size = 20 if table[at] == 0 else 8
        entries.append(bytes(table[at : at + size]))
        at += size
    assert len(entries) == count
    processors, others = entries[:2], entries[2:]
    assert [struct.unpack("<BBBBII8x", entry) for entry in processors] == [
        (0, 0, 0x14, 3, 0x306C3, 0xBFEB_FBFF),
        (0, 1, 0x14, 1, 0x306C3, 0xBFEB_FBFF),
    ]
    isa = int(pci)
    assert others[: 1 + isa] == [b"\x01\x00PCI   ", b"\x01\x01ISA   "] if pci else [b"\x01\x00ISA   "]
    others = others[1 + isa :]
    assert others[0].hex(" ") == "02 00 20 01 00 00 c0 fe"
    lines = [struct.unpack("<BBHBBBB", entry) for entry in others[1:]]
    inputs = {source: (how, pin) for kind, _, how, _, source, _, pin in lines if kind == 3}
    assert inputs == {
        n: (0xD if n in (5, 9, 10, 11) else 0, 2 if n == 0 else n) for n in range(16) if n != 2
    }
    assert [line for line in lines if line[0] == 4] == [(4, 3, 0, isa, 0, 0xFF, 0), (4, 1, 0, isa, 0, 0xFF, 1)]


def test_there_is_none_without_an_io_apic() -> None:
    assert b"_MP_" not in memory(Hardware(8 * MIB))
