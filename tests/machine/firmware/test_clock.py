"""INT 08h and INT 1Ah."""

from datetime import UTC, datetime

import pytest

from tests.machine.firmware.caller import CF, Caller
from vmxon.machine.firmware.areas import Bda

NOON = datetime(2026, 5, 17, 12, 34, 56, tzinfo=UTC)


@pytest.fixture
def caller() -> Caller:
    return Caller(base_time=NOON)


def ticks(caller: Caller) -> tuple[int, int]:
    call = caller.call(0x1A, ah=0)
    return call.cx << 16 | call.dx, call.al


def test_ticks_start_with_the_time_of_day(caller: Caller) -> None:
    assert ticks(caller) == ((12 * 3600 + 34 * 60 + 56) * 65543 // 3600, 0)


def test_ticks_count_and_wrap_at_midnight(caller: Caller) -> None:
    caller.call(0x1A, ah=1, cx=0x18, dx=0x00AE)
    caller.call(0x08)
    assert ticks(caller) == (0x1800AF, 0)
    caller.call(0x08)
    assert ticks(caller) == (0, 1)
    assert ticks(caller) == (0, 0)


def test_time_and_date_are_in_decimal_digits(caller: Caller) -> None:
    call = caller.call(0x1A, ah=2)
    assert (call.flags & CF, call.cx, call.dx) == (0, 0x1234, 0x5600)
    call = caller.call(0x1A, ah=4)
    assert (call.flags & CF, call.cx, call.dx) == (0, 0x2026, 0x0517)


def test_setting_time_and_date(caller: Caller) -> None:
    caller.call(0x1A, ah=3, cx=0x2359, dx=0x5800)
    caller.call(0x1A, ah=5, cx=0x1999, dx=0x1231)
    assert caller.call(0x1A, ah=2).cx == 0x2359
    caller.board.clock.run_until(2_000_000_000)
    assert (caller.call(0x1A, ah=4).cx, caller.call(0x1A, ah=2).cx) == (0x2000, 0)


@pytest.mark.parametrize("ax", [0xB101, 0xB108, 0x0600, 0xFF00])
def test_pci_and_other_functions_are_not_there(caller: Caller, ax: int) -> None:
    call = caller.call(0x1A, ax=ax, edx=0)
    assert (call.flags & CF, call.ah, call.edx) == (CF, 0x86, 0)


def test_a_damaged_count_does_no_harm(caller: Caller) -> None:
    caller.write(Bda.TICKS, b"\xff" * 4)
    caller.call(0x08)
    assert ticks(caller) == (0, 1)
