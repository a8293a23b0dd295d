"""A PS/2 mouse with three buttons: its commands, and the packets in which it tells what moved.

Source: IBM PS/2 Hardware Interface Technical Reference, “Mouse”, “Commands” and “Data Report”.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import ClassVar

from vmxon.arch.bits import Word, flag
from vmxon.devices.state import Saved

QUEUE_DEPTH = 16
PACKET = 3
ACKNOWLEDGE, RESEND, SELF_TEST_PASSED, IDENTITY = 0xFA, 0xFE, 0xAA, 0x00
FARTHEST = 255
"""What one packet can say."""
RATES = (10, 20, 40, 60, 80, 100, 200)
DEFAULT_RATE, DEFAULT_RESOLUTION = 100, 2


class Buttons(Word, width=8):
    """Which buttons are down, as `move` takes them and packets tell them."""

    left = flag(0, "left")
    right = flag(1, "right")
    middle = flag(2, "middle")


class Status(Word, width=8):
    """The first byte of the answer to “status request”."""

    right = flag(0, "right button")
    middle = flag(1, "middle button")
    left = flag(2, "left button")
    doubled = flag(4, "scaling 2:1")
    enabled = flag(5, "stream mode sends")
    remote = flag(6, "remote mode")


class Ps2Mouse(Saved):
    """The mouse at the end of its cable; `on_output` is told when its queue has bytes to take."""

    saves: ClassVar[tuple[str, ...]] = (
        "queue", "enabled", "remote", "wrapping", "doubled", "rate", "resolution", "buttons", "across", "up",
        "parameter_of", "last_sent",
    )  # fmt: skip

    def __init__(self, on_output: Callable[[], None]) -> None:
        self.on_output = on_output
        self.queue: deque[int] = deque()
        self.across = self.up = 0
        """Movement that no packet has told yet."""
        self.buttons = Buttons(0)
        self.parameter_of = 0
        """The command whose parameter comes next, or 0."""
        self.last_sent = 0
        self._defaults()
        self.remote = self.wrapping = False

    def _defaults(self) -> None:
        self.enabled = False
        self.doubled = False
        self.rate, self.resolution = DEFAULT_RATE, DEFAULT_RESOLUTION
        self.across = self.up = 0

    # -- the person ----------------------------------------------------------------------------------------------------

    def move(self, across: int, up: int, buttons: int | None = None) -> None:
        """Move right and up by so many counts, and set the buttons."""
        self.across += across
        self.up += up
        if buttons is not None:
            self.buttons = Buttons(buttons & 7)
        if self.enabled and not self.remote and not self.wrapping and len(self.queue) + PACKET <= QUEUE_DEPTH:
            self._report()
            self.on_output()

    def _report(self) -> None:
        """Put a packet into the queue; what does not fit in it waits for the next one."""
        across = max(-FARTHEST, min(FARTHEST, self.across))
        up = max(-FARTHEST, min(FARTHEST, self.up))
        self.across -= across
        self.up -= up
        first = 0x08 | self.buttons | (across < 0) << 4 | (up < 0) << 5
        self._say(first, across & 0xFF, up & 0xFF)

    # -- the cable -----------------------------------------------------------------------------------------------------

    def take(self) -> int:
        """The next byte for the controller; only if `queue` has one."""
        self.last_sent = self.queue.popleft()
        return self.last_sent

    def command(self, value: int) -> None:
        """A byte from the controller."""
        command, self.parameter_of = self.parameter_of, 0
        if self.wrapping and value not in (0xEC, 0xFF):
            self._say(value)
        elif command:
            self._parameter(command, value)
        else:
            self._command(value)
        self.on_output()

    def _say(self, *values: int) -> None:
        for value in values:
            if len(self.queue) < QUEUE_DEPTH:
                self.queue.append(value)

    def _command(self, value: int) -> None:
        if value == 0xFE:
            self._say(self.last_sent)
            return
        self.queue.clear()
        self._say(ACKNOWLEDGE if 0xE6 <= value != 0xED and value not in (0xEF, 0xF1, *range(0xF7, 0xFE)) else RESEND)
        match value:
            case 0xE6 | 0xE7:
                self.doubled = value == 0xE7
            case 0xE8 | 0xF3:  # resolution, sample rate: a parameter follows
                self.parameter_of = value
            case 0xE9:
                self._say(self._status(), self.resolution, self.rate)
            case 0xEA | 0xF0:
                self.remote = value == 0xF0
            case 0xEB:
                self._report()
            case 0xEC | 0xEE:
                self.wrapping = value == 0xEE
            case 0xF2:
                self._say(IDENTITY)
            case 0xF4:
                self.enabled = True
            case 0xF5:
                self.enabled = False
            case 0xF6:
                self._defaults()
            case 0xFF:
                self._defaults()
                self.remote = self.wrapping = False
                self._say(SELF_TEST_PASSED, IDENTITY)

    def _status(self) -> Status:
        buttons = self.buttons
        return Status.make(
            right=buttons.right, middle=buttons.middle, left=buttons.left,
            doubled=self.doubled, enabled=self.enabled, remote=self.remote,
        )  # fmt: skip

    def _parameter(self, command: int, value: int) -> None:
        if command == 0xE8 and value <= 3:
            self.resolution = value
        elif command == 0xF3 and value in RATES:
            self.rate = value
        else:
            self._say(RESEND)
            return
        self._say(ACKNOWLEDGE)
