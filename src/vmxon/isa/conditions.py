"""Which condition an opcode names in its low four bits."""

from __future__ import annotations

from vmxon.isa.form import parse_opcode
from vmxon.isa.operands import FormVariant

CONDITIONS = ("O", "NO", "B", "NB", "Z", "NZ", "BE", "NBE", "S", "NS", "P", "NP", "L", "NL", "LE", "NLE")


def condition_code(form: FormVariant) -> int:
    """The code that `processor.flags.condition` takes; static."""
    return parse_opcode(form.form.opcode).byte & 15
