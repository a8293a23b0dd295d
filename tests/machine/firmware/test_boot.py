"""INT 18h and INT 19h, and what the power-on self test leaves behind."""

import struct

import pytest

from tests.machine.firmware.caller import Caller, RamDisk
from vmxon.errors import GuestStopped
from vmxon.machine.firmware import rom

MBR = b"\xeb\xfe".ljust(510, b"\x90") + b"\x55\xaa"


def test_the_first_disk_with_a_signature_starts() -> None:
    caller = Caller(RamDisk(bytes(512)), RamDisk(MBR))
    call = caller.call(0x19, eax=1, ds=2, es=3)
    assert (call.cs, call.ip, call.dl, call.ds, call.es, call.eax) == (0, 0x7C00, 0x81, 0, 0, 0)
    assert caller.read(0x7C00, 512) == MBR
    assert call.flags & 0x200


@pytest.mark.parametrize(
    ("disks", "reason"),
    [
        ((), "the machine has no disk"),
        ((bytes(512),), "disk 80h: its first sector ends in 00 00, not 55 aa"),
        (
            (bytes(512), MBR[:511] + b"\0"),
            "disk 80h: its first sector ends in 00 00, not 55 aa; disk 81h: its first sector ends in 55 00, not 55 aa",
        ),
    ],
)
def test_nothing_to_start(disks: tuple[bytes, ...], reason: str) -> None:
    caller = Caller(*map(RamDisk, disks))
    with pytest.raises(GuestStopped) as caught:
        caller.call(0x19)
    assert str(caught.value).startswith(f"no device can be booted: {reason}; ")
    assert caller.screen() == ["No bootable device."]


def test_a_boot_sector_that_gives_up() -> None:
    with pytest.raises(GuestStopped, match=r"the boot sector gave up \(INT 18h\)"):
        Caller().call(0x18)


def test_vectors_lead_into_the_f_segment() -> None:
    caller = Caller()
    vectors = [struct.unpack_from("<HH", caller.memory, 4 * number) for number in range(0x100)]
    assert {segment for number, (_, segment) in enumerate(vectors) if number not in (0x1E, 0x41, 0x46)} == {0xF000}
    assert all(offset >= rom.CODE for offset, _ in vectors[:0x1E])
    stub = caller.read(0xF0000 + vectors[0x13][0], 2)
    assert stub == b"\x6a\x13"


def test_the_reset_vector_and_the_model() -> None:
    caller = Caller()
    opcode, offset, segment = struct.unpack_from("<BHH", caller.memory, 0xFFFF0)
    assert (opcode, segment, offset) == (0xEA, 0xF000, rom.CODE)
    assert (caller.read(0xFFFF5, 8), caller.memory[0xFFFFE]) == (b"01/01/26", 0xFC)


def test_disk_tables_of_the_first_two_disks() -> None:
    caller = Caller(RamDisk(bytes(512), 262_144), RamDisk(bytes(512), 1008))
    for vector, cylinders in ((0x41, 260), (0x46, 1)):
        offset, segment = struct.unpack_from("<HH", caller.memory, 4 * vector)
        assert struct.unpack_from("<HB", caller.memory, (segment << 4) + offset) == (cylinders, 16)
    assert caller.memory[0x475] == 2


def test_a_byte_on_the_private_port_is_no_call() -> None:
    caller = Caller()
    before = bytes(caller.memory)
    caller.board.bus.write(rom.PORT, 1, 0)
    assert bytes(caller.memory) == before


def test_a_frame_outside_memory_and_an_unknown_vector_do_nothing() -> None:
    caller = Caller()
    before = bytes(caller.memory)
    caller.board.bus.write(rom.PORT, 4, 0xFFFF_FFF0)
    caller.call(0x77)
    assert bytes(caller.memory[:0x7000]) == before[:0x7000]
