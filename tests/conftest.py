"""Oracles that a test asks for by marker: skipped where they are not installed, a failure in CI."""

import os
import shutil

import pytest

COMMAND_OF_MARKER = {"bochs": "bochs", "qemu": "qemu-system-x86_64"}


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or in CI fail, a test whose oracle is missing."""
    for marker, command in COMMAND_OF_MARKER.items():
        if item.get_closest_marker(marker) and not shutil.which(command):
            reason = f"{command} is not installed (marker {marker!r})"
            if os.environ.get("VMXON_CI"):
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason)
