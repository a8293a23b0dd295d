"""The counter's closed forms against a model that steps one pulse at a time, as the data sheet tells it."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmxon.devices.bus import Bus
from vmxon.devices.clock import VirtualClock
from vmxon.devices.counter import Access, Counter8254, from_bcd, to_bcd
from vmxon.devices.interrupt import Line
from vmxon.devices.pit import HERTZ, Pit8254, ticks_at, time_of


class Stepped:
    """One counter, pulse by pulse; `count` is written just before pulse 1."""

    def __init__(self, mode: int, count: int, bcd: bool, triggered: bool) -> None:
        self.mode, self.initial, self.modulus = mode, count, 10_000 if bcd else 0x10000
        self.value, self.loaded, self.output = 0, False, mode != 0
        self.armed = triggered or mode not in (1, 5)
        self.high = True

    def pulse(self) -> None:
        if not self.armed:
            return
        if not self.loaded:
            self.loaded, self.value = True, self.initial
            if self.mode == 3:
                self.value &= ~1
            if self.mode == 1:
                self.output = False
            self.fired = False
            self.extra = self.mode == 3 and self.initial & 1
            return
        if self.mode == 2:
            self.value -= 1
            if self.value == 0:
                self.value = self.initial
            self.output = self.value != 1
        elif self.mode == 3:
            if self.value == 2 and not (self.initial & 1 and self.high):
                self.value = 0
            elif self.value == 0:  # odd and high: one pulse more
                pass
            else:
                self.value -= 2
                return
            self.high = not self.high
            self.value, self.output = self.initial & ~1, self.high
        else:
            self.value = (self.value - 1) % self.modulus
            if self.mode in (0, 1):
                self.output = self.output or self.value == 0
            else:
                self.output = self.value != 0 or self.fired
                self.fired = self.fired or self.value == 0


@given(st.integers(0, 5), st.integers(2, 300), st.booleans(), st.integers(0, 1000))
def test_count_and_output_match_the_stepped_model(mode: int, count: int, bcd: bool, pulses: int) -> None:
    counter = Counter8254(gate=mode not in (1, 5))
    counter.program(mode, Access.BOTH, bcd, tick=50)
    written = to_bcd(count) if bcd else count
    counter.write(written & 0xFF, 50)
    counter.write(written >> 8, 50)
    counter.set_gate(True, 50)
    model = Stepped(mode, count, bcd, triggered=True)
    rises, before = [], model.output
    for pulse in range(1, pulses + 1):
        model.pulse()
        if model.output and not before:
            rises.append(50 + pulse)
        before = model.output
    assert counter.output(50 + pulses) == model.output
    if pulses:
        assert counter.value(50 + pulses) == model.value % model.modulus
    if rises:
        assert counter.next_rise(rises[-1] - 1) == rises[-1]
        assert counter.next_rise(51 if mode in (2, 3) else 50) == rises[0]


@given(st.integers(0, 10**18))
def test_virtual_time_has_no_drift(now: int) -> None:
    tick = ticks_at(now)
    assert tick == Fraction(now * HERTZ, 10**9).__floor__()
    assert ticks_at(time_of(tick)) == tick
    assert time_of(tick) <= now
    assert tick == 0 or ticks_at(time_of(tick) - 1) == tick - 1


@given(st.integers(0, 9999))
def test_bcd_round_trip(value: int) -> None:
    assert from_bcd(to_bcd(value)) == value
    assert f"{to_bcd(value):04x}" == f"{value:04d}"


class Machine:
    def __init__(self) -> None:
        self.clock, self.line, self.bus, self.edges = VirtualClock(), Line(), Bus("port"), []
        self.line.connect(lambda level: self.edges.append(self.clock.now) if level else None)
        self.pit = Pit8254(self.clock, self.line)
        self.pit.connect(self.bus)

    def program(self, channel: int, mode: int, count: int, bcd: int = 0) -> None:
        self.bus.write(0x43, 1, channel << 6 | 0x30 | mode << 1 | bcd)
        self.bus.write(0x40 + channel, 1, count & 0xFF)
        self.bus.write(0x40 + channel, 1, count >> 8)

    def after(self, tick: int) -> "Machine":
        self.clock.run_until(time_of(tick))
        return self

    def word(self, channel: int) -> int:
        return self.bus.read(0x40 + channel, 1) | self.bus.read(0x40 + channel, 1) << 8


@pytest.mark.parametrize("mode", [2, 3, 6, 7])
def test_channel_0_interrupts_at_exact_times_for_an_hour(mode: int) -> None:
    m = Machine()
    m.program(0, mode, 0)
    m.edges.clear()
    m.clock.run_until(3600 * 10**9)
    expected = [time_of(1 + 65536 * n) for n in range(1, len(m.edges) + 1)]
    assert m.edges == expected
    assert len(m.edges) == (ticks_at(3600 * 10**9) - 1) // 65536


def test_mode_0_interrupts_once_n_plus_1_pulses_after_the_count() -> None:
    m = Machine()
    m.program(0, 0, 1000)
    assert not m.line.level
    m.after(100_000)
    assert m.edges == [time_of(1001)]
    m.program(0, 0, 10)
    assert not m.line.level


@pytest.mark.parametrize(("access", "reads"), [(1, [0x33, 0x33]), (2, [0x12, 0x12]), (3, [0x33, 0x12, 0x33])])
def test_reads_follow_the_access_bits(access: int, reads: list[int]) -> None:
    counter = Counter8254(gate=True)
    counter.program(4, Access(access), False, 0)
    counter.held = 0x1233
    counter.start = None
    assert [counter.read(5) for _ in reads] == reads


def test_latch_keeps_the_count_and_ignores_a_second_latch() -> None:
    m = Machine()
    m.program(2, 0, 5000)
    m.bus.write(0x61, 1, 1)
    m.after(1000)
    m.bus.write(0x43, 1, 0x80)
    m.after(2000)
    m.bus.write(0x43, 1, 0x80)
    assert m.word(2) == 4000
    assert m.word(2) == 3000


def test_read_back_gives_status_then_count() -> None:
    m = Machine()
    m.program(1, 3, 100)
    m.bus.write(0x43, 1, 0xC0 | 1 << 2)
    m.after(500)
    assert m.bus.read(0x41, 1) == 0xF6  # output high, null count, both bytes, mode 3
    assert m.word(1) == 0
    m.bus.write(0x43, 1, 0xE0 | 1 << 2)
    assert m.bus.read(0x41, 1) == 0x36 | (0x80 if (500 - 1) % 100 < 50 else 0)


def test_a_new_count_waits_for_the_period_in_mode_2_and_the_half_period_in_mode_3() -> None:
    for mode, rises in ((2, [101, 111, 121]), (3, [56, 66, 76])):
        counter = Counter8254(gate=True)
        counter.program(mode, Access.LOW, False, 0)
        counter.write(100, 0)
        counter.write(10, 20)
        assert counter.status(30) & 0x40, "null count until the new one is taken"
        found, tick = [], 20
        while len(found) < 3:
            tick = counter.next_rise(tick) or 0
            found.append(tick)
        assert found == rises


def test_bcd_counts_in_decimal() -> None:
    m = Machine()
    m.program(1, 2, 0, bcd=1)
    m.after(2)
    assert m.word(1) == 0x9999
    m.after(10_001)
    assert m.word(1) == 0x0000


def test_port_61_gates_and_shows_channel_2() -> None:
    m = Machine()
    m.program(2, 0, 1000)
    m.after(5000)
    assert m.bus.read(0x61, 1) & 0x21 == 0  # the gate is low: it waits
    m.bus.write(0x61, 1, 1)
    m.after(5999)
    assert m.bus.read(0x61, 1) & 0x21 == 0x01
    m.after(6000)
    assert m.bus.read(0x61, 1) & 0x21 == 0x21
    m.bus.write(0x61, 1, 0xFF)
    assert m.bus.read(0x61, 1) & 0xCF == 0x0F


def test_a_low_gate_pauses_mode_0() -> None:
    m = Machine()
    m.bus.write(0x61, 1, 1)
    m.program(2, 0, 1000)
    m.after(401)
    m.bus.write(0x61, 1, 0)
    m.after(9000)
    assert m.word(2) == 600
    m.bus.write(0x61, 1, 1)
    m.after(9600)
    assert m.bus.read(0x61, 1) & 0x20


def test_refresh_bit_toggles_every_15_microseconds() -> None:
    m = Machine()
    seen = []
    for step in range(8):
        m.clock.run_until(step * 15_085)
        seen.append(m.bus.read(0x61, 1) >> 4 & 1)
    assert seen == [0, 1] * 4


def test_snapshot_continues_with_the_same_edges() -> None:
    m, copy = Machine(), Machine()
    m.program(0, 2, 1193)
    m.after(5000)
    copy.clock.restore(m.clock.state())
    copy.pit.restore(m.pit.state())
    copy.line.restore(m.line.state())
    m.edges.clear()
    assert m.after(20_000).edges == copy.after(20_000).edges != []
