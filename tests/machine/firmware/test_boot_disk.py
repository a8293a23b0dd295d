"""A disk boots through the firmware on the bare machine and as a guest of the hypervisor, and finds the same."""

from collections.abc import Callable
from functools import cache

import pytest

from tests.machine.firmware.boot_disk import SECTORS, STATUS, boot_disk, expected_output
from tests.machine.firmware.caller import RamDisk
from vmxon.arch.models import MAX
from vmxon.devices.disk import AtaDrive
from vmxon.errors import ConfigurationError, GuestStopped
from vmxon.hypervisor.memory.virtual_memory import PagingMode
from vmxon.hypervisor.virtual_machine import VirtualMachine
from vmxon.machine.board import Board
from vmxon.machine.configuration import Firmware, PcConfiguration
from vmxon.machine.pc import Limits, Pc

MEMORY = 8 << 20
SCREEN = [
    "Hello from the second stage",
    "     " + "─" * 20,
    *["Hello from the second stage"] * 3,
]


@cache
def contents() -> bytes:
    return boot_disk()


def drive() -> AtaDrive:
    return AtaDrive(RamDisk(contents(), SECTORS))


def bare_machine(sink: Callable[[int], None]) -> tuple[Board, int | None]:
    pc = Pc(PcConfiguration(memory_size=MEMORY, drives=(drive(),), firmware=Firmware.OWN), debug_console=sink)
    pc.board.clock.at(1_000_000_000, lambda: pc.board.keyboard.send_key("ret"))
    return pc.board, pc.run(Limits(instructions=1_000_000))


def guest(sink: Callable[[int], None]) -> tuple[Board, int | None]:
    machine = VirtualMachine(MAX, MEMORY, serial=lambda value: None, debug_console=sink, drives=(drive(),))
    board = machine.devices.board
    board.clock.at(1_000_000_000, lambda: board.keyboard.send_key("ret"))
    machine.boot()
    return board, machine.run(60)


@pytest.mark.parametrize("start", [bare_machine, guest])
def test_the_disk_boots_and_finds_its_machine(start: Callable[[Callable[[int], None]], tuple[Board, int | None]]) -> None:
    output = bytearray()
    board, status = start(output.append)
    assert output.decode() == expected_output(MEMORY, 0x0000)
    assert status == STATUS << 1 | 1
    rows = [row for row in board.vga.text(board.text_memory).splitlines() if row]
    assert rows == SCREEN
    assert board.vga.cursor is None


def test_two_runs_are_equal() -> None:
    def run() -> tuple[int, str]:
        pc = Pc(PcConfiguration(memory_size=MEMORY, drives=(drive(),), firmware=Firmware.OWN))
        pc.board.clock.at(1_000_000_000, lambda: pc.board.keyboard.send_key("ret"))
        pc.run(Limits(instructions=1_000_000))
        return pc.processor.instructions, pc.memory_hash()

    assert run() == run()


def press_later(board: Board) -> None:
    """Ctrl-Alt-Del in the menu, then Enter."""
    board.clock.at(500_000_000, lambda: board.keyboard.send_key("ctrl-alt-delete"))
    board.clock.at(2_000_000_000, lambda: board.keyboard.send_key("ret"))


def test_a_reset_starts_the_firmware_again() -> None:
    output = bytearray()
    pc = Pc(PcConfiguration(memory_size=MEMORY, drives=(drive(),), firmware=Firmware.OWN), debug_console=output.append)
    press_later(pc.board)
    assert pc.run(Limits(instructions=1_000_000)) == STATUS << 1 | 1
    assert output.count(b"Hello") == 2


def test_a_reset_starts_the_firmware_of_a_guest_again() -> None:
    output = bytearray()
    machine = VirtualMachine(MAX, MEMORY, serial=lambda value: None, debug_console=output.append, drives=(drive(),))
    press_later(machine.devices.board)
    machine.boot()
    assert machine.run(60) == STATUS << 1 | 1
    assert output.count(b"Hello") == 2


def test_a_machine_without_a_disk_says_so() -> None:
    pc = Pc(PcConfiguration(memory_size=MEMORY, firmware=Firmware.OWN))
    with pytest.raises(GuestStopped, match="no device can be booted: the machine has no disk"):
        pc.run(Limits(instructions=1_000_000))
    assert pc.board.vga.text(pc.board.text_memory).splitlines()[0] == "No bootable device."


def test_a_guest_under_shadow_paging_cannot_start_in_real_mode() -> None:
    machine = VirtualMachine(MAX, MEMORY, serial=lambda value: None, debug_console=lambda value: None, paging=PagingMode.SHADOW)
    with pytest.raises(ConfigurationError, match="cannot start in real mode; use EPT paging"):
        machine.boot()
