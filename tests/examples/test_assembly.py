"""The course in assembly: each step, assembled by the command and booted, prints what it should."""

import re
from pathlib import Path

import pytest

import vmxon
from tests.examples.steps import COURSE
from tests.examples.test_course import LONGEST
from vmxon.cli.grading import Assignment, Verdict, grade
from vmxon.cli.main import main

FOLDER = COURSE / "asm"
STEPS = sorted(FOLDER.glob("[0-9][0-9]_*.s"))


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.stem)
def test_a_step_prints_what_it_should(step: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(vmxon.__file__).parent.parent))
    sources = [FOLDER / "long_mode.s", FOLDER / "vmx_operation.s", step]
    image = tmp_path / f"{step.stem}.elf"
    assert main(["assemble", *map(str, sources), "-o", str(image)]) == 0
    result = grade(Assignment(step.stem, image, FOLDER / "expected" / f"{step.stem}.expected"), 30)
    assert (result.verdict, result.detail) == (Verdict.PASSED, "")


def test_each_step_is_one_of_the_course() -> None:
    assert {step.stem for step in STEPS} == {step.stem for step in COURSE.glob("[0-9][0-9]_*.py")}
    assert {step.stem for step in STEPS} == {path.stem for path in (FOLDER / "expected").glob("*.expected")}


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.stem)
def test_a_step_is_short_and_cites_the_manual(step: Path) -> None:
    text = step.read_text(encoding="utf-8")
    assert text.count("\n") < LONGEST
    assert re.match(rf"# Step {int(step.name[:2])}\. ", text)
    assert re.search(r"Vol\. 3[CD] (?:§|App\. )[A-Z]?\.?[\d.]+ “[^”]*”", " ".join(line.lstrip("# ") for line in text.splitlines()[:4]))
