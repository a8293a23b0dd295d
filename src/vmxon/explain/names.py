"""Finding fields, MSRs and their relatives by what people call them, and what is meant where a name is unknown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from vmxon.arch.msr import MSRS, Msr
from vmxon.vmx.fields import HIGH, VmcsField

MANUAL_HEX = re.compile(r"\d[0-9a-f]*h")
"""The manual's way: 21H; a letter at the start would make words such as “each” numbers."""
ALIASES = (
    ("AR_BYTES", "ACCESS_RIGHTS"),
    ("PENDING_DBG_EXCEPTIONS", "PENDING_DEBUG_EXCEPTIONS"),
    ("INTERRUPTIBILITY_INFO", "INTERRUPTIBILITY_STATE"),
    ("VIRTUAL_PROCESSOR_ID", "VPID"),
    ("EPT_POINTER", "EPTP"),
    ("CPU_BASED_VM_EXEC_CONTROL", "PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS"),
    ("SECONDARY_VM_EXEC_CONTROL", "SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS"),
    ("TERTIARY_VM_EXEC_CONTROL", "TERTIARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS"),
    ("PIN_BASED_VM_EXEC_CONTROL", "PIN_BASED_VM_EXECUTION_CONTROLS"),
    ("VM_ENTRY_INTR_INFO_FIELD", "VM_ENTRY_INTERRUPTION_INFORMATION"),
    ("VM_ENTRY_INTR_INFO", "VM_ENTRY_INTERRUPTION_INFORMATION"),
    ("VM_EXIT_INTR_INFO", "VM_EXIT_INTERRUPTION_INFORMATION"),
    ("VM_EXIT_INTR_ERROR_CODE", "VM_EXIT_INTERRUPTION_ERROR_CODE"),
    ("VM_ENTRY_INSTRUCTION_LEN", "VM_ENTRY_INSTRUCTION_LENGTH"),
    ("VM_EXIT_INSTRUCTION_LEN", "VM_EXIT_INSTRUCTION_LENGTH"),
    ("IDT_VECTORING_INFO_FIELD", "IDT_VECTORING_INFORMATION"),
    ("VM_EXIT_REASON", "EXIT_REASON"),
    ("VM_EXIT_CONTROLS", "PRIMARY_VM_EXIT_CONTROLS"),
    ("LENGTHGTH", "LENGTH"),
    ("GUEST_SYSENTER", "GUEST_IA32_SYSENTER"),
    ("HOST_SYSENTER", "HOST_IA32_SYSENTER"),
    ("PDPTR", "PDPTE"),
)
"""Words of Linux's and Xen's names, and ours."""


def find_field(text: str) -> VmcsField | None:
    """A field by name (ours, or Linux's), or by encoding, that of its high half included."""
    name = text.strip().upper().replace("-", "_").replace(" ", "_")
    if name in VmcsField.__members__:
        return VmcsField[name]
    encoding = integer(text)
    if encoding is not None:
        return next((field for field in VmcsField if encoding in (field, field | HIGH if field.has_high_half else field)), None)
    for theirs, ours in ALIASES:
        if theirs in name and ours not in name:
            name = name.replace(theirs, ours)
    return VmcsField.__members__.get(name)


def find_msr(text: str) -> Msr | None:
    """An MSR by name, with or without IA32_, or by address."""
    address = integer(text)
    if address is not None:
        return MSRS.get(address)
    name = text.strip().upper().replace("-", "_").removeprefix("MSR_IA32_").removeprefix("IA32_").removeprefix("MSR_")
    return next((msr for msr in MSRS.values() if msr.name.removeprefix("IA32_").removeprefix("MSR_") == name), None)


def integer(text: str) -> int | None:
    """A number as people write it: 33, 0x21, 21H; None for anything else, and for what no 64-bit register holds."""
    digits = text.strip().lower().replace("_", "")
    if not digits.isascii() or len(digits) > 20:
        return None
    try:
        value = int(digits[:-1], 16) if MANUAL_HEX.fullmatch(digits) else int(digits, 0)
    except ValueError:
        return None
    return value if 0 <= value < 1 << 64 else None


def dashed(text: str) -> str:
    """A name in the form of the command line: `ept-violation`."""
    return "-".join(text.lower().replace("_", " ").replace("-", " ").split())


def nearest(text: str, names: Iterable[str], count: int = 3) -> list[str]:
    """The names that begin with a word, look like it or contain it, best first."""
    known = {name.lower(): name for name in names}
    word = text.strip().lower()
    begin = [name for name in known if len(word) >= 4 and name.startswith(word)]
    close = get_close_matches(word[:80], known, count, 0.6)
    inside = [name for name in known if len(word) >= 3 and word in name]
    return [known[name] for name in list(dict.fromkeys([*begin, *close, *inside]))[:count]]
