import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmxon.devices.bus import Bus
from vmxon.devices.clock import VirtualClock
from vmxon.devices.disk import AtaDrive, DiskImageError, SnapshotOverlay
from vmxon.devices.ide import Ide
from vmxon.devices.interrupt import Line

SECTORS = 2016  # two cylinders of 16 × 63
BASE, CONTROL = 0x1F0, 0x3F6


class Memory:
    """A disk whose sector n is the number n, 64 times."""

    def __init__(self, sectors: int = SECTORS, broken: frozenset[int] = frozenset()) -> None:
        self.sectors, self.broken = sectors, broken

    def read(self, lba: int, count: int) -> bytes:
        if self.broken & set(range(lba, lba + count)):
            raise DiskImageError(Path("disk.img"), lba * 512, "is broken", "better", "Mend it.")
        return b"".join(pattern(lba + n) for n in range(count))

    def write(self, lba: int, data: bytes) -> None:
        raise DiskImageError(Path("disk.img"), lba * 512, "is read only", "writable", "Copy it.")

    def close(self) -> None:
        pass


def pattern(lba: int) -> bytes:
    return struct.pack("<Q", lba) * 64


class Machine:
    def __init__(self, drives: int = 1, latency: int = 0, sectors: int = SECTORS, **options: frozenset[int]) -> None:
        self.clock, self.irq14, self.irq15, self.bus, self.edges = VirtualClock(), Line(), Line(), Bus("port"), 0
        self.irq14.connect(self.count)
        self.drives = [AtaDrive(SnapshotOverlay(Memory(sectors, **options))) for _ in range(drives)]
        self.ide = Ide(self.clock, (self.irq14, self.irq15), self.drives, latency)
        self.ide.connect(self.bus)

    def count(self, level: bool) -> None:
        self.edges += level

    def out(self, register: int, value: int) -> None:
        self.bus.write(BASE + register, 1, value)

    def read(self, register: int) -> int:
        return self.bus.read(BASE + register, 1)

    def lba(self, command: int, lba: int, count: int, drive: int = 0) -> int:
        """Give a 28-bit command; the status after it."""
        values = (count & 0xFF, lba & 0xFF, lba >> 8 & 0xFF, lba >> 16 & 0xFF, 0xE0 | drive << 4 | lba >> 24, command)
        for register, value in enumerate(values, 2):
            self.out(register, value)
        return self.bus.read(CONTROL, 1)

    def wide(self, command: int, lba: int, count: int) -> int:
        for high in (8, 0):
            self.out(2, count >> high & 0xFF)
            for place in range(3):
                self.out(3 + place, lba >> 8 * place + (24 if high else 0) & 0xFF)
        self.out(6, 0x40)
        self.out(7, command)
        return self.bus.read(CONTROL, 1)

    def words(self, count: int) -> bytes:
        return b"".join(self.bus.read(BASE, 2).to_bytes(2, "little") for _ in range(count))


@pytest.fixture
def m() -> Machine:
    return Machine()


def test_reads_one_sector_with_exact_status(m: Machine) -> None:
    assert m.read(7) == 0x50
    assert m.lba(0x20, 5, 1) == 0x58
    assert m.irq14.level
    assert m.read(7) == 0x58
    assert not m.irq14.level
    assert m.words(256) == pattern(5)
    assert (m.read(7), m.read(1)) == (0x50, 0)
    assert m.bus.read(BASE, 2) == 0xFFFF


def test_each_block_has_an_interrupt(m: Machine) -> None:
    m.lba(0x20, 0, 3)
    for sector in range(3):
        assert m.edges == sector + 1
        assert m.read(7) == 0x58
        assert m.words(256) == pattern(sector)
    assert not m.irq14.level
    m.lba(0xC6, 0, 2)
    m.edges = 0
    m.read(7)
    m.lba(0xC4, 10, 3)
    m.read(7)
    assert m.words(512) == pattern(10) + pattern(11)
    assert m.words(256) == pattern(12)
    assert m.edges == 2
    assert m.read(7) == 0x50


@pytest.mark.parametrize("size", [1, 2, 4])
@given(lba=st.integers(0, SECTORS - 4), count=st.integers(1, 4), split=st.integers(0, 700))
def test_strings_equal_single_accesses(size: int, lba: int, count: int, split: int) -> None:
    single, string = Machine(), Machine()
    for m in (single, string):
        m.lba(0x20, lba, count)
    items = count * 512 // max(size, 2)
    split = min(split, items)
    got = string.bus.read_string(BASE, size, split) + string.bus.read_string(BASE, size, items - split)
    assert got == b"".join(single.bus.read(BASE, size).to_bytes(size, "little") for _ in range(items))
    assert string.edges == single.edges
    assert string.ide.state() == single.ide.state()
    assert string.bus.read_string(BASE, size, 3) == b"\xff" * 3 * size


