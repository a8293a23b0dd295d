"""The registers of interrupt controllers, serial port, keyboard and mouse show the same on QEMU and here, step by step.

Left out is where QEMU does not do what the data sheets say: reserved bits that read back, a request of the 8259 that outlives its
wire, polarity of edges at the I/O APIC, an illegal vector sent by the local APIC, changes of modem inputs in loopback.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from tests.missing import report_missing
from tests.oracles.registers import Registers

TEST_LINES, ELCR = 0x2000, 0x4D0
LOCAL, IO = 0xFEE0_0000, 0xFEC0_0000
SERIAL = 0x3F8


def requests_and_services(r: Registers) -> None:
    for port in (0x20, 0xA0):
        for command in (0x0A, 0x0B):
            r.out(port, command)
            r.inp(port)


def quiet(r: Registers) -> None:
    """Let the timer count down once: its wire is high from then on, and makes no edge any more."""
    for port in (0x20, 0xA0):
        r.out(port, 0x11)
        r.out(port + 1, 0x20, 4 if port == 0x20 else 2, 1, 0xFF)
    r.out(0x43, 0x30)
    r.out(0x40, 1, 0)
    r.out(0x20, 0x0A)
    r.until(0x20, 1)


def initialize(r: Registers, modes: int = 1, levels: int = 0) -> None:
    quiet(r)
    for port, vector, wiring in ((0x20, 0x20, 4), (0xA0, 0x28, 2)):
        r.out(port, 0x11)
        r.out(port + 1, vector, wiring, modes, 0)
    r.out(ELCR, levels & 0xFF)
    r.out(ELCR + 1, levels >> 8)


def poll(r: Registers, port: int = 0x20) -> None:
    r.out(port, 0x0C)
    r.inp(port)
    requests_and_services(r)


def edges(r: Registers) -> None:
    """One line after the other: request, poll of both chips, end."""
    initialize(r)
    r.inp(0x21, 0xA1, ELCR, ELCR + 1)
    for line in (5, 6, 7, 9, 10, 11, 3, 4):
        r.out(TEST_LINES + line, 1)
        poll(r)
        if line >= 8:
            poll(r, 0xA0)
        r.out(TEST_LINES + line, 0)
        requests_and_services(r)
        if line >= 8:
            r.out(0xA0, 0x20)
        r.out(0x20, 0x20)
        requests_and_services(r)


def priorities(r: Registers) -> None:
    """Masks, special mask mode, rotation, specific ends."""
    initialize(r)
    for line in (3, 5, 10):
        r.out(TEST_LINES + line, 1)
    r.out(0x21, 0x20)
    requests_and_services(r)
    poll(r)
    poll(r)
    for command in (0x68, 0x0C):
        r.out(0x20, command)
    r.inp(0x20)
    for command in (0x48, 0x63, 0xA0):
        r.out(0x20, command)
        requests_and_services(r)
    for line in (3, 5, 10):
        r.out(TEST_LINES + line, 0)
    r.out(0x20, 0x20, 0x20, 0xC3)
    for line in (3, 5, 4, 1, 6):
        r.out(TEST_LINES + line, 1)
    for _ in range(5):
        poll(r)
        r.out(0x20, 0x20)
        requests_and_services(r)


def levels(r: Registers) -> None:
    """Levels come again after their end; then automatic end, with and without rotation."""
    initialize(r, 1, 0x0E20)
    for line in (5, 9, 11):
        r.out(TEST_LINES + line, 1)
    poll(r)
    poll(r, 0xA0)
    r.out(0xA0, 0x20)
    r.out(0x20, 0x20)
    requests_and_services(r)
    for line in (5, 9, 11):
        r.out(TEST_LINES + line, 0)
    initialize(r, 3)
    for rotate in (0x00, 0x80):
        r.out(0x20, rotate)
        r.out(TEST_LINES + 6, 1)
        poll(r)
        r.out(TEST_LINES + 6, 0)


def redirect(r: Registers, register: int, value: int) -> None:
    r.store(IO, register)
    r.store(IO + 0x10, value)


def vectors(r: Registers) -> None:
    for word in (1, 2):
        r.load(LOCAL + 0x200 + 16 * word, LOCAL + 0x180 + 16 * word)


def io_apic(r: Registers) -> None:
    """Edges and levels of two inputs as the local APIC and the table show them."""
    quiet(r)
    r.store(LOCAL + 0xF0, 0x1FF)
    for register in (0, 1, 2, 0x10, 0x3E):
        r.store(IO, register)
        r.load(IO + 0x10)
    for pin in (5, 10):
        entry = 0x10 + 2 * pin
        for low in (0x35 + pin, 0x8046 + pin):
            redirect(r, entry, low)
            for level in (1, 0):
                r.out(TEST_LINES + pin, level)
                r.load(IO + 0x10)
                vectors(r)
            redirect(r, entry, 0x10000)
    redirect(r, 0x10 + 2 * 11, 0x18057)
    r.out(TEST_LINES + 11, 1)
    redirect(r, 0x10 + 2 * 11, 0x8057)
    r.load(IO + 0x10)
    vectors(r)
    for level in (1, 0):
        r.out(TEST_LINES + 11, level)
        r.store(IO + 0x40, 0x57)
        r.load(IO + 0x10)


def local_apic(r: Registers) -> None:
    """Interrupts to itself, priorities, logical destinations in both models."""
    r.load(*(LOCAL + offset for offset in (0x20, 0x80, 0xA0, 0xD0, 0xE0)))
    r.store(LOCAL + 0xF0, 0x1FF)
    for vector in (0x31, 0x45, 0xF3):
        r.store(LOCAL + 0x310, 0)
        r.store(LOCAL + 0x300, 0x40000 | vector)
        r.load(LOCAL + 0x300)
    r.load(*(LOCAL + base + 16 * word for base in (0x100, 0x180, 0x200) for word in range(8)))
    for priority in (0x20, 0x50, 0):
        r.store(LOCAL + 0x80, priority)
        r.load(LOCAL + 0x80, LOCAL + 0xA0)
    rows = ((0xFFFF_FFFF, 0x0400_0000, 0x0400_0000), (0xFFFF_FFFF, 0x0400_0000, 0x0800_0000), (0x0FFF_FFFF, 0x1200_0000, 0x1200_0000))
    rows += ((0x0FFF_FFFF, 0x1200_0000, 0x2200_0000), (0x0FFF_FFFF, 0x1200_0000, 0x1100_0000))
    for number, (model, own, target) in enumerate(rows):
        r.store(LOCAL + 0xE0, model)
        r.store(LOCAL + 0xD0, own)
        r.store(LOCAL + 0x310, target)
        r.store(LOCAL + 0x300, 0x4851 + number)
        r.load(LOCAL + 0xD0, LOCAL + 0xE0, LOCAL + 0x220)
    for number, target in enumerate((0, 0x0100_0000, 0xFF00_0000)):
        r.store(LOCAL + 0x310, target)
        r.store(LOCAL + 0x300, 0x4062 + number)
        r.load(LOCAL + 0x230)
    for configuration in (0, 1, 2, 3, 8, 0xB):
        r.store(LOCAL + 0x3E0, configuration)
        r.load(LOCAL + 0x3E0, LOCAL + 0x390)


def serial(r: Registers) -> None:
    """Scratch, divisor, enables, FIFO bits, loopback of modem outputs."""
    for offset, value in ((1, 0), (2, 0), (4, 0), (3, 3)):
        r.out(SERIAL + offset, value)
    r.inp(SERIAL + 5, SERIAL + 6, SERIAL + 6, SERIAL + 2)
    for value in (0x55, 0xAA):
        r.out(SERIAL + 7, value)
        r.inp(SERIAL + 7)
    r.out(SERIAL + 3, 0x83)
    r.out(SERIAL, 0x0C)
    r.out(SERIAL + 1, 0x34)
    r.inp(SERIAL, SERIAL + 1)
    r.out(SERIAL + 3, 3)
    r.inp(SERIAL + 3, SERIAL + 1)
    for offset, values in ((1, (0xFF, 0)), (4, (0xFF, 0x1F, 0)), (2, (0xC1, 0, 7))):
        for value in values:
            r.out(SERIAL + offset, value)
            r.inp(SERIAL + offset)
    for outputs in (0x10, 0x1F, 0x11, 0x12, 0x14, 0x18, 0x10):
        r.out(SERIAL + 4, outputs)
        r.lines.append(f"mov dx, {SERIAL + 6:#x}\nin al, dx")  # the changes
        r.inp(SERIAL + 6)


def answer(r: Registers, count: int) -> None:
    """Read bytes of the keyboard controller as they come; then there is none left."""
    for _ in range(count):
        r.until(0x64, 1)
        r.inp(0x60)
    r.bits(0x64, 1)


def keyboard(r: Registers) -> None:
    """The controller's own commands, then the keyboard's, without translation."""
    r.out(0x64, 0xAA)
    answer(r, 1)
    for command in (0xAB, 0xA9):
        r.out(0x64, command)
        answer(r, 1)
    r.out(0x64, 0x60)
    r.out(0x60, 0x04)
    r.out(0x64, 0x20)
    answer(r, 1)
    for command in ((0xEE, 1), (0xF2, 3), (0xED, 1), (0x07, 1), (0xF0, 1), (0x01, 1), (0xF0, 1), (0x00, 2), (0xF0, 1), (0x02, 1)):
        r.out(0x60, command[0])
        answer(r, command[1])
    for command in ((0xF3, 1), (0x20, 1), (0xF5, 1), (0xF4, 1), (0xF6, 1), (0xFF, 2)):
        r.out(0x60, command[0])
        answer(r, command[1])
    for command in (0xAD, 0xAE, 0xA7, 0xA8):
        r.out(0x64, command, 0x20)
        answer(r, 1)


def mouse(r: Registers) -> None:
    """Commands of the mouse, and its status after each."""
    r.out(0x64, 0xA8, 0x60)
    r.out(0x60, 0x00)
    first = ((0xFF, 3), (0xF2, 2), (0xE8, 1), (3, 1), (0xF3, 1), (200, 1))
    for command in (*first, (0xE7, 1), (0xF4, 1), (0xF5, 1), (0xEB, 4), (0xF0, 1), (0xEA, 1)):
        r.out(0x64, 0xD4)
        r.out(0x60, command[0])
        answer(r, command[1])
        if command[0] not in (0xE8, 0xF3):
            r.out(0x64, 0xD4)
            r.out(0x60, 0xE9)
            answer(r, 4)
    for command in ((0xEE, 1), (0x33, 1), (0xEC, 1), (0xE6, 1), (0xF6, 1)):
        r.out(0x64, 0xD4)
        r.out(0x60, command[0])
        answer(r, command[1])


PROGRAMS = (edges, priorities, levels, io_apic, local_apic, serial, keyboard, mouse)


@pytest.mark.qemu
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_registers_show_the_same(program: Callable[[Registers], None]) -> None:
    if shutil.which("qemu-system-x86_64") is None:
        report_missing("no qemu-system-x86_64 (package qemu-system-x86)")
    registers = Registers()
    program(registers)
    assert registers.here() == registers.on_qemu()
