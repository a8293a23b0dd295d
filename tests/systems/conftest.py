"""Debian's files for the tests of whole systems: skipped where a package is missing, a failure in CI."""

from __future__ import annotations

import pytest

from tests.missing import report_missing
from tests.systems.debian import Debian, PackageMissing, find_debian


@pytest.fixture(scope="session")
def debian(pytestconfig: pytest.Config) -> Debian:
    """Debian's cloud kernel, its modules and Busybox."""
    assert pytestconfig.cache is not None
    try:
        return find_debian(pytestconfig.cache.mkdir("vmxon-debian"))
    except PackageMissing as missing:
        report_missing(str(missing))
