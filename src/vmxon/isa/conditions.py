"""The sixteen conditions of Jcc, SETcc and CMOVcc (Vol. 1 App. B “EFLAGS Condition Codes”)."""

from __future__ import annotations

from vmxon.isa.form import Form, parse_opcode

CONDITIONS = ("O", "NO", "B", "NB", "Z", "NZ", "BE", "NBE", "S", "NS", "P", "NP", "L", "NL", "LE", "NLE")
"""Mnemonic endings in the order of the codes."""


def condition_code(form: Form) -> int:
    """The code in the low four bits of an opcode."""
    return parse_opcode(form.opcode).byte & 15
