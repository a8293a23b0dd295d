from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmxon.devices.bus import Bus
from vmxon.devices.clock import SECOND, VirtualClock
from vmxon.devices.cmos import Cmos
from vmxon.devices.interrupt import Line

BASE = datetime(2025, 2, 28, 23, 59, 58, tzinfo=UTC)
TIME = (0, 2, 4, 6, 7, 8, 9, 0x32)


class Machine:
    def __init__(self, base: datetime = BASE, memory: int = 64 << 20) -> None:
        self.clock, self.line, self.bus, self.edges = VirtualClock(), Line(), Bus("port"), []
        self.line.connect(lambda level: self.edges.append(self.clock.now) if level else None)
        self.cmos = Cmos(self.clock, self.line, base, memory)
        self.cmos.connect(self.bus)

    def read(self, register: int) -> int:
        self.bus.write(0x70, 1, register)
        return self.bus.read(0x71, 1)

    def write(self, register: int, value: int) -> None:
        self.bus.write(0x70, 1, register)
        self.bus.write(0x71, 1, value)

    def time(self) -> str:
        return bytes(self.read(register) for register in TIME).hex(" ")


@pytest.mark.parametrize(
    ("control", "seconds", "shown"),
    [
        (0x02, 0, "58 59 23 06 28 02 25 20"),
        (0x02, 2, "00 00 00 07 01 03 25 20"),
        (0x06, 0, "3a 3b 17 06 1c 02 19 20"),
        (0x00, 0, "58 59 91 06 28 02 25 20"),  # 11 p.m.
        (0x00, 2, "00 00 12 07 01 03 25 20"),  # midnight is 12 a.m.
        (0x04, 3600 * 13, "3a 3b 8c 07 01 03 19 20"),  # 12 p.m.
    ],
)
def test_time_registers(control: int, seconds: int, shown: str) -> None:
    m = Machine()
    m.write(0x0B, control)
    m.clock.run_until(seconds * SECOND)
    assert m.time() == shown


@given(st.datetimes(datetime(1970, 1, 2), datetime(2999, 1, 1)), st.sampled_from([0, 2, 4, 6]), st.integers(0, 10**6))
def test_setting_the_time_as_an_operating_system_does(target: datetime, control: int, later: int) -> None:
    target = target.replace(microsecond=0, tzinfo=UTC)
    other = Machine(base=target)
    other.write(0x0B, control)
    m = Machine()
    m.write(0x0B, control | 0x80)
    for register in TIME:
        m.write(register, other.read(register))
    m.clock.run_until(5 * SECOND)  # stands still
    m.write(0x0B, control)
    m.clock.run_until((5 + later) * SECOND)
    other.clock.run_until(later * SECOND)
    assert m.time() == other.time()


def test_update_in_progress_stands_for_the_last_2228_microseconds() -> None:
    m = Machine()
    for now, updating in ((0, 0), (997_771_999, 0), (997_772_000, 0x80), (999_999_999, 0x80), (SECOND, 0)):
        m.clock.run_until(now)
        assert m.read(0x0A) == 0x26 | updating
    m.write(0x0B, 0x82)
    m.clock.run_until(2 * SECOND - 1)
    assert m.read(0x0A) == 0x26


def test_update_interrupt_each_second_until_register_c_is_read() -> None:
    m = Machine()
    m.write(1, 0x61)  # an alarm that never matches
    m.write(0x0B, 0x12)
    m.clock.run_until(5 * SECOND)
    assert m.edges == [SECOND]
    assert m.read(0x0C) == 0x90 | 0x40  # periods passed too, without an enable
    assert m.read(0x0C) == 0
    m.clock.run_until(7 * SECOND)
    assert m.edges == [SECOND, 6 * SECOND]


@pytest.mark.parametrize(("rate", "hertz"), [(1, 256), (2, 128), (3, 8192), (6, 1024), (15, 2)])
def test_periodic_interrupt_has_no_drift(rate: int, hertz: int) -> None:
    m = Machine()
    m.line.connect(lambda level: m.clock.at(m.clock.now, lambda: m.read(0x0C)) if level else None)
    m.write(0x0A, 0x20 | rate)
    m.write(0x0B, 0x42)
    m.clock.run_until(3 * SECOND)
    assert m.edges == [-(-n * SECOND // hertz) for n in range(1, 3 * hertz + 1)]


def test_rate_0_has_no_period() -> None:
    m = Machine()
    m.write(0x0A, 0x20)
    m.write(0x0B, 0x42)
    m.clock.run_until(10 * SECOND)
    assert m.edges == []
    assert m.read(0x0C) & 0x40 == 0


@pytest.mark.parametrize(
    ("alarm", "after"),
    [
        ((0x00, 0x00, 0x00), timedelta(seconds=2)),
        ((0x30, 0xFF, 0xC0), timedelta(seconds=32)),
        ((0xFF, 0xFF, 0xFF), timedelta(seconds=1)),
        ((0x58, 0x59, 0x23), timedelta(days=1)),
        ((0xC0, 0x05, 0x04), timedelta(hours=4, minutes=5, seconds=2)),
        ((0x61, 0xFF, 0xFF), None),  # no second 61
    ],
)
def test_alarm(alarm: tuple[int, int, int], after: timedelta | None) -> None:
    m = Machine()
    for register, value in zip((1, 3, 5), alarm, strict=True):
        m.write(register, value)
    m.write(0x0B, 0x22)
    expected = None if after is None else int(after.total_seconds()) * SECOND
    assert m.clock.next_deadline() == expected
    if expected is not None:
        m.clock.run_until(expected)
        assert m.edges == [expected]
        assert m.read(0x0C) & 0xA0 == 0xA0


def test_memory_sizes_and_checksum() -> None:
    m = Machine(memory=256 << 20)
    assert m.read(0x15) | m.read(0x16) << 8 == 640
    assert m.read(0x17) | m.read(0x18) << 8 == 0xFFFF
    assert m.read(0x30) | m.read(0x31) << 8 == 0xFFFF
    assert m.read(0x34) | m.read(0x35) << 8 == (240 << 20) >> 16
    assert sum(m.read(n) for n in range(0x10, 0x2E)) == m.read(0x2E) << 8 | m.read(0x2F)
    assert Machine(memory=8 << 20).read(0x18) << 8 == 7 * 1024


def test_index_port_masks_nmi_and_memory_keeps_its_bytes() -> None:
    m = Machine()
    m.write(0x80 | 0x50, 0x5A)
    assert m.cmos.nmi_masked
    assert m.read(0x50) == 0x5A
    assert not m.cmos.nmi_masked
    assert m.bus.read(0x70, 1) == 0xFF
    m.write(0x0D, 0)
    assert m.read(0x0D) == 0x80
