"""Whatever a guest does to the ports and to device memory of a whole PC, nothing raises, and a RESET makes a new machine of it."""

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from vmxon.devices.disk import AtaDrive, CdromDrive, SnapshotOverlay
from vmxon.errors import VmxonError
from vmxon.machine.configuration import Firmware, PcConfiguration
from vmxon.machine.pc import Limits, Pc


class Zeros:
    sectors = 3000

    def read(self, lba: int, count: int) -> bytes:
        return bytes(512 * count)

    def write(self, lba: int, data: bytes) -> None:
        raise AssertionError("the overlay keeps writes")

    def close(self) -> None:
        pass


def machine(rom: bytes | None = None) -> Pc:
    return Pc(
        PcConfiguration(
            memory_size=2 << 20,
            drives=(AtaDrive(SnapshotOverlay(Zeros())), None, CdromDrive(Zeros())),
            serial_ports=4,
            test_device=True,
            pci=True,
            acpi=True,
            firmware=rom or Firmware.NONE,
        )
    )


PORTS = sorted({*machine().board.bus.owners, *range(0xE0, 0xF8), *range(0x600, 0x640), *range(0x2000, 0x2018), *range(0xC000, 0xC010)})
REGISTERS = [0xFEC0_0000, 0xFEC0_0010, 0xFEC0_0040, 0xFF00_0000, 0xFF00_FFFF, *range(0xFEE0_0000, 0xFEE0_0400, 16), 0xFEE0_0004]
ports = st.sampled_from(PORTS) | st.integers(0, 0xFFFF)
places = st.sampled_from(REGISTERS) | st.integers(0xE000_0000, 0xFFFF_FFFF)
values = st.integers(0, 0xFF) | st.integers(0, 0xFFFF_FFFF)


class HostileGuest(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.pc = machine()

    @rule(port=ports, size=st.sampled_from([1, 1, 2, 4]))
    def read_a_port(self, port: int, size: int) -> None:
        assert 0 <= self.pc.board.bus.read(port, size) < 1 << 8 * size

    @rule(port=ports, size=st.sampled_from([1, 1, 2, 4]), value=values)
    def write_a_port(self, port: int, size: int, value: int) -> None:
        self.pc.board.bus.write(port, size, value)

    @rule(place=places, size=st.sampled_from([1, 2, 4, 4, 8]))
    def read_memory(self, place: int, size: int) -> None:
        assert 0 <= self.pc.requests.load(place, size) < 1 << 8 * size

    @rule(place=places, size=st.sampled_from([1, 2, 4, 4, 8]), value=values)
    def write_memory(self, place: int, size: int, value: int) -> None:
        self.pc.requests.store(place, size, value)

    @rule(register=st.integers(0, 0x41), value=values)
    def program_the_io_apic(self, register: int, value: int) -> None:
        self.pc.requests.store(0xFEC0_0000, 4, register)
        self.pc.requests.store(0xFEC0_0010, 4, value)

    @rule(slot=st.integers(0, 3), function=st.integers(0, 3), register=st.integers(0, 0x3F), value=values)
    def configure_pci(self, slot: int, function: int, register: int, value: int) -> None:
        self.pc.board.bus.write(0xCF8, 4, 1 << 31 | slot << 11 | function << 8 | register << 2)
        self.pc.board.bus.write(0xCFC, 4, value)

    @rule(nanoseconds=st.sampled_from([0, 839, 1_000_000, 60_000_000]))
    def pass_time(self, nanoseconds: int) -> None:
        self.pc.board.clock.run_until(self.pc.board.clock.now + nanoseconds)

    @rule(across=st.integers(-600, 600), up=st.integers(-600, 600), buttons=st.integers(0, 7), received=st.binary(max_size=20))
    def use_the_mouse_and_the_wires(self, across: int, up: int, buttons: int, received: bytes) -> None:
        self.pc.board.keyboard.mouse.move(across, up, buttons)
        for uart in self.pc.board.uarts:
            uart.receive(received)

    @precondition(lambda self: self.pc.state.interrupt_line)
    @rule()
    def acknowledge(self) -> None:
        assert 0 <= self.pc.apic.apic.acknowledge() <= 0xFF

    @rule()
    def reset(self) -> None:
        self.pc.reset()
        fresh = machine()
        for (device, _), (other, state) in zip(self.pc.board._power_on, fresh.board._power_on, strict=True):
            assert type(device) is type(other)
            if type(device).__name__ not in UNLIKE:
                assert device.state().keys() == state.keys()
                assert device.state() == other.state(), type(device).__name__
        assert self.pc.apic.apic.state() | {"pins": 0} == fresh.apic.apic.state() | {"pins": 0}


UNLIKE = ("Pit8254", "PowerManagement", "PowerFunction")
"""Their state after programming holds the time."""
HostileGuest.TestCase.settings = settings(max_examples=25, stateful_step_count=60, deadline=None)
TestHostileGuest = HostileGuest.TestCase


@pytest.mark.parametrize("seed", range(3))
def test_random_bytes_as_a_program(seed: int) -> None:
    """A ROM of random bytes: the machine runs on or stops, and says so in one line."""
    numbers = random.Random(seed)
    for _ in range(20):
        pc = machine(numbers.randbytes(0x10000))
        said = ""
        try:
            pc.run(Limits(instructions=20_000))
        except VmxonError as stop:
            said = str(stop)
        assert "\n" not in said
