"""The local APIC as a guest of the bare machine meets it: page, MSRs, CR8, timer, the 8259 behind it."""

import struct

import pytest

from tests.harness import assemble
from vmxon.arch.models import FIRST, MAX
from vmxon.machine.configuration import PcConfiguration
from vmxon.machine.modes import enter_flat_32
from vmxon.machine.outcome import Succeeded
from vmxon.machine.pc import Limits, Pc
from vmxon.machine.root import bare_processor

CODE, GDT, IDT, HANDLERS, STACK, SEEN = 0x10000, 0x8000, 0x9000, 0xA000, 0x7000, 0x6000
GP = 13
LEAVE = "mov dx, 0xf4\nmov al, 1\nout dx, al"
QUIET = "mov al, 0xff\nout 0x21, al\n"
"""Masks the 8259, whose timer requests from the start."""


def machine(code, model=MAX):
    """A flat 32-bit guest whose handler of vector n stores n at SEEN and leaves."""
    pc = Pc(PcConfiguration(model=model, memory_size=4 << 20))
    write = pc.processor.engine.write_physical
    write(GDT, struct.pack("<3Q", 0, 0x00CF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF))
    for vector in range(256):
        at = HANDLERS + 32 * vector
        write(at, assemble(f"mov dword ptr [{SEEN}], {vector}\n{LEAVE}", 32))
        write(IDT + 8 * vector, struct.pack("<HHHH", at & 0xFFFF, 8, 0x8E00, at >> 16))
    write(CODE, assemble(f"{QUIET}{code}\n{LEAVE}", 32))
    enter_flat_32(pc.state, CODE)
    pc.state.gdt_base, pc.state.gdt_limit, pc.state.idt_base, pc.state.idt_limit = GDT, 23, IDT, 0x7FF
    pc.state.gpr[4] = STACK
    pc.processor.refresh()
    return pc


def run(code, model=MAX):
    """Run it; the vector that ended it, None where the code came to its end."""
    pc = machine(code, model)
    pc.run(Limits(instructions=2_000_000))
    (seen,) = struct.unpack("<I", pc.processor.engine.read_physical(SEEN, 4))
    return pc, seen or None


def wrmsr(index, value):
    return f"mov ecx, {index:#x}\nmov eax, {value & 0xFFFF_FFFF:#x}\nmov edx, {value >> 32:#x}\nwrmsr\n"


def test_page():
    pc, vector = run("mov esi, [0xfee00030]\nmov bl, [0xfee00032]\nmov edi, [0xfee00034]\nmov ebp, [0xfee000f0]")
    assert vector is None
    assert [pc.state.gpr[n] & 0xFFFF_FFFF for n in (6, 3, 7, 5)] == [0x0105_0014, 5, 0, 0x1FF], "enabled by the firmware"


def test_self_interrupt_through_the_page():
    assert run("mov dword ptr [0xfee00300], 0x40041\nsti\nnop\nnop")[1] == 0x41


def test_task_priority_is_cr8_and_holds_back():
    code = "mov dword ptr [0xfee00080], 0x50\nmov dword ptr [0xfee00300], 0x40041\nsti\nnop\nnop\ncli\n"
    assert run(code)[1] is None
    assert machine(code).state.cr8 == 0
    assert run(code + "mov dword ptr [0xfee00080], 0x3f\nsti\nnop\nnop")[1] == 0x41
    pc, _ = run(code)
    assert pc.state.cr8 == 5


def test_interrupts_of_the_8259_come_through_lint0():
    words = ((0x20, 0x11), (0x21, 0x20), (0x21, 4), (0x21, 1), (0x21, 0xFE))
    masks = "".join(f"mov al, {value:#x}\nout {port:#x}, al\n" for port, value in words)
    wait = "sti\nagain: jmp again\n"
    assert run(masks + wait)[1] == 0x20
    assert run(masks + wait, FIRST)[1] == 0x20, "a model without APIC"
    disabled = wrmsr(0x1B, 0xFEE0_0100)
    assert run(masks + disabled + wait)[1] == 0x20, "past a disabled APIC"
    masked = "mov dword ptr [0xfee00350], 0x10700\nsti\nmov ecx, 600000\nagain: loop again\n"
    assert run(masks + masked)[1] is None


@pytest.mark.parametrize(
    "arm",
    [
        "mov dword ptr [0xfee003e0], 11\nmov dword ptr [0xfee00320], 0x41\nmov dword ptr [0xfee00380], 100000\n",
        "mov dword ptr [0xfee00320], 0x40041\n" + wrmsr(0x6E0, 5000),
    ],
    ids=["one-shot", "deadline"],
)
def test_timer_wakes_from_halt(arm):
    pc, vector = run(arm + "sti\nhlt")
    assert vector == 0x41
    assert 1000 <= pc.processor.ticks <= 5100
    assert pc.state.tsc_deadline == 0


@pytest.mark.parametrize(
    ("writes", "fault", "mode"),
    [
        *(((0xFEE0_0900,), None, 1), ((0xFEE0_0100,), None, 0), ((0xFEE0_0D00,), None, 2), ((0xFEE0_0500,), GP, 1)),
        *(((0xFEE0_0D00, 0xFEE0_0900), GP, 2), ((0xFEE0_0D00, 0xFEE0_0100), None, 0), ((0xFEE0_0100, 0xFEE0_0D00), GP, 0)),
        *(((0xFEE0_0100, 0xFEE0_0900), None, 1), ((0xFEE0_0901,), GP, 1), ((0x1_0000_0000_0900 << 4,), GP, 1)),
    ],
)
def test_transitions(writes, fault, mode):
    pc, vector = run("".join(wrmsr(0x1B, value) for value in writes))
    assert (vector, pc.state.apic_mode) == (fault, mode)
    assert pc.apic.apic.mode == mode


