"""ACPI's fixed hardware: power-management event and control registers, the timer, general-purpose events.

Sources: Intel 82371AB (PIIX4) data sheet (290562), “Power Management I/O Space Registers”; ACPI Specification 6.4, §4.8
“ACPI Register Model”. The timer is a function of virtual time: nothing is stepped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from vmxon.arch.bits import Word, field, flag
from vmxon.devices.bus import Device, reads, writes
from vmxon.devices.clock import SECOND, Timer, VirtualClock
from vmxon.devices.interrupt import Signal

PM_TIMER_HZ = 3_579_545
SOFT_OFF = 0
"""The sleep type that turns the power off: what \\_S5 says."""


class PowerEvents(Word, width=16):
    """PM1 status (written ones clear) and PM1 enable: the same bit for the same event."""

    timer = flag(0, "the timer's highest bit changed")
    bus_master = flag(4, "status only; never set")
    global_lock = flag(5, "the BIOS released the global lock; never set")
    power_button = flag(8, "the power button was pressed")
    sleep_button = flag(9, "never set")
    clock_alarm = flag(10, "the RTC's alarm; never set, for nothing wakes the machine")
    wake = flag(15, "status only; never set")


class PowerControl(Word, width=16):
    """PM1 control."""

    sci_enabled = flag(0, "power-management events raise the system control interrupt")
    bus_master_reload = flag(1, "kept, without effect")
    release_global_lock = flag(2, "reads as 0")
    sleep_type = field(12, 10, "which sleep state")
    sleep_enable = flag(13, "enter it; reads as 0")


ENABLES = PowerEvents.make(timer=1, global_lock=1, power_button=1, sleep_button=1, clock_alarm=1)


class PowerManagement(Device, span=16):
    """The register block that ACPI's FADT points to; `interrupt` is the system control interrupt, IRQ 9.

    Sleep type 0 (soft off) calls `power_off`; the other sleep types do nothing, and the DSDT names none of them. The
    timer has `timer_bits` bits, 24 in the PIIX4. No general-purpose event ever happens; their registers keep what the
    system enables.
    """

    saves: ClassVar[tuple[str, ...]] = (
        "status", "enabled", "control", "general_enabled", "acknowledged", "timer",
    )  # fmt: skip

    def __init__(
        self, clock: VirtualClock, interrupt: Signal, power_off: Callable[[], None], timer_bits: int = 24
    ) -> None:
        self.clock = clock
        self.interrupt = interrupt
        self.power_off = power_off
        self.timer_bits = timer_bits
        self.status = PowerEvents(0)
        """What happened, the timer's bit apart: that one follows from `acknowledged`."""
        self.enabled = PowerEvents(0)
        self.control = PowerControl(0)
        self.general_enabled = 0
        self.acknowledged = 0
        """Changes of the timer's highest bit that the guest has seen."""
        self.timer = Timer(clock, self._update)

    # -- time ----------------------------------------------------------------------------------------------------------

    @property
    def ticks(self) -> int:
        """Ticks of the timer since power-on."""
        return self.clock.now * PM_TIMER_HZ // SECOND

    @property
    def _changes(self) -> int:
        """How often the highest bit has changed since power-on."""
        return self.ticks >> self.timer_bits - 1

    @property
    def events(self) -> PowerEvents:
        """PM1 status."""
        return self.status.replace(timer=self._changes > self.acknowledged)

    def _update(self) -> None:
        """Drive the interrupt, and wake when the timer's bit will."""
        pending = bool(self.events & self.enabled)
        self.interrupt.set(pending and self.control.sci_enabled)
        if self.enabled.timer and self._changes == self.acknowledged:
            next_change = self.acknowledged + 1 << self.timer_bits - 1
            self.timer.arm(-(-next_change * SECOND // PM_TIMER_HZ))
        else:
            self.timer.cancel()

    # -- from outside --------------------------------------------------------------------------------------------------

    def press_power_button(self) -> None:
        """What a person does who wants the system to shut down."""
        self.status = self.status.replace(power_button=True)
        self._update()

    def enable_acpi(self, on: bool) -> None:
        """What the BIOS does when the system writes to the SMI command port."""
        self.control = self.control.replace(sci_enabled=on)
        self._update()

    # -- registers; the bus splits wider accesses ----------------------------------------------------------------------

    @reads(0)
    def read_status_low(self) -> int:
        return self.events & 0xFF

    @reads(1)
    def read_status_high(self) -> int:
        return self.events >> 8

    @writes(0)
    def clear_status_low(self, value: int) -> None:
        if value & PowerEvents.timer.mask:
            self.acknowledged = self._changes
        self._clear(value)

    @writes(1)
    def clear_status_high(self, value: int) -> None:
        self._clear(value << 8)

    def _clear(self, ones: int) -> None:
        self.status = PowerEvents(self.status & ~ones)
        self._update()

    @reads(2)
    def read_enable_low(self) -> int:
        return self.enabled & 0xFF

    @reads(3)
    def read_enable_high(self) -> int:
        return self.enabled >> 8

    @writes(2)
    def write_enable_low(self, value: int) -> None:
        self._enable(self.enabled & 0xFF00 | value)

    @writes(3)
    def write_enable_high(self, value: int) -> None:
        self._enable(self.enabled & 0xFF | value << 8)

    def _enable(self, value: int) -> None:
        self.enabled = PowerEvents(value & ENABLES)
        self._update()

    @reads(4)
    def read_control_low(self) -> int:
        return self.control & 0xFF

    @reads(5)
    def read_control_high(self) -> int:
        return self.control >> 8

    @writes(4)
    def write_control_low(self, value: int) -> None:
        self.control = PowerControl(self.control & 0xFF00 | value & 0x03)
        self._update()

    @writes(5)
    def write_control_high(self, value: int) -> None:
        written = PowerControl(value << 8)
        self.control = self.control.replace(sleep_type=written.sleep_type)
        if written.sleep_enable and written.sleep_type == SOFT_OFF:
            self.power_off()

    @reads(8, 4)
    def read_timer(self) -> int:
        return self.ticks & (1 << self.timer_bits) - 1

    @reads(12)
    @reads(13)
    def read_general_status(self) -> int:
        return 0

    @writes(12)
    @writes(13)
    def clear_general_status(self, value: int) -> None:
        """Nothing is set."""

    @reads(14)
    def read_general_enable_low(self) -> int:
        return self.general_enabled & 0xFF

    @reads(15)
    def read_general_enable_high(self) -> int:
        return self.general_enabled >> 8

    @writes(14)
    def write_general_enable_low(self, value: int) -> None:
        self.general_enabled = self.general_enabled & 0xFF00 | value

    @writes(15)
    def write_general_enable_high(self, value: int) -> None:
        self.general_enabled = self.general_enabled & 0xFF | value << 8
