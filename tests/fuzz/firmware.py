"""The firmware campaign: random registers into every interrupt, over a damaged data area; it touches nothing outside memory and disks."""

from __future__ import annotations

import struct
from random import Random

from tests.fuzz.campaign import Outcome, Report
from tests.machine.firmware.caller import Caller, RamDisk
from tests.machine.firmware.test_el_torito import disc
from vmxon.errors import GuestStopped
from vmxon.machine.firmware import rom
from vmxon.machine.firmware.areas import DATA_AREA, DATA_AREA_SIZE, EBDA
from vmxon.machine.firmware.services.video import TEXT, TEXT_BYTES

BATCH = 500
MEMORY = 2 << 20
VECTORS = (*rom.SERVICES, *rom.INTERNAL, 0x13, 0x13, 0x15, 0x10, 0x10, 0x16)
FUNCTIONS = {
    0x10: (*range(0x14), 0x1A, 0x4F),
    0x13: (*range(0x16), *range(0x41, 0x4C)),
    0x15: (0x24, 0x4F, 0x53, 0x83, 0x86, 0x87, 0x88, 0xC0, 0xC1, 0xE8),
    0x16: (*range(6), *range(9, 13), 0x10, 0x11, 0x12),
    0x1A: (*range(8), 0xB1),
}
WORDS = (0, 1, 2, 0x0F, 0x10, 0x3F, 0x40, 0x7F, 0x80, 0xFF, 0x100, 0x55AA, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF)
DRIVES = (0x00, 0x01, 0x80, 0x80, 0x81, 0x82, 0xE0, 0xE0, 0xE1, 0xFF)
REGISTERS = ("eax", "ebx", "ecx", "edx", "esi", "edi", "ebp")
SEGMENTS = (0, 0x40, 0x1000, 0x2000, 0x9FC0, 0xB800, 0xF000, 0xFFFF)
NUMBERS = (0, 1, 2, 127, 1000, 5039, 5040, 0xFFFF_FFFF, 1 << 32, 1 << 63, (1 << 64) - 1)


class Watched(Caller):
    """A caller that remembers where the firmware wrote."""

    def __init__(self) -> None:
        self.written: list[tuple[int, int]] = []
        super().__init__(RamDisk(bytes(512), 5040), RamDisk(b"\xeb".ljust(510, b"\0") + b"\x55\xaa"), disc=RamDisk(disc()), size=MEMORY)

    def write(self, address: int, data: bytes) -> None:
        """As the firmware does it."""
        if address < 0:
            raise ValueError(f"a write to {address:#x}")
        self.written.append((address, len(data)))
        super().write(address, data)

    def read(self, address: int, size: int) -> bytes:
        """As the firmware does it."""
        if address < 0 or size < 0:
            raise ValueError(f"a read of {size:#x} bytes from {address:#x}")
        return super().read(address, size)


def number(chance: Random, width: int) -> int:
    """A value of a register, often one at an edge."""
    if chance.random() < 0.6:
        return chance.choice(WORDS) | (chance.getrandbits(16) << 16 if width == 32 and chance.random() < 0.2 else 0)
    return chance.getrandbits(width)


def damage_memory(chance: Random, caller: Watched) -> None:
    """What a careless or hostile program leaves behind: parts of the data areas, a packet, a table of descriptors."""
    memory = caller.memory
    for _ in range(chance.choice((0, 0, 1, 2))):
        first = chance.choice((DATA_AREA, DATA_AREA, EBDA))
        at = first + chance.randrange(DATA_AREA_SIZE)
        memory[at : at + 2] = number(chance, 16).to_bytes(2, "little")
    if chance.random() < 0.5:
        packet = struct.pack(
            "<BBHHHQQ",
            *(chance.choice((16, 24, 15, 255)), 0, chance.choice(WORDS), number(chance, 16), chance.choice(SEGMENTS)),
            *(chance.choice(NUMBERS), chance.choice(NUMBERS)),
        )
        memory[0x1_0000 : 0x1_0000 + len(packet)] = packet
    if chance.random() < 0.2:
        memory[0x2_0000 : 0x2_0040] = chance.randbytes(64)


def one_call(chance: Random, caller: Watched) -> None:
    """One case."""
    damage_memory(chance, caller)
    vector = chance.choice(VECTORS)
    registers = {name: number(chance, 32) for name in REGISTERS}
    if vector in FUNCTIONS and chance.random() < 0.9:
        registers["eax"] = registers["eax"] & ~0xFF00 | chance.choice(FUNCTIONS[vector]) << 8
    if vector == 0x13:
        registers["edx"] = registers["edx"] & ~0xFF | chance.choice(DRIVES)
    if vector == 0x15 and chance.random() < 0.3:
        registers |= {"eax": 0xE820, "edx": 0x534D_4150, "ebx": chance.choice((0, 1, 4, 5, 0xFFFF_FFFF)), "ecx": 20}
    if vector == 0x10 and chance.random() < 0.99:
        registers["ecx"] &= 0x0F3F  # long strings take their time
    segments = {"ds": chance.choice(SEGMENTS), "es": chance.choice(SEGMENTS)}
    if chance.random() < 0.5:
        segments["ds"], registers["esi"] = 0x1000, 0
    caller.written.clear()
    try:
        caller.call(vector, flags=chance.getrandbits(16), waiting=chance.random() < 0.1, **segments, **registers)
    except GuestStopped as stopped:
        if vector not in (0x18, 0x19) or "\n" in str(stopped):
            raise
    if vector == 0x10 and registers["eax"] >> 8 & 0xFF in (0x06, 0x07, 0x09, 0x0A, 0x0E, 0x13):
        beyond = [at for at, size in caller.written if at >= TEXT and at + size > TEXT + TEXT_BYTES]
        if beyond:
            raise ValueError(f"a character at {beyond[0]:#x}, outside the text screen")
    caller.board.clock.run_until(caller.board.clock.now + 1_000_000)


def run(count: int, seed: int, report: Report) -> Outcome:
    """`count` calls; a batch, which starts from a fresh machine, is repeated by its seed."""
    outcome = Outcome(0)
    while outcome.cases < count:
        chance, caller = Random(seed), Watched()
        failures = []
        for case in range(min(BATCH, count - outcome.cases)):
            try:
                one_call(chance, caller)
            except Exception as error:  # noqa: BLE001 - anything but a stop of the guest is what we look for
                failures.append(f"firmware, seed {seed}, case {case}: {type(error).__name__}: {error}")
            outcome.cases += 1
        outcome.failures += failures
        report(outcome.cases, failures)
        seed += 1
    return outcome
