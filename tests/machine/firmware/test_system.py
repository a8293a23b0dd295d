"""INT 11h, 12h, 15h and 17h."""

import struct

import pytest

from tests.machine.firmware.caller import CF, Caller
from vmxon.machine.firmware import rom

SMAP = 0x534D4150


@pytest.fixture
def caller() -> Caller:
    return Caller()


def address_map(caller: Caller) -> list[tuple[int, int, int]]:
    rows, continuation = [], 0
    while True:
        call = caller.call(0x15, eax=0xE820, ebx=continuation, ecx=24, edx=SMAP, es=0x2000)
        assert (call.flags & CF, call.eax, call.ecx) == (0, SMAP, 20)
        rows.append(struct.unpack("<QQI", caller.read(0x2_0000, 20)))
        continuation = call.ebx
        if not continuation:
            return rows


def test_equipment_and_conventional_memory(caller: Caller) -> None:
    assert caller.call(0x11).ax == 0x0222
    assert caller.call(0x12).ax == 639


def test_the_address_map(caller: Caller) -> None:
    rows = address_map(caller)
    assert [(start, start + size, kind) for start, size, kind in rows] == [
        (0, 0x9FC00, 1),
        (0x9FC00, 0xA0000, 2),
        (0xE0000, 0x100000, 2),
        (0x100000, 0x400000, 1),
    ]


@pytest.mark.parametrize("registers", [{"edx": 0}, {"ecx": 19}, {"ebx": 4}, {"ebx": 0xFFFF_FFFF}])
def test_the_address_map_refuses(caller: Caller, registers: dict[str, int]) -> None:
    call = caller.call(0x15, **{"eax": 0xE820, "ecx": 20, "edx": SMAP, "es": 0x2000, **registers})
    assert (call.flags & CF, call.ah) == (CF, 0x86)
    assert caller.read(0x2_0000, 20) == bytes(20)


@pytest.mark.parametrize(("mib", "below", "above", "old"), [(4, 3072, 0, 3072), (16, 15360, 0, 15360), (128, 15360, 1792, 64512)])
def test_memory_sizes(mib: int, below: int, above: int, old: int) -> None:
    caller = Caller(size=mib << 20)
    call = caller.call(0x15, ax=0xE801)
    assert (call.ax, call.bx, call.cx, call.dx) == (below, above, below, above)
    assert caller.call(0x15, ah=0x88).ax == old


def test_address_line_20(caller: Caller) -> None:
    assert caller.call(0x15, ax=0x2403).bx == 3
    caller.call(0x15, ax=0x2400)
    assert caller.call(0x15, ax=0x2402).ax == 0
    caller.call(0x15, ax=0x2401)
    assert caller.call(0x15, ax=0x2402).ax == 1
    assert caller.call(0x15, ax=0x2404).flags & CF


def test_block_move_reaches_beyond_1_mib(caller: Caller) -> None:
    def descriptor(base: int) -> bytes:
        return struct.pack("<HHBBBB", 0xFFFF, base & 0xFFFF, base >> 16 & 0xFF, 0x93, 0, base >> 24)

    caller.write(0x2_0000, bytes(16) + descriptor(0x3_0000) + descriptor(0x20_0000) + bytes(16))
    caller.write(0x3_0000, b"move me!")
    call = caller.call(0x15, ah=0x87, cx=4, es=0x2000)
    assert (call.flags & CF, call.ah) == (0, 0)
    assert caller.read(0x20_0000, 8) == b"move me!"
    assert caller.call(0x15, ah=0x87, cx=0x8001, es=0x2000).flags & CF


def test_the_configuration_table(caller: Caller) -> None:
    call = caller.call(0x15, ah=0xC0)
    table = caller.read((call.es << 4) + call.bx, 10)
    assert (call.flags & CF, call.ah) == (0, 0)
    assert struct.unpack_from("<HBBBB", table) == (8, 0xFC, 1, 0, 0x74)
    assert caller.call(0x15, ah=0xC1).es == 0x9FC0


@pytest.mark.parametrize("ax", [0x5300, 0x5305, 0xC200, 0xD800, 0xE8FF, 0xE980])
def test_what_is_not_there_says_so(caller: Caller, ax: int) -> None:
    call = caller.call(0x15, ax=ax)
    assert (call.flags & CF, call.ah) == (CF, 0x86)


def test_the_keyboard_intercept_lets_keys_through(caller: Caller) -> None:
    call = caller.call(0x15, ax=0x4F1E, flags=CF)
    assert (call.flags & CF, call.ax) == (CF, 0x4F1E)


def test_there_is_no_printer(caller: Caller) -> None:
    assert caller.call(0x17, ah=2).ah == 1


def test_waits_count_periods_of_the_clock_chip(caller: Caller) -> None:
    call = caller.call(0x15, ah=0x86, dx=2000)
    assert call.waiting == 1
    assert caller.call(0x15, ah=0x83, dx=1).ah == 0x80
    periods = 0
    while caller.call(0x15, ah=0x86, dx=2000, waiting=1).waiting:
        caller.board.clock.run_until(caller.board.clock.now + 1_000_000)
        caller.call(rom.FIRST_SLAVE)
        periods += 1
    assert periods == 3
    assert not caller.board.cmos.control.periodic_interrupt


def test_an_event_wait_sets_a_flag(caller: Caller) -> None:
    call = caller.call(0x15, ax=0x8300, cx=0, dx=900, es=0x2000, bx=4)
    assert not call.flags & CF
    caller.board.clock.run_until(1_000_000)
    caller.call(rom.FIRST_SLAVE)
    assert caller.read(0x2_0004, 1) == b"\x80"
    caller.call(0x15, ax=0x8300, dx=900, es=0x2000, bx=4)
    assert not caller.call(0x15, ax=0x8301).flags & CF
    assert not caller.board.cmos.control.periodic_interrupt
