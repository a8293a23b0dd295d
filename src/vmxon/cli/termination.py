"""SIGTERM and SIGHUP as an orderly end: the terminal and temporary files are put back before they do what they do."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NAMES = ("SIGTERM", "SIGHUP")


class Terminated(BaseException):
    """A signal asked the process to end; not an Exception, so that nothing on the way takes it for an error."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def unwinding() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP unwind the stack, then end the process as ever; a second one ends it at once."""
    if threading.current_thread() is not threading.main_thread():  # only that thread may set handlers
        yield
        return
    numbers = [signal.Signals[name] for name in NAMES if hasattr(signal, name)]
    previous = {number: signal.getsignal(number) for number in numbers}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def unwind(number: int, frame: FrameType | None) -> None:
        restore()
        raise Terminated(number)

    for number, handler in previous.items():
        if handler is signal.SIG_DFL:  # under nohup SIGHUP is ignored, and stays so
            signal.signal(number, unwind)
    try:
        yield
    except Terminated as end:
        signal.raise_signal(end.number)
        raise
    finally:
        restore()
