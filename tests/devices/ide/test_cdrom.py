import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.devices.ide.machine import BLOCKS, CDROM, Machine, Pattern, block

TRACK_POINTS = (
    "01 14 00 a0 00 00 00 00 01 00 00 01 14 00 a1 00 00 00 00 01 00 00 "
    "01 14 00 a2 00 00 00 00 00 02 28 01 14 00 01 00 00 00 00 00 02 00"
)
READ_10 = (0x28, 0, 0, 0, 0)


@pytest.fixture
def m() -> Machine:
    return Machine()


def test_identify(m: Machine) -> None:
    assert m.command(CDROM, 0xA1) == 0x58
    words = struct.unpack("<256H", m.words(CDROM, 256))
    assert words[0] == 0x85C0
    assert struct.pack(">20H", *words[27:47]).decode().strip() == "VMXON CD-ROM"
    assert words[82] == 0x0210
    assert m.read(CDROM, 7) == 0x50


def test_signature(m: Machine) -> None:
    for reset in ((0x206, 4, 0x206, 0), (7, 0x90), (7, 0x08)):
        m.out(CDROM, 4, 0x55)
        for register, value in zip(reset[::2], reset[1::2], strict=True):
            m.bus.write(CDROM + register, 1, value)
        assert [m.read(CDROM, register) for register in (2, 3, 4, 5)] == [1, 1, 0x14, 0xEB]
        assert m.read(CDROM, 7) == (0 if reset == (7, 0x08) else 0x50)


@pytest.mark.parametrize("command", [0xEC, 0x20])
def test_a_disks_commands_show_the_signature(m: Machine, command: int) -> None:
    assert m.command(CDROM, command, 1, 1) == 0x51
    assert [m.read(CDROM, register) for register in (1, 2, 4, 5)] == [4, 1, 0x14, 0xEB]


@pytest.mark.parametrize(("command", "status"), [(0xE5, 0x50), (0xE0, 0x50), (0xE7, 0x50), (0xC8, 0x51), (0x30, 0x51), (0xC6, 0x51)])
def test_other_commands(m: Machine, command: int, status: int) -> None:
    assert m.command(CDROM, command) == status


def test_overlapped_packets_are_refused(m: Machine) -> None:
    assert m.command(CDROM, 0xA0, feature=2) == 0x51


@pytest.mark.parametrize(
    ("packet", "answer"),
    [
        ((0x00,), ""),
        ((0x03, 0, 0, 0, 18), "70 00 00 00 00 00 00 0a" + " 00" * 10),
        ((0x12, 0, 0, 0, 36), "05 80 00 21 1f 00 00 00 " + b"VMXON   CD-ROM          1.0 ".hex(" ")),
        ((0x12, 0, 0, 0, 5), "05 80 00 21 1f"),
        ((0x12, 0, 0, 0, 0), ""),
        ((0x25,), "00 00 00 27 00 00 08 00"),
        ((0x1A, 0, 1, 0, 255), "0b 01 00 00 01 06 00 05 00 00 00 00"),
        ((0x5A, 0, 1, 0, 0, 0, 0, 0, 255), "00 0e 01 00 00 00 00 00 01 06 00 05 00 00 00 00"),
        ((0x5A, 0, 0x41, 0, 0, 0, 0, 0, 255), "00 0e 01 00 00 00 00 00 01 06 00 00 00 00 00 00"),
        (
            (0x5A, 0, 0x2A, 0, 0, 0, 0, 0, 255),
            "00 1c 01 00 00 00 00 00 2a 14 00 00 00 00 29 00 02 c2 00 00 00 00 02 c2 00 00 00 00 00 00",
        ),
        ((0x43, 0, 0, 0, 0, 0, 0, 0, 255), "00 12 01 01 00 14 01 00 00 00 00 00 00 14 aa 00 00 00 00 28"),
        ((0x43, 2, 0, 0, 0, 0, 1, 0, 255), "00 12 01 01 00 14 01 00 00 00 02 00 00 14 aa 00 00 00 02 28"),
        ((0x43, 0, 0, 0, 0, 0, 0xAA, 0, 255), "00 0a 01 01 00 14 aa 00 00 00 00 28"),
        ((0x43, 0, 0, 0, 0, 0, 0, 0, 4), "00 12 01 01"),
        ((0x43, 0, 1, 0, 0, 0, 0, 0, 255), "00 0a 01 01 00 14 01 00 00 00 00 00"),
        ((0x43, 0, 0, 0, 0, 0, 0, 0, 12, 0x40), "00 0a 01 01 00 14 01 00 00 00 00 00"),
        (
            (0x43, 2, 2, 0, 0, 0, 0, 0, 255),
            "00 2e 01 01 " + TRACK_POINTS,
        ),
        ((0x46, 2, 0, 0x10, 0, 0, 0, 0, 255), "00 00 00 10 00 00 00 08 00 10 01 08 00 00 08 00 00 01 00 00"),
        ((0x46, 2, 0, 0x11, 0, 0, 0, 0, 255), "00 00 00 04 00 00 00 08"),
        ((0x46, 0, 0, 0x1E, 0, 0, 0, 0, 8), "00 00 00 0c 00 00 00 08"),
        ((0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8), "00 06 04 10 00 02 00 00"),
        ((0x4A, 1, 0, 0, 0x02, 0, 0, 0, 8), "00 02 80 10"),
        ((0x42, 2, 0x40, 1, 0, 0, 0, 0, 16), "00 15 00 00"),
        ((0x51, 0, 0, 0, 0, 0, 0, 0, 8), "00 20 0e 01 01 01 01 20"),
        ((0xBD, 0, 0, 0, 0, 0, 0, 0, 0, 8), "00 00 00 00 00 00 00 00"),
        ((0x2B, 0, 0, 0, 0, BLOCKS - 1), ""),
        ((0xBB,), ""),
        ((0x35,), ""),
        ((*READ_10, 0, 0, 0, 0), ""),
        ((0xBE, 0, 0, 0, 0, 0, 0, 0, 1), ""),
    ],
)
def test_answers(m: Machine, packet: tuple[int, ...], answer: str) -> None:
    assert m.ask(*packet).hex(" ") == answer


