"""Hypervisors and kernels in our assembly print the same on Debian's Bochs and here, record by record."""

from __future__ import annotations

import importlib

import pytest

from tests.oracles.bochs import log_here, log_on_bochs
from tests.oracles.differences import DIFFERENCES, Difference

GUESTS = (
    "bring_up",
    "vmcs_access",
    "entry",
    "exits",
    "ept",
    "events",
    "modes",
    "breakpoints",
    "protected",
    "transitions",
    "advanced",
    "virtual_apic",
    "delivery",
    "nested",
)


def records(log: list[str]) -> list[str]:
    """A line and the indented lines that follow it make one record."""
    found: list[str] = []
    for line in log:
        if line.startswith(" ") and found:
            found[-1] += "\n" + line
        else:
            found.append(line)
    return found


def excuse(record: str, differences: dict[str, Difference]) -> tuple[str, Difference] | None:
    """The known difference that a record of either side belongs to, with its label."""
    return next(((label, d) for label, d in differences.items() if record.startswith(f"{label}:")), None)


def compare(name: str, bochs: list[str], here: list[str]) -> list[str]:
    """What differs and is not excused, or is excused and does not differ so."""
    differences = DIFFERENCES.get(name, {})
    problems = [f"{len(bochs)} records on Bochs, {len(here)} here"] if len(bochs) != len(here) else []
    used = set()
    for theirs, ours in zip(bochs, here, strict=False):
        known = excuse(ours, differences)
        expected = (theirs, theirs)
        if known is not None:
            label, difference = known
            used.add(label)
            expected = (f"{label}:{difference.bochs}", f"{label}:{difference.here}")
        if (theirs, ours) != expected:
            problems.append(f"Bochs: {theirs}\nhere:  {ours}")
    return problems + [f"no record for the known difference {label!r}" for label in differences.keys() - used]


@pytest.mark.bochs
@pytest.mark.parametrize("name", GUESTS)
def test_the_log_of_a_guest_is_the_same_on_bochs(name: str) -> None:
    image = importlib.import_module(f"tests.guests.{name}").program().build()
    here = records(log_here(image))
    assert here[-1] == "end", here[-3:]
    problems = compare(name, records(log_on_bochs(image)), here)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("name", GUESTS)
def test_a_guest_runs_to_its_end_here(name: str) -> None:
    log = log_here(importlib.import_module(f"tests.guests.{name}").program().build())
    assert log[-1] == "end"
    assert not [line for line in log if line.startswith("unexpected")]


def test_a_difference_that_is_not_known_is_a_problem() -> None:
    assert compare("none", ["a: 1", "b: 2"], ["a: 1", "b: 3"]) == ["Bochs: b: 2\nhere:  b: 3"]
    assert compare("none", ["a: 1"], ["a: 1", "b: 3"]) == ["1 records on Bochs, 2 here"]
    stale = compare("entry", ["end"], ["end"])
    assert any("no record for the known difference" in problem for problem in stale)
