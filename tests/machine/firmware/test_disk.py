"""INT 13h: by cylinder, head and sector, and by packets."""

import struct

import pytest

from tests.machine.firmware.caller import CF, Caller, RamDisk
from vmxon.machine.firmware.areas import Bda
from vmxon.machine.firmware.call import Call
from vmxon.machine.firmware.services.units import Geometry

SECTORS = 16 * 63 * 5
NUMBERED = b"".join(struct.pack("<I", lba) * 128 for lba in range(SECTORS))
BUFFER, PACKET = 0x2_0000, 0x1_0000


@pytest.fixture
def caller() -> Caller:
    return Caller(RamDisk(NUMBERED))


def failed(call: Call) -> bool:
    return bool(call.flags & CF)


@pytest.mark.parametrize(
    ("sectors", "expected"),
    [
        (1, (1, 16, 63)),
        (262_144, (260, 16, 63)),
        (1024 * 16 * 63, (1024, 16, 63)),
        (1025 * 16 * 63, (512, 32, 63)),
        (1024 * 128 * 63, (1024, 128, 63)),
        (1025 * 128 * 63, (514, 255, 63)),
        (1 << 30, (1024, 255, 63)),
    ],
)
def test_geometry(sectors: int, expected: tuple[int, int, int]) -> None:
    geometry = Geometry.of(sectors)
    assert (geometry.cylinders, geometry.heads, geometry.sectors) == expected


@pytest.mark.parametrize(
    ("cylinder", "head", "sector", "lba"),
    [(0, 0, 1, 0), (0, 0, 63, 62), (0, 1, 1, 63), (1, 0, 1, 1008), (4, 15, 63, SECTORS - 1)],
)
def test_read_finds_the_sector(caller: Caller, cylinder: int, head: int, sector: int, lba: int) -> None:
    call = caller.call(0x13, ax=0x0201, cx=cylinder << 8 | sector, dh=head, dl=0x80, es=BUFFER >> 4)
    assert (failed(call), call.ax) == (False, 0x0001)
    assert caller.read(BUFFER, 512) == struct.pack("<I", lba) * 128


def test_read_several_sectors_across_a_track(caller: Caller) -> None:
    call = caller.call(0x13, ax=0x0204, cx=62, dl=0x80, es=BUFFER >> 4, bx=0x10)
    assert (failed(call), call.al) == (False, 4)
    assert caller.read(BUFFER + 0x10, 2048) == b"".join(struct.pack("<I", lba) * 128 for lba in range(61, 65))


@pytest.mark.parametrize(
    ("registers", "status"),
    [
        ({"ax": 0x0200, "cx": 1}, 0x01),
        ({"ax": 0x0281, "cx": 1}, 0x01),
        ({"ax": 0x0201, "cx": 0}, 0x04),
        ({"ax": 0x0201, "cx": 64}, 0x04),
        ({"ax": 0x0201, "cx": 1, "dh": 16}, 0x04),
        ({"ax": 0x0201, "cx": 0x0501}, 0x04),
        ({"ax": 0x0202, "cx": 0x043F, "dh": 15}, 0x04),
        ({"ax": 0x0500, "cx": 1}, 0x01),
        ({"ax": 0x0201, "cx": 1, "dl": 0}, 0x01),
        ({"ax": 0x0201, "cx": 1, "dl": 0x81}, 0x01),
        ({"ax": 0x4100, "bx": 0}, 0x01),
        ({"ax": 0x4900}, 0x01),
    ],
)
def test_refusals_and_the_status_they_leave(caller: Caller, registers: dict[str, int], status: int) -> None:
    call = caller.call(0x13, **{"dl": 0x80, "es": BUFFER >> 4, **registers})
    assert (failed(call), call.ah) == (True, status)
    assert caller.memory[Bda.DISK_STATUS] == status
    assert caller.read(BUFFER, 512) == bytes(512)
    again = caller.call(0x13, ah=1, dl=0x80)
    assert (failed(again), again.ah) == (True, status)


def test_a_damaged_status_is_told_as_it_is(caller: Caller) -> None:
    caller.memory[Bda.DISK_STATUS] = 0x24
    call = caller.call(0x13, ah=1, dl=0x80)
    assert (failed(call), call.ah) == (True, 0x24)