def test_reenabling_starts_afresh_and_cpuid_follows():
    code = (
        wrmsr(0x1B, 0xFEE0_0100)
        + "mov eax, 1\ncpuid\nmov edi, edx\nmov esi, [0xfee00030]\n"
        + wrmsr(0x1B, 0xFEE0_0900)
        + "mov ebp, [0xfee000f0]"
    )
    pc, _ = run(code)
    assert (pc.state.gpr[7] >> 9 & 1, pc.state.gpr[6], pc.state.gpr[5]) == (0, 0xFFFF_FFFF, 0xFF)


def test_page_moves_over_memory():
    code = "mov dword ptr [0x200030], 7\nmov eax, [0x200030]\n" + wrmsr(0x1B, 0x20_0900) + "mov esi, [0x200030]\nmov edi, [0xfee00030]"
    pc, vector = run(code)
    assert (vector, pc.state.gpr[6], pc.state.gpr[7]) == (None, 0x0105_0014, 0xFFFF_FFFF)
    assert pc.processor.engine.read_physical(0x200030, 1) == b"\7"


def io_apic(pin, low):
    return (
        f"mov dword ptr [0xfec00000], {0x11 + 2 * pin}\nmov dword ptr [0xfec00010], 0\n"
        f"mov dword ptr [0xfec00000], {0x10 + 2 * pin}\nmov dword ptr [0xfec00010], {low:#x}\n"
    )


def test_the_timer_comes_through_input_2_of_the_io_apic():
    assert run(io_apic(2, 0x42) + "sti\nagain: hlt\njmp again")[1] == 0x42
    assert run(io_apic(0, 0x42) + "sti\nmov ecx, 1000000\nagain: loop again")[1] is None, "input 0 is not connected"


def test_a_level_comes_again_after_its_eoi():
    """The serial port's wire stays high; the second delivery is masked by what is in service until the EOI."""
    idle = "mov ecx, 2000000\nagain: loop again"
    request = "mov dx, 0x3fc\nmov al, 8\nout dx, al\nmov dx, 0x3f9\nmov al, 2\nout dx, al\n"
    pc = machine(io_apic(4, 0x8044) + request + "sti\nnop\n" + idle)
    handler = "inc dword ptr [0x5000]\ncmp dword ptr [0x5000], 3\nje leave\nmov dword ptr [0xfee000b0], 0\niretd\nleave:\n" + LEAVE
    pc.processor.engine.write_physical(0xD000, assemble(handler, 32))
    pc.processor.engine.write_physical(IDT + 8 * 0x44, struct.pack("<HHHH", 0xD000, 8, 0x8E00, 0))
    pc.run(Limits(instructions=2_000_000))
    assert pc.processor.engine.read_physical(0x5000, 4) == b"\3\0\0\0"


READABLE = {0x02, 0x03, 0x08, 0x0A, 0x0D, 0x0F, *range(0x10, 0x29), 0x30, *range(0x32, 0x3A), 0x3E}
WRITABLE = {0x08: 0xFF, 0x0B: 0, 0x0F: 0x13FF, 0x28: 0, 0x30: 0xFFFF_FFFF_000C_CFFF, 0x32: 0x7_00FF, 0x33: 0x1_07FF, 0x34: 0x1_07FF}
WRITABLE |= {0x35: 0x1_A7FF, 0x36: 0x1_A7FF, 0x37: 0x1_00FF, 0x38: 0xFFFF_FFFF, 0x3E: 0xB, 0x3F: 0xFF}


@pytest.fixture(scope="module")
def root():
    """A processor in x2APIC mode."""
    root = bare_processor("4M")
    root.wrmsr(0x1B, 0xFEE0_0D00)
    return root


@pytest.mark.parametrize("register", range(0x100))
def test_x2apic_registers(root, register):
    """Which exist, and that each reserved bit is #GP(0) (Table 11-6)."""
    assert isinstance(root.rdmsr(0x800 + register), Succeeded) is (register in READABLE)
    allowed = WRITABLE.get(register)
    assert isinstance(root.wrmsr(0x800 + register, 0x0), Succeeded) is (allowed is not None)
    if allowed is not None:
        read_only = {0x30: 1 << 12, 0x35: 5 << 12, 0x36: 5 << 12}.get(register, 1 << 12 if register in range(0x32, 0x38) else 0)
        for bit in range(64):
            expected = bool((allowed | read_only) >> bit & 1)
            if register not in (0x30, 0x3F) or not expected:
                assert isinstance(root.wrmsr(0x800 + register, 1 << bit), Succeeded) is expected, bit


def test_x2apic_registers_need_the_mode():
    root = bare_processor("4M")
    assert not isinstance(root.rdmsr(0x802), Succeeded)
    assert not isinstance(root.wrmsr(0x80B, 0), Succeeded)


def test_x2apic_in_a_guest():
    code = wrmsr(0x1B, 0xFEE0_0D00) + wrmsr(0x83F, 0x41) + "mov ecx, 0x822\nrdmsr\nmov esi, eax\nsti\nnop\nnop"
    pc, vector = run(code)
    assert (vector, pc.state.gpr[6]) == (0x41, 2)


def test_nmi_to_itself():
    assert run("mov dword ptr [0xfee00300], 0x400\nnop")[1] == 2


def test_fetching_from_the_page_does_not_hang():
    pc = machine("mov eax, 0xfee00000\njmp eax")
    pc.run(Limits(instructions=10_000))
    assert pc.exit_value is not None
