"""Running the command line in this process and in one of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import vmxon
from vmxon.cli.main import main


class Outcome:
    """Status and streams of one command line."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err


@pytest.fixture
def invoke(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run a command line inside this process."""

    def run(*words: str) -> Outcome:
        status = main(words)
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return run


@pytest.fixture
def environment() -> dict[str, str]:
    """An environment in which a new Python finds this tree's vmxon and nothing else changes its output."""
    source = str(Path(vmxon.__file__).parent.parent)
    dropped = ("VMXON_", "PYTHONIOENCODING", "COLUMNS", "LINES", "COV_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    return {**kept, "PYTHONPATH": source, "PYTHONUTF8": "1"}


@pytest.fixture
def python(environment: dict[str, str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a program text in a process of its own."""

    def run(program: str, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", program, *words],
            env={**environment, **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run
