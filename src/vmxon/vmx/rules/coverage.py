"""Checks of VM entry that are no rules of the book: those made elsewhere, and those that cannot arise here.

Keys are “section#ordinal” of the acceptance list of entry checks (306 rows, Vol. 3C §27.1 to §27.4).
"""

from __future__ import annotations

from vmxon.vmx.rules.book import RULES

ELSEWHERE: dict[str, str] = {
    **dict.fromkeys(("27.1#1", "27.1#2", "27.1#3", "27.1#4"), "#UD: vmx/instructions.py, require_operation"),
    "27.1#5": "VM exit: vmx/instructions.py, exit_from_guest",
    "27.1#6": "#GP(0): vmx/instructions.py, require_privilege",
    **dict.fromkeys(("27.1#7", "27.1#8", "27.1#9", "27.1#10", "27.1#11"), "VMfail: vmx/entry.py, ready"),
    **dict.fromkeys(("27.4#1", "27.4#2", "27.4#3", "27.4#4", "27.4#5", "27.4#6"), "exit reason 34: vmx/msr_area.py, load_msr"),
}
"""Where the check is made."""

NOT_HERE: dict[str, str] = {
    "27.1#12": "a VMCS that stays active over VMXOFF keeps its launch state, so VMRESUME accepts it or reports error 5",
    "27.2.1.1#56": "there is no processor trace, so IA32_RTIT_CTL.TraceEn is never 1",
    **dict.fromkeys(("27.2.1.1#74", "27.2.1.1#75", "27.2.1.1#76"), "there is no SEAM root operation"),
    **dict.fromkeys(("27.2.1.3#17", "27.2.1.3#18"), "vectors 1 and 2 of type 7 exist with FRED only; injection.other_vector"),
    "27.2.4#15": "every model has Intel 64",
    "27.3.1.5#34": "there is no dual-monitor treatment of SMM",
}
"""Why the check cannot arise."""


def covered_keys() -> frozenset[str]:
    """Every key that a rule, code elsewhere, or a reason answers for."""
    return frozenset(key for rule in RULES for key in rule.keys) | ELSEWHERE.keys() | NOT_HERE.keys()
