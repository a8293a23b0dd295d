"""One ATA channel: task file, status, interrupt, and how data moves; what commands mean is in `ata` and `packet`.

Source: ATA/ATAPI-6 (T13 1410D), §7 “Parallel interface register definitions”, §9.6 “PIO data-in command protocol”, §9.7 “PIO
data-out command protocol”, §9.8 “DMA command protocol”.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

from vmxon.devices.bus import Device, PortSpace, reads, writes
from vmxon.devices.clock import Timer, VirtualClock
from vmxon.devices.ide.data import DataPort
from vmxon.devices.ide.status import (
    ABSENT,
    BUSY,
    COUNT,
    DEVICE_RESET,
    ERROR,
    EXECUTE_DIAGNOSTIC,
    FEATURES,
    HIGH,
    HIGH_ORDER,
    IDLE,
    LOW,
    MIDDLE,
    NO_INTERRUPT,
    REQUEST,
    RESET,
    SECOND_DRIVE,
)
from vmxon.devices.interrupt import Signal
from vmxon.devices.state import Saved


class DmaEngine(Protocol):
    """Who moves data between the channel and memory."""

    def wake(self) -> None:
        """The channel asks for a transfer."""

    def interrupted(self) -> None:
        """The channel's interrupt rose."""


class CommandSet(Saved):
    """What one drive makes of commands; it uses the channel to answer."""

    signature: ClassVar[tuple[int, int, int, int]]
    """Count, low, middle and high after a reset: what kind of drive it is."""
    prompt: ClassVar[frozenset[int]]
    """Commands that ask for data at once."""

    def execute(self, command: int) -> None:
        """Start a command."""
        raise NotImplementedError

    def reset(self) -> None:
        """The channel was reset."""
        raise NotImplementedError

    def block_read(self) -> None:
        """The guest has read all that was offered."""
        raise NotImplementedError

    def block_written(self, data: bytes) -> None:
        """The guest has written all that was expected."""
        raise NotImplementedError

    def dma_read(self, size: int) -> bytes:
        """The next bytes for memory; fewer where the drive failed, and the command with it."""
        raise NotImplementedError

    def dma_written(self, data: bytes) -> bool:
        """Take the next bytes from memory; False where the drive failed, and the command with it."""
        raise NotImplementedError

    def complete(self) -> None:
        """All bytes were moved by DMA."""
        raise NotImplementedError


