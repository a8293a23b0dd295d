"""`vmxon grade`: a folder of images against their expected outputs, as a table, JUnit XML or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vmxon.cli.options import Seconds
from vmxon.errors import ConfigurationError, ExitStatus, StorageError, printable

if TYPE_CHECKING:
    from vmxon.cli.grading import Grade


@click.command("grade", short_help="Run a folder of images against expected outputs.")
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--expected",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where NAME.expected is.  [default: DIR]",
)
@click.option("--timeout", type=Seconds(), default=10.0, show_default=True, help="Time for each image.")
@click.option("--junit", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Write JUnit XML as well.")
@click.option("--json", "as_json", is_flag=True, help="Report as JSON.")
def command(folder: Path, expected: Path | None, timeout: float, junit: Path | None, as_json: bool) -> int:
    """Boot every NAME.elf of DIR and of its subfolders, and compare what it prints on port 0xE9 with NAME.expected.

    An image passes if its output is the expected one, but for a line end at its end, and it ends by writing to isa-debug-exit
    (port 0xF4). Each runs in a process of its own. The exit status is 1 where one failed.
    """
    from vmxon.cli.console import show_build_progress
    from vmxon.cli.grading import assignments, grade
    from vmxon.machine.processor import library

    if junit is not None and not junit.parent.is_dir():
        raise ConfigurationError("no such folder", where=junit.parent, advice="choose another --junit")
    work = list(assignments(folder, expected))
    if not work:
        raise ConfigurationError("no image to grade", where=folder, expected="NAME.elf, there or in a subfolder")
    show_build_progress(sys.stderr)
    library()
    width = max(len(assignment.name) for assignment in work)
    grades = []
    for assignment in work:
        grades.append(grade(assignment, timeout))
        if not as_json:
            click.echo(_row(grades[-1], width))
    if junit is not None:
        try:
            junit.write_bytes(junit_report(folder.name, grades))
        except OSError as error:
            raise StorageError((error.strerror or str(error)).lower(), where=junit, advice="choose another --junit") from None
    passed = sum(each.passed for each in grades)
    if as_json:
        click.echo(json.dumps({"passed": passed, "images": [_facts(each) for each in grades]}, ensure_ascii=False))
    else:
        click.echo(f"{passed} of {len(grades)} passed")
    return ExitStatus.SUCCESS if passed == len(grades) else ExitStatus.GUEST_FAILED


def _row(result: Grade, width: int) -> str:
    return f"{printable(result.name):<{width}}  {result.verdict.value:<16}  {result.seconds:5.1f} s  {printable(result.detail)}".rstrip()


def _facts(result: Grade) -> dict[str, object]:
    return {"name": result.name, "verdict": result.verdict.value, "seconds": round(result.seconds, 3), "detail": result.detail}


def junit_report(name: str, grades: Sequence[Grade]) -> bytes:
    """The results as CI systems read them; output that XML cannot hold is escaped."""
    from xml.etree import ElementTree

    failures = sum(not each.passed for each in grades)
    seconds = f"{sum(each.seconds for each in grades):.3f}"
    suite = ElementTree.Element("testsuite", name=name, tests=str(len(grades)), failures=str(failures), errors="0", time=seconds)
    for each in grades:
        case = ElementTree.SubElement(suite, "testcase", classname=name, name=printable(each.name), time=f"{each.seconds:.3f}")
        if not each.passed:
            failure = ElementTree.SubElement(case, "failure", type=each.verdict.value, message=printable(each.detail))
            failure.text = "\n".join(map(printable, each.output.splitlines()))
    return bytes(ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True))