def test_writes_read_back_and_interrupt_after_each_block(m: Machine) -> None:
    data = bytes(range(256)) * 4
    assert m.lba(0x30, 7, 2) == 0x58
    assert m.edges == 0
    m.bus.write_string(BASE, 2, data[:512])
    assert (m.edges, m.read(7)) == (1, 0x58)
    for place in range(512, 1024, 2):
        m.bus.write(BASE, 2, data[place] | data[place + 1] << 8)
    assert (m.edges, m.read(7)) == (2, 0x50)
    m.lba(0x20, 6, 4)
    assert m.bus.read_string(BASE, 4, 512) == pattern(6) + data + pattern(9)


def test_lba48_and_its_high_order_bytes() -> None:
    m = Machine(sectors=1 << 34)
    assert m.wide(0x24, (1 << 34) - 300, 300) == 0x58
    assert m.words(512) == pattern((1 << 34) - 300) + pattern((1 << 34) - 299)
    m.out(2, 0x12)
    m.out(2, 0x34)
    assert m.read(2) == 0x34
    m.bus.write(CONTROL, 1, 0x80)
    assert m.read(2) == 0x12
    m.out(3, 0)  # a write shows the low byte again
    assert m.read(2) == 0x34
    assert m.wide(0x34, 5, 1) == 0x58
    m.bus.write_string(BASE, 2, b"w" * 512)
    assert m.drives[0].read(5, 1) == b"w" * 512


@pytest.mark.parametrize(
    ("cylinder", "head", "sector", "lba"),
    [(0, 0, 1, 0), (0, 0, 63, 62), (0, 1, 1, 63), (1, 0, 1, 1008), (1, 15, 63, 2015)],
)
def test_chs(m: Machine, cylinder: int, head: int, sector: int, lba: int) -> None:
    for register, value in ((2, 1), (3, sector), (4, cylinder & 0xFF), (5, cylinder >> 8), (6, 0xA0 | head), (7, 0x20)):
        m.out(register, value)
    assert m.words(256) == pattern(lba)


@pytest.mark.parametrize(("head", "sector", "cylinder"), [(0, 0, 0), (0, 64, 0), (0, 1, 2)])
def test_chs_outside_the_geometry_is_not_found(m: Machine, head: int, sector: int, cylinder: int) -> None:
    for register, value in ((2, 1), (3, sector), (4, cylinder), (5, 0), (6, 0xA0 | head), (7, 0x20)):
        m.out(register, value)
    assert (m.read(7), m.read(1)) == (0x51, 0x10)


def test_initialize_device_parameters_changes_the_geometry(m: Machine) -> None:
    for register, value in ((2, 32), (6, 0xA7), (7, 0x91)):
        m.out(register, value)
    for register, value in ((2, 1), (3, 1), (4, 1), (5, 0), (6, 0xA0), (7, 0x20)):
        m.out(register, value)
    assert m.words(256) == pattern(256)
    m.lba(0xEC, 0, 0)
    words = struct.unpack("<256H", m.words(256))
    assert words[54:57] == (7, 8, 32)


def test_identify(m: Machine) -> None:
    assert m.lba(0xEC, 0, 0) == 0x58
    words = struct.unpack("<256H", m.words(256))
    assert words[1] == 2
    assert (words[3], words[6]) == (16, 63)
    assert words[60] | words[61] << 16 == SECTORS
    assert words[100:104] == (SECTORS, 0, 0, 0)
    assert words[49] & 0x0300 == 0x0200  # LBA, no DMA
    assert struct.pack(">20H", *words[27:47]).decode().strip() == "VMXON HARDDISK"


@pytest.mark.parametrize(
    ("command", "count", "status", "error"),
    [
        (0x40, 1, 0x50, 0),
        (0x70, 0, 0x50, 0),
        (0x10, 0, 0x50, 0),
        (0xE7, 0, 0x50, 0),
        (0xEA, 0, 0x50, 0),
        (0xC6, 16, 0x50, 0),
        (0xC6, 3, 0x51, 4),
        (0xC6, 32, 0x51, 4),
        (0xC4, 1, 0x51, 4),  # multiple mode is off
        (0xA1, 0, 0x51, 4),  # not a packet device
        (0xC8, 1, 0x51, 4),  # no DMA
        (0x00, 0, 0x51, 4),
        (0xFF, 0, 0x51, 4),
    ],
)
def test_commands_without_data(m: Machine, command: int, count: int, status: int, error: int) -> None:
    assert m.lba(command, 0, count) == status
    assert (m.edges, m.read(1)) == (1, error)


@pytest.mark.parametrize(("feature", "status"), [(0x02, 0x50), (0x03, 0x50), (0xAA, 0x50), (0x99, 0x51)])
def test_set_features(m: Machine, feature: int, status: int) -> None:
    m.out(1, feature)
    assert m.lba(0xEF, 0, 0) == status


@pytest.mark.parametrize("command", [0x20, 0x30, 0x40])
@pytest.mark.parametrize(("lba", "count"), [(SECTORS, 1), (SECTORS - 1, 2), (0x0FFF_FFFF, 0)])
def test_beyond_the_end_is_not_found(m: Machine, command: int, lba: int, count: int) -> None:
    assert m.lba(command, lba, count) == 0x51
    assert m.read(1) == 0x10


