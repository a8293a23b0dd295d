"""Breakpoints and watchpoints against an undisturbed run of the same kernel."""

from __future__ import annotations

import pytest

from tests.debug.machines import ENTRY, machine
from vmxon.debug.debugger import Debugger, Stop, StopKind
from vmxon.debug.stops import Access
from vmxon.engine.golden_model import GoldenModel
from vmxon.machine.pc import Limits, Pc

# Interrupts of the timer come in between, whose handler the loop shares its page with.
TICKING = """
    lidt [0x10100]
    mov eax, 0x10090
    mov word ptr [0x5100], ax
    mov word ptr [0x5102], 8
    mov dword ptr [0x5104], 0x18e00
    lgdt [0x10110]
    mov al, 0x11
    out 0x20, al
    mov al, 0x20
    out 0x21, al
    mov al, 4
    out 0x21, al
    mov al, 1
    out 0x21, al
    mov al, 0xfe
    out 0x21, al
    mov al, 0x34
    out 0x43, al
    mov al, 100
    out 0x40, al
    mov al, 0
    out 0x40, al
    mov ecx, 200000
    sti
1:  add ebx, ecx
    rep stosb
    mov ecx, [0x5200]
    inc dword ptr [0x5204]
    cmp dword ptr [0x5200], 20
    jb 1b
    mov dx, 0xf4
    mov al, 1
    out dx, al
.org 0x90
    push eax
    inc dword ptr [0x5200]
    mov al, 0x20
    out 0x20, al
    pop eax
    iretd
.org 0x100
    .word 0x107; .long 0x5000
.org 0x110
    .word 23; .long 0x10118
.org 0x118
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
"""


def ticking() -> Pc:
    pc = machine(TICKING)
    pc.state.gpr[7] = 0x8000
    return pc


def outcome(pc: Pc) -> tuple[int | None, int, str, int]:
    return pc.run(Limits(instructions=3_000_000)), pc.processor.instructions, pc.memory_hash(), pc.state.gpr[3]


class Following:
    """Goes on at every stop, and counts them."""

    def __init__(self, pc: Pc) -> None:
        self.debugger, self.stops = Debugger(pc), []
        self.debugger.listeners.append(self.stopped)

    def stopped(self, stop: Stop) -> None:
        self.stops.append(stop.kind)
        self.debugger.resume()


def test_breakpoints_on_every_byte_disturb_nothing() -> None:
    undisturbed, pc = ticking(), ticking()
    expected = outcome(undisturbed)
    assert expected[0] == 3
    following = Following(pc)
    for address in (*range(ENTRY + 0x58, ENTRY + 0x78), *range(ENTRY + 0x90, ENTRY + 0xA0)):
        following.debugger.stops.add_breakpoint(address)
    assert outcome(pc) == expected
    assert len(following.stops) > 100


def test_watchpoints_disturb_nothing() -> None:
    undisturbed, pc = ticking(), ticking()
    expected = outcome(undisturbed)
    following = Following(pc)
    following.debugger.stops.add_watchpoint(0x5200, 4, Access.WRITE)
    assert outcome(pc) == expected
    interrupts = int.from_bytes(pc.processor.engine.read_physical(0x5200, 4), "little")
    assert interrupts >= 20
    assert following.stops == [StopKind.WATCHPOINT] * interrupts


def test_stepping_disturbs_nothing() -> None:
    loop = "mov ecx, 99\n1: loop 1b\nmov dx, 0xf4\nout dx, al"
    undisturbed, pc = machine(loop), machine(loop)
    expected = outcome(undisturbed)
    debugger, steps = Debugger(pc), []
    debugger.listeners.append(lambda _: (steps.append(pc.processor.instructions), debugger.step()))
    debugger.step()
    assert outcome(pc) == expected
    assert steps == list(range(1, expected[1]))


@pytest.mark.parametrize("address", [ENTRY, ENTRY + 1])
def test_a_breakpoint_is_met_whatever_is_decoded_already(address: int) -> None:
    pc = machine("1: nop\nnop\nnop\njmp 1b")
    debugger, where = Debugger(pc), []
    pc.pause_at = 1000
    debugger.listeners.append(lambda _: (where.append(pc.state.rip), pc.quit()))
    pc.on_pause = lambda: (debugger.stops.add_breakpoint(address), debugger.resume())
    pc.run(Limits(instructions=10_000))
    assert where == [address]
    debugger.stops.remove_breakpoint(address)
    debugger.stops.remove_breakpoint(address)
    assert pc.state.debugger_breakpoint_count == 0


def test_the_golden_model_stops_at_the_same_place() -> None:
    pc = machine("1: inc eax\nnop\njmp 1b")
    Debugger(pc).stops.add_breakpoint(ENTRY + 1)
    pc.processor.engine.run = GoldenModel(pc.processor.engine).run
    assert pc.processor.run(100).name == "BREAK"
    assert (pc.state.rip, pc.processor.instructions) == (ENTRY + 1, 1)


def test_a_breakpoint_leaves_memory_alone() -> None:
    pc = machine("nop\nnop\nhlt")
    before = pc.memory_hash()
    Debugger(pc).stops.add_breakpoint(ENTRY + 1)
    assert pc.memory_hash() == before


def test_breakpoints_and_watchpoints_survive_a_reset() -> None:
    pc = machine("mov dword ptr [0x5000], 1\nnop\nmov al, 0xfe\nout 0x64, al\nhlt")
    debugger, stops = Debugger(pc), []

    def stopped(stop: Stop) -> None:
        stops.append(stop.kind)
        if len(stops) == 4:
            pc.quit()
        debugger.resume()

    debugger.listeners.append(stopped)
    debugger.stops.add_breakpoint(ENTRY + 11)
    debugger.stops.add_watchpoint(0x5000, 4, Access.WRITE)
    pc.run(Limits(instructions=10_000))
    assert stops == [StopKind.WATCHPOINT, StopKind.BREAKPOINT] * 2
