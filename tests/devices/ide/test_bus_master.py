import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.devices.ide.machine import CDROM, DISK, MASTERS, RAM, Machine, block, sector
from vmxon.devices.disk import DiskImageError


@pytest.fixture
def m() -> Machine:
    return Machine()


@pytest.mark.parametrize("first", ["drive", "master"])
@pytest.mark.parametrize(("command", "wide"), [(0xC8, False), (0xC9, False), (0x25, True)])
def test_a_read_goes_to_memory_in_either_order(m: Machine, first: str, command: int, wide: bool) -> None:
    table = m.table((0x8000, 0x300), (0x20002, 0x500))
    give = m.wide if wide else m.command
    if first == "drive":
        assert give(DISK, command, 5, 4) == 0x58
        assert (m.master_status(0), m.lines[0].level) == (0, False)
        m.start(0, table)
    else:
        m.start(0, table)
        assert m.master_status(0) == 1
        give(DISK, command, 5, 4)
    expected = b"".join(sector(5 + n) for n in range(4))
    assert m.ram.bytes[0x8000:0x8300] + m.ram.bytes[0x20002:0x20502] == expected
    assert m.master_status(0) == 4
    assert m.lines[0].level
    assert m.read(DISK, 7) == 0x50
    assert not m.lines[0].level


@pytest.mark.parametrize(("command", "wide"), [(0xCA, False), (0xCB, False), (0x35, True)])
def test_a_write_comes_from_memory(m: Machine, command: int, wide: bool) -> None:
    data = bytes(range(256)) * 8
    m.ram.write(0x5000, data[:1000])
    m.ram.write(0x9000, data[1000:])
    (m.wide if wide else m.command)(DISK, command, 7, 4)
    m.start(0, m.table((0x5000, 1000), (0x9000, 1048)), to_memory=False)
    assert m.disk.read(6, 6) == sector(6) + data + sector(11)
    assert (m.master_status(0), m.read(DISK, 7)) == (4, 0x50)


@given(st.data())
def test_any_split_into_regions_moves_the_same_bytes(data: st.DataObject) -> None:
    m = Machine()
    count = data.draw(st.integers(1, 256))
    cuts = sorted(data.draw(st.sets(st.integers(1, count * 256 - 1), max_size=20)))
    sizes = [2 * (end - start) for start, end in zip([0, *cuts], [*cuts, count * 256], strict=True)]
    regions, at = [], 0x10000
    for size in sizes:
        for start in range(0, size, 0x10000):
            regions.append((at, min(size - start, 0x10000)))
            at += regions[-1][1] + 64
    m.command(DISK, 0xC8, 9, count)
    m.start(0, m.table(*regions))
    got = b"".join(bytes(m.ram.bytes[address : address + size]) for address, size in regions)
    assert got == b"".join(sector(9 + n) for n in range(count))
    assert m.master_status(0) == 4


@pytest.mark.parametrize(
    ("regions", "last", "status", "drive", "raised"),
    [
        (((0x8000, 0x400),), True, 4, 0x50, True),
        (((0x8000, 0x600),), True, 5, 0x50, True),  # more room than data: still active
        (((0x8000, 0x200),), True, 0, 0x58, False),  # less: the drive waits
        (((0x8000, 0x300),), True, 0, 0x58, False),
        (((0x8000, 0x200), (0x9000, 0x200)), True, 4, 0x50, True),
        (((0x8000, 0x400), (0x9000, 0x200)), True, 5, 0x50, True),
        (((0x8001, 0x401),), True, 4, 0x50, True),  # bit 0 of both does not count
    ],
)
def test_room_and_data(m: Machine, regions: tuple[tuple[int, int], ...], last: bool, status: int, drive: int, raised: bool) -> None:
    m.command(DISK, 0xC8, 0, 2)
    m.start(0, m.table(*regions, last=last))
    assert m.master_status(0) == status
    assert m.lines[0].level is raised
    assert m.read(DISK, 7) == drive


@pytest.mark.parametrize("split", [2, 0x100, 0x3FE, 0x600])
def test_a_transfer_goes_on_with_another_table(m: Machine, split: int) -> None:
    m.command(DISK, 0xC8, 2996, 4)
    m.start(0, m.table((0x8000, split)))
    assert (m.master_status(0), m.read(DISK, 7)) == (0, 0x58)
    m.bus.write(MASTERS, 1, 8)
    m.start(0, m.table((0x8000 + split, 0x800 - split)))
    assert (m.master_status(0), m.read(DISK, 7)) == (4, 0x50)
    data = bytes(m.ram.bytes[0x8000:0x8800])
    assert data == b"".join(sector(2996 + n) for n in range(4))
    m.command(DISK, 0xCA, 8, 4)
    m.start(0, m.table((0x8000, split)), to_memory=False)
    m.bus.write(MASTERS, 1, 0)
    m.start(0, m.table((0x8000 + split, 0x800 - split)), to_memory=False)
    assert m.read(DISK, 7) == 0x50
    assert m.disk.read(8, 4) == data


