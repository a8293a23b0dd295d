from hypothesis import given
from hypothesis import strategies as st

from vmxon.devices.clock import Timer, VirtualClock


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans())), st.lists(st.integers(0, 60)))
def test_events_fire_once_in_time_and_sequence_order(plan: list[tuple[int, bool]], steps: list[int]) -> None:
    clock, fired = VirtualClock(), []
    for number, (when, cancelled) in enumerate(plan):
        event = clock.at(when, lambda number=number, when=when: fired.append((when, number, clock.now)))
        if cancelled:
            event.cancel()
    for step in sorted(steps):
        clock.run_until(step)
        assert clock.now == step
    end = max(steps, default=-1)
    expected = sorted((when, number) for number, (when, gone) in enumerate(plan) if not gone and when <= end)
    assert fired == [(when, number, when) for when, number in expected]
    left = [when for when, gone in plan if not gone and when > end]
    assert clock.next_deadline() == min(left, default=None)


def test_an_event_that_is_late_fires_at_the_present_time() -> None:
    clock, seen = VirtualClock(), []
    clock.run_until(100)
    clock.at(5, lambda: seen.append(clock.now))
    assert clock.next_deadline() == 5
    clock.run_until(100)
    assert seen == [100]


def test_an_event_may_schedule_another_in_the_same_run() -> None:
    clock, seen = VirtualClock(), []

    def again() -> None:
        seen.append(clock.now)
        if len(seen) < 4:
            clock.at(clock.now + 10, again)

    clock.at(10, again)
    clock.run_until(35)
    assert seen == [10, 20, 30]
    assert clock.next_deadline() == 40


def test_time_never_goes_back() -> None:
    clock = VirtualClock()
    clock.run_until(50)
    clock.run_until(10)
    assert clock.now == 50


def test_timer_rearms_cancels_and_survives_a_snapshot_in_order() -> None:
    def build() -> tuple[VirtualClock, Timer, Timer, list[str]]:
        clock, seen = VirtualClock(), []
        return clock, Timer(clock, lambda: seen.append("a")), Timer(clock, lambda: seen.append("b")), seen

    clock, first, second, seen = build()
    first.arm(7)
    second.arm(9)
    first.arm(9)  # now later in sequence than `second`
    states = clock.state(), first.state(), second.state()
    clock.run_until(9)
    assert seen == ["b", "a"]
    assert first.deadline is None

    clock, first, second, seen = build()
    first.arm(1)
    clock.restore(states[0])
    first.restore(states[1])
    second.restore(states[2])
    clock.run_until(9)
    assert seen == ["b", "a"]

    second.arm(20)
    second.cancel()
    assert clock.next_deadline() is None


def test_cancelled_events_do_not_pile_up() -> None:
    clock, seen = VirtualClock(), []
    timer = Timer(clock, lambda: seen.append(clock.now))
    for number in range(100):
        clock.at(500 + number, lambda: None)
    for when in range(10_000):
        timer.arm(86_400 * 10**9 - when)
    assert len(clock._events) <= 210
    clock.run_until(86_400 * 10**9)
    assert seen == [86_400 * 10**9 - 9_999]
