"""How a machine's processor treats translations that it may keep or forget, as people write it: `keep`, `nothing`, `random`, `random:7`."""

from __future__ import annotations

import re

from vmxon.errors import ConfigurationError
from vmxon.processor.tlb_policy import SEED_BITS, TlbPolicy

LARGEST_SEED = (1 << SEED_BITS) - 1
EXPECTED = "keep, nothing, random or random:SEED, a seed below 2^32"


def parse_policy(text: str) -> tuple[TlbPolicy, int]:
    """The policy, and the seed of its chance.

    Raises:
        ConfigurationError: it is none.
    """
    match = re.fullmatch(r"(keep|nothing|random)(?::([0-9]{1,10}))?", text, re.ASCII)
    if match is None or (match[2] and (match[1] != "random" or int(match[2]) > LARGEST_SEED)):
        raise ConfigurationError(f"no TLB policy {text!r}", expected=EXPECTED)
    return TlbPolicy[match[1].upper()], int(match[2] or 0)
