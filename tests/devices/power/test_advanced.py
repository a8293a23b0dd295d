import pytest

from vmxon.devices.bus import Bus
from vmxon.devices.power import AdvancedPower


@pytest.mark.parametrize(("value", "heard"), [(0xF1, [True]), (0xF0, [False]), (0x00, []), (0xFF, []), (0xF2, [])])
def test_two_commands_turn_acpi_on_and_off(value: int, heard: list[bool]) -> None:
    calls: list[bool] = []
    bus = Bus("port")
    AdvancedPower(calls.append).connect(bus)
    bus.write(0xB2, 1, value)
    assert calls == heard
    assert bus.read(0xB2, 1) == value


def test_the_status_byte_is_kept() -> None:
    bus = Bus("port")
    AdvancedPower(lambda on: None).connect(bus)
    assert bus.read(0xB3, 1) == 0
    bus.write(0xB3, 1, 0x5A)
    assert bus.read(0xB3, 1) == 0x5A
    assert bus.read(0xB2, 1) == 0
