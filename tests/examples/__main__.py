"""Write the expected output of every step anew; `git diff examples` then shows what changed."""

from pathlib import Path
from tempfile import TemporaryDirectory

from tests.examples.steps import COURSE, STEPS, run

with TemporaryDirectory() as folder:
    for step in STEPS:
        process = run(step, Path(folder))
        process.check_returncode()
        (COURSE / "expected" / f"{step.stem}.txt").write_text(process.stdout, encoding="utf-8")
