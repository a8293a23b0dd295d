"""Whatever a guest does to the ports, in any order, no device raises; and any moment can be saved and restored."""

import pickle
from datetime import UTC, datetime

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from vmxon.devices.bus import FULL, MEMORY_SPACE, Bus
from vmxon.devices.clock import VirtualClock
from vmxon.devices.cmos import Cmos
from vmxon.devices.debug import DebugConsole, DebugExit, PostCode
from vmxon.devices.disk import AtaDrive, SnapshotOverlay
from vmxon.devices.ide import Ide
from vmxon.devices.keyboard import KeyboardController
from vmxon.devices.pci import HostBridge, IsaBridge, PciBus, PciHost, PowerFunction
from vmxon.devices.pci.isa import ROUTABLE
from vmxon.devices.pic import PicPair
from vmxon.devices.pit import Pit8254
from vmxon.devices.power import AdvancedPower, PowerManagement, ResetControl
from vmxon.devices.state import Plain, State
from vmxon.devices.uart import Uart16550
from vmxon.devices.vga import Vga


class Zeros:
    """A disk of zeros."""

    sectors = 3000

    def read(self, lba: int, count: int) -> bytes:
        assert 0 <= lba <= lba + count <= self.sectors
        return bytes(512 * count)

    def write(self, lba: int, data: bytes) -> None:
        raise AssertionError("the overlay keeps writes")

    def close(self) -> None:
        pass


class Pc:
    """Every device at its place."""

    def __init__(self) -> None:
        self.clock, self.bus, self.pic = VirtualClock(), Bus("port"), PicPair()
        self.output, self.leaves, self.resets, self.a20 = bytearray(), [], [], []
        lines = self.pic.lines
        power = PowerManagement(self.clock, lines[9], lambda: self.leaves.append(0))
        self.pci = PciBus(self.bus, Bus("memory", MEMORY_SPACE))
        isa = self.pci.router = IsaBridge({number: lines[number] for number in ROUTABLE if number in (10, 11)})
        for slot, number, function in ((0, 0, HostBridge()), (1, 0, isa), (1, 3, PowerFunction(power))):
            self.pci.plug(slot, function, number)
        self.parts = {
            "pit": Pit8254(self.clock, lines[0]),
            "keyboard": KeyboardController(
                self.clock, lines[1], lines[12], self.a20.append, lambda: self.resets.append(1)
            ),
            "cmos": Cmos(self.clock, lines[8], datetime(2025, 1, 1, tzinfo=UTC), 8 << 20),
            "uart": Uart16550(self.output.append, lines[4]),
            "vga": Vga(self.clock),
            "ide": Ide(
                self.clock, (lines[14], lines[15]),
                [AtaDrive(SnapshotOverlay(Zeros())), None, AtaDrive(SnapshotOverlay(Zeros()))], latency=50_000,
            ),
            "post": PostCode(),
            "advanced power": AdvancedPower(power.enable_acpi),
            "reset": ResetControl(lambda: self.resets.append(1)),
            "pci": PciHost(self.pci),
            "pic": self.pic,
        }  # fmt: skip
        DebugConsole(self.output.append).connect(self.bus)
        DebugExit(self.leaves.append).connect(self.bus)
        for part in self.parts.values():
            part.connect(self.bus)
        self.parts |= {"power": power} | {f"PCI {place}": function for place, function in self.pci.functions.items()}

    def state(self) -> State:
        return {"clock": self.clock.state()} | {name: part.state() for name, part in self.parts.items()}

    def restore(self, state: State) -> None:
        self.clock.restore(state["clock"])
        for name, part in self.parts.items():
            part.restore(state[name])


PORTS = sorted(Pc().bus.owners)
ports = st.sampled_from(PORTS) | st.integers(0, 0xFFFF)
sizes = st.sampled_from([1, 1, 1, 2, 4])
values = st.integers(0, 0xFF) | st.integers(0, 0xFFFF_FFFF)
IDE_COMMANDS = st.sampled_from([0x20, 0x24, 0x30, 0x34, 0xC4, 0xC5, 0xC6, 0xEC, 0x91, 0x90, 0x40, 0x70, 0xF8, 0xE5])


