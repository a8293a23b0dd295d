"""The page of devices is what the code says."""

from pathlib import Path

import pytest

from vmxon.devices.uart import Uart16550
from vmxon.machine.device_page import answers, modules_of, page, section, stretches, whole_board

PAGE = Path(__file__).parents[2] / "docs/devices.md"


def test_the_page_is_up_to_date() -> None:
    assert page() == PAGE.read_text(encoding="utf-8"), "write it anew: python -m vmxon.machine.device_page docs/devices.md"


def test_every_device_on_the_board_is_on_the_page() -> None:
    board, text = whole_board(), page()
    for bus in (board.bus, board.memory_bus):
        assert all(f"## `{unit}`: " in text for unit in answers(bus))
    assert f"- `{Uart16550.__name__}`: A serial port" in text


def test_stretches() -> None:
    assert stretches({5, 1, 2, 3, 7}) == [(1, 3), (5, 5), (7, 7)]
    assert stretches(set()) == []


def test_a_device_must_say_what_is_not_there() -> None:
    with pytest.raises(LookupError, match=r"the docstring of vmxon.devices.clock has no paragraph that begins with “Not there:”"):
        list(section("clock", ()))


def test_a_package_is_one_device() -> None:
    assert [module.__name__ for module in modules_of("keyboard")][:2] == ["vmxon.devices.keyboard", "vmxon.devices.keyboard.controller"]
