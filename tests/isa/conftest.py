"""The compiled engine, shared by all instruction tests of a run."""

from __future__ import annotations

import pytest

from tests.isa.bare import Bare
from tests.isa.native import Native


@pytest.fixture(scope="session")
def native() -> Native:
    """One processor for each mode, for random cases."""
    return Native()


@pytest.fixture(scope="session")
def long() -> Bare:
    """64-bit mode."""
    return Bare(64)


@pytest.fixture(scope="session")
def flat() -> Bare:
    """32-bit protected mode."""
    return Bare(32)


@pytest.fixture(scope="session")
def real() -> Bare:
    """Real mode."""
    return Bare(16)
