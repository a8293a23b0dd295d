"""The devices of a PC on one board, wired as on every PC; the bare machine and the hypervisor use the same one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from vmxon.devices.bus import Bus
from vmxon.devices.clock import VirtualClock
from vmxon.devices.cmos import Cmos
from vmxon.devices.debug import DebugConsole, DebugExit, PostCode
from vmxon.devices.disk import AtaDrive
from vmxon.devices.ide import Ide
from vmxon.devices.keyboard import KeyboardController
from vmxon.devices.pic import PicPair
from vmxon.devices.pit import Pit8254
from vmxon.devices.power import AdvancedPower, PowerManagement, ResetControl
from vmxon.devices.uart import Uart16550
from vmxon.devices.vga import Vga

TEXT_MEMORY = 0xB8000
TEXT_BYTES = 0x8000
POWER_PORTS = 0x600
"""Where the power-management registers are."""
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""What the clock chip shows at virtual time 0 unless told otherwise: runs must be equal from day to day."""


@dataclass(slots=True)
class Sinks:
    """Where the board's output goes, byte by byte."""

    serial: Callable[[int], None]
    debug_console: Callable[[int], None]
    leave: Callable[[int], None]
    """The exit status that the guest asks for: from isa-debug-exit, or 0 when it turns the power off."""
    reset: Callable[[], None]
    """The guest asked for a reset (keyboard controller, ports 0x92 and 0xCF9)."""


class Board:
    """A PC's devices and their wires; `bus` is the port space."""

    def __init__(
        self, memory: memoryview, sinks: Sinks, drives: Sequence[AtaDrive | None] = (), base_time: datetime = EPOCH
    ) -> None:
        self.memory = memory
        self.bus = Bus("port")
        self.clock = VirtualClock()
        self.pic = PicPair()
        lines = self.pic.lines
        self.pit = Pit8254(self.clock, lines[0])
        self.keyboard = KeyboardController(self.clock, lines[1], reset=sinks.reset)
        self.cmos = Cmos(self.clock, lines[8], base_time, len(memory))
        self.vga = Vga(self.clock)
        self.uart = Uart16550(sinks.serial, lines[4])
        self.debug_console = DebugConsole(sinks.debug_console)
        self.debug_exit = DebugExit(sinks.leave)
        self.post_code = PostCode()
        slots = [*drives, None, None, None, None][:4]
        self.ide = Ide(self.clock, (lines[14], lines[15]), slots)
        self.power = PowerManagement(self.clock, lines[9], power_off=lambda: sinks.leave(0))
        self.bus.attach(POWER_PORTS, self.power)
        self.advanced_power = AdvancedPower(self.power.enable_acpi)
        self.reset_control = ResetControl(sinks.reset)
        for device in (
            self.pic, self.pit, self.keyboard, self.cmos, self.vga, self.uart,
            self.debug_console, self.debug_exit, self.post_code, self.ide,
            self.advanced_power, self.reset_control,
        ):  # fmt: skip
            device.connect(self.bus)

    def program_timer(self) -> None:
        """What a BIOS leaves behind and multiboot kernels expect: channel 0 in mode 3, 18.2 times a second."""
        for port, value in ((0x43, 0x36), (0x40, 0), (0x40, 0)):
            self.bus.write(port, 1, value)

    @property
    def text_memory(self) -> memoryview:
        """The 32 KiB of VGA text."""
        return self.memory[TEXT_MEMORY : TEXT_MEMORY + TEXT_BYTES]
