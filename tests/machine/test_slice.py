"""Shorter stretches of native code while somebody types: the guest must not notice."""

from __future__ import annotations

import threading
from itertools import pairwise

from tests.debug.machines import machine
from vmxon.machine.pc import Pc
from vmxon.machine.slice import LONGEST_SLICE, SHORTEST_SLICE, Slice

LOOP = "mov ecx, 3000000\n1: add eax, ecx\nloop 1b\nmov [0x5000], eax\nmov dx, 0xf4\nout dx, al"


def outcome(pc: Pc) -> tuple[int | None, int, str]:
    return pc.run(), pc.processor.instructions, pc.memory_hash()


def test_slices_change_nothing() -> None:
    plain, typed = machine(LOOP), machine(LOOP)
    typed.interactive = True
    assert outcome(typed) == outcome(plain)


def test_a_slice_learns_within_its_bounds() -> None:
    pc, part = machine("1: jmp 1b"), Slice()
    lengths = []
    for _ in range(12):
        before = pc.processor.instructions
        part.run(pc.processor, 1 << 40)
        lengths.append(pc.processor.instructions - before)
    assert lengths[0] == SHORTEST_SLICE
    assert all(SHORTEST_SLICE <= length <= LONGEST_SLICE for length in lengths)
    assert all(later <= 2 * earlier for earlier, later in pairwise(lengths))


def test_a_small_budget_is_run_as_it_is() -> None:
    pc = machine("1: jmp 1b")
    Slice().run(pc.processor, 7)
    assert pc.processor.instructions == 7


def test_no_call_from_another_thread_is_lost() -> None:
    pc, seen = machine("1: jmp 1b"), []
    pc.interactive = True

    def post() -> None:
        for number in range(2000):
            pc.post(lambda number=number: seen.append(number))
        pc.post(pc.quit)

    thread = threading.Thread(target=post)
    thread.start()
    pc.run()
    thread.join()
    assert seen == list(range(2000))
