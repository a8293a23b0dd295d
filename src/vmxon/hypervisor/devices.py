"""The machine's own devices behind the guest's I/O exits, and the virtual time that they live in."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vmxon.devices.apic.message import Message
from vmxon.devices.ide import IdeDrive
from vmxon.hypervisor.exits import StringInputOutput
from vmxon.hypervisor.guest_apic import PAGE_ADDRESS as APIC_PAGE
from vmxon.hypervisor.guest_apic import GuestApic
from vmxon.hypervisor.memory.guest_memory import DEVICES, GuestMemory
from vmxon.hypervisor.memory.guest_walk import PageFault, Paging, translate
from vmxon.hypervisor.operation.guest_time import GuestTime
from vmxon.hypervisor.operation.registers import GuestRegisters, Register
from vmxon.hypervisor.operation.vmcs import Bitmaps
from vmxon.hypervisor.policy.ports import open_ports
from vmxon.machine.board import Board, Sinks
from vmxon.machine.configuration import PcConfiguration
from vmxon.machine.firmware import Bios, BiosMemory
from vmxon.machine.pace import Pace
from vmxon.machine.root import RootProcessor
from vmxon.machine.tables import Hardware, system_tables
from vmxon.vmx.fields import VmcsField as Field

PAGE = 4096
DIRECTION = 1 << 10
FULL = {1: 0xFF, 2: 0xFFFF, 4: 0xFFFF_FFFF}
KEPT = {1: ~0xFF, 2: ~0xFFFF, 4: 0}
"""Bits of RAX that IN leaves alone; a 32-bit result clears the upper half."""
EVERY_LINE, MASKED, TIMER = 0xFF, 1 << 16, 0
"""The 8259's mask, the mask bit of an entry of either APIC, and the timer's among the local vectors."""


class GuestDevices:
    """A board of devices for one guest."""

    def __init__(
        self,
        root: RootProcessor,
        memory: GuestMemory,
        registers: GuestRegisters,
        *,
        bitmaps: Bitmaps,
        pace: Pace,
        serial: Callable[[int], None],
        debug_console: Callable[[int], None],
        leave: Callable[[int], None],
        reset: Callable[[], None],
        paging: Callable[[bool], Paging],
        time: GuestTime,
        alarm: Callable[[], None],
        drives: Sequence[IdeDrive | None] = (),
    ) -> None:
        self._paging, self._time, self._alarm = paging, time, alarm
        self.root, self.memory, self.registers, self.pace = root, memory, registers, pace
        self.configuration = PcConfiguration(model=root.processor.model, memory_size=memory.size, drives=tuple(drives), pace=pace)
        sinks = Sinks(
            (serial,),
            debug_console,
            leave=leave,
            reset=reset,
            power_off=lambda: leave(0),
            message=self._receive,
            past_apic=self._lead_past,
        )
        self.board = Board(self.configuration, memory.view, sinks, memory)
        self.apic = GuestApic(self.board.clock, self.board.pic.acknowledge, self.board.io_apic.end, reset)
        self.board.pic.output.connect(lambda level: self.apic.device.set_pin(0, level))
        self._program()
        self._bios: Bios | None = None
        self.clock = self.board.clock
        open_ports(root, bitmaps)

    def firmware(self) -> Bios:
        """The firmware of a guest that starts from a disk or in real mode."""
        if self._bios is None:
            self._bios = Bios(self.board, BiosMemory(self.memory.size, self.memory.read, self.memory.write))
            self._bios.connect(self.board.bus)
        return self._bios

    def _receive(self, message: Message) -> bool:
        return self.apic.device.receive(message)

    def _lead_past(self, past: bool) -> None:
        self.apic.device.lead_past(past)

    def _program(self) -> None:
        self.board.program()
        self.apic.program()

    def reset(self) -> None:
        """RESET of every device, and what a BIOS does for a kernel that none starts."""
        self.board.reset()
        self.apic.reset()
        self.apic.device.set_pin(0, self.board.pic.output.level)
        self._program()

    def place_tables(self) -> None:
        """What a BIOS tells of the machine: ACPI's and the MultiProcessor Specification's tables."""
        signature, _, _, features = self.root.cpuid(1)
        for table in system_tables(Hardware.of(self.configuration), signature, features):
            self.memory.write(table.address, table.data)

    @property
    def deaf(self) -> bool:
        """The guest has masked every interrupt, and nobody but the guest can change that."""
        entries = (*self.board.io_apic.entries, self.apic.device.entries[TIMER])
        return self.board.pic.primary.mask == EVERY_LINE and all(entry & MASKED for entry in entries)

    # Memory-mapped registers: the guest runs, and its instruction waits for the answer.
    def load(self, offset: int, size: int) -> int:
        """A load from the window behind `DEVICES`."""
        self.advance(self._time.running)
        address = DEVICES + offset
        if address & -PAGE == APIC_PAGE:
            return self.apic.read(address, size)
        return self.board.memory_bus.read(address, size)

    def store(self, offset: int, size: int, value: int) -> None:
        """A store to it; the guest exits behind the instruction where an interrupt has come, or another deadline."""
        self.advance(self._time.running)
        address, before = DEVICES + offset, self.clock.next_deadline()
        if address & -PAGE == APIC_PAGE:
            self.apic.write(address, size, value)
        else:
            self.board.memory_bus.write(address, size, value)
        if self.apic.line or self.apic.nmi or self.clock.next_deadline() != before:
            self._alarm()

    # Time.
    def advance(self, ticks: int) -> None:
        """Bring the devices up to a point of the machine's time; what was due has happened."""
        self.clock.run_until(self.pace.time_of(ticks))

    def next_deadline(self) -> int | None:
        """The tick at which a device wants to act."""
        when = self.clock.next_deadline()
        return None if when is None else self.pace.ticks_at(when)

    # Ports.
    def input(self, port: int, size: int) -> None:
        """IN."""
        value = self.board.bus.read(port, size)
        self.registers[Register.RAX] = self.registers[Register.RAX] & KEPT[size] | value

    def output(self, port: int, size: int) -> None:
        """OUT."""
        self.board.bus.write(port, size, self.registers[Register.RAX] & FULL[size])

    def string(self, access: StringInputOutput) -> bool | PageFault:
        """INS or OUTS, up to the end of a page; True when no iteration is left."""
        registers, size = self.registers, access.size
        width = (1 << access.address_bits) - 1
        left = registers[Register.RCX] & width if access.repeated else 1
        flags, rights = self.root.fields((Field.GUEST_RFLAGS, Field.GUEST_SS_ACCESS_RIGHTS))
        paging = self._paging(rights >> 5 & 3 == 3)
        room = (PAGE - access.linear % PAGE) // size
        count = 1 if flags & DIRECTION else max(1, min(left, room))
        pieces = self._pieces(access, paging, size * count)
        if isinstance(pieces, PageFault):
            return pieces
        if access.input:
            data = self.board.bus.read_string(access.port, size, count)
            for address, start, length in pieces:
                self.memory.write(address, data[start : start + length])
        else:
            data = b"".join(self.memory.read(address, length) for address, _, length in pieces)
            self.board.bus.write_string(access.port, size, data)
        self._step(Register.RDI if access.input else Register.RSI, -size if flags & DIRECTION else size * count, width)
        if access.repeated:
            self._step(Register.RCX, -count, width)
        self._time.spend(count)
        return left == count

    def _pieces(self, access: StringInputOutput, paging: Paging, length: int) -> list[tuple[int, int, int]] | PageFault:
        """Guest-physical address, start and length of each part of a buffer; two where it crosses a page."""
        pieces = []
        done = 0
        while done < length:
            linear = access.linear + done
            part = min(length - done, PAGE - linear % PAGE)
            address = translate(self.memory, paging, linear, access.input)
            if isinstance(address, PageFault):
                return address
            pieces.append((address, done, part))
            done += part
        return pieces

    def _step(self, register: Register, distance: int, width: int) -> None:
        value = self.registers[register]
        changed = value + distance & width
        # A 32-bit result clears the upper half, a 16-bit one keeps the rest.
        self.registers[register] = changed if width > 0xFFFF else value & ~0xFFFF | changed
