"""Debian's files for the tests of whole systems: skipped where a package is missing, a failure in CI."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.missing import report_missing
from tests.systems.debian import Debian, PackageMissing, boot_file, find_debian


@pytest.fixture(scope="session")
def debian(pytestconfig: pytest.Config) -> Debian:
    """Debian's cloud kernel, its modules and Busybox."""
    assert pytestconfig.cache is not None
    try:
        return find_debian(pytestconfig.cache.mkdir("vmxon-debian"))
    except PackageMissing as missing:
        report_missing(str(missing))


@pytest.fixture(scope="session")
def xen() -> Path:
    """Debian's Xen."""
    try:
        return boot_file("xen-4.*-amd64.gz", "xen-hypervisor-4.17-amd64")
    except PackageMissing as missing:
        report_missing(str(missing))


@pytest.fixture(scope="session")
def memtest() -> Path:
    """Memtest86+ for 64-bit processors."""
    try:
        return boot_file("memtest86+x64.bin", "memtest86+")
    except PackageMissing as missing:
        report_missing(str(missing))