class IdeChannel(Device, span=8):
    """One channel: the task file and one or two drives; `data` and `control_port` are its other two registers.

    Commands finish `latency` nanoseconds after they are given (0: at once); then, or when data is ready, `interrupt`
    rises until the status is read.
    """

    saves: ClassVar[tuple[str, ...]] = (
        "task", "device", "control", "status", "error", "requested", "data", "commands",
        "dma_left", "dma_to_memory", "pending_command", "timer",
    )  # fmt: skip

    def __init__(self, clock: VirtualClock, interrupt: Signal, latency: int = 0) -> None:
        self.clock = clock
        self.interrupt = interrupt
        self.latency = latency
        self.engine: DmaEngine | None = None
        self.task = [0] * 5
        """Features, count and the three address bytes; the byte before last written is in bits 15:8."""
        self.device = 0
        self.control = 0
        self.status = IDLE
        self.error = 0
        self.requested = False
        self.data = DataPort(self._block_read, self._block_written)
        self.dma_left = 0
        """Bytes that the present command has still to move by DMA."""
        self.dma_to_memory = False
        self.pending_command = 0
        self.timer = Timer(clock, self._run)
        self.control_port = IdeControl(self)
        self.commands: list[CommandSet] = []
        """Of each drive that is there."""
        self._slots: dict[int, CommandSet] = {}

    def plug(self, number: int, commands: CommandSet) -> None:
        """Put in a drive as number 0 or 1, before the guest runs."""
        self._slots[number] = commands
        self.commands.append(commands)
        self.sign()

    @property
    def selected(self) -> CommandSet | None:
        """The drive that the device register selects."""
        return self._slots.get(self.device >> 4 & 1)

    def connect(self, ports: PortSpace, base: int) -> None:
        """Attach at `base` (0x1F0, 0x170) and `base` + 0x206."""
        ports.attach(base, self.data)
        ports.attach(base, self)
        ports.attach(base + 0x206, self.control_port)

    # -- what commands do with the channel -----------------------------------------------------------------------------

    def _update(self) -> None:
        self.interrupt.set(self.requested and not self.control & NO_INTERRUPT)

    def request(self) -> None:
        """Raise the interrupt; it stays until the status is read or a command is given."""
        self.requested = True
        if self.engine is not None and not self.control & NO_INTERRUPT:
            self.engine.interrupted()
        self._update()

    def offer(self, data: bytes) -> None:
        """Let the guest read `data`, and interrupt."""
        self.data.offer(data)
        self.status = IDLE | REQUEST
        self.request()

    def expect(self, size: int) -> None:
        """Let the guest write `size` bytes."""
        self.data.expect(size)
        self.status = IDLE | REQUEST

    def move(self, size: int, *, to_memory: bool) -> None:
        """Ask for a DMA transfer of `size` bytes."""
        self.dma_left, self.dma_to_memory = size, to_memory
        self.status = IDLE | REQUEST
        if self.engine is not None:
            self.engine.wake()

    def finish(self, interrupt: bool = True) -> None:
        """End the command well."""
        self.forget_data()
        self.status, self.error = IDLE, 0
        if interrupt:
            self.request()

    def fail(self, error: int) -> None:
        """End the command with an error."""
        self.forget_data()
        self.status, self.error = IDLE | ERROR, error
        self.request()

    def forget_data(self) -> None:
        """No data is under way."""
        self.dma_left = 0
        self.data.clear()

    def _block_read(self) -> None:
        if self.selected is not None:
            self.selected.block_read()

    def _block_written(self, data: bytes) -> None:
        if self.selected is not None:
            self.selected.block_written(data)

    def dma_take(self, size: int) -> bytes:
        """The next bytes for memory; fewer than `size` where the drive failed, and the command with it."""
        data = self.selected.dma_read(size) if self.selected is not None else b""
        if len(data) == size:
            self._moved(size)
        return data

    def dma_give(self, data: bytes) -> None:
        """The next bytes from memory."""
        if self.selected is not None and self.selected.dma_written(data):
            self._moved(len(data))

    def _moved(self, size: int) -> None:
        self.dma_left -= size
        if not self.dma_left and self.selected is not None:
            self.selected.complete()

    # -- task file -----------------------------------------------------------------------------------------------------

    def low_bytes(self, *registers: int) -> tuple[int, ...]:
        """What was written last to each of these registers."""
        return tuple(self.task[register] & 0xFF for register in registers)

    def show(self, *, count: int | None = None, low: int | None = None, middle: int | None = None, high: int | None = None) -> None:
        """Put bytes into the task file for the guest to read."""
        for register, value in ((COUNT, count), (LOW, low), (MIDDLE, middle), (HIGH, high)):
            if value is not None:
                self.task[register] = value

    def _read_task(self, register: int) -> int:
        if self.selected is None:
            return ABSENT
        return self.task[register] >> 8 if self.control & HIGH_ORDER else self.task[register] & 0xFF

    def _write_task(self, register: int, value: int) -> None:
        self.control &= ~HIGH_ORDER
        if not self.status & BUSY:
            self.task[register] = (self.task[register] & 0xFF) << 8 | value

    @reads(1)
    def read_error(self) -> int:
        return ABSENT if self.selected is None else self.error

    @writes(1)
    def write_features(self, value: int) -> None:
        self._write_task(FEATURES, value)

    @reads(2)
    def read_count(self) -> int:
        return self._read_task(COUNT)

    @writes(2)
    def write_count(self, value: int) -> None:
        self._write_task(COUNT, value)

    @reads(3)
    def read_low(self) -> int:
        return self._read_task(LOW)

    @writes(3)
    def write_low(self, value: int) -> None:
        self._write_task(LOW, value)

    @reads(4)
    def read_middle(self) -> int:
        return self._read_task(MIDDLE)

    @writes(4)
    def write_middle(self, value: int) -> None:
        self._write_task(MIDDLE, value)

    @reads(5)
    def read_high(self) -> int:
        return self._read_task(HIGH)

    @writes(5)
    def write_high(self, value: int) -> None:
        self._write_task(HIGH, value)

    @reads(6)
    def read_device(self) -> int:
        return ABSENT if self.selected is None else self.device | 0xA0

    @writes(6)
    def write_device(self, value: int) -> None:
        self.control &= ~HIGH_ORDER
        if not self.status & BUSY:
            if (value ^ self.device) & SECOND_DRIVE:
                self.forget_data()
                self.status &= ~REQUEST
            self.device = value

    @reads(7)
    def read_status(self) -> int:
        self.requested = False
        self._update()
        return self.alternate_status()

    def alternate_status(self) -> int:
        """The status, without an effect on the interrupt."""
        return ABSENT if self.selected is None else self.status

    def set_control(self, value: int) -> None:
        """Device control: reset, interrupt enable, which byte of the task file is read."""
        before, self.control = self.control, value & (HIGH_ORDER | RESET | NO_INTERRUPT)
        if value & RESET:
            self.timer.cancel()
            self.forget_data()
            self.requested = False
            self.status = BUSY
        elif before & RESET:
            self.device = 0
            for commands in self.commands:
                commands.reset()
            self.sign()
            self.status = IDLE
        self._update()

    def sign(self) -> None:
        """The signature of the selected drive, which passed its diagnostic."""
        self.device &= SECOND_DRIVE
        self.error = 0x01
        self.task = [0, *(self.selected.signature if self.selected is not None else (0, 0, 0, 0))]

    # -- commands ------------------------------------------------------------------------------------------------------

    @writes(7)
    def command(self, value: int) -> None:
        selected = self.selected
        if (self.status & BUSY and value != DEVICE_RESET) or (selected is None and value != EXECUTE_DIAGNOSTIC):
            return
        self.control &= ~HIGH_ORDER
        self.requested = False
        self._update()
        self.forget_data()
        self.timer.cancel()
        self.pending_command = value
        if self.latency and selected is not None and value not in selected.prompt:
            self.status = BUSY
            self.timer.arm(self.clock.now + self.latency)
        else:
            self._run()

    def _run(self) -> None:
        self.status, self.error = IDLE, 0
        if self.pending_command == EXECUTE_DIAGNOSTIC:
            self.device = 0
            self.sign()
            self.request()
        elif self.selected is not None:
            self.selected.execute(self.pending_command)


class IdeControl(Device, span=1):
    """Alternate status and device control, 0x3F6 or 0x376."""

    def __init__(self, channel: IdeChannel) -> None:
        self.channel = channel

    @reads(0)
    def alternate_status(self) -> int:
        return self.channel.alternate_status()

    @writes(0)
    def device_control(self, value: int) -> None:
        self.channel.set_control(value)