def test_a_region_of_count_0_has_64_kib(m: Machine) -> None:
    m.command(DISK, 0xC8, 0, 128)
    m.start(0, m.table((0x20000, 0x10000)))
    assert m.ram.bytes[0x20000:0x30000] == b"".join(sector(n) for n in range(128))
    assert m.master_status(0) == 4


def test_a_table_without_an_end_is_an_error(m: Machine) -> None:
    m.command(DISK, 0xC8, 0, 0)
    m.start(0, m.table((0x8000, 0x200), (0x8200, 0x200), at=0x1FFF0, last=False))
    assert m.master_status(0) == 2
    assert m.ram.bytes[0x8000:0x8400] == sector(0) + sector(1)


def test_memory_that_is_not_there(m: Machine) -> None:
    m.command(DISK, 0xC8, 0, 2)
    m.start(0, m.table((RAM - 0x200, 0x200), (0xFFFF_F000, 0x200)))
    assert m.ram.bytes[-0x200:] == sector(0)
    m.command(DISK, 0xCA, 20, 1)
    m.start(0, m.table((0xF000_0000, 0x200)), to_memory=False)
    assert m.disk.read(20, 1) == b"\xff" * 512
    m.command(DISK, 0xC8, 0, 1)
    m.start(0, 0xFFFF_0000)  # the table itself: ones, whose first region is its last
    assert m.master_status(0) == 5


def test_a_broken_image_fails_the_command() -> None:
    m = Machine(broken=frozenset({200}))
    m.command(DISK, 0xC8, 0, 0)
    m.start(0, m.table((0x20000, 0x10000), (0x30000, 0x10000)))
    assert (m.read(DISK, 7), m.read(DISK, 1)) == (0x51, 0x40)
    assert m.ram.bytes[0x20000:0x30000] == b"".join(sector(n) for n in range(128))
    assert m.master_status(0) & 4


@pytest.mark.parametrize(("command", "lba", "count"), [(0xC8, 2999, 2), (0xCA, 3000, 1), (0xC8, 0x0FFF_FFFF, 1)])
def test_beyond_the_end_nothing_moves(m: Machine, command: int, lba: int, count: int) -> None:
    assert m.command(DISK, command, lba, count) == 0x51
    assert m.read(DISK, 1) == 0x10
    m.start(0, m.table((0x8000, 0x400)))
    assert m.master_status(0) == 1
    assert not any(m.ram.bytes[0x8000:0x8400])


def test_a_channel_reset_stops_a_transfer(m: Machine) -> None:
    m.command(DISK, 0xC8, 0, 2)
    m.bus.write(DISK + 0x206, 1, 4)
    m.bus.write(DISK + 0x206, 1, 0)
    m.start(0, m.table((0x8000, 0x400)))
    assert not any(m.ram.bytes[0x8000:0x8400])


def test_a_stopped_master_moves_nothing(m: Machine) -> None:
    m.start(0, m.table((0x8000, 0x400)))
    m.bus.write(MASTERS, 1, 8)
    assert m.master_status(0) == 0
    m.command(DISK, 0xC8, 0, 2)
    assert not any(m.ram.bytes[0x8000:0x8400])
    m.bus.write(MASTERS, 1, 9)
    assert m.ram.bytes[0x8000:0x8400] == sector(0) + sector(1)


@pytest.mark.parametrize(
    ("register", "size", "written", "read"),
    [(0, 1, 0xF6, 0x00), (0, 1, 0x08, 0x08), (2, 1, 0xFF, 0x60), (2, 1, 0x20, 0x20), (4, 4, 0x1234_5677, 0x1234_5674)],
)
def test_registers(m: Machine, register: int, size: int, written: int, read: int) -> None:
    m.bus.write(MASTERS + 8 + register, size, written)
    assert m.bus.read(MASTERS + 8 + register, size) == read


def test_the_drives_interrupt_is_remembered_until_it_is_cleared(m: Machine) -> None:
    m.command(DISK, 0xEC)
    assert m.master_status(0) == 4
    m.bus.write(MASTERS + 2, 1, 2)
    assert m.master_status(0) == 4
    m.bus.write(MASTERS + 2, 1, 4)
    assert m.master_status(0) == 0
    m.bus.write(DISK + 0x206, 1, 2)
    m.command(DISK, 0xEC)
    assert m.master_status(0) == 0


