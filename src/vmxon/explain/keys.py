"""The list of entry checks that the rule book answers to: sections and their number of rows, and why some rows have no rule.

A row's key is `section#ordinal`. Only keys stand here; what a row says is the matter of the rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Section(NamedTuple):
    """One section of the manual with its number of rows in the list."""

    number: str
    title: str
    rows: int


SECTIONS = (
    Section("27.1", "Basic checks", 12),
    Section("27.2.1.1", "VM-execution control fields", 76),
    Section("27.2.1.2", "VM-exit control fields", 10),
    Section("27.2.1.3", "VM-entry control fields", 24),
    Section("27.2.2", "Host control registers, MSRs and SSP", 23),
    Section("27.2.3", "Host segment and descriptor-table registers", 5),
    Section("27.2.4", "Address-space size", 15),
    Section("27.3.1.1", "Guest control registers, debug registers and MSRs", 38),
    Section("27.3.1.2", "Guest segment registers", 49),
    Section("27.3.1.3", "Guest descriptor-table registers", 2),
    Section("27.3.1.4", "Guest RIP, RFLAGS and SSP", 10),
    Section("27.3.1.5", "Guest non-register state", 34),
    Section("27.3.1.6", "Guest page-directory-pointer-table entries", 2),
    Section("27.4", "Loading MSRs", 6),
)

ENTRY = "done before any rule, in the order of the manual"
NO_SEAM = "entries from SEAM root operation: no model has SEAM"
NO_FRED = "vectors 1 and 2 of type 7 exist only with FRED, which no model has: `injection.other_vector` refuses them"

REASONS: dict[str, str] = {
    "27.1#1": f"#UD, no failure of the VMCS; `instructions.require_operation`, {ENTRY}",
    "27.1#2": f"#UD; `instructions.wrong_mode`, {ENTRY}",
    "27.1#3": f"#UD; `instructions.wrong_mode`, {ENTRY}",
    "27.1#4": f"#UD; `instructions.wrong_mode`, {ENTRY}",
    "27.1#5": f"VM exit 20 or 24; `instructions.exit_from_guest`, {ENTRY}",
    "27.1#6": f"#GP(0); `instructions.require_privilege`, {ENTRY}",
    "27.1#7": f"VMfailInvalid; `entry.ready`, {ENTRY}",
    "27.1#8": f"VMfailInvalid; `entry.ready`, {ENTRY}",
    "27.1#9": f"VMfailValid 26; `entry.ready`, {ENTRY}",
    "27.1#10": f"VMfailValid 4; `entry.ready`, {ENTRY}",
    "27.1#11": f"VMfailValid 5; `entry.ready`, {ENTRY}",
    "27.1#12": "the manual leaves error 6 to the implementation; a VMCS that is not launched gives error 5 here",
    "27.2.1.1#56": "no model has processor tracing, so IA32_RTIT_CTL.TraceEn is never 1",
    "27.2.1.1#74": NO_SEAM,
    "27.2.1.1#75": NO_SEAM,
    "27.2.1.1#76": NO_SEAM,
    "27.2.1.3#17": NO_FRED,
    "27.2.1.3#18": NO_FRED,
    "27.2.4#15": "every model has Intel 64",
    "27.3.1.5#34": "no model has dual-monitor treatment, so no entry is made in SMM",
    "27.4#1": "exit 34; `msr_area.load_msr`, entry by entry after the guest state is loaded",
    "27.4#2": "exit 34; `msr_area.never_in_list`",
    "27.4#3": "exit 34; `msr_area.never_in_list`",
    "27.4#4": "exit 34; `msr_area.never_in_list` refuses the microcode-update MSRs 79H and 8BH",
    "27.4#5": "exit 34; `msr_area.load_msr`",
    "27.4#6": "exit 34; `msr_area.load_msr` attempts WRMSR at CPL 0",
}
"""Rows without a rule."""

NOTES: dict[str, str] = {
    "27.2.1.1#38": "the capability decides on bit 7, as in the format of EPTP; the list of checks in the manual still calls it reserved",
    "27.2.4#1": "the manual does not give the error number; 8 here, as on the processors known",
    "27.2.4#2": "as 27.2.4#1",
    "27.2.4#3": "as 27.2.4#1",
    "27.2.4#4": "as 27.2.4#1",
    "27.3.1.4#10": "the manual states it where SSP is loaded, not as a check",
    "27.3.1.5#14": "older editions leave this to the processor; refused here with qualification 3",
    "27.3.1.5#19": "no model has SGX, so the bit is refused altogether",
    "27.3.1.5#20": "as 27.3.1.5#19",
    "27.3.1.5#22": "no model has bus-lock detection, so bit 11 is refused",
    "27.3.1.5#23": "BTF is read from the guest field by the letter of the manual",
    "27.3.1.5#24": "as 27.3.1.5#23",
    "27.3.1.5#25": "no model has RTM, so the bit is refused altogether",
    **dict.fromkeys(("27.3.1.5#26", "27.3.1.5#27", "27.3.1.5#28"), "as 27.3.1.5#25"),
    "27.3.1.6#1": "the manual demands it only where CR3 changes or PAE paging was off before; checked always here",
}
"""Rows on which the manual's editions disagree or are silent, and what the rule does."""


def keys_of(section: Section) -> Iterator[str]:
    """The keys of one section."""
    return (f"{section.number}#{ordinal}" for ordinal in range(1, section.rows + 1))


def all_keys() -> list[str]:
    """Every key of the list, in order."""
    return [key for section in SECTIONS for key in keys_of(section)]
