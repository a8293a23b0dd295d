"""Every x87 and SSE instruction, bit for bit against the processor that runs the tests."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.isa.vector import host
from tests.isa.vector.instructions import LATER, MMX, SSE, X87
from tests.isa.vector.numbers import sse_world, string_world, without_nans, x87_world
from tests.isa.vector.subject import subject
from tests.isa.vector.world import World, differences

pytestmark = pytest.mark.skipif(not host.IS_X86_64, reason="the host is no x86-64 processor")
ROUNDS = 25
C1, SUMMARY_AND_BUSY = 1 << 9, 0x8080
SEED = 20260


def compare(text: str, before: World) -> None:
    """Both processors from the same state."""
    theirs = host.run(text, before).visible
    ours = subject().run(text, before).visible
    if "comi" in text and text[0] == "f":
        # FCOMI clears C1 (Vol. 2A “FCOMI”); processors of AMD keep it.
        theirs = replace(theirs, status=theirs.status & ~C1)
    if text == "cvtpi2ps xmm0, qword ptr [rsi]":
        # It enters MMX state (Vol. 2A “CVTPI2PS”); processors of AMD leave the x87 alone.
        theirs = replace(theirs, status=ours.status, present=ours.present, stack=ours.stack)
    assert not differences(ours, theirs), (text, before)


@pytest.mark.parametrize("text", SSE)
def test_sse_instruction_equals_the_host(text: str) -> None:
    choose = random.Random(f"{SEED}{text}")
    for _ in range(ROUNDS):
        before = sse_world(choose)
        if text.startswith("ldmxcsr"):
            loaded = 0x1F80 | choose.getrandbits(16) & 0xFFFF
            before = replace(before, memory=before.memory[:60] + loaded.to_bytes(4, "little"))
        if "psll" in text or "psrl" in text or "psra" in text:
            count = choose.randrange(70) | (choose.getrandbits(64) << 64)
            before = replace(before, xmm=(before.xmm[0], count, *before.xmm[2:]))
        compare(text, before)


@pytest.mark.parametrize("text", LATER)
def test_later_instruction_equals_the_host(text: str) -> None:
    choose = random.Random(f"{SEED}{text}")
    for _ in range(ROUNDS):
        before = string_world(choose) if "str" in text else sse_world(choose)
        if text.startswith("dpp"):
            before = without_nans(before)
        compare(text, before)


@pytest.mark.parametrize("text", MMX)
def test_mmx_instruction_equals_the_host(text: str) -> None:
    choose = random.Random(f"{SEED}{text}")
    for _ in range(ROUNDS):
        before = replace(x87_world(choose), control=0x037F)
        if text.startswith(("psll", "psrl", "psra")) and "mm1" in text:
            top = before.status >> 11 & 7
            stack = [*before.stack]
            stack[(1 - top) & 7] = 0xFFFF, choose.randrange(70)
            before = replace(before, stack=tuple(stack))
        compare(text, before)


@pytest.mark.parametrize("text", X87)
def test_x87_instruction_equals_the_host(text: str) -> None:
    choose = random.Random(f"{SEED}{text}")
    for _ in range(ROUNDS):
        before = x87_world(choose)
        if text.startswith("fldcw"):
            loaded = choose.getrandbits(16)
            before = replace(before, memory=before.memory[:62] + loaded.to_bytes(2, "little"))
        compare(text, before)
