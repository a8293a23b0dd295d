"""One ATA channel: task file, commands, and the data blocks of PIO.

Source: ATA/ATAPI-6 (T13 1410D), §7 “Parallel interface register definitions”, §8 “Command descriptions”, §9.6 “PIO
data-in command protocol”, §9.7 “PIO data-out command protocol”.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from vmxon.devices.bus import Device, PortSpace, reads, writes
from vmxon.devices.clock import Timer, VirtualClock
from vmxon.devices.disk.drive import LARGEST_MULTIPLE, AtaDrive
from vmxon.devices.disk.image import SECTOR
from vmxon.devices.ide.data import DataPort
from vmxon.devices.interrupt import Signal

ERROR, REQUEST, SEEK_DONE, READY, BUSY = 0x01, 0x08, 0x10, 0x40, 0x80
IDLE = READY | SEEK_DONE
ABORTED, NOT_FOUND, UNCORRECTABLE = 0x04, 0x10, 0x40
ABSENT = 0xFF
NO_INTERRUPT, RESET, HIGH_ORDER = 0x02, 0x04, 0x80
USE_LBA, SECOND_DRIVE = 0x40, 0x10
FEATURES, COUNT, LOW, MIDDLE, HIGH = range(5)
"""Positions in the task file, which is two bytes deep."""

READS = {0x20: False, 0x21: False, 0x24: True, 0xC4: False, 0x29: True}
WRITES = {0x30: False, 0x31: False, 0x34: True, 0xC5: False, 0x39: True}
VERIFIES = {0x40: False, 0x41: False, 0x42: True}
"""READ, WRITE and READ VERIFY commands; True where the address has 48 bits."""
MULTIPLE = (0xC4, 0xC5, 0x29, 0x39)
ACCEPTED_FEATURES = (0x02, 0x82, 0x03, 0x55, 0xAA, 0x66, 0xCC)
"""Write cache, transfer mode, look-ahead, power-on defaults: accepted, without effect."""
WITHOUT_DATA = (0xE0, 0xE1, 0xE2, 0xE3, 0xE6, 0xE7, 0xEA)
"""Power modes and cache flushes: nothing is cached here."""


class IdeChannel(Device, span=8):
    """One channel: the task file and one or two drives; `data` and `control_port` are its other two registers.

    Commands finish `latency` nanoseconds after they are given (0: at once); then, or when data is ready, `interrupt`
    rises until the status is read.
    """

    saves: ClassVar[tuple[str, ...]] = (
        "task", "device", "control", "status", "error", "requested", "data", "block",
        "lba", "remaining", "pending_command", "timer",
    )  # fmt: skip

    def __init__(
        self, clock: VirtualClock, interrupt: Signal, drives: Sequence[AtaDrive | None], latency: int = 0
    ) -> None:
        self.clock = clock
        self.interrupt = interrupt
        self.drives = (*drives, None, None)[:2]
        self.latency = latency
        self.task = [0] * 5
        """Features, count and the three address bytes; the byte before last written is in bits 15:8."""
        self.device = 0
        self.control = 0
        self.status = IDLE
        self.error = 0
        self.requested = False
        self.data = DataPort(self._block_read, self._block_written)
        self.block = 0
        """Sectors in each data block of the present command."""
        self.lba = 0
        self.remaining = 0
        """Sectors of the present command that no data block has carried yet."""
        self.pending_command = 0
        self.timer = Timer(clock, self._run)
        self.control_port = IdeControl(self)
        self._sign()

    @property
    def drive(self) -> AtaDrive | None:
        """The drive that the device register selects."""
        return self.drives[self.device >> 4 & 1]

    def _update(self) -> None:
        self.interrupt.set(self.requested and not self.control & NO_INTERRUPT)

    def _request(self) -> None:
        """Raise the interrupt; it stays until the status is read or a command is given."""
        self.requested = True
        self._update()

    # -- data blocks ---------------------------------------------------------------------------------------------------

    def _block_read(self) -> None:
        if self.remaining:
            self._next_read_block()
        else:
            self._finish(interrupt=False)

    def _next_read_block(self) -> None:
        count = min(self.block, self.remaining)
        data = self.drive.read(self.lba, count) if self.drive else None
        if data is None:
            self._fail(UNCORRECTABLE)
            return
        self._offer(data)
        self.lba += count
        self.remaining -= count

    def _offer(self, data: bytes) -> None:
        """Let the guest read `data`."""
        self.data.offer(data)
        self.status = IDLE | REQUEST
        self._request()

    def _await(self) -> None:
        """Let the guest write the next block."""
        self.data.expect(min(self.block, self.remaining) * SECTOR)
        self.status = IDLE | REQUEST

    def _block_written(self, data: bytes) -> None:
        count = len(data) // SECTOR
        if not self.drive or not self.drive.write(self.lba, data):
            self._fail(UNCORRECTABLE)
            return
        self.lba += count
        self.remaining -= count
        if self.remaining:
            self._await()
            self._request()
        else:
            self._finish()

    def _finish(self, interrupt: bool = True) -> None:
        self._forget_data()
        self.status, self.error = IDLE, 0
        if interrupt:
            self._request()

    def _fail(self, error: int) -> None:
        self._forget_data()
        self.status, self.error = IDLE | ERROR, error
        self._request()

    def _forget_data(self) -> None:
        self.remaining = 0
        self.data.clear()

    def connect(self, ports: PortSpace, base: int) -> None:
        """Attach at `base` (0x1F0, 0x170) and `base` + 0x206."""
        ports.attach(base, self.data)
        ports.attach(base, self)
        ports.attach(base + 0x206, self.control_port)

    # -- task file -----------------------------------------------------------------------------------------------------

    def _read_task(self, register: int) -> int:
        if self.drive is None:
            return ABSENT
        return self.task[register] >> 8 if self.control & HIGH_ORDER else self.task[register] & 0xFF

    def _write_task(self, register: int, value: int) -> None:
        self.control &= ~HIGH_ORDER
        if not self.status & BUSY:
            self.task[register] = (self.task[register] & 0xFF) << 8 | value

    @reads(1)
    def read_error(self) -> int:
        return ABSENT if self.drive is None else self.error

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
        return ABSENT if self.drive is None else self.device | 0xA0

    @writes(6)
    def write_device(self, value: int) -> None:
        self.control &= ~HIGH_ORDER
        if not self.status & BUSY:
            self.device = value

    @reads(7)
    def read_status(self) -> int:
        self.requested = False
        self._update()
        return self.alternate_status()

    def alternate_status(self) -> int:
        """The status, without an effect on the interrupt."""
        return ABSENT if self.drive is None else self.status

    def set_control(self, value: int) -> None:
        """Device control: reset, interrupt enable, which byte of the task file is read."""
        before, self.control = self.control, value & (HIGH_ORDER | RESET | NO_INTERRUPT)
        if value & RESET:
            self.timer.cancel()
            self._forget_data()
            self.requested = False
            self.status = BUSY
        elif before & RESET:
            self._sign()
            self.status = IDLE
        self._update()

    def _sign(self) -> None:
        """The signature of an ATA drive that passed its diagnostic."""
        self.task = [0, 1, 1, 0, 0]
        self.device, self.error = 0, 0x01

    # -- commands ------------------------------------------------------------------------------------------------------

    @writes(7)
    def command(self, value: int) -> None:
        if self.status & BUSY or (self.drive is None and value != 0x90):
            return
        self.control &= ~HIGH_ORDER
        self.requested = False
        self._update()
        self._forget_data()
        self.pending_command = value
        if self.latency and value not in WRITES:
            self.status = BUSY
            self.timer.arm(self.clock.now + self.latency)
        else:
            self._run()

    def _run(self) -> None:
        command, drive = self.pending_command, self.drive
        self.status, self.error = IDLE, 0
        if command == 0x90:  # EXECUTE DEVICE DIAGNOSTIC
            self._sign()
            self._request()
        elif drive is None:
            return
        elif command in READS:
            self._transfer(drive, command, READS[command])
        elif command in WRITES:
            self._transfer(drive, command, WRITES[command])
        elif command in VERIFIES:
            if self._locate(drive, VERIFIES[command]):
                self._finish()
        elif command == 0xEC:
            self._offer(drive.identify())
        else:
            self._command_without_data(drive, command)

    def _command_without_data(self, drive: AtaDrive, command: int) -> None:
        good = True
        match command:
            case 0x91:  # INITIALIZE DEVICE PARAMETERS
                good = bool(self.task[COUNT] & 0xFF)
                if good:
                    drive.sectors_per_track, drive.heads = self.task[COUNT] & 0xFF, (self.device & 0x0F) + 1
            case 0xC6:  # SET MULTIPLE MODE: a power of two, or 0
                count = self.task[COUNT] & 0xFF
                good = count <= LARGEST_MULTIPLE and not count & (count - 1)
                if good:
                    drive.multiple = count
            case 0xEF:
                good = self.task[FEATURES] & 0xFF in ACCEPTED_FEATURES
            case 0xE5:  # CHECK POWER MODE
                self.task[COUNT] = 0xFF
            case 0xF8:  # READ NATIVE MAX ADDRESS
                self._show_lba(min(drive.sectors, 0x1000_0000) - 1)
            case _ if 0x70 <= command <= 0x7F:  # SEEK
                if not self._locate(drive, wide=False, one=True):
                    return
            case _:
                good = command in WITHOUT_DATA or 0x10 <= command <= 0x1F  # RECALIBRATE
        if good:
            self._finish()
        else:
            self._fail(ABORTED)

    def _show_lba(self, lba: int) -> None:
        self.task[LOW], self.task[MIDDLE], self.task[HIGH] = lba & 0xFF, lba >> 8 & 0xFF, lba >> 16 & 0xFF
        self.device = self.device & 0xF0 | lba >> 24

    def _transfer(self, drive: AtaDrive, command: int, wide: bool) -> None:
        if command in MULTIPLE and not drive.multiple:
            self._fail(ABORTED)
            return
        if not self._locate(drive, wide):
            return
        self.block = drive.multiple if command in MULTIPLE else 1
        if command in READS:
            self._next_read_block()
        else:
            self._await()

    def _locate(self, drive: AtaDrive, wide: bool, one: bool = False) -> bool:
        """Set `lba` and `remaining` from the task file; False, with the error reported, outside the drive."""
        task = self.task
        low, middle, high = (task[register] & 0xFF for register in (LOW, MIDDLE, HIGH))
        lba: int | None
        if wide:
            lba = low | middle << 8 | high << 16
            lba |= (task[LOW] >> 8) << 24 | (task[MIDDLE] >> 8) << 32 | (task[HIGH] >> 8) << 40
            count = task[COUNT] or 0x1_0000
        else:
            count = task[COUNT] & 0xFF or 0x100
            head = self.device & 0x0F
            if self.device & USE_LBA:
                lba = low | middle << 8 | high << 16 | head << 24
            else:
                lba = drive.from_chs(middle | high << 8, head, low)
        if one:
            count = 1
        if lba is None or lba + count > drive.sectors or (wide and not self.device & USE_LBA):
            self._fail(NOT_FOUND)
            return False
        self.lba, self.remaining = lba, count
        return True


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
