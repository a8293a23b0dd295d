"""The coverage page: for each row of the list of entry checks its rule, or the reason why there is none.

`python -m vmxon.explain.coverage docs/entry-checks.md` writes it; without a file name it goes to standard output.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from vmxon.explain.document import listed
from vmxon.explain.keys import NOTES, REASONS, SECTIONS, Section, all_keys, keys_of
from vmxon.vmx.rules import RULES, EntryRule

Coverage = dict[str, list[EntryRule]]


def coverage() -> Coverage:
    """The rules of each key; none where no rule names it."""
    found: Coverage = {key: [] for key in all_keys()}
    for rule in RULES:
        for key in rule.keys:
            found.setdefault(key, []).append(rule)
    return found


def missing() -> list[str]:
    """Keys with neither rule nor reason."""
    return [key for key, rules in coverage().items() if not rules and key not in REASONS]


def page() -> str:
    """The page as Markdown."""
    found = coverage()
    with_rule = sum(bool(found[key]) for key in all_keys())
    lines = [
        "# The checks of VM entry, one by one",
        "",
        "Written by `python -m vmxon.explain.coverage docs/entry-checks.md`; a test keeps it true.",
        "",
        f"The list of entry checks has {len(all_keys())} rows, keyed `section#ordinal` by the sections of Vol. 3C, chapter 27.",
        f"{with_rule} rows are rules of the book ([`vmx/rules/`](../src/vmxon/vmx/rules/__init__.py), {len(RULES)} rules,",
        f"as one row may stand for several registers); the other {len(all_keys()) - with_rule} have their reason here.",
        "`vmxon rules show KEY` explains a rule.",
        "",
        "| section | rows | with a rule | rules |",
        "|---|---|---|---|",
        *(_summary(section, found) for section in SECTIONS),
    ]
    for section in SECTIONS:
        lines += ["", f"## {section.number} {section.title}", "", "| row | rule, or why there is none |", "|---|---|"]
        lines += _rows(section, found)
    return "\n".join(lines) + "\n"


def _summary(section: Section, found: Coverage) -> str:
    keys = list(keys_of(section))
    rules = {rule.name for key in keys for rule in found[key]}
    return f"| {section.number} {section.title} | {len(keys)} | {sum(bool(found[key]) for key in keys)} | {len(rules)} |"


def _rows(section: Section, found: Coverage) -> Iterator[str]:
    for key in keys_of(section):
        rules = listed([f"`{rule.name}`" for rule in found[key]])
        said = rules or f"none: {REASONS.get(key, 'MISSING')}"
        note = f" ({NOTES[key]})" if key in NOTES else ""
        yield f"| {key} | {said}{note} |"


def main(arguments: list[str]) -> int:
    """Write the page; the status is 1 where a row has neither rule nor reason."""
    if arguments:
        Path(arguments[0]).write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())
    for key in missing():
        sys.stderr.write(f"{key} has neither rule nor reason\n")
    return 1 if missing() else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
