"""Condition: wait, with a mutex held, until another thread says that something changed."""

from __future__ import annotations

import threading

from vmxon.hypervisor.mutex import Mutex


class Condition:
    """A queue of sleeping threads, tied to one mutex; no signal is lost between looking and sleeping."""

    def __init__(self, mutex: Mutex) -> None:
        self.mutex = mutex
        self._sleepers: list[threading.Lock] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Release the mutex, sleep until `signal` or for `timeout` seconds, hold the mutex again; False on timeout."""
        self._require_mutex("wait")
        ticket = threading.Lock()
        ticket.acquire()
        self._sleepers.append(ticket)
        self.mutex.release()
        woken = False
        try:
            woken = ticket.acquire(timeout=-1 if timeout is None else max(timeout, 0))
        finally:
            self.mutex.acquire()
            if ticket in self._sleepers:
                self._sleepers.remove(ticket)
            else:
                woken = True  # the signal came between the end of the sleep and the mutex
        return woken

    def signal(self) -> None:
        """Wake the thread that has slept longest, if there is one."""
        self._require_mutex("signal")
        if self._sleepers:
            self._sleepers.pop(0).release()

    def broadcast(self) -> None:
        """Wake all."""
        self._require_mutex("broadcast")
        while self._sleepers:
            self._sleepers.pop(0).release()

    def _require_mutex(self, what: str) -> None:
        if not self.mutex.held_by_me:
            raise RuntimeError(f"{what} on a condition needs its mutex {self.mutex.name}")
