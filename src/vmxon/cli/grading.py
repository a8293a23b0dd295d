"""One image under test: run by a process of its own, its output compared with what is expected."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryFile

from vmxon.cli.entry_failures import HEADING
from vmxon.errors import ExitStatus

OUTPUT_LIMIT = 1 << 16
"""Bytes after which an image's output is cut off: a loop that prints must not fill the host."""
GRACE = 20.0
"""Seconds beyond --timeout until a process that does not end by itself is killed."""
NOTICE = "vmxon: "


class Verdict(Enum):
    """How an image did; the value is what the reports print."""

    PASSED = "passed"
    WRONG = "wrong output"
    STOPPED = "stopped"
    TIMED_OUT = "timed out"
    CRASHED = "crashed"
    UNEXPECTED = "nothing expected"


@dataclass(frozen=True, slots=True)
class Assignment:
    """An image and the file of its expected output."""

    name: str
    image: Path
    expected: Path


@dataclass(frozen=True, slots=True)
class Grade:
    """What came of an image; `detail` is one line."""

    name: str
    verdict: Verdict
    seconds: float
    detail: str = ""
    output: str = ""

    @property
    def passed(self) -> bool:
        """It printed what it should and ended by itself."""
        return self.verdict is Verdict.PASSED


def assignments(folder: Path, expected: Path | None) -> Iterator[Assignment]:
    """The images NAME.elf of a folder and of its subfolders, by name; NAME.expected is beside each, or at the same place in `expected`."""
    for image in sorted([*folder.glob("*.elf"), *folder.glob("*/*.elf")]):
        place = image.relative_to(folder)
        yield Assignment(str(place.with_suffix("")), image, ((expected or folder) / place).with_suffix(".expected"))


def grade(assignment: Assignment, timeout: float) -> Grade:
    """Boot the image in a child process and judge it."""
    try:
        wanted = assignment.expected.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return Grade(assignment.name, Verdict.UNEXPECTED, 0.0, f"{assignment.expected}: {(error.strerror or str(error)).lower()}")
    started = time.monotonic()
    output, notice, status = _run(assignment.image, timeout)
    seconds = time.monotonic() - started
    verdict, detail = _judge(output, wanted, notice, status)
    return Grade(assignment.name, verdict, seconds, detail, output)


def _run(image: Path, timeout: float) -> tuple[str, str, int]:
    """Output on port 0xE9, vmxon's own last line if it ended the run, exit status; explanations of VM entries end nothing."""
    words = [sys.executable, "-m", "vmxon", "boot", "--kernel", str(image), "--console", "e9", "--timeout", str(timeout)]
    with (
        TemporaryFile() as errors,
        subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors) as child,
    ):
        assert child.stdout is not None
        alarm = threading.Timer(timeout + GRACE, child.kill)
        alarm.start()
        try:
            output = child.stdout.read(OUTPUT_LIMIT + 1)
            if len(output) > OUTPUT_LIMIT:
                child.kill()
            status = child.wait()
        finally:
            alarm.cancel()
            child.kill()
        errors.seek(0)
        said = errors.read().decode(errors="replace").splitlines()
        lines = [line for line in said if line.startswith(NOTICE) and not line.startswith(HEADING)]
    return output.decode(errors="replace"), lines[-1].removeprefix(NOTICE) if lines else "", status


def _judge(output: str, wanted: str, notice: str, status: int) -> tuple[Verdict, str]:
    if len(output) > OUTPUT_LIMIT:
        return Verdict.WRONG, f"more than {OUTPUT_LIMIT:,} bytes of output"
    if status == ExitStatus.TIMED_OUT and notice:
        return Verdict.TIMED_OUT, notice
    if status < 0 or (status == ExitStatus.BUG and notice):
        return Verdict.CRASHED, notice or f"signal {-status}"
    if notice:
        return Verdict.STOPPED, notice
    if output.removesuffix("\n") == wanted.removesuffix("\n"):  # the console ends a line that a guest left open
        return Verdict.PASSED, ""
    return Verdict.WRONG, _difference(output, wanted)


def _difference(output: str, wanted: str) -> str:
    """The first line that differs."""
    for number, (got, want) in enumerate(zip_longest(output.splitlines(), wanted.splitlines()), 1):
        if got != want:
            return f"line {number} is {'missing' if got is None else repr(got)}, expected {'the end' if want is None else repr(want)}"
    return "line ends differ"
