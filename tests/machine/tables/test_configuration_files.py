"""What a ROM reads; a small linker stands for SeaBIOS's."""

import struct

import pytest

from tests.machine.tables.test_acpi import walk
from vmxon.devices.disk import AtaDrive, CdromDrive
from vmxon.errors import ImageError
from vmxon.machine.configuration import BootDevice, PcConfiguration
from vmxon.machine.loader.boot_files import BootFiles
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


def files_of(configuration: PcConfiguration, power_ports: int = 0) -> dict[str, bytes]:
    """The files as they are while power management is at `power_ports`."""
    files = configuration_files(configuration, lambda: power_ports)
    return {name: file if isinstance(file, bytes) else file() for name, file in files.items()}


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
    memory, root = link(files_of(PcConfiguration(memory_size=64 * MIB, pci=pci)))
    assert {b"FACP", b"FACS", b"DSDT", b"APIC"} <= set(walk(memory, 0, root))


@pytest.mark.parametrize(("power_ports", "told"), [(0, 0x600), (0x600, 0x600), (0xB000, 0xB000)])
def test_the_tables_follow_power_management(power_ports: int, told: int) -> None:
    memory, root = link(files_of(PcConfiguration(memory_size=64 * MIB), power_ports))
    table = walk(memory, 0, root)[b"FACP"]
    assert struct.unpack_from("<I", table, 56) == (told,)
    assert struct.unpack_from("<Q", table, 212) == (told + 8,)


def test_without_acpi_there_are_no_tables() -> None:
    assert not any("acpi" in name or "loader" in name for name in files_of(PcConfiguration(acpi=False)))


@pytest.mark.parametrize(
    ("size", "ranges"),
    [(64 * MIB, [(0, 64 * MIB, 1)]), (5 << 30, [(0, 3 << 30, 1), (4 << 30, 2 << 30, 1)])],
)
def test_memory(size: int, ranges: list[tuple[int, int, int]]) -> None:
    configuration = PcConfiguration(memory_size=size)
    assert list(struct.iter_unpack("<QQI", files_of(configuration)["etc/e820"])) == ranges
    assert configuration_entries(configuration)[0x03] == struct.pack("<Q", size)


@pytest.mark.parametrize(("graphics", "port", "word"), [(True, None, b"\0\0"), (False, 0x3F8, b"\1\0")])
def test_the_console(graphics: bool, port: int | None, word: bytes) -> None:
    configuration = PcConfiguration(graphics=graphics)
    expected = None if port is None else struct.pack("<Q", port)
    assert files_of(configuration).get("etc/sercon-port") == expected
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
    files = files_of(PcConfiguration(drives=drives, boot_order=order))
    assert files["bootorder"] == "\n".join(f"/pci@i0cf8/ide@1,1/{path}" for path in paths).encode() + b"\0"


def test_soft_off_is_the_only_sleep() -> None:
    assert files_of(PcConfiguration())["etc/system-states"] == bytes((0x80, 0, 0, 0, 0, 0x80))


def bzimage(size: int = 1024, highest: int = 0x7FFF_FFFF) -> bytes:
    """Two setup sectors and so many bytes of kernel."""
    setup = bytearray(3 * 512)
    setup[0x1F1], setup[0x1FE:0x200], setup[0x202:0x206], setup[0x211] = 2, b"\x55\xaa", b"HdrS", 1
    struct.pack_into("<I", setup, 0x22C, highest)
    return bytes(setup) + b"K" * size


def test_a_kernel_for_the_firmware() -> None:
    files = BootFiles(bzimage(), b"disk" * 2000, "quiet")
    entries = configuration_entries(PcConfiguration(memory_size=64 * MIB, boot_files=files))
    numbers = {entry: struct.unpack("<I", entries[entry])[0] for entry in (0x07, 0x08, 0x0A, 0x0B, 0x13, 0x14, 0x16, 0x17)}
    initrd = 64 * MIB - 0x4_0000 - 0x2000
    assert numbers == {
        0x07: MIB, 0x08: 1024, 0x0A: initrd, 0x0B: 8000, 0x13: 0x2_0000, 0x14: 6, 0x16: 0x1_0000, 0x17: 1536,
    }  # fmt: skip
    assert (entries[0x11], entries[0x12], entries[0x15]) == (b"K" * 1024, b"disk" * 2000, b"quiet\0")
    setup = entries[0x18]
    assert (setup[0x210], setup[0x211]) == (0xB0, 0x81)
    assert struct.unpack_from("<II", setup, 0x218) == (initrd, 8000)
    assert struct.unpack_from("<H", setup, 0x224) == (0xFE00,)
    assert struct.unpack_from("<I", setup, 0x228) == (0x2_0000,)


def test_a_rom_starts_the_kernel_first() -> None:
    drives = (AtaDrive(Zeros()),)
    files = files_of(PcConfiguration(drives=drives, boot_files=BootFiles(bzimage())))
    assert files["bootorder"] == b"/rom@genroms/linux.bin\n/pci@i0cf8/ide@1,1/drive@0/disk@0\0"
    rom = files["genroms/linux.bin"]
    assert (rom[:3], len(rom), sum(rom) & 0xFF) == (b"\x55\xaa\x01", 512, 0)
    at = int.from_bytes(rom[0x1A:0x1C], "little")
    assert rom[at : at + 6] == b"$PnP\x01\x02"
    name, entry = (int.from_bytes(rom[at + place : at + place + 2], "little") for place in (16, 26))
    assert rom[name : name + 13] == b"Linux kernel\0"
    assert rom[entry] == 0xFA  # cli
    assert "genroms/linux.bin" not in files_of(PcConfiguration(drives=drives))


def test_the_kernel_says_how_high_the_ram_disk_may_be() -> None:
    files = BootFiles(bzimage(highest=0x1F_FFFF), b"x")
    entries = configuration_entries(PcConfiguration(memory_size=64 * MIB, boot_files=files))
    assert struct.unpack("<I", entries[0x0A]) == (0x1F_F000,)


@pytest.mark.parametrize("kernel", [b"", b"\x7fELF".ljust(2000, b"\0"), bzimage(0)])
def test_a_firmware_starts_bzimages_only(kernel: bytes) -> None:
    with pytest.raises(ImageError) as caught:
        BootFiles(kernel, name="vmlinux")
    assert str(caught.value) == "vmlinux: a firmware can start no such kernel, expected a bzImage; leave the ROM out"


def test_a_kernel_that_is_too_large() -> None:
    files = BootFiles(bzimage(2 * MIB), b"x" * MIB)
    with pytest.raises(ImageError) as caught:
        configuration_entries(PcConfiguration(memory_size=4 * MIB, boot_files=files))
    assert str(caught.value) == "kernel: needs 0x440000 bytes of memory, not 0x400000; give a larger --memory"
