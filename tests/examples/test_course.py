"""The course, runnable: each step prints what it should, from a folder of its own; `python -m tests.examples` writes it anew."""

import re
from pathlib import Path

import pytest

from tests.examples.steps import COURSE, STEPS, run

LONGEST = 80


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.stem)
def test_a_step_prints_what_it_should(step: Path, tmp_path: Path) -> None:
    process = run(step, tmp_path)
    assert process.stderr == ""
    assert process.returncode == 0
    assert process.stdout == (COURSE / "expected" / f"{step.stem}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.stem)
def test_a_step_is_short_and_cites_the_manual(step: Path) -> None:
    text = step.read_text(encoding="utf-8")
    assert text.count("\n") < LONGEST
    assert re.match(rf'"""Step {int(step.name[:2])}\. [^"]*Vol\. 3C §[\d.]+ “[^"]*”', text)


def test_steps_are_numbered_without_gaps_and_nothing_else_is_expected() -> None:
    assert [int(step.name[:2]) for step in STEPS] == list(range(1, len(STEPS) + 1))
    assert {path.stem for path in (COURSE / "expected").glob("*.txt")} == {step.stem for step in STEPS}