def test_write_and_verify(caller: Caller) -> None:
    caller.write(BUFFER, b"\xa5" * 512)
    written = caller.call(0x13, ax=0x0301, cx=2, dl=0x80, es=BUFFER >> 4)
    assert not failed(written)
    assert not failed(caller.call(0x13, ax=0x0401, cx=2, dl=0x80))
    caller.call(0x13, ax=0x0201, cx=2, dl=0x80, es=0x3000)
    assert caller.read(0x3_0000, 512) == b"\xa5" * 512


def test_parameters_name_the_last_cylinder_and_head(caller: Caller) -> None:
    call = caller.call(0x13, ah=8, dl=0x80)
    assert (failed(call), call.ax, call.ch, call.cl, call.dh, call.dl) == (False, 0, 4, 63, 15, 1)


def test_parameters_of_1024_cylinders_use_the_high_bits_of_cl() -> None:
    class Vast(RamDisk):
        @property
        def sectors(self) -> int:
            return 1 << 30

    call = Caller(Vast(bytes(512))).call(0x13, ah=8, dl=0x80)
    assert (call.ch, call.cl, call.dh) == (0xFF, 0xFF, 254)


@pytest.mark.parametrize(("number", "kind", "sectors"), [(0x80, 3, SECTORS), (0x81, 0, 0), (0x00, 0, 0)])
def test_kind_of_drive(caller: Caller, number: int, kind: int, sectors: int) -> None:
    call = caller.call(0x13, ah=0x15, dl=number)
    assert (failed(call), call.ah, call.cx << 16 | call.dx) == (False, kind, sectors or number)


def test_extensions_are_there(caller: Caller) -> None:
    call = caller.call(0x13, ah=0x41, bx=0x55AA, dl=0x80)
    assert (failed(call), call.ah, call.bx, call.cx) == (False, 0x30, 0xAA55, 5)


def packet(count: int, lba: int, *, size: int = 16, segment: int = BUFFER >> 4, offset: int = 0, flat: int = 0) -> bytes:
    return struct.pack("<BBHHHQQ", size, 0, count, offset, segment, lba, flat)


def by_packet(caller: Caller, function: int, data: bytes) -> Call:
    caller.write(PACKET, data)
    return caller.call(0x13, ah=function, dl=0x80, ds=PACKET >> 4)


def test_packets_read_write_and_seek(caller: Caller) -> None:
    assert not failed(by_packet(caller, 0x42, packet(127, 3)))
    assert caller.read(BUFFER, 127 * 512) == NUMBERED[3 * 512 : 130 * 512]
    assert not failed(by_packet(caller, 0x43, packet(1, 200)))
    assert not failed(by_packet(caller, 0x47, packet(1, SECTORS - 1)))
    by_packet(caller, 0x42, packet(1, 200, segment=0x3000))
    assert caller.read(0x3_0000, 512) == struct.pack("<I", 3) * 128


def test_a_long_packet_names_a_flat_address(caller: Caller) -> None:
    data = packet(1, 7, size=24, segment=0xFFFF, offset=0xFFFF, flat=0x20_0000)
    assert not failed(by_packet(caller, 0x42, data))
    assert caller.read(0x20_0000, 4) == struct.pack("<I", 7)


@pytest.mark.parametrize(
    ("data", "status"),
    [(packet(1, SECTORS), 4), (packet(2, SECTORS - 1), 4), (packet(1, 1 << 63), 4), (packet(1, 0, size=15), 1)],
)
def test_packets_outside_the_disk(caller: Caller, data: bytes, status: int) -> None:
    call = by_packet(caller, 0x42, data)
    assert (failed(call), call.ah) == (True, status)
    assert caller.read(BUFFER, 512) == bytes(512)
    assert caller.read(PACKET + 2, 2) == (b"\0\0" if status == 4 else data[2:4])


@pytest.mark.parametrize(("size", "answered"), [(0x1A, 0x1A), (0x1E, 0x1E), (0x42, 0x1E)])
def test_extended_parameters(caller: Caller, size: int, answered: int) -> None:
    assert not failed(by_packet(caller, 0x48, struct.pack("<H", size) + bytes(64)))
    result = struct.unpack("<HHIIIQH", caller.read(PACKET, 26))
    assert result == (answered, 2, 5, 16, 63, SECTORS, 512)
    assert caller.read(PACKET + 26, 4) == (b"\xff" * 4 if answered == 0x1E else bytes(4))


def test_a_result_that_has_no_room(caller: Caller) -> None:
    assert failed(by_packet(caller, 0x48, struct.pack("<H", 25)))
