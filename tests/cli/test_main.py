"""The command `vmxon`: every ending is one line and a status, and nothing heavy is imported before it is needed."""

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from tests.cli.conftest import Outcome
from vmxon import __version__
from vmxon.cli import endings
from vmxon.cli import main as cli
from vmxon.devices.disk import DiskImageError
from vmxon.errors import ExitStatus, Fault, ImageError, TimedOut, TripleFault

Invoke = Callable[..., Outcome]
Python = Callable[..., subprocess.CompletedProcess[str]]


def raising(error: BaseException) -> click.Command:
    """A command that raises."""

    def body() -> int:
        raise error

    return click.Command("version", callback=body)


@pytest.fixture
def ends_with(monkeypatch: pytest.MonkeyPatch, invoke: Invoke) -> Callable[[BaseException], Outcome]:
    """Run `vmxon version` with a body that raises."""

    def run(error: BaseException) -> Outcome:
        monkeypatch.setattr("vmxon.cli.version.command", raising(error))
        return invoke("version")

    return run


def test_version(invoke: Invoke) -> None:
    outcome = invoke("--version")
    assert (outcome.status, outcome.out, outcome.err) == (0, f"vmxon {__version__}\n", "")


def test_version_command_names_what_it_stands_on(invoke: Invoke) -> None:
    outcome = invoke("version")
    assert outcome.status == 0
    assert [line.split()[0] for line in outcome.out.splitlines()] == [
        *("vmxon", "Python", "host", "llvmlite", "click", "rich", "pyelftools", "platformdirs")
    ]
    assert "missing" not in outcome.out


def test_help_lists_commands_and_exit_statuses(invoke: Invoke) -> None:
    outcome = invoke("--help")
    assert outcome.status == 0
    for name in cli.SUBCOMMANDS:
        assert f"\n  {name} " in outcome.out
    for status in ExitStatus:
        assert f"\n  {int(status)} " in outcome.out


@pytest.mark.parametrize("name", cli.SUBCOMMANDS)
def test_every_command_loads_and_explains_itself(invoke: Invoke, name: str) -> None:
    outcome = invoke(name, "--help")
    assert outcome.status == 0
    assert outcome.out.startswith(f"Usage: vmxon {name}")


def test_no_command_prints_the_help_as_an_error(invoke: Invoke) -> None:
    outcome = invoke()
    assert outcome.status == 2
    assert outcome.out == ""
    assert outcome.err.startswith("Usage: vmxon [OPTIONS] COMMAND")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["frobnicate"], "No such command 'frobnicate'; see vmxon --help"),
        (["--frobnicate"], "No such option '--frobnicate'; see vmxon --help"),
        (["run", "--frobnicate"], "No such option '--frobnicate'; see vmxon run --help"),
    ],
)
def test_wrong_words_are_one_line(invoke: Invoke, words: list[str], line: str) -> None:
    outcome = invoke(*words)
    assert (outcome.status, outcome.out, outcome.err) == (2, "", f"vmxon: {line}\n")


FAULTS = (Fault("#PF", 0x1000, 2, {"RIP": 0x1000}), Fault("#GP", 0x1000, 0), Fault("#DF", 0x1000, 0))


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (ImageError("is empty", where="k"), 2, "vmxon: k: is empty\n"),
        (TimedOut("5 s are over"), 124, "vmxon: 5 s are over\n"),
        (KeyboardInterrupt(), 130, "vmxon: interrupted\n"),
        (click.Abort(), 130, "vmxon: interrupted\n"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 141, ""),
        (
            OSError(errno.ENOSPC, "No space left on device", "x"),
            2,
            "vmxon: x: no space left on device; free some space, or point TMPDIR at another disk\n",
        ),
        (MemoryError(), 2, "vmxon: the host has too little memory for this guest; give a smaller --memory\n"),
    ],
)
def test_each_error_is_one_line_and_a_status(
    ends_with: Callable[[BaseException], Outcome], error: BaseException, status: int, text: str
) -> None:
    outcome = ends_with(error)
    assert (outcome.status, outcome.out, outcome.err) == (status, "", text)


def test_a_triple_fault_prints_its_faults_below_the_line(ends_with: Callable[[BaseException], Outcome]) -> None:
    outcome = ends_with(TripleFault(FAULTS))
    assert outcome.status == 1
    first, *below = outcome.err.splitlines()
    assert first.startswith("vmxon: guest: triple fault: #PF(0x2) at")
    assert [line.strip()[:6] for line in below] == ["1. #PF", "RIP 0x", "2. #GP", "3. #DF"]


def test_a_surprise_is_one_line_that_says_how_to_report_it(
    ends_with: Callable[[BaseException], Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(endings.DEBUG_VARIABLE, raising=False)
    outcome = ends_with(KeyError("x\ny"))
    assert outcome.status == 70
    assert outcome.err.startswith("vmxon: this is a bug in vmxon: KeyError: 'x\\ny' (test_main.py:")
    assert outcome.err.endswith("); please report it with what VMXON_DEBUG=1 vmxon version prints\n")
    assert outcome.err.count("\n") == 1


def test_the_traceback_is_there_for_those_who_ask(
    ends_with: Callable[[BaseException], Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(endings.DEBUG_VARIABLE, "1")
    outcome = ends_with(KeyError("x"))
    assert outcome.status == 70
    assert outcome.err.startswith("Traceback (most recent call last):\n")
    assert "vmxon: this is a bug in vmxon: KeyError: 'x'" in outcome.err


def test_a_disk_image_error_is_the_images_fault(ends_with: Callable[[BaseException], Outcome]) -> None:
    error = DiskImageError(Path("d.qcow2"), 4, "version 9", "2 or 3", "Convert it.")
    outcome = ends_with(error)
    assert (outcome.status, outcome.err) == (2, f"vmxon: {error}\n")


def test_the_status_of_a_command_is_the_status_of_the_process(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vmxon.cli.version.command", click.Command("version", callback=lambda: 33))
    assert invoke("version").status == 33


def test_a_reader_that_goes_away_is_no_error(environment: dict[str, str]) -> None:
    program = "import sys; sys.stdin.read(); from vmxon.cli.main import main; sys.exit(main(['run', '--help']))"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    process.stdin.close()  # now it may write
    with process:
        assert process.stderr.read() == ""
    assert process.returncode == ExitStatus.BROKEN_PIPE


@pytest.mark.parametrize("words", ["['--version']", "['--help']", "['run', '--help']", "['run', '-m', '8']"])
def test_start_up_imports_nothing_heavy(python: Python, words: str) -> None:
    program = (
        f"import sys; from vmxon.cli.main import main; main({words}); "
        "heavy = {'rich', 'llvmlite', 'elftools', 'vmxon.machine', 'vmxon.devices', 'vmxon.vmx'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    result = python(program)
    assert result.returncode == 0, result.stderr
