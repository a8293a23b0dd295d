"""The devices of a PC on one board, wired as on every PC; the bare machine and the hypervisor use the same one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from vmxon.devices.apic import InterruptMode, IoApic, Message
from vmxon.devices.bus import MEMORY_SPACE, Bus
from vmxon.devices.clock import VirtualClock
from vmxon.devices.cmos import Cmos
from vmxon.devices.debug import DebugConsole, DebugExit, PostCode
from vmxon.devices.dma import DmaMemory
from vmxon.devices.firmware_configuration import FirmwareConfiguration
from vmxon.devices.ide import BusMaster, Ide, IdeFunction
from vmxon.devices.interrupt import Line, SharedLine, Signal
from vmxon.devices.keyboard import KeyboardController
from vmxon.devices.numeric import NumericError
from vmxon.devices.pci import HostBridge, IsaBridge, PciBus, PciHost, PowerFunction, ShadowMemory
from vmxon.devices.pci.isa import ROUTABLE
from vmxon.devices.pic import PicPair
from vmxon.devices.pit import Pit8254
from vmxon.devices.power import AdvancedPower, PowerManagement, ResetControl
from vmxon.devices.state import Saved
from vmxon.devices.testdev import PcTestDevice
from vmxon.devices.uart import Uart16550
from vmxon.devices.vga import Vga
from vmxon.machine.chipset import POWER_PORTS, program_chipset
from vmxon.machine.configuration import DRIVE_SLOTS, SERIAL_PORTS, PcConfiguration
from vmxon.machine.tables.configuration_files import configuration_entries, configuration_files

TEXT_MEMORY = 0xB8000
TEXT_BYTES = 0x8000
SERIAL_IRQS = (4, 3, 4, 3)
TIMER, TIMER_PIN, CASCADE = 0, 2, 2
"""ISA interrupt 0 is on input 2 of the I/O APIC; ISA interrupt 2 is the second 8259."""
INPUTS = 24
"""Global system interrupts: the inputs of the I/O APIC, the first 16 shared with the 8259s."""
Sink = Callable[[int], None]
"""Takes what the guest sends, byte by byte."""


def ignore(value: int) -> None:
    """A sink that nobody reads."""


def nothing() -> None:
    """A signal that nobody hears."""


def refuse(message: Message) -> bool:
    """There is no local APIC."""
    return False


@dataclass(slots=True)
class Sinks:
    """Where the board's output goes."""

    serial: Sequence[Sink] = ()
    """One for each serial port; what a port without one sends is lost."""
    debug_console: Sink = ignore
    leave: Sink = field(kw_only=True)
    """The exit status that the guest chose through isa-debug-exit."""
    reset: Callable[[], None] = field(kw_only=True)
    """The guest asked for a reset (keyboard controller, ports 0x92 and 0xCF9, ACPI)."""
    power_off: Callable[[], None] = field(default=nothing, kw_only=True)
    """The guest turned the machine off."""
    a20: Callable[[bool], None] = field(default=ignore, kw_only=True)
    """The guest let address line 20 through, or held it low."""
    message: Callable[[Message], bool] = field(default=refuse, kw_only=True)
    """An interrupt message of the I/O APIC; False where no local APIC accepts it."""
    past_apic: Callable[[bool], None] = field(default=ignore, kw_only=True)
    """The guest led the 8259s past the local APIC, or through it."""


