import pytest

from vmxon.devices.bus import Bus
from vmxon.devices.power import ResetControl


@pytest.mark.parametrize(
    ("written", "resets", "read"),
    [
        ([0x02], 0, 0x02),
        ([0x02, 0x06], 1, 0x06),
        ([0x06, 0x06], 1, 0x06),  # a rising edge, not a level
        ([0x04, 0x00, 0x04], 2, 0x04),
        ([0x0E], 1, 0x06),
        ([0xF9], 0, 0x00),
    ],
)
def test_bit_2_resets_when_it_rises(written: list[int], resets: int, read: int) -> None:
    count: list[int] = []
    bus = Bus("port")
    ResetControl(lambda: count.append(1)).connect(bus)
    for value in written:
        bus.write(0xCF9, 1, value)
    assert len(count) == resets
    assert bus.read(0xCF9, 1) == read
