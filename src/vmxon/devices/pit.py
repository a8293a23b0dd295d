"""Timer of the PC: an 8254 with its three channels, and port 0x61, which gates channel 2.

Source: Intel 8254 data sheet (231164-005), “Mode Definitions”, “Read Operations”; port 0x61: Intel 82371SB data sheet
(290550), “NSC—NMI Status and Control Register”.

Not there: sound; the speaker's bits are kept.
"""

from __future__ import annotations

from vmxon.arch.bits import Word, field, flag
from vmxon.devices.bus import Device, PortSpace, reads, writes
from vmxon.devices.clock import SECOND, Timer, VirtualClock
from vmxon.devices.counter import Access, Counter8254
from vmxon.devices.interrupt import Signal

HERTZ = 1_193_182
"""Input frequency: a twelfth of 14.31818 MHz."""
REFRESH = 15_085
"""Nanoseconds between two memory refreshes: 18 ticks."""


def ticks_at(now: int) -> int:
    """Whole clock pulses that have passed at `now` nanoseconds."""
    return now * HERTZ // SECOND


def time_of(tick: int) -> int:
    """The first nanosecond at which `tick` pulses have passed."""
    return -(-tick * SECOND // HERTZ)


class ControlWord(Word, width=8):
    """What is written to port 0x43; channel 3 is the read-back command."""

    bcd = flag(0, "count in four decimal digits")
    mode = field(3, 1, "0 to 5; 6 and 7 mean 2 and 3")
    access = field(5, 4, "0 latch the count, 1 low byte, 2 high byte, 3 low then high byte")
    channel = field(7, 6, "the channel, or 3: read back")


class ReadBack(Word, width=8):
    """Read-back command: which of status and count to latch, on which channels."""

    channels = field(3, 1, "one bit for each channel")
    keep_status = flag(4, "do not latch the status")
    keep_count = flag(5, "do not latch the count")


class SystemControl(Word, width=8):
    """Port 0x61."""

    gate = flag(0, "gate of channel 2")
    speaker = flag(1, "channel 2 reaches the speaker")
    parity_off = flag(2, "SERR# cannot raise an NMI")
    channel_check_off = flag(3, "IOCHK# cannot raise an NMI")
    refresh = flag(4, "toggles with each memory refresh; read only")
    output = flag(5, "output of channel 2; read only")


class Pit8254(Device, span=4, saves=("channels", "timer", "port61")):
    """Three counters at 1.193182 MHz, exact in virtual time; channel 0 drives `interrupt`.

    Only rising edges of channel 0 are timed: between two of them the wire stays high, so that a request is never lost
    (the exact output is in the status byte).
    """

    def __init__(self, clock: VirtualClock, interrupt: Signal) -> None:
        self.clock = clock
        self.interrupt = interrupt
        self.channels = [Counter8254(gate=number != 2) for number in range(3)]
        self.timer = Timer(clock, self._edge)
        self.port61 = SpeakerGate(self)

    def connect(self, ports: PortSpace) -> None:
        """Attach at 0x40 and 0x61."""
        ports.attach(0x40, self)
        ports.attach(0x61, self.port61)

    @property
    def tick(self) -> int:
        """Clock pulses since power-on."""
        return ticks_at(self.clock.now)

    @reads(0)
    def read_0(self) -> int:
        return self.channels[0].read(self.tick)

    @reads(1)
    def read_1(self) -> int:
        return self.channels[1].read(self.tick)

    @reads(2)
    def read_2(self) -> int:
        return self.channels[2].read(self.tick)

    @writes(0)
    def write_0(self, value: int) -> None:
        self.channels[0].write(value, self.tick)
        self._schedule()

    @writes(1)
    def write_1(self, value: int) -> None:
        self.channels[1].write(value, self.tick)

    @writes(2)
    def write_2(self, value: int) -> None:
        self.channels[2].write(value, self.tick)

    @writes(3)
    def control(self, value: int) -> None:
        word, back = ControlWord(value), ReadBack(value)
        if word.channel == 3:
            for number, channel in enumerate(self.channels):
                if back.channels >> number & 1:
                    channel.read_back(self.tick, status=not back.keep_status, count=not back.keep_count)
        elif word.access == Access.LATCH:
            self.channels[word.channel].latch(self.tick)
        else:
            self.channels[word.channel].program(word.mode, Access(word.access), word.bcd, self.tick)
            if word.channel == 0:
                self._schedule()

    def _schedule(self) -> None:
        """Drive the wire to the present output and wait for the next rising edge."""
        self.interrupt.set(self.channels[0].output(self.tick))
        self._wait()

    def _wait(self) -> None:
        edge = self.channels[0].next_rise(self.tick)
        if edge is None:
            self.timer.cancel()
        else:
            self.timer.arm(time_of(edge))

    def _edge(self) -> None:
        self.interrupt.pulse()
        self._wait()


class SpeakerGate(Device, span=1, saves=("enables",)):
    """Port 0x61: gate and output of channel 2, refresh toggle."""

    def __init__(self, pit: Pit8254) -> None:
        self.pit = pit
        self.enables = SystemControl(0)

    @reads(0)
    def status(self) -> int:
        now = self.pit.clock.now
        output = self.pit.channels[2].output(ticks_at(now))
        refresh = now // REFRESH & 1
        return self.enables | refresh << SystemControl.refresh.low | output << SystemControl.output.low

    @writes(0)
    def control(self, value: int) -> None:
        self.enables = SystemControl(value & 0x0F)
        self.pit.channels[2].set_gate(self.enables.gate, self.pit.tick)