def test_a_broken_image_is_a_bad_sector_and_is_remembered() -> None:
    m = Machine(broken=frozenset({1}))
    assert m.lba(0x20, 0, 2) == 0x58
    m.words(256)
    assert (m.read(7), m.read(1)) == (0x51, 0x40)
    assert str(m.drives[0].failure) == "disk.img, offset 0x200: is broken; expected better. Mend it."


def test_absent_drives_and_channels_look_neither_busy_nor_ready_to_identify(m: Machine) -> None:
    m.out(6, 0xB0)
    assert [m.read(register) for register in range(1, 8)] == [0x7F] * 7
    assert m.bus.read(CONTROL, 1) == 0x7F
    m.out(7, 0xEC)
    assert m.edges == 0
    assert [m.bus.read(0x170 + n, 1) for n in range(1, 8)] == [0x7F] * 7
    m.out(6, 0xA0)
    assert m.read(7) == 0x50


def test_second_drive_has_its_own_sectors() -> None:
    m = Machine(drives=3)
    m.lba(0x30, 0, 1, drive=1)
    m.bus.write_string(BASE, 2, b"1" * 512)
    m.lba(0x20, 0, 1)
    assert m.words(256) == pattern(0)
    m.lba(0x20, 0, 1, drive=1)
    assert m.words(256) == b"1" * 512
    assert m.bus.read(0x177, 1) == 0x50


def test_software_reset(m: Machine) -> None:
    m.lba(0x20, 0, 1)
    m.bus.write(CONTROL, 1, 4)
    assert m.bus.read(CONTROL, 1) == 0x80
    m.bus.write(CONTROL, 1, 0)
    assert [m.read(register) for register in range(1, 8)] == [1, 1, 1, 0, 0, 0xA0, 0x50]
    assert not m.irq14.level


def test_diagnostic_signature(m: Machine) -> None:
    m.lba(0x90, 0x123456, 9)
    assert [m.read(register) for register in range(1, 8)] == [1, 1, 1, 0, 0, 0xA0, 0x50]


def test_disabled_interrupt_comes_when_it_is_enabled(m: Machine) -> None:
    m.bus.write(CONTROL, 1, 2)
    m.lba(0xEC, 0, 0)
    assert not m.irq14.level
    m.bus.write(CONTROL, 1, 0)
    assert m.irq14.level


def test_latency_shows_busy_until_its_time() -> None:
    m = Machine(latency=1000)
    assert m.lba(0x20, 3, 1) == 0x80
    m.out(7, 0xEC)  # ignored while busy
    m.clock.run_until(999)
    assert m.read(7) == 0x80
    m.clock.run_until(1000)
    assert m.read(7) == 0x58
    assert m.words(256) == pattern(3)


def test_snapshot_in_the_middle_of_a_block(m: Machine) -> None:
    m.lba(0x20, 8, 2)
    m.words(100)
    copy = Machine()
    copy.ide.restore(m.ide.state())
    assert copy.words(412) == m.words(412)
    assert copy.read(7) == 0x50


def test_power_mode_is_active(m: Machine) -> None:
    assert m.lba(0xE5, 0, 0) == 0x50
    assert m.read(2) == 0xFF


@pytest.mark.parametrize(
    ("sectors", "last"), [(SECTORS, SECTORS - 1), (0x1000_0000, 0x0FFF_FFFF), (1 << 34, 0x0FFF_FFFF)]
)
def test_native_maximum(sectors: int, last: int) -> None:
    m = Machine(sectors=sectors)
    assert m.lba(0xF8, 0, 0) == 0x50
    assert m.read(3) | m.read(4) << 8 | m.read(5) << 16 | (m.read(6) & 0x0F) << 24 == last


@pytest.mark.parametrize("sectors", [SECTORS, 1 << 34])
def test_native_maximum_of_48_bits(sectors: int) -> None:
    m = Machine(sectors=sectors)
    assert m.wide(0x27, 0, 0) == 0x50
    found = m.read(3) | m.read(4) << 8 | m.read(5) << 16
    m.bus.write(CONTROL, 1, 0x80)
    found |= m.read(3) << 24 | m.read(4) << 32 | m.read(5) << 40
    assert found == sectors - 1


def test_a_seek_outside_is_not_found(m: Machine) -> None:
    assert m.lba(0x70, SECTORS, 1) == 0x51
    assert m.read(1) == 0x10


def test_what_an_image_refuses_is_a_bad_sector(m: Machine) -> None:
    m.drives[0].disk = Memory()
    assert m.lba(0x30, 4, 2) == 0x58
    m.bus.write_string(BASE, 2, b"w" * 512)
    assert (m.read(7), m.read(1)) == (0x51, 0x40)
    assert str(m.drives[0].failure) == "disk.img, offset 0x800: is read only; expected writable. Copy it."


def test_another_drive_is_not_given_the_rest_of_a_block() -> None:
    m = Machine(drives=2)
    assert m.lba(0x20, 3, 1) == 0x58
    m.words(10)
    m.out(6, 0xF0)
    assert m.read(7) == 0x50
    assert m.bus.read(BASE, 2) == 0xFFFF
    m.out(6, 0xE0)
    assert m.read(7) == 0x50
