"""A PS/2 keyboard: its commands, its 16-byte queue, and keys pressed by name.

Source: IBM PS/2 Hardware Interface Technical Reference, “Keyboard (101- and 102-Key)”, “Commands from the System”.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import ClassVar

from vmxon.devices.clock import Timer, VirtualClock
from vmxon.devices.keyboard.scancodes import chord_of, encoded, keys_of
from vmxon.devices.state import Saved

QUEUE_DEPTH = 16
LONGEST_CODE = 8
KEY_INTERVAL = 10_000_000
"""Nanoseconds of virtual time between two key events: 50 characters a second."""
MILLISECOND = 1_000_000
RELEASED = 0x1_0000
"""Marks a key event that is a release."""
HELD = 0x2_0000
"""Marks an event that is only a time to wait: milliseconds in bits 15:0."""
ACKNOWLEDGE, RESEND, ECHO, SELF_TEST_PASSED = 0xFA, 0xFE, 0xEE, 0xAA
IDENTITY = bytes([0xAB, 0x83])


class Ps2Keyboard(Saved):
    """The keyboard at the end of its cable; `on_output` is told when its queue has bytes to take."""

    saves: ClassVar[tuple[str, ...]] = (
        "queue", "events", "timer", "scanning", "scan_set", "leds", "parameter_of", "last_sent",
    )  # fmt: skip

    def __init__(self, clock: VirtualClock, on_output: Callable[[], None]) -> None:
        self.clock = clock
        self.on_output = on_output
        self.queue: deque[int] = deque()
        self.events: deque[int] = deque()
        self.timer = Timer(clock, self._next_event)
        self.scanning = True
        self.scan_set = 2
        self.leds = 0
        self.parameter_of = 0
        """The command whose parameter comes next, or 0."""
        self.last_sent = 0

    # -- the person ----------------------------------------------------------------------------------------------------

    def send_key(self, chord: str, hold: int = 0) -> None:
        """Press and release keys by name, as QEMU's sendkey ("a", "ret", "ctrl-alt-delete"); `hold` nanoseconds lie between."""
        codes = keys_of(chord)
        self.events.extend(codes)
        if hold:
            self.events.append(HELD | min(hold // MILLISECOND, 0xFFFF))
        self.events.extend(code | RELEASED for code in reversed(codes))
        if self.timer.deadline is None:
            self.timer.arm(self.clock.now)

    def type_text(self, text: str) -> None:
        """Type ASCII text on an American layout; ValueError, with nothing typed, for any other character."""
        for chord in [chord_of(character) for character in text]:
            self.send_key(chord)

    def _next_event(self) -> None:
        if self.events and self.events[0] & HELD:
            self.timer.arm(self.clock.now + (self.events.popleft() & 0xFFFF) * MILLISECOND)
            return
        if self.events and len(self.queue) + LONGEST_CODE <= QUEUE_DEPTH:
            event = self.events.popleft()
            if self.scanning:
                self.queue.extend(encoded(event & ~RELEASED, bool(event & RELEASED), self.scan_set))
                self.on_output()
        if self.events:
            self.timer.arm(self.clock.now + KEY_INTERVAL)

    # -- the cable -----------------------------------------------------------------------------------------------------

    def take(self) -> int:
        """The next byte for the controller; only if `queue` has one."""
        self.last_sent = self.queue.popleft()
        return self.last_sent

    def command(self, value: int) -> None:
        """A byte from the controller."""
        command, self.parameter_of = self.parameter_of, 0
        if command and value < 0xED:
            self._parameter(command, value)
        else:
            self._command(value)
        self.on_output()

    def _say(self, *values: int) -> None:
        for value in values:
            if len(self.queue) < QUEUE_DEPTH:
                self.queue.append(value)

    def _command(self, value: int) -> None:
        match value:
            case 0xED | 0xF0 | 0xF3:  # set LEDs, scan-code set, typematic rate: a parameter follows
                self.parameter_of = value
                self._say(ACKNOWLEDGE)
            case 0xEE:
                self._say(ECHO)
            case 0xF2:
                self._say(ACKNOWLEDGE, *IDENTITY)
            case 0xF4 | 0xF5 | 0xF6:  # enable; disable with defaults; defaults
                self._defaults()
                self.scanning = value != 0xF5
                self._say(ACKNOWLEDGE)
            case 0xF7 | 0xF8 | 0xF9 | 0xFA | 0xFB | 0xFC | 0xFD:  # key types, of set 3 only
                self._say(ACKNOWLEDGE)
            case 0xFE:
                self._say(self.last_sent)
            case 0xFF:
                self._defaults()
                self.leds, self.scan_set, self.scanning = 0, 2, True
                self._say(ACKNOWLEDGE, SELF_TEST_PASSED)
            case _:
                self._say(RESEND)

    def _defaults(self) -> None:
        self.queue.clear()

    def _parameter(self, command: int, value: int) -> None:
        if command == 0xF0:
            if value == 0:
                self._say(ACKNOWLEDGE, self.scan_set)
            elif value in (1, 2):
                self.scan_set = value
                self._say(ACKNOWLEDGE)
            else:  # set 3 is optional, and no PC system needs it
                self._say(RESEND)
            return
        if command == 0xED:
            self.leds = value & 7
        self._say(ACKNOWLEDGE)
