"""How handlers call each other."""

from __future__ import annotations

import os

CONVENTION = "ccc" if os.environ.get("VMXON_CONVENTION") == "c" else "preserve_nonecc"
"""LLVM's name. `preserve_none` keeps all registers for handlers; the C convention, VMXON_CONVENTION=c, is slower and works everywhere."""
