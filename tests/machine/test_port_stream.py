"""Data that native code takes by itself is what single reads would give, and the device knows how far the guest has come."""

import struct

import pytest

from tests.harness import assemble
from vmxon.devices.disk import AtaDrive
from vmxon.machine.configuration import PcConfiguration
from vmxon.machine.loader.image import BootImage, MemoryWrite
from vmxon.machine.pc import Limits, Pc
from vmxon.processor.state import HostRequest

ENTRY, BUFFER = 0x10000, 0x20000
COMMAND = """
    mov ecx, {count}
    mov edx, 0x1F2
    mov al, cl
    out dx, al
    xor eax, eax
    inc edx
    out dx, al
    inc edx
    out dx, al
    inc edx
    out dx, al
    inc edx
    mov al, 0xE0
    out dx, al
    inc edx
    mov al, {command}
    out dx, al
    mov edi, {buffer}
    mov edx, 0x1F0
"""
LEAVE = "mov al, 0\nout 0xF4, al"


class Pattern:
    sectors = 100

    def read(self, lba: int, count: int) -> bytes:
        return b"".join(sector(lba + n) for n in range(count))

    def write(self, lba: int, data: bytes) -> None:
        raise AssertionError("nothing is written")

    def close(self) -> None:
        pass


def sector(lba: int) -> bytes:
    return b"".join(struct.pack("<HH", lba, n) for n in range(128))


class Machine:
    def __init__(self, source: str, multiple: int = 0) -> None:
        code = assemble(source, 32)
        kernel = BootImage((MemoryWrite(ENTRY, code, len(code)),), ENTRY, 0, 0, 0x8000)
        self.drive = AtaDrive(Pattern())
        self.drive.multiple = multiple
        self.pc = Pc(PcConfiguration(memory_size=1 << 20, kernel=kernel, drives=(self.drive,)))
        self.stops = 0
        served = self.pc.services[HostRequest.PORT_READ]

        def count() -> None:
            self.stops += 1
            served()

        self.pc.services[HostRequest.PORT_READ] = count

    def run(self) -> bytes:
        assert self.pc.run(Limits(instructions=100_000)) == 1
        return self.pc.processor.engine.read_physical(BUFFER, 4096)


@pytest.mark.parametrize(
    ("move", "words"),
    [("rep insw", 1), ("rep insd", 2), ("again: in ax, dx; stosw; loop again", 1), ("again: in eax, dx; stosd; loop again", 2)],
)
def test_two_blocks_cost_three_stops(move: str, words: int) -> None:
    source = COMMAND.format(count=2, command=0x20, buffer=BUFFER) + f"mov ecx, {512 // words}\n{move}\n" + LEAVE
    machine = Machine(source)
    assert machine.run()[:1024] == sector(0) + sector(1)
    assert machine.stops == 3  # the first read of each, and the last
    assert machine.pc.board.ide.primary.status == 0x50


def test_a_multiple_block_is_one_stream() -> None:
    source = COMMAND.format(count=8, command=0xC4, buffer=BUFFER) + "mov ecx, 2048\nrep insw\n" + LEAVE
    machine = Machine(source, multiple=8)
    assert machine.run() == b"".join(sector(n) for n in range(8))
    assert machine.stops == 2


def test_reads_of_another_width_and_port_come_in_between() -> None:
    source = COMMAND.format(count=1, command=0x20, buffer=BUFFER)
    source += "mov ecx, 3\nrep insw\ninsd\nmov edx, 0x1F7\ninsb\nmov edx, 0x1F0\nmov ecx, 251\nrep insw\n" + LEAVE
    got = Machine(source).run()
    assert got[:10] + got[11:513] == sector(0)
    assert got[10] == 0x58


def test_a_new_command_drops_what_was_read_ahead() -> None:
    first = COMMAND.format(count=1, command=0x20, buffer=BUFFER) + "mov ecx, 9\nrep insw\n"
    second = COMMAND.format(count=1, command=0xEC, buffer=BUFFER) + "mov ecx, 256\nrep insw\n"
    machine = Machine(first + second + LEAVE)
    assert machine.run()[:512] == machine.drive.identify()


def test_the_device_knows_where_the_guest_is() -> None:
    source = COMMAND.format(count=1, command=0x20, buffer=BUFFER) + "mov ecx, 100\nrep insw\n" + LEAVE
    machine = Machine(source)
    machine.run()
    assert machine.pc.board.ide.primary.data.position == 200


def test_an_instruction_limit_stops_in_the_middle() -> None:
    source = COMMAND.format(count=1, command=0x20, buffer=BUFFER) + "mov ecx, 256\nrep insw\n" + LEAVE
    whole = Machine(source)
    whole.run()
    count = whole.pc.processor.instructions
    for limit in range(20, count, 37):
        machine = Machine(source)
        with pytest.raises(Exception, match="did not end within"):
            machine.pc.run(Limits(instructions=limit))
        assert machine.pc.processor.instructions == limit
        taken = max(0, 256 - (machine.pc.state.gpr[1] & 0xFFFF)) if machine.pc.state.gpr[7] >= BUFFER else 0
        assert machine.pc.board.ide.primary.data.position in (2 * taken, 2 * taken + 2)  # a read may wait in the latch
        assert machine.run()[:512] == sector(0)
        assert machine.pc.processor.instructions == count
