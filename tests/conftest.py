"""The engine, built once; oracles that a test asks for by marker: skipped where not installed, a failure in CI."""

import shutil

import pytest
from hypothesis import settings

from tests.missing import report_missing
from vmxon.engine.build import obtain

settings.register_profile("untimed", deadline=None)  # a busy host makes no test fail
settings.load_profile("untimed")

COMMAND_OF_MARKER = {"bochs": "bochs", "gdb": "gdb", "qemu": "qemu-system-x86_64"}


def pytest_sessionstart(session: pytest.Session) -> None:
    """Build the engine once, before the workers of pytest-xdist start and each would build its own."""
    if not hasattr(session.config, "workerinput") and not session.config.option.collectonly:
        obtain()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or in CI fail, a test whose oracle is missing."""
    for marker, command in COMMAND_OF_MARKER.items():
        if item.get_closest_marker(marker) and not shutil.which(command):
            report_missing(f"{command} is not installed (marker {marker!r})")