class HostileGuest(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.pc = Pc()

    @rule(port=ports, size=sizes)
    def read(self, port: int, size: int) -> None:
        assert 0 <= self.pc.bus.read(port, size) <= FULL[size]

    @rule(port=ports, size=sizes, value=values)
    def write(self, port: int, size: int, value: int) -> None:
        self.pc.bus.write(port, size, value)

    @rule(port=ports, data=st.lists(values, min_size=2, max_size=8))
    def write_again_and_again(self, port: int, data: list[int]) -> None:
        for value in data:
            self.pc.bus.write(port, 1, value)

    @rule(port=ports, size=sizes, count=st.integers(0, 600))
    def read_string(self, port: int, size: int, count: int) -> None:
        assert len(self.pc.bus.read_string(port, size, count)) == size * count

    @rule(port=ports, size=sizes, data=st.binary(max_size=1200))
    def write_string(self, port: int, size: int, data: bytes) -> None:
        self.pc.bus.write_string(port, size, data)

    @rule(base=st.sampled_from([0x1F0, 0x170]), command=IDE_COMMANDS, count=st.integers(0, 255), head=values)
    def disk_command(self, base: int, command: int, count: int, head: int) -> None:
        self.pc.bus.write(base + 2, 1, count)
        self.pc.bus.write(base + 6, 1, head)
        self.pc.bus.write(base + 7, 1, command)

    @rule(
        channel=st.integers(0, 2), mode=st.integers(0, 7), bcd=st.integers(0, 1),
        count=st.integers(2000, 0xFFFF) | st.just(0), gate=st.booleans(),
    )  # fmt: skip
    def program_timer(self, channel: int, mode: int, bcd: int, count: int, gate: bool) -> None:
        self.pc.bus.write(0x43, 1, channel << 6 | 0x30 | mode << 1 | bcd)
        self.pc.bus.write(0x40 + channel, 1, count & 0xFF)
        self.pc.bus.write(0x40 + channel, 1, count >> 8)
        self.pc.bus.write(0x61, 1, gate)

    @rule(
        slot=st.integers(0, 2), function=st.integers(0, 7), register=st.integers(0, 255), size=sizes, value=values,
    )  # fmt: skip
    def configure(self, slot: int, function: int, register: int, size: int, value: int) -> None:
        self.pc.bus.write(0xCF8, 4, 0x8000_0000 | slot << 11 | function << 8 | register & 0xFC)
        self.pc.bus.write(0xCFC + register % 4, size, value)
        assert 0 <= self.pc.bus.read(0xCFC + register % 4, size) <= FULL[size]

    @rule(nanoseconds=st.integers(0, 3_000_000) | st.sampled_from([0, 838, 839, 20_000_000]))
    def pass_time(self, nanoseconds: int) -> None:
        self.pc.clock.run_until(self.pc.clock.now + nanoseconds)

    @rule(text=st.text("aB\n?", max_size=5), received=st.binary(max_size=20))
    def use_the_console(self, text: str, received: bytes) -> None:
        self.pc.parts["keyboard"].type_text(text)
        self.pc.parts["uart"].receive(received)

    @precondition(lambda self: self.pc.pic.output.level)
    @rule()
    def acknowledge(self) -> None:
        assert 0 <= self.pc.pic.acknowledge() <= 0xFF

    @rule()
    def acknowledge_nothing(self) -> None:
        self.pc.pic.acknowledge()

    @rule()
    def look_at_the_screen(self) -> None:
        vga = self.pc.parts["vga"]
        assert len(vga.text(bytes(0x8000)).split("\n")) == vga.rows
        assert len(vga.colours()) == 16
        assert vga.cursor is None or vga.cursor[0] < vga.rows

    @rule()
    def save_and_restore(self) -> None:
        saved = self.pc.state()
        copy = Pc()
        copy.restore(pickle.loads(pickle.dumps(saved)))
        assert copy.state() == saved
        copy.clock.run_until(copy.clock.now + 1_000_000)
        self.pc.clock.run_until(self.pc.clock.now + 1_000_000)
        assert copy.state() == self.pc.state()
        for size in (1, 2):
            assert [copy.bus.read(port, size) for port in PORTS] == [self.pc.bus.read(port, size) for port in PORTS]
        assert copy.state() == self.pc.state()
        self.pc = copy

    @invariant()
    def queues_stay_bounded(self) -> None:
        keyboard = self.pc.parts["keyboard"]
        assert len(keyboard.keyboard.queue) <= 16
        assert len(keyboard.replies) <= 16
        assert len(self.pc.parts["uart"].fifo) <= 16


HostileGuest.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestHostileGuest = HostileGuest.TestCase


@pytest.mark.parametrize("port", PORTS)
def test_every_byte_written_to_every_port(port: int) -> None:
    pc = Pc()
    for value in range(256):
        pc.bus.write(port, 1, value)
        for near in (port, port ^ 1, port + 1):
            assert 0 <= pc.bus.read(near, 1) <= 0xFF
    pc.clock.run_until(5_000_000)


def test_states_are_plain() -> None:
    def check(value: Plain) -> None:
        assert type(value) in (type(None), bool, int, str, bytes, list, dict)
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            check(inner)

    check(Pc().state())


def test_a_state_that_lacks_something_is_refused() -> None:
    state = PostCode().state()
    del state["last"]
    with pytest.raises(ValueError, match=r"state of PostCode must have 'last', has \[\]"):
        PostCode().restore(state)
