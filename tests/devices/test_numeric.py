import pytest

from vmxon.devices.bus import Bus
from vmxon.devices.interrupt import Line
from vmxon.devices.numeric import NumericError


@pytest.mark.parametrize(("port", "ends"), [(0xF0, True), (0xF1, True), (0xF2, False)])
def test_a_write_ends_the_request(port: int, ends: bool) -> None:
    bus, line = Bus("port"), Line()
    device = NumericError(line)
    device.connect(bus)
    bus.write(port, 1, 0)
    assert not line.level
    device.report()
    assert line.level
    assert bus.read(port, 1) == 0xFF
    bus.write(port, 1, 0)
    assert line.level is not ends
