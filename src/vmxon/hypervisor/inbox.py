"""Calls from other threads (the keyboard, the terminal) to the thread that runs the guest."""

from __future__ import annotations

from collections.abc import Callable

from vmxon.hypervisor.condition import Condition
from vmxon.hypervisor.mutex import Mutex


class Inbox:
    """A queue that any thread may fill and one thread empties between two runs of the guest."""

    def __init__(self) -> None:
        self._mutex = Mutex("inbox")
        self._arrived = Condition(self._mutex)
        self._calls: list[Callable[[], None]] = []

    def post(self, call: Callable[[], None]) -> None:
        """Have `call` run in the guest's thread."""
        with self._mutex:
            self._calls.append(call)
            self._arrived.signal()

    def __bool__(self) -> bool:
        return bool(self._calls)

    def serve(self) -> None:
        """Run what has arrived."""
        with self._mutex:
            calls, self._calls = self._calls, []
        for call in calls:
            call()

    def wait(self, timeout: float) -> None:
        """Sleep until something arrives, `timeout` seconds at most."""
        with self._mutex:
            if not self._calls:
                self._arrived.wait(timeout)
