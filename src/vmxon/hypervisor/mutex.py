"""Mutex: one thread of control at a time; who does not get it sleeps."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self


class Mutex:
    """A sleeping lock that knows its holder, so that misuse is an error and not a deadlock."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._holder: int | None = None

    @property
    def held_by_me(self) -> bool:
        """The calling thread holds it."""
        return self._holder == threading.get_ident()

    def acquire(self) -> None:
        """Sleep until the mutex is free, then hold it; RuntimeError for a thread that holds it already."""
        if self.held_by_me:
            raise RuntimeError(f"mutex {self.name}: its holder asks for it again and would wait for ever")
        self._lock.acquire()
        self._holder = threading.get_ident()

    def release(self) -> None:
        """Let the next thread in; RuntimeError for a thread that does not hold it."""
        if not self.held_by_me:
            raise RuntimeError(f"mutex {self.name}: released by a thread that does not hold it")
        self._holder = None
        self._lock.release()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.release()
