"""What a test does without something that it needs from outside."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def report_missing(reason: str) -> NoReturn:
    """Skip the test; in CI, where everything must be installed, fail it."""
    if os.environ.get("VMXON_CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
