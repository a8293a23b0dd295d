"""x87 errors with CR0.NE = 0: FERR# becomes IRQ 13, as programs for DOS expect it (Vol. 1 §8.7.2)."""

import struct

import pytest

from tests.harness import assemble
from tests.machine.test_local_apic import IDT, LEAVE, machine
from vmxon.machine.pc import Limits

PIC = "".join(
    f"mov al, {value:#x}\nout {port:#x}, al\n"
    for port, value in ((0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0xA0, 0x11), (0xA1, 0x28), (0xA1, 2), (0xA1, 1))
)
MASKS = "mov al, 0xfb\nout 0x21, al\nmov al, 0xdf\nout 0xa1, al\n"
DIVIDE = "fld1\nfldz\nfdivp\n"
SETUP = f"{PIC}{MASKS}fninit\nmov word ptr [0x5000], 0x37b\nfldcw [0x5000]\n"
END = 0x2D
"""IRQ 13: vector 0x20 + 13."""


def run(code, *, numeric_error=False, handler=""):
    pc = machine(SETUP + code)
    if numeric_error:
        pc.state.cr0 |= 1 << 5
    if handler:
        pc.processor.engine.write_physical(0xD000, assemble(handler, 32))
        pc.processor.engine.write_physical(IDT + 8 * END, struct.pack("<HHHH", 0xD000, 8, 0x8E00, 0))
    pc.run(Limits(instructions=100_000))
    (seen,) = struct.unpack("<I", pc.processor.engine.read_physical(0x6000, 4))
    return pc, seen


@pytest.mark.parametrize("waiting", ["fwait", "fld1", "fnop"])
def test_which_interrupt_it_is(waiting):
    code = f"sti\n{DIVIDE}{waiting}\n"
    assert run(code)[1] == END
    assert run(code, numeric_error=True)[1] == 16


def test_an_instruction_that_does_not_wait_reports_nothing():
    pc, seen = run(f"sti\n{DIVIDE}fnstsw ax\n")
    assert (seen, pc.state.gpr[0] & 0x84) == (0, 0x84 & pc.state.gpr[0])
    assert not pc.board.pic.lines[13].level


def test_the_interrupt_comes_before_the_waiting_instruction():
    handler = f"mov eax, [esp]\nmov [0x5010], eax\n{LEAVE}"
    pc, _ = run(f"sti\n{DIVIDE}wait: fld1\n", handler=handler)
    (rip,) = struct.unpack("<I", pc.processor.engine.read_physical(0x5010, 4))
    assert pc.processor.engine.read_physical(rip, 2) == b"\xd9\xe8"


def test_with_interrupts_off_the_program_goes_on():
    pc, seen = run(f"{DIVIDE}fwait\nfld1\nfwait\nmov ecx, 1\n")
    assert (seen, pc.state.gpr[1]) == (0, 1)
    assert pc.board.pic.lines[13].level


def test_port_f0_ends_the_request_and_each_error_is_told_anew():
    handler = "inc dword ptr [0x5010]\nout 0xf0, al\nfnclex\nmov al, 0x20\nout 0xa0, al\nout 0x20, al\niretd\n"
    pc, _ = run(f"sti\n{DIVIDE}fwait\nfwait\n{DIVIDE}fwait\n", handler=handler)
    assert pc.processor.engine.read_physical(0x5010, 1) == b"\2"
    assert not pc.board.pic.lines[13].level
