"""The tables as a system reads them; iasl, where it is installed, judges them too."""

import shutil
import struct
import subprocess
from itertools import pairwise, product
from pathlib import Path

import pytest

from vmxon.arch.models import FIRST
from vmxon.machine.configuration import PcConfiguration
from vmxon.machine.tables import AcpiTables, Hardware, acpi_tables, system_tables

MIB = 1 << 20
MACHINES = [
    Hardware(size, io_apic=io_apic, pci=pci, configuration_device=pci)
    for size, io_apic, pci in product((8 * MIB, 3 << 30), (False, True), (False, True))
]


def walk(memory: bytes, base: int, root: int) -> dict[bytes, bytes]:
    """Every table that the root pointer leads to, by signature; both root tables must name the same ones."""
    tables: dict[bytes, bytes] = {}

    def table(address: int) -> bytes:
        at = address - base
        length = struct.unpack_from("<I", memory, at + 4)[0]
        data = memory[at : at + length]
        if data[:4] != b"FACS":
            assert sum(data) & 0xFF == 0, data[:4]
        tables[data[:4]] = data
        return data

    pointer = memory[root - base : root - base + 36]
    assert pointer[:8] == b"RSD PTR "
    assert sum(pointer[:20]) & 0xFF == sum(pointer) & 0xFF == 0
    revision, rsdt, length, xsdt = struct.unpack_from("<BIIQ", pointer, 15)
    assert (revision, length) == (2, 36)
    narrow = struct.unpack(f"<{(len(table(rsdt)) - 36) // 4}I", table(rsdt)[36:])
    wide = struct.unpack(f"<{(len(table(xsdt)) - 36) // 8}Q", table(xsdt)[36:])
    assert narrow == wide
    for address in narrow:
        table(address)
    facs, dsdt = struct.unpack_from("<II", tables[b"FACP"], 36)
    assert struct.unpack_from("<QQ", tables[b"FACP"], 132) == (facs, dsdt)
    assert facs % 64 == 0
    table(facs)
    table(dsdt)
    return tables


def at(tables: AcpiTables, base: int) -> dict[bytes, bytes]:
    data = tables.at(base)
    return walk(data + bytes(-len(data) % 16) + tables.root_pointer(base), base, base + len(data) + -len(data) % 16)


@pytest.mark.parametrize("hardware", MACHINES)
@pytest.mark.parametrize("base", [0xE_0040, 0x7FE_0000])
def test_every_table_can_be_found_and_adds_up(hardware: Hardware, base: int) -> None:
    named = {b"RSDT", b"XSDT", b"FACP", b"FACS", b"DSDT", *((b"APIC",) if hardware.io_apic else ())}
    assert set(at(acpi_tables(hardware), base)) == named


@pytest.mark.parametrize(
    ("offset", "layout", "value"),
    [
        (8, "B", 3),
        (46, "H", 9),  # SCI
        (48, "I", 0xB2),
        (52, "B", 0xF1),
        (53, "B", 0xF0),
        (56, "I", 0x600),  # PM1a events
        (64, "I", 0x604),  # PM1a control
        (76, "I", 0x608),  # timer
        (80, "I", 0x60C),  # general-purpose events
        (88, "4B", (4, 2, 0, 4)),
        (108, "B", 0x32),
        (109, "H", 3),
        (112, "I", 0x425),
        (116, "BBBBQ", (1, 8, 0, 1, 0xCF9)),
        (128, "B", 6),
        (148, "BBBBQ", (1, 32, 0, 2, 0x600)),
        (172, "BBBBQ", (1, 16, 0, 2, 0x604)),
        (208, "BBBBQ", (1, 32, 0, 3, 0x608)),
        (220, "BBBBQ", (1, 32, 0, 1, 0x60C)),
    ],
)
def test_fixed_description(offset: int, layout: str, value: object) -> None:
    table = at(acpi_tables(Hardware(8 * MIB, pci=True)), 0xE_0040)[b"FACP"]
    assert len(table) == 244
    found = struct.unpack_from(f"<{layout}", table, offset)
    assert found == (value if isinstance(value, tuple) else (value,))


def test_without_pci_there_is_no_reset_register() -> None:
    table = at(acpi_tables(Hardware(8 * MIB)), 0)[b"FACP"]
    assert struct.unpack_from("<I", table, 112) == (0x025,)
    assert table[116:129] == bytes(13)


def test_a_wide_timer_is_announced() -> None:
    table = at(acpi_tables(Hardware(8 * MIB, pci=True, timer_bits=32)), 0)[b"FACP"]
    assert struct.unpack_from("<I", table, 112) == (0x525,)


def test_interrupt_controllers() -> None:
    table = at(acpi_tables(Hardware(8 * MIB, processors=2, io_apic=True)), 0)[b"APIC"]
    assert struct.unpack_from("<II", table, 36) == (0xFEE0_0000, 1)
    entries, place = [], 44
    while place < len(table):
        entries.append(table[place : place + table[place + 1]].hex(" "))
        place += table[place + 1]
    assert entries == [
        "00 08 00 00 01 00 00 00",
        "00 08 01 01 01 00 00 00",
        "01 0c 00 00 00 00 c0 fe 00 00 00 00",
        "02 0a 00 00 02 00 00 00 00 00",
        "02 0a 00 05 05 00 00 00 0d 00",
        "02 0a 00 09 09 00 00 00 0d 00",
        "02 0a 00 0a 0a 00 00 00 0d 00",
        "02 0a 00 0b 0b 00 00 00 0d 00",
        "04 06 ff 00 00 01",
    ]


def test_the_configuration_says_what_there_is() -> None:
    assert Hardware.of(PcConfiguration(memory_size=8 * MIB, pci=False)) == Hardware(8 * MIB, io_apic=True, pci=False)
    assert not Hardware.of(PcConfiguration(memory_size=8 * MIB, model=FIRST)).io_apic
    assert Hardware.of(PcConfiguration(memory_size=8 * MIB, pci=True)).pci


@pytest.mark.parametrize("hardware", MACHINES)
def test_tables_in_memory_do_not_touch_each_other(hardware: Hardware) -> None:
    pieces = sorted((piece.address, piece.end) for piece in system_tables(hardware, 0x306C3, 0xBFEBFBFF))
    assert all(end <= start for (_, end), (start, _) in pairwise(pieces))
    assert pieces[-1][1] <= 0xF_0000
    memory = bytearray(0x10_0000)
    for piece in system_tables(hardware, 0, 0):
        memory[piece.address : piece.end] = piece.data
    assert b"DSDT" in walk(bytes(memory), 0, 0xE_0000)


@pytest.mark.skipif(shutil.which("iasl") is None, reason="iasl judges the tables (Debian's package acpica-tools)")
@pytest.mark.parametrize("hardware", MACHINES)
def test_iasl_reads_and_compiles_every_table(hardware: Hardware, tmp_path: Path) -> None:
    for signature, data in at(acpi_tables(hardware), 0xE_0040).items():
        name = tmp_path / signature.decode().lower()
        name.with_suffix(".aml").write_bytes(data)
        for command in (["iasl", "-d", f"{name}.aml"], ["iasl", f"{name}.dsl"]):
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
            said = done.stdout + done.stderr
            assert done.returncode == 0, said
            assert "Error" not in said.replace("0 Errors", ""), said
            assert "Warning" not in said.replace("0 Warnings", ""), said