@pytest.mark.parametrize(
    ("packet", "first", "count"),
    [
        ((*READ_10, 3, 0, 0, 2), 3, 2),
        ((0xA8, 0, 0, 0, 0, 5, 0, 0, 0, 33), 5, 33),
        ((0xBE, 0, 0, 0, 0, 7, 0, 0, 2, 0x10), 7, 2),
    ],
)
@pytest.mark.parametrize("limit", [2048, 512, 0xFFFE, 0, 3000, 1, 4097])
def test_reads(m: Machine, packet: tuple[int, ...], first: int, count: int, limit: int) -> None:
    m.packet(bytes(packet), limit)
    chunks = m.chunks()
    assert b"".join(chunks) == b"".join(block(first + n) for n in range(count))
    most = max(limit & ~1, 2) if limit else 0xFFFE
    assert {len(chunk) for chunk in chunks[:-1]} <= {most}
    assert (m.read(CDROM, 7), m.read(CDROM, 2)) == (0x50, 3)


def test_the_last_block_of_an_image_that_is_cut_off_ends_in_zeros(m: Machine) -> None:
    assert m.ask(*READ_10, BLOCKS - 1, 0, 0, 1) == block(BLOCKS - 1)[:1536] + bytes(512)


@pytest.mark.parametrize(
    ("packet", "sense"),
    [
        ((*READ_10, BLOCKS, 0, 0, 1), (5, 0x21, 0)),
        ((*READ_10, BLOCKS - 1, 0, 0, 2), (5, 0x21, 0)),
        ((0xA8, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF), (5, 0x21, 0)),
        ((0x2B, 0, 0, 0, 0, BLOCKS), (5, 0x21, 0)),
        ((0xBE, 0, 0, 0, 0, 0, 0, 0, 1, 0xF8), (5, 0x24, 0)),
        ((0xBE, 0, 0, 0, 0, 0, 0, 0, 1, 0x10, 1), (5, 0x24, 0)),
        ((0x12, 1, 0, 0, 255), (5, 0x24, 0)),
        ((0x12, 0, 0x80, 0, 255), (5, 0x24, 0)),
        ((0x5A, 0, 0x0E, 0, 0, 0, 0, 0, 255), (5, 0x24, 0)),
        ((0x1A, 0, 0xC1, 0, 255), (5, 0x39, 0)),
        ((0x5A, 0, 0xC1, 0, 0, 0, 0, 0, 255), (5, 0x39, 0)),
        ((0x43, 0, 3, 0, 0, 0, 0, 0, 255), (5, 0x24, 0)),
        ((0x43, 0, 0, 0, 0, 0, 2, 0, 255), (5, 0x24, 0)),
        ((0x4A, 0, 0, 0, 0x10, 0, 0, 0, 8), (5, 0x24, 0)),
        ((0x2A,), (5, 0x20, 0)),
        ((0xFF,), (5, 0x20, 0)),
    ],
)
def test_refusals(m: Machine, packet: tuple[int, ...], sense: tuple[int, int, int]) -> None:
    assert m.refusal(*packet) == sense
    assert m.ask(0x03, 0, 0, 0, 18)[2] == 0


