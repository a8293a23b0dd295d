"""Random instructions of the table give what Unicorn gives: registers, defined flags, memory, RIP, exceptions."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.isa.cases import Generator, general_instructions
from tests.isa.differential import Tally, compare
from tests.isa.native import Native

SEEDS_IN_CI = 50
"""Each is 1,000 cases."""


@pytest.mark.parametrize("first", range(0, SEEDS_IN_CI, 5))
def test_random_instructions(native: Native, first: int) -> None:
    tally = Tally()
    compare(range(first, first + 5), native.run, tally)
    assert not tally.failures, "\n".join(tally.failures[:20])
    assert tally.cases == 5000
    # Guards the test itself: most instructions complete, some fault, few differences are excused.
    assert 0.05 < tally.faults / tally.cases < 0.5
    assert tally.known.total() < tally.cases * 0.06


def test_nothing_is_left_in_the_code_area(native: Native) -> None:
    """Accesses come there in 32-bit code with 16-bit addresses: `mov [1CF6h], eax`, then `mov eax, [1CF6h]`."""
    generator = Generator(0)
    case = next(case for case in iter(generator.case, None) if case.mode == 32 and case.registers[0] != 0)
    assert native.run(replace(case, code=bytes.fromhex("a3f61c0000"))).vector is None
    assert native.run(replace(case, code=bytes.fromhex("a1f61c0000"))).registers[0] == 0


def test_every_row_is_generated() -> None:
    generator = Generator(0)
    seen = {generator.case().instruction.mnemonic for _ in range(20_000)}
    assert seen == {row.mnemonic for row in general_instructions()}