class Board:
    """A PC's devices and their wires; `bus` is the port space, `memory_bus` what answers outside RAM.

    Devices show what is in `memory`; those that write to it do that through `dma`. `shadow` knows what is in the BIOS area.
    """

    def __init__(
        self,
        configuration: PcConfiguration,
        memory: memoryview,
        sinks: Sinks,
        dma: DmaMemory | None = None,
        shadow: ShadowMemory | None = None,
    ) -> None:
        self.configuration = configuration
        self.memory = memory
        self.bus = Bus("port")
        self.memory_bus = Bus("memory", MEMORY_SPACE)
        self.clock = VirtualClock()
        self.pic = PicPair()
        self.io_apic = IoApic(sinks.message)
        self.interrupt_mode = InterruptMode(sinks.past_apic)
        self.lines = [*self.pic.lines, *(Line() for _ in range(len(self.pic.lines), INPUTS))]
        """The wires by global system interrupt."""
        for number, wire in enumerate(self.lines):
            if number != CASCADE:
                wire.connect(self.io_apic.input(TIMER_PIN if number == TIMER else number))
        self.shared = {number: SharedLine(self.lines[number]) for number in ROUTABLE}
        lines = [self.line(number) for number in range(len(self.pic.lines))]
        self.pit = Pit8254(self.clock, lines[0])
        self.keyboard = KeyboardController(self.clock, lines[1], lines[12], set_a20=sinks.a20, reset=sinks.reset)
        self.numeric_error = NumericError(lines[13])
        self.cmos = Cmos(self.clock, lines[8], configuration.base_time, configuration.layout.low, configuration.layout.high)
        self.vga = Vga(self.clock)
        serial = [*sinks.serial, *[ignore] * len(SERIAL_PORTS)]
        self.uarts = [Uart16550(serial[number], self.line(SERIAL_IRQS[number])) for number in range(configuration.serial_ports)]
        self.debug_console = DebugConsole(sinks.debug_console)
        self.debug_exit = DebugExit(sinks.leave)
        self.post_code = PostCode()
        self.test_device = PcTestDevice([self.line(number) for number in range(INPUTS)]) if configuration.test_device else None
        slots = [*configuration.drives, *[None] * DRIVE_SLOTS][:DRIVE_SLOTS]
        self.ide = Ide(self.clock, (lines[14], lines[15]), slots)
        self.power = PowerManagement(self.clock, lines[9], sinks.power_off)
        self.advanced_power = AdvancedPower(self.power.enable_acpi)
        self.reset_control = ResetControl(sinks.reset)
        self.pci = PciBus(self.bus, self.memory_bus)
        self.pci_host = PciHost(self.pci)
        self.masters: tuple[BusMaster, ...] = ()
        self.for_firmware: list[FirmwareConfiguration] = []
        if configuration.pci:
            self._plug_chipset(dma, shadow)
        self._connect(configuration)
        resettable: tuple[Saved, ...] = (
            self.pic, *self.lines[len(self.pic.lines) :], self.io_apic, self.interrupt_mode, self.pit, self.keyboard, self.vga,
            *self.uarts, self.numeric_error, self.post_code,
            self.ide.primary, self.ide.secondary, self.power, self.advanced_power, self.reset_control,
            *self.shared.values(), self.pci_host, *self.pci.functions.values(), *self.masters,
            *self.for_firmware,
        )  # fmt: skip
        if self.test_device is not None:
            resettable += (self.test_device.data, self.test_device.memory)
        self._power_on = [(device, device.state()) for device in resettable]

    def line(self, number: int) -> Signal:
        """One more device's end of the wire of a global system interrupt."""
        return self.shared[number].input() if number in self.shared else self.lines[number]

    def _plug_chipset(self, dma: DmaMemory | None, shadow: ShadowMemory | None) -> None:
        """An i440FX with its PIIX."""
        isa = IsaBridge({number: line.input() for number, line in self.shared.items()})
        self.pci.router = isa
        self.pci.plug(0, HostBridge(shadow))
        self.pci.plug(1, isa)
        power = PowerFunction(self.power)
        self.pci.plug(1, power, 3)
        if dma is not None:
            self.masters = self.ide.master(dma)
            self.pci.plug(1, IdeFunction(self.masters), 1)
            entries, files = configuration_entries(self.configuration), configuration_files(self.configuration, lambda: power.base)
            device = FirmwareConfiguration(dma, entries, files)
            device.connect(self.bus)
            self.for_firmware = [device]

    def _connect(self, configuration: PcConfiguration) -> None:
        self.io_apic.connect(self.memory_bus)
        self.interrupt_mode.connect(self.bus)
        if configuration.pci:
            self.pci_host.connect(self.bus)
            self.reset_control.connect(self.bus)
        else:
            self.bus.attach(POWER_PORTS, self.power)
        for device in (
            self.pic, self.pit, self.keyboard, self.cmos, self.vga, self.numeric_error, self.post_code, self.ide,
            self.advanced_power,
        ):  # fmt: skip
            device.connect(self.bus)
        for base, uart in zip(SERIAL_PORTS, self.uarts, strict=False):
            uart.connect(self.bus, base)
        if self.test_device is not None:
            self.test_device.connect(self.bus, self.memory_bus)
        if configuration.debug_console is not None:
            self.debug_console.connect(self.bus, configuration.debug_console)
        if configuration.debug_exit is not None:
            self.debug_exit.connect(self.bus, configuration.debug_exit.base, configuration.debug_exit.size)

    def reset(self) -> None:
        """RESET of every device; disks keep their content, and the clock chip its time and memory."""
        for device, state in self._power_on:
            device.restore(state)
        self.cmos.reset()

    @property
    def uart(self) -> Uart16550:
        """COM1."""
        return self.uarts[0]

    def program(self) -> None:
        """What a BIOS leaves behind: the chip set, and the timer's channel 0 in mode 3, 18.2 times a second."""
        if self.configuration.pci:
            program_chipset(self.bus)
        for port, value in ((0x43, 0x36), (0x40, 0), (0x40, 0)):
            self.bus.write(port, 1, value)

    @property
    def text_memory(self) -> memoryview:
        """The 32 KiB of VGA text."""
        return self.memory[TEXT_MEMORY : TEXT_MEMORY + TEXT_BYTES]
