"""The names of the sixteen conditions, in the order of their codes (Vol. 1 App. B “EFLAGS Condition Codes”)."""

from __future__ import annotations

CONDITIONS = ("O", "NO", "B", "NB", "Z", "NZ", "BE", "NBE", "S", "NS", "P", "NP", "L", "NL", "LE", "NLE")
