"""The compiled engine, shared by all instruction tests of a run."""

from __future__ import annotations

import pytest

from tests.isa.native import Native


@pytest.fixture(scope="session")
def native() -> Native:
    """One processor for each mode."""
    return Native()
