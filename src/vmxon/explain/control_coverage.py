"""The page of VMX controls: for each one the models that offer it and the code that obeys it, or the reason why none does.

`python -m vmxon.explain.control_coverage docs/vmx-coverage.md` writes it; without a file name it goes to standard output.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import vmxon.vmx
from vmxon.arch.bits import Bits, Word
from vmxon.arch.models import MODELS
from vmxon.arch.msr_vmx import EptVpidCapabilities
from vmxon.explain.control_reasons import CHOICES, REASONS
from vmxon.vmx.controls import VECTORS

ALIASES = {"Entry": "Entry|EntryControl", "PrimaryProcessorBased": "PrimaryProcessorBased|Primary"}
ALIASES["SecondaryProcessorBased"] = "SecondaryProcessorBased|Secondary"
ALIASES["TertiaryProcessorBased"] = "TertiaryProcessorBased|Tertiary"
"""Names under which modules import a vector."""
DESCRIPTIONS = frozenset({"controls.py", "field_support.py", "capabilities.py"})
"""Modules that list controls but do nothing by them; the rules of VM entry are on a page of their own."""
BY_NUMBER = {"ept.hlat_prefix": "entry.py"} | dict.fromkeys(
    ("vm_functions.eptp_switching", "ept.invvpid_single", "ept.invvpid_all", "ept.invvpid_retaining_globals"), "invalidate.py"
)
"""Controls whose bit a module finds by the number of a function or type rather than by name."""
WORDS: dict[str, type[Word]] = {**VECTORS, "ept": EptVpidCapabilities}


@cache
def sources(pattern: str) -> dict[str, str]:
    """The modules of `vmx/` that give controls their meaning, by their path."""
    folder = Path(vmxon.vmx.__path__[0])
    files = (path for path in sorted(folder.glob(pattern)) if path.name not in DESCRIPTIONS)
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in files}


def offered_by(vector: str, control: str) -> list[str]:
    """The models that let a control be 1."""
    return [model.name for model in MODELS.values() if model.vmx is not None and model.vmx.has(f"{vector}.{control}")]


def obeyed_in(vector: str, control: str, pattern: str = "*.py") -> list[str]:
    """The modules that ask for a control."""
    name = WORDS[vector].__name__
    asked = re.compile(rf"\b(?:{ALIASES.get(name, name)})\.{control}\b")
    named = [module for module, text in sources(pattern).items() if asked.search(text)]
    return named or [module for key, module in BY_NUMBER.items() if key == f"{vector}.{control}"]


def controls_of(vector: str) -> Iterator[Bits[object]]:
    """The named controls of a vector, in the order of their bits."""
    yield from WORDS[vector].layout.fields


def unexplained() -> list[str]:
    """Controls that no model offers, without a reason."""
    names = [(vector, control.name) for vector in WORDS for control in controls_of(vector)]
    return [f"{vector}.{name}" for vector, name in names if not offered_by(vector, name) and f"{vector}.{name}" not in REASONS]


def page() -> str:
    """The page as Markdown."""
    lines = [
        "# VMX controls and what obeys them",
        "",
        "Written by `python -m vmxon.explain.control_coverage docs/vmx-coverage.md` from the control words and the processor models;",
        "a test keeps it true. The checks of VM entry are on [a page of their own](entry-checks.md).",
    ]
    for vector, word in WORDS.items():
        title = " ".join((word.__doc__ or "").split()).rstrip(".").replace("|", "\\|")
        lines += ["", f"## {title}", "", "| bit | control | models | obeyed in `vmx/`, or why no model offers it |", "|---|---|---|---|"]
        lines += [_row(vector, control) for control in controls_of(vector)]
    lines += ["", "## Where the manual is short or leaves a choice", "", *(f"- {choice}" for choice in CHOICES)]
    return "\n".join(lines) + "\n"


def _row(vector: str, control: Bits[object]) -> str:
    models = offered_by(vector, control.name)
    modules = obeyed_in(vector, control.name) or obeyed_in(vector, control.name, "rules/*.py")
    said = ", ".join(f"`{module}`" for module in modules)
    if not models:
        said = f"none: {REASONS.get(f'{vector}.{control.name}', 'MISSING')}"
    return f"| {control.low} | {control.doc if vector == 'ept' else control.title} | {', '.join(models)} | {said} |"


def main(arguments: list[str]) -> int:
    """Write the page; the status is 1 where a control is neither offered nor explained."""
    if arguments:
        Path(arguments[0]).write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())
    for name in unexplained():
        sys.stderr.write(f"no model offers {name}, and there is no reason\n")
    return 1 if unexplained() else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