@pytest.mark.parametrize("command", [0x00, 0x25, 0x28, 0x2B, 0x43, 0x51, 0xA8, 0xBE])
def test_an_empty_drive_says_so(command: int) -> None:
    m = Machine(disc=False)
    assert m.refusal(command) == (2, 0x3A, 0)
    assert m.ask(0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8).hex() == "0006041000000000"
    assert m.ask(0x46, 0, 0, 0, 0, 0, 0, 0, 8)[6:] == b"\0\0"
    assert m.ask(0x5A, 0, 1, 0, 0, 0, 0, 0, 8)[2] == 0x70


def test_a_new_disc_is_told_once(m: Machine) -> None:
    m.cdrom.insert(Pattern(8))
    assert m.ask(0x12, 0, 0, 0, 1) == b"\x05"
    assert m.refusal(0x00) == (6, 0x28, 0)
    assert m.ask(0x25) == bytes((0, 0, 0, 1, 0, 0, 8, 0))
    assert m.ask(0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8)[4:6] == bytes((2, 2))
    assert m.ask(0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8)[4:6] == bytes((0, 2))
    m.cdrom.insert(None)
    assert m.ask(0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8)[4:6] == bytes((3, 0))
    assert m.refusal(0x00) == (2, 0x3A, 0)


def test_the_tray_opens_unless_it_is_locked(m: Machine) -> None:
    m.ask(0x1E, 0, 0, 0, 1)
    assert m.refusal(0x1B, 0, 0, 0, 2) == (5, 0x53, 2)
    assert m.ask(0x5A, 0, 0x2A, 0, 0, 0, 0, 0, 255)[14] == 0x2B
    m.ask(0x1E, 0, 0, 0, 0)
    m.ask(0x1B, 0, 0, 0, 2)
    assert m.refusal(0x00) == (2, 0x3A, 0)
    assert m.ask(0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8)[4:6] == bytes((3, 1))
    assert m.ask(0xBD, 0, 0, 0, 0, 0, 0, 0, 0, 8)[1] == 0x10
    m.ask(0x1B, 0, 0, 0, 3)
    assert m.refusal(0x00) == (6, 0x28, 0)
    assert m.ask(0x00) == b""
    for start in (0, 1):
        m.ask(0x1B, 0, 0, 0, start)
        assert m.ask(0x00) == b""


def test_a_broken_image_is_an_unreadable_block() -> None:
    m = Machine(broken=frozenset({4 * 35}))
    m.packet(bytes((*READ_10, 0, 0, 0, 36)), 0xFFFE)
    assert len(b"".join(m.chunks())) == 0xFFFE
    assert (m.read(CDROM, 7), m.read(CDROM, 1), m.read(CDROM, 2)) == (0x51, 0x34, 3)
    assert m.cdrom.failure is not None
    assert "is broken" in str(m.cdrom.failure)


def test_each_chunk_has_an_interrupt(m: Machine) -> None:
    m.packet(bytes((*READ_10, 0, 0, 0, 2)), 2048)
    for _ in range(2):
        assert m.lines[1].level
        m.read(CDROM, 7)
        m.bus.read_string(CDROM, 2, 1024)
    assert m.lines[1].level
    assert m.read(CDROM, 7) == 0x50
    assert not m.lines[1].level


def test_power_mode_is_active(m: Machine) -> None:
    assert m.command(CDROM, 0xE5) == 0x50
    assert m.read(CDROM, 2) == 0xFF


def test_a_packet_in_the_middle_of_an_answer_starts_anew(m: Machine) -> None:
    m.packet(bytes((*READ_10, 0, 0, 0, 2)), 2048)
    m.words(CDROM, 10)
    assert m.ask(0x25)[3] == BLOCKS - 1


def test_an_answer_returns_from_a_snapshot(m: Machine) -> None:
    m.packet(bytes((*READ_10, 0, 0, 0, 39)), 2048)
    m.read(CDROM, 7)
    m.words(CDROM, 1000)
    copy = Machine()
    copy.ide.restore(m.ide.state())
    assert copy.words(CDROM, 24) == m.words(CDROM, 24)
    assert copy.chunks() == m.chunks() == [block(n) for n in range(1, 39)]


@given(st.binary(min_size=12, max_size=12), st.integers(0, 0xFFFF), st.booleans())
def test_any_packet_ends(packet: bytes, limit: int, disc: bool) -> None:
    m = Machine(disc=disc)
    m.packet(packet, max(limit, 64))
    m.chunks()
    assert m.read(CDROM, 7) in (0x50, 0x51)
    assert m.read(CDROM, 2) == 3
