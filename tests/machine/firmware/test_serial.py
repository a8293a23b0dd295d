"""INT 14h."""

import pytest

from tests.machine.firmware.caller import Caller


@pytest.fixture
def caller() -> Caller:
    return Caller()


def test_set_up_send_and_status(caller: Caller) -> None:
    call = caller.call(0x14, ah=0, al=0xE3)  # 9600 baud, 8 bits, 1 stop bit
    assert call.ah & 0x60 == 0x60
    caller.call(0x14, ah=1, al=ord("V"))
    assert caller.output == b"V"
    assert not caller.call(0x14, ah=3).ah & 1


def test_receive(caller: Caller) -> None:
    caller.call(0x14, ah=0, al=0xE3)
    assert caller.call(0x14, ah=2).ah == 0x80
    caller.board.uart.receive(b"x")
    caller.board.clock.run_until(10_000_000)
    call = caller.call(0x14, ah=2)
    assert (call.ah, call.al) == (0, ord("x"))


@pytest.mark.parametrize("number", [1, 3, 4, 0xFFFF])
def test_a_port_that_is_not_there_times_out(caller: Caller, number: int) -> None:
    assert caller.call(0x14, ah=1, al=65, dx=number).ah == 0x80