def test_a_disc_is_read_by_dma(m: Machine) -> None:
    m.packet(bytes((0x28, 0, 0, 0, 0, 3, 0, 0, 5)), feature=1)
    m.start(1, m.table((0x8000, 0x800), (0xA000, 0x2000)))
    got = m.ram.bytes[0x8000:0x8800] + m.ram.bytes[0xA000:0xC000]
    assert got == b"".join(block(3 + n) for n in range(5))
    assert (m.master_status(1), m.lines[1].level) == (4, True)
    assert (m.read(CDROM, 7), m.read(CDROM, 2)) == (0x50, 3)


def test_an_odd_answer_by_dma(m: Machine) -> None:
    m.packet(bytes((0x12, 0, 0, 0, 5)), feature=1)
    m.start(1, m.table((0x8000, 6)))
    assert m.ram.bytes[0x8000:0x8006] == bytes((5, 0x80, 0, 0x21, 31, 0))
    assert m.master_status(1) == 5


def test_a_broken_disc_fails_by_dma() -> None:
    m = Machine(broken=frozenset({4 * 35}))
    m.packet(bytes((0x28, 0, 0, 0, 0, 0, 0, 0, 36)), feature=1)
    m.start(1, m.table((0x20000, 0x10000), (0x30000, 0x2000)))
    assert (m.read(CDROM, 7), m.read(CDROM, 1)) == (0x51, 0x34)
    assert m.ask(0x03, 0, 0, 0, 18)[2:14] == bytes((3, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x11, 0))


@pytest.mark.parametrize(
    ("mode", "status", "word_63", "word_88"),
    [
        (0x45, 0x50, 0x0007, 0x203F),
        (0x40, 0x50, 0x0007, 0x013F),
        (0x22, 0x50, 0x0407, 0x003F),
        (0x20, 0x50, 0x0107, 0x003F),
        (0x0C, 0x50, 0x0007, 0x203F),
        (0x00, 0x50, 0x0007, 0x203F),
        (0x46, 0x51, 0x0007, 0x203F),
        (0x23, 0x51, 0x0007, 0x203F),
        (0x0D, 0x51, 0x0007, 0x203F),
        (0x10, 0x51, 0x0007, 0x203F),
        (0xC0, 0x51, 0x0007, 0x203F),
    ],
)
@pytest.mark.parametrize(("base", "identify"), [(DISK, 0xEC), (CDROM, 0xA1)])
def test_transfer_modes(m: Machine, base: int, identify: int, mode: int, status: int, word_63: int, word_88: int) -> None:
    assert m.command(base, 0xEF, count=mode, feature=3) == status
    m.command(base, identify)
    words = struct.unpack("<256H", m.words(base, 256))
    assert (words[63], words[88]) == (word_63, word_88)
    assert words[49] & 0x0B00 == 0x0B00
    assert words[53] & 0x0006 == 0x0006


@pytest.mark.parametrize(("base", "identify"), [(DISK, 0xEC), (CDROM, 0xA1)])
def test_without_a_bus_master_there_is_no_dma(base: int, identify: int) -> None:
    m = Machine(dma=False)
    m.command(base, identify)
    words = struct.unpack("<256H", m.words(base, 256))
    assert (words[49] & 0x0300, words[53] & 4, words[63], words[88]) == (0x0200, 0, 0, 0)
    assert m.command(base, 0xEF, count=0x40, feature=3) == 0x51
    assert m.command(base, 0xA0 if base == CDROM else 0xC8, count=1, feature=1) == 0x51
    assert m.read(base, 1) == 4


def test_a_waiting_transfer_returns_from_a_snapshot(m: Machine) -> None:
    m.command(DISK, 0xC8, 5, 2)
    m.packet(bytes((0x28, 0, 0, 0, 0, 3, 0, 0, 1)), feature=1)
    copy = Machine()
    copy.ide.restore(m.ide.state())
    for master, other in zip(copy.masters, m.masters, strict=True):
        master.restore(other.state())
    copy.start(0, copy.table((0x8000, 0x400)))
    copy.start(1, copy.table((0x9000, 0x800)))
    assert copy.ram.bytes[0x8000:0x8400] == sector(5) + sector(6)
    assert copy.ram.bytes[0x9000:0x9800] == block(3)


def test_what_an_image_refuses_fails_the_command(m: Machine) -> None:
    m.disk.disk = m.disk.disk.base
    m.disk.disk.write = refuse
    m.command(DISK, 0xCA, 0, 2)
    m.start(0, m.table((0x8000, 0x400)), to_memory=False)
    assert (m.read(DISK, 7), m.read(DISK, 1)) == (0x51, 0x40)


def refuse(lba: int, data: bytes) -> None:
    raise DiskImageError(Path("disk.img"), lba * 512, "is read only", "writable", "Copy it.")
