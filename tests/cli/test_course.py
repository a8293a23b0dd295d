"""`vmxon course`: lists, shows and runs the steps; each step is one command."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import vmxon
from tests.examples.steps import COURSE, STEPS
from vmxon.cli.course import find_steps

ASSEMBLY = sorted((COURSE / "asm").glob("[0-9][0-9]_*.s"))


def run(tmp_path: Path, *words: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(vmxon.__file__).parent.parent), "PYTHONUTF8": "1"}
    command = [sys.executable, "-m", "vmxon", "course", *map(str, words)]
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_list_has_a_line_for_each_step(tmp_path: Path) -> None:
    lines = run(tmp_path).stdout.splitlines()
    assert [int(line[:2]) for line in lines] == [int(step.name[:2]) for step in STEPS]
    assert [line.endswith("[--assembly]") for line in lines] == [(COURSE / "asm" / f"{step.stem}.s").exists() for step in STEPS]
    assert lines[8] == " 9  VMLAUNCH and the first VM exit.  [--assembly]"
    assert all(re.fullmatch(r" ?\d+  .{10,130}[.?](  \[--assembly\])?", line) for line in lines), lines


@pytest.mark.parametrize("number", [1, 9, 17])
def test_a_step_in_python(tmp_path: Path, number: int) -> None:
    process = run(tmp_path, number)
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout == (COURSE / "expected" / f"{STEPS[number - 1].stem}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ASSEMBLY, ids=lambda text: text.stem)
def test_a_step_in_assembly(tmp_path: Path, text: Path) -> None:
    process = run(tmp_path, int(text.name[:2]), "--assembly")
    # What fails in a step is explained beside it.
    assert process.returncode == 0
    assert all("VM entry fails" in part for part in process.stderr.split("VM entry failed at RIP")[1:])
    assert process.stdout == (COURSE / "asm/expected" / f"{text.stem}.expected").read_text(encoding="utf-8")


def test_the_texts(tmp_path: Path) -> None:
    assert run(tmp_path, 9, "--show").stdout == STEPS[8].read_text(encoding="utf-8")
    assert run(tmp_path, 9, "--assembly", "--show").stdout == (COURSE / "asm/09_first_exit.s").read_text(encoding="utf-8")


def test_a_step_that_is_not_there(tmp_path: Path) -> None:
    process = run(tmp_path, 40)
    assert process.returncode == 2
    assert process.stderr.startswith("vmxon: there is no step 40; they are 1 to 17")


def test_the_checkout_has_them() -> None:
    assert [step.program for step in find_steps()] == STEPS
