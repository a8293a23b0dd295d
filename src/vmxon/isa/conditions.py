"""The sixteen conditions of Jcc, SETcc and CMOVcc (Vol. 1 App. B “EFLAGS Condition Codes”)."""

from __future__ import annotations

CONDITIONS = ("O", "NO", "B", "NB", "Z", "NZ", "BE", "NBE", "S", "NS", "P", "NP", "L", "NL", "LE", "NLE")
"""Mnemonic endings in the order of the codes."""
