"""The golden model runs the same microcode as Python: integer floating point must not depend on how it is run."""

from __future__ import annotations

import random
from functools import cache

import pytest

from tests.harness import assemble
from tests.isa.vector.instructions import LATER, MMX, SSE, TRANSCENDENTAL, X87
from tests.isa.vector.numbers import sse_world, x87_world
from tests.isa.vector.subject import subject
from tests.isa.vector.world import World, differences
from vmxon.engine.golden_model import GoldenModel
from vmxon.processor.state import HostRequest

ROUNDS = 3
STRIDE = 4
"""Every fourth text; forms of one instruction share their microcode."""


@cache
def model() -> GoldenModel:
    """The golden model on the processor that all tests share."""
    return GoldenModel(subject().bench.engine)


def golden(text: str, before: World) -> World:
    """The state after one instruction in Python."""
    machine = subject()
    machine.load(before)
    machine.bench.load(assemble(text))
    machine.state.request = HostRequest.NONE
    machine.state.budget = machine.state.budget_granted = 1
    model().run()
    assert machine.state.request == HostRequest.BUDGET
    return machine.after()


@pytest.mark.parametrize("text", [*SSE[::STRIDE], *X87[::STRIDE], *LATER[:: 2 * STRIDE], *MMX[:: 2 * STRIDE], *TRANSCENDENTAL])
def test_the_golden_model_agrees(text: str) -> None:
    choose = random.Random(text)
    for _ in range(ROUNDS):
        before = x87_world(choose) if text in (*X87, *TRANSCENDENTAL) else sse_world(choose)
        assert not differences(golden(text, before), subject().run(text, before)), (text, before)
