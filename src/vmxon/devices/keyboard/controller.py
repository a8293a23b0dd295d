"""Keyboard controller: an 8042 with a PS/2 keyboard, a PS/2 mouse, address line 20 and the reset pulse.

Source: IBM PS/2 Hardware Interface Technical Reference, “Keyboard/Auxiliary Device Controller”; port 0x92: Intel
82371SB data sheet (290550), “Port 92 Register”.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import ClassVar

from vmxon.arch.bits import Word, flag
from vmxon.devices.bus import Device, PortSpace, reads, writes
from vmxon.devices.clock import VirtualClock
from vmxon.devices.interrupt import Line, Signal
from vmxon.devices.keyboard.mouse import Ps2Mouse
from vmxon.devices.keyboard.ps2 import QUEUE_DEPTH, Ps2Keyboard
from vmxon.devices.keyboard.scancodes import SET_2_TO_1

DATA_COMMANDS = (0x60, 0xD1, 0xD2, 0xD3, 0xD4)
"""Commands whose parameter is written to port 0x60 (0x61 to 0x7F as well)."""
AUXILIARY = 0x100
"""Marks a byte that comes from the mouse."""


class ControllerStatus(Word, width=8):
    """Port 0x64, read."""

    output_full = flag(0, "port 0x60 has a byte")
    input_full = flag(1, "never set: the controller is never busy")
    system = flag(2, "the self test passed")
    command = flag(3, "the last write was to port 0x64")
    unlocked = flag(4, "the key lock is open")
    auxiliary = flag(5, "the byte comes from the second port")
    timeout = flag(6, "never set: both devices answer")
    parity_error = flag(7, "never set")


class ControllerConfiguration(Word, width=8):
    """Byte 0 of the controller's memory, commands 0x20 and 0x60."""

    keyboard_interrupt = flag(0, "IRQ 1 when the keyboard's byte arrives")
    auxiliary_interrupt = flag(1, "IRQ 12 when the second port's byte arrives")
    system = flag(2, "shown in the status")
    keyboard_off = flag(4, "the keyboard's clock is held")
    auxiliary_off = flag(5, "the second port's clock is held")
    translate = flag(6, "scan-code set 2 becomes set 1")


class OutputPort(Word, width=8):
    """What commands 0xD0 and 0xD1 read and write."""

    run = flag(0, "0 resets the processor")
    a20 = flag(1, "address line 20 is let through")
    keyboard_full = flag(4, "IRQ 1")
    auxiliary_full = flag(5, "IRQ 12")
    clocks = flag(6, "keyboard clock")
    data = flag(7, "keyboard data")


