"""What a ROM reads; a small linker stands for SeaBIOS's."""

import struct

import pytest

from tests.machine.tables.test_acpi import walk
from vmxon.devices.disk import AtaDrive, CdromDrive
from vmxon.machine.configuration import BootDevice, PcConfiguration
from vmxon.machine.tables.configuration_files import configuration_entries, configuration_files

MIB = 1 << 20


class Zeros:
    sectors = 100

    def read(self, lba: int, count: int) -> bytes:
        return bytes(512 * count)

    def write(self, lba: int, data: bytes) -> None:
        pass

    def close(self) -> None:
        pass


def link(files: dict[str, bytes]) -> tuple[bytes, int]:
    """Run the script with the tables at 1 MiB and the root pointer at 0xF0000: memory from there on, and the root pointer."""
    memory, places = bytearray(2 * MIB), {}

    def name(raw: bytes) -> str:
        return raw.rstrip(b"\0").decode()

    script = files["etc/table-loader"]
    assert len(script) % 128 == 0
    for at in range(0, len(script), 128):
        (command,) = struct.unpack_from("<I", script, at)
        match command:
            case 1:
                file, alignment, zone = struct.unpack_from("<56sIB", script, at + 4)
                place = {1: MIB, 2: 0xF_0000}[zone]
                assert place % alignment == 0
                places[name(file)] = place
                memory[place : place + len(files[name(file)])] = files[name(file)]
            case 2:
                file, target, offset, size = struct.unpack_from("<56s56sIB", script, at + 4)
                where = places[name(file)] + offset
                value = int.from_bytes(memory[where : where + size], "little") + places[name(target)]
                memory[where : where + size] = value.to_bytes(size, "little")
            case 3:
                file, offset, start, length = struct.unpack_from("<56sIII", script, at + 4)
                base = places[name(file)]
                assert memory[base + offset] == 0
                memory[base + offset] = -sum(memory[base + start : base + start + length]) & 0xFF
            case _:
                raise AssertionError(command)
    return bytes(memory), places["etc/acpi/rsdp"]


@pytest.mark.parametrize("pci", [False, True])
def test_the_script_makes_tables_that_add_up(pci: bool) -> None:
    memory, root = link(configuration_files(PcConfiguration(memory_size=64 * MIB, pci=pci)))
    assert {b"FACP", b"FACS", b"DSDT", b"APIC"} <= set(walk(memory, 0, root))


def test_without_acpi_there_are_no_tables() -> None:
    assert not any("acpi" in name or "loader" in name for name in configuration_files(PcConfiguration(acpi=False)))


@pytest.mark.parametrize(
    ("size", "ranges"),
    [(64 * MIB, [(0, 64 * MIB, 1)]), (5 << 30, [(0, 3 << 30, 1), (4 << 30, 2 << 30, 1)])],
)
def test_memory(size: int, ranges: list[tuple[int, int, int]]) -> None:
    configuration = PcConfiguration(memory_size=size)
    assert list(struct.iter_unpack("<QQI", configuration_files(configuration)["etc/e820"])) == ranges
    assert configuration_entries(configuration)[0x03] == struct.pack("<Q", size)


@pytest.mark.parametrize(("graphics", "port", "word"), [(True, None, b"\0\0"), (False, 0x3F8, b"\1\0")])
def test_the_console(graphics: bool, port: int | None, word: bytes) -> None:
    configuration = PcConfiguration(graphics=graphics)
    expected = None if port is None else struct.pack("<Q", port)
    assert configuration_files(configuration).get("etc/sercon-port") == expected
    assert configuration_entries(configuration)[0x04] == word


@pytest.mark.parametrize(
    ("order", "paths"),
    [
        ((BootDevice.DISK, BootDevice.CDROM), ["drive@0/disk@1", "drive@1/disk@1", "drive@1/disk@0"]),
        ((BootDevice.CDROM,), ["drive@1/disk@0"]),
        ((BootDevice.FLOPPY,), []),
    ],
)
def test_boot_order(order: tuple[BootDevice, ...], paths: list[str]) -> None:
    drives = (None, AtaDrive(Zeros()), CdromDrive(), AtaDrive(Zeros()))
    files = configuration_files(PcConfiguration(drives=drives, boot_order=order))
    assert files["bootorder"] == "\n".join(f"/pci@i0cf8/ide@1,1/{path}" for path in paths).encode() + b"\0"


def test_soft_off_is_the_only_sleep() -> None:
    assert configuration_files(PcConfiguration())["etc/system-states"] == bytes((0x80, 0, 0, 0, 0, 0x80))
