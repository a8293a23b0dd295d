"""Discs: their boot catalog, INT 13h on them, and the diskette that a disc may contain."""

import struct

import pytest

from tests.machine.firmware.caller import CF, Caller, RamDisk
from vmxon.errors import GuestStopped
from vmxon.machine.configuration import BootDevice

BLOCK = 2048
PROGRAM = b"\xeb\xfe".ljust(4096, b"\x5a")
DISKETTE = b"".join(struct.pack("<I", sector) * 128 for sector in range(2880))


def disc(
    *,
    media: int = 0,
    segment: int = 0,
    sectors: int = 4,
    block: int = 19,
    bootable: int = 0x88,
    damaged: bool = False,
    identifier: bytes = b"\0CD001\1EL TORITO SPECIFICATION",
    content: bytes = PROGRAM,
) -> bytes:
    """A disc with a boot record in block 17, a catalog in block 18, and content from block 19 on."""
    record = identifier.ljust(0x47, b"\0") + struct.pack("<I", 18)
    validation = bytearray(struct.pack("<BBH24sHBB", 1, 0, 0, b"vmxon", 0, 0x55, 0xAA))
    struct.pack_into("<H", validation, 28, (-sum(struct.unpack("<16H", validation)) + damaged) & 0xFFFF)
    entry = struct.pack("<BBHBxHI", bootable, media, segment, 0, sectors, block)
    return bytes(17 * BLOCK) + record.ljust(BLOCK, b"\0") + (validation + entry).ljust(BLOCK, b"\0") + content


def caller_with(data: bytes, *disks: RamDisk) -> Caller:
    return Caller(*disks, disc=RamDisk(data.ljust(-(-len(data) // BLOCK) * BLOCK, b"\0")))


def test_a_program_without_emulation_starts() -> None:
    caller = caller_with(disc())
    call = caller.call(0x19)
    assert (call.cs, call.ip, call.dl) == (0, 0x7C00, 0xE0)
    assert caller.read(0x7C00, 2049) == PROGRAM[:2048] + b"\0"


def test_a_program_may_name_its_segment() -> None:
    caller = caller_with(disc(segment=0x1234, sectors=5))
    call = caller.call(0x19)
    assert (call.cs << 4) + call.ip == 0x12340
    assert caller.read(0x12340, 2561) == PROGRAM[:2560] + b"\0"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"identifier": b"\1CD001"}, "it has no boot record"),
        ({"damaged": True}, "its boot catalog is damaged"),
        ({"bootable": 0}, "its boot catalog has nothing to start"),
        ({"media": 4}, "its boot program wants media type 4, a hard disk"),
        ({"block": 21}, "its boot program ends past the disc's 21 blocks"),
        ({"block": 0xFFFF_FFFF}, "its boot program ends past the disc's 21 blocks"),
    ],
)
def test_discs_that_cannot_be_started(changes: dict[str, int | bytes | bool], reason: str) -> None:
    with pytest.raises(GuestStopped) as caught:
        caller_with(disc(**changes)).call(0x19)
    assert f"CD-ROM E0h: {reason}; give" in str(caught.value)


def test_the_boot_order_decides() -> None:
    disk = RamDisk(b"\xeb\xfe".ljust(510, b"\0") + b"\x55\xaa")
    assert caller_with(disc(), disk).call(0x19).dl == 0x80
    first_disc = Caller(disk, disc=RamDisk(disc()), boot_order=(BootDevice.FLOPPY, BootDevice.CDROM, BootDevice.DISK))
    assert first_disc.call(0x19).dl == 0xE0


def packet(count: int, lba: int) -> bytes:
    return struct.pack("<BBHHHQ", 16, 0, count, 0, 0x2000, lba)


def test_blocks_are_read_by_packets() -> None:
    caller = caller_with(disc())
    caller.write(0x1_0000, packet(2, 19))
    call = caller.call(0x13, ah=0x42, dl=0xE0, ds=0x1000)
    assert (call.flags & CF, call.ah) == (0, 0)
    assert caller.read(0x2_0000, 4096) == PROGRAM


@pytest.mark.parametrize(
    ("registers", "status"),
    [
        ({"ah": 0x42, "ds": 0x1000}, 0x04),
        ({"ah": 0x43, "ds": 0x1000}, 0x03),
        ({"ax": 0x0201, "cx": 1}, 0x04),
        ({"ah": 0x08}, 0x01),
        ({"ah": 0x4B}, 0x01),
    ],
)
def test_what_a_disc_refuses(registers: dict[str, int], status: int) -> None:
    caller = caller_with(disc())
    caller.write(0x1_0000, packet(1, 21))
    call = caller.call(0x13, dl=0xE0, **registers)
    assert (call.flags & CF, call.ah) == (CF, status)


def test_parameters_of_a_disc() -> None:
    caller = caller_with(disc())
    call = caller.call(0x13, ah=0x41, bx=0x55AA, dl=0xE0)
    assert (call.flags & CF, call.cx) == (0, 7)
    caller.write(0x1_0000, struct.pack("<H", 26))
    assert not caller.call(0x13, ah=0x48, dl=0xE0, ds=0x1000).flags & CF
    result = struct.unpack("<HHIIIQH", caller.read(0x1_0000, 26))
    assert result == (26, 4, *[0xFFFF_FFFF] * 3, 21, 2048)
    assert caller.call(0x13, ah=0x15, dl=0xE0).ah == 2


def test_the_program_can_ask_how_it_was_started() -> None:
    caller = caller_with(disc(sectors=8))
    caller.call(0x19)
    call = caller.call(0x13, ax=0x4B01, dl=0xE0, ds=0x1000)
    assert (call.flags & CF, call.ah) == (0, 0)
    assert struct.unpack("<BBBBIHHHHBBB", caller.read(0x1_0000, 19)) == (19, 0, 0xE0, 0, 19, 0, 0, 0x7C0, 8, 0, 0, 0)


def test_a_diskette_on_a_disc_is_drive_0() -> None:
    caller = caller_with(disc(media=2, sectors=1, content=DISKETTE))
    call = caller.call(0x19)
    assert (call.dl, caller.read(0x7C00, 512)) == (0, DISKETTE[:512])
    call = caller.call(0x13, ah=8, dl=0)
    assert (call.flags & CF, call.ch, call.cl, call.dh, call.dl, call.bl) == (0, 79, 18, 1, 1, 4)
    assert caller.read((call.es << 4) + call.di, 2) == b"\xaf\x02"
    caller.call(0x13, ax=0x0203, cx=0x4F10, dx=0x0100, es=0x2000)  # across blocks, at the end
    assert caller.read(0x2_0000, 1536) == DISKETTE[-1536:]
    assert caller.call(0x13, ax=0x0301, cx=1, dx=0).ah == 3
    assert caller.call(0x13, ah=0x41, bx=0x55AA, dl=0).flags & CF


def test_an_empty_drive() -> None:
    caller = Caller(disc=None, cdrom=True)
    caller.write(0x1_0000, packet(1, 0))
    assert caller.call(0x13, ah=0x42, dl=0xE0, ds=0x1000).ah == 0x31
    with pytest.raises(GuestStopped, match="CD-ROM E0h: it has no disc"):
        caller.call(0x19)