class KeyboardController(Device, span=5):
    """The 8042; `set_a20` and `reset` are pulled when the guest says so."""

    saves: ClassVar[tuple[str, ...]] = (
        "keyboard", "mouse", "configuration", "memory", "status", "output", "replies", "data_command", "a20", "break_prefix",
    )  # fmt: skip

    def __init__(
        self,
        clock: VirtualClock,
        interrupt: Signal,
        auxiliary_interrupt: Signal | None = None,
        set_a20: Callable[[bool], None] = lambda level: None,
        reset: Callable[[], None] = lambda: None,
    ) -> None:
        self.interrupt = interrupt
        self.auxiliary_interrupt: Signal = auxiliary_interrupt or Line()
        self.on_a20, self.on_reset = set_a20, reset
        self.keyboard = Ps2Keyboard(clock, self._fill)
        self.mouse = Ps2Mouse(self._fill)
        self.configuration = ControllerConfiguration(0).replace(keyboard_interrupt=True, system=True, translate=True)
        self.memory = bytearray(32)
        self.status = ControllerStatus(0).replace(unlocked=True, system=True)
        self.output = 0
        self.replies: deque[int] = deque()
        self.data_command = 0
        self.a20 = True
        self.break_prefix = False
        self.port92 = FastGate(self)

    def connect(self, ports: PortSpace) -> None:
        """Attach at 0x60, 0x64 and 0x92."""
        ports.attach(0x60, self)
        ports.attach(0x92, self.port92)

    def send_key(self, chord: str, hold: int = 0) -> None:
        """Press and release keys by name, as QEMU's sendkey, `hold` nanoseconds apart."""
        self.keyboard.send_key(chord, hold)

    def type_text(self, text: str) -> None:
        """Type ASCII text on an American layout."""
        self.keyboard.type_text(text)

    def set_a20(self, level: bool) -> None:
        """Let address line 20 through, or hold it low."""
        if level != self.a20:
            self.a20 = level
            self.on_a20(level)

    # -- the output buffer ---------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Move the next byte into the output buffer if it is empty."""
        while not self.status.output_full:
            if self.replies:
                self._show(self.replies.popleft())
            elif self.keyboard.queue and not self.configuration.keyboard_off:
                value = self._translated(self.keyboard.take())
                if value is not None:
                    self._show(value)
            elif self.mouse.queue and not self.configuration.auxiliary_off:
                self._show(self.mouse.take() | AUXILIARY)
            else:
                break
        full, auxiliary = self.status.output_full, self.status.auxiliary
        self.interrupt.set(full and not auxiliary and self.configuration.keyboard_interrupt)
        self.auxiliary_interrupt.set(full and auxiliary and self.configuration.auxiliary_interrupt)

    def _show(self, reply: int) -> None:
        self.output = reply & 0xFF
        self.status = self.status.replace(output_full=True, auxiliary=bool(reply & AUXILIARY))

    def _translated(self, value: int) -> int | None:
        """A byte of the keyboard as the guest sees it; None for the prefix that set 1 folds into the next byte."""
        if not self.configuration.translate:
            return value
        if value == 0xF0:
            self.break_prefix = True
            return None
        made = SET_2_TO_1[value] | (0x80 if self.break_prefix else 0)
        self.break_prefix = False
        return made

    def _reply(self, value: int) -> None:
        if len(self.replies) < QUEUE_DEPTH:
            self.replies.append(value)
        self._fill()

    # -- registers -----------------------------------------------------------------------------------------------------

    @reads(0)
    def read_data(self) -> int:
        value = self.output
        if self.status.output_full:
            self.status = self.status.replace(output_full=False, auxiliary=False)
            self.interrupt.set(False)
            self.auxiliary_interrupt.set(False)
            self._fill()
        return value

    @reads(4)
    def read_status(self) -> int:
        return self.status

    @writes(0)
    def write_data(self, value: int) -> None:
        self.status = self.status.replace(command=False)
        command, self.data_command = self.data_command, 0
        match command:
            case 0:
                self.configuration = self.configuration.replace(keyboard_off=False)
                self.keyboard.command(value)
            case 0x60:
                self._configure(ControllerConfiguration(value & 0x77))
            case 0xD1:
                self._drive(OutputPort(value))
            case 0xD2:
                self._reply(value)
            case 0xD3:
                self._reply(value | AUXILIARY)
            case 0xD4:
                self.configuration = self.configuration.replace(auxiliary_off=False)
                self.mouse.command(value)
            case _:
                self.memory[command & 0x1F] = value

    def _configure(self, configuration: ControllerConfiguration) -> None:
        self.configuration = configuration
        self.status = self.status.replace(system=configuration.system)
        self._fill()

    def _drive(self, port: OutputPort) -> None:
        self.set_a20(port.a20)
        if not port.run:
            self.on_reset()

    @writes(4)
    def write_command(self, value: int) -> None:
        self.status = self.status.replace(command=True)
        self.data_command = value if value in DATA_COMMANDS or 0x61 <= value <= 0x7F else 0
        configuration = self.configuration
        match value:
            case 0x20:
                self._reply(configuration)
            case 0xA7 | 0xA8:
                self._configure(configuration.replace(auxiliary_off=value == 0xA7))
            case 0xA9 | 0xAB | 0xE0:  # tests of both ports: good; test inputs
                self._reply(0)
            case 0xAA:
                self.status = self.status.replace(system=True)
                self._reply(0x55)
            case 0xAD | 0xAE:
                self._configure(configuration.replace(keyboard_off=value == 0xAD))
            case 0xC0:
                self._reply(0xA0)  # input port: keyboard not locked, no manufacturing jumper
            case 0xD0:
                self._reply(self._output_port())
            case 0xDD | 0xDF:
                self.set_a20(value == 0xDF)
            case _ if 0x21 <= value <= 0x3F:
                self._reply(self.memory[value & 0x1F])
            case _ if value >= 0xF0 and not value & 1:
                self.on_reset()

    def _output_port(self) -> OutputPort:
        full, auxiliary = self.status.output_full, self.status.auxiliary
        return OutputPort(0).replace(
            run=True, a20=self.a20, keyboard_full=full and not auxiliary, auxiliary_full=full and auxiliary,
            clocks=True, data=True,
        )  # fmt: skip


class FastGate(Device, span=1):
    """Port 0x92: address line 20 without the keyboard controller, and a reset on a rising bit 0."""

    def __init__(self, controller: KeyboardController) -> None:
        self.controller = controller

    @reads(0)
    def read(self) -> int:
        return self.controller.a20 << 1

    @writes(0)
    def write(self, value: int) -> None:
        self.controller.set_a20(bool(value & 2))
        if value & 1:
            self.controller.on_reset()
