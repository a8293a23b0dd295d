"""Virtual time and the events that wait for it."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from vmxon.devices.state import Saved, State

SECOND = 1_000_000_000
"""Nanoseconds in a second."""
FEWEST_EVENTS = 64
"""Below so many events, cancelled ones may stay in the heap."""


class Event:
    """One callback that waits for its time."""

    __slots__ = ("callback", "sequence", "when")

    def __init__(self, when: int, sequence: int, callback: Callable[[], None]) -> None:
        self.when, self.sequence = when, sequence
        self.callback: Callable[[], None] | None = callback

    def __lt__(self, other: Event) -> bool:
        return (self.when, self.sequence) < (other.when, other.sequence)

    @property
    def pending(self) -> bool:
        """True until it fires or is cancelled."""
        return self.callback is not None

    def cancel(self) -> None:
        """Never fire; harmless if it already did."""
        self.callback = None


class VirtualClock:
    """Virtual time in integer nanoseconds: the machine sets `now`, events fire in (time, sequence) order."""

    def __init__(self) -> None:
        self.now = 0
        self.sequence = 0
        self._events: list[Event] = []
        self._limit = FEWEST_EVENTS

    def at(self, when: int, callback: Callable[[], None], sequence: int | None = None) -> Event:
        """Call `callback` when the clock reaches `when`; a time that has passed is due at the next `run_until`.

        `sequence` orders events of equal time; only a restored snapshot gives one.
        """
        if sequence is None:
            sequence = self.sequence
            self.sequence += 1
        event = Event(when, sequence, callback)
        heapq.heappush(self._events, event)
        if len(self._events) > self._limit:
            self._forget_cancelled()
        return event

    def _forget_cancelled(self) -> None:
        """Keep the heap within twice the events that wait, however often a guest sets a timer anew."""
        self._events = [event for event in self._events if event.pending]
        heapq.heapify(self._events)
        self._limit = max(2 * len(self._events), FEWEST_EVENTS)

    def next_deadline(self) -> int | None:
        """The time of the next event, or None if nothing waits."""
        events = self._events
        while events and events[0].callback is None:
            heapq.heappop(events)
        return events[0].when if events else None

    def run_until(self, now: int) -> None:
        """Fire every event due at or before `now`, each with `self.now` at its own time, then set `self.now`."""
        while (when := self.next_deadline()) is not None and when <= now:
            event = heapq.heappop(self._events)
            callback, event.callback = event.callback, None
            self.now = max(self.now, when)
            if callback is not None:
                callback()
        self.now = max(self.now, now)

    def state(self) -> State:
        """Time and sequence number; the events belong to the timers of the devices."""
        return {"now": self.now, "sequence": self.sequence}

    def restore(self, state: State) -> None:
        """Set the time and drop all events; restore the clock before the devices, which bring their timers back."""
        now, sequence = state["now"], state["sequence"]
        if not isinstance(now, int) or not isinstance(sequence, int):
            raise ValueError(f"state of VirtualClock must be two integers, not {now!r} and {sequence!r}")
        self.now, self.sequence = now, sequence
        for event in self._events:
            event.cancel()
        self._events.clear()


class Timer(Saved):
    """A device's alarm: at most one pending event of `clock`, part of the device's state."""

    def __init__(self, clock: VirtualClock, callback: Callable[[], None]) -> None:
        self.clock = clock
        self.callback = callback
        self._event: Event | None = None

    @property
    def deadline(self) -> int | None:
        """When it fires, or None."""
        return self._event.when if self._event is not None and self._event.pending else None

    def arm(self, when: int) -> None:
        """Fire at `when` in place of any earlier setting."""
        self.cancel()
        self._event = self.clock.at(when, self.callback)

    def cancel(self) -> None:
        """Do not fire."""
        if self._event is not None:
            self._event.cancel()
            self._event = None

    def state(self) -> State:
        if self._event is None or not self._event.pending:
            return {"when": None, "sequence": None}
        return {"when": self._event.when, "sequence": self._event.sequence}

    def restore(self, state: State) -> None:
        self.cancel()
        when, sequence = state["when"], state["sequence"]
        if isinstance(when, int) and isinstance(sequence, int):
            self._event = self.clock.at(when, self.callback, sequence)
