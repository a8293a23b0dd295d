"""Sizes of memory as people write them."""

from __future__ import annotations

import re

from vmxon.errors import ConfigurationError

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
PAGE = 4096


def parse_size(size: str | int) -> int:
    """Bytes of "64K", "16M", "1G" or a number, in whole pages.

    Raises:
        ConfigurationError: it is no such size.
    """
    if isinstance(size, str):
        match = re.fullmatch(r"(\d+)([KMG]?)", size.upper())
        if match is None:
            raise ConfigurationError(f"{size!r} is not a size", expected="a number and K, M or G")
        size = int(match[1]) * UNITS[match[2]]
    if size <= 0 or size % PAGE:
        raise ConfigurationError(f"{size:#x} bytes of memory", expected="whole pages of 4096 bytes")
    return size
