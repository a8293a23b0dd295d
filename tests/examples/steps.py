"""The steps of the course, and how one is run: as a student would, from another folder."""

import os
import subprocess
import sys
from pathlib import Path

import vmxon

COURSE = Path(__file__).parents[2] / "examples/course"
STEPS = sorted(COURSE.glob("[0-9][0-9]_*.py"))


def run(step: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a step in `folder`."""
    environment = {**os.environ, "PYTHONPATH": str(Path(vmxon.__file__).parent.parent), "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, str(step)], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
