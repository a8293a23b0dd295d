"""The same microcode run as Python gives the same, undefined flags included."""

from __future__ import annotations

import pytest

from tests.isa.cases import Generator
from tests.isa.native import Native
from tests.isa.outcome import differences
from tests.isa.unicorn_oracle import text_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def golden() -> Native:
    """The golden model of each mode."""
    return Native(golden=True)


@pytest.mark.parametrize("seed", range(3000, 3005))
def test_random_instructions(native: Native, golden: Native, seed: int) -> None:
    generator = Generator(seed)
    failures = []
    for _ in range(400):
        case = generator.case()
        found = differences(golden.run(case), native.run(case), "")
        if found:
            failures.append(f"{text_of(case)}: {'; '.join(found)}")
    assert not failures, "\n".join(failures[:20])
