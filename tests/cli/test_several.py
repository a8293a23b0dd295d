"""`vmxon run --guests`: tables, keys for the guest in focus, options, statuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.hypervisor.guests import image_of
from vmxon.cli.images import Program
from vmxon.cli.options import MachineOptions
from vmxon.cli.several import Panel, build, report
from vmxon.hypervisor.scheduler import Condition

MACHINE = MachineOptions(memory=2 << 20)
ECHO = """
    mov edx, 0x3FD
    again:
    in al, dx
    test al, 1
    jz again
    mov edx, 0x3F8
    in al, dx
    out 0xE9, al
    mov edx, 0x3FD
    cmp al, 0x2E
    je good
    jmp again
"""
FIRST_SECTOR = """
    mov edx, 0x1F6
    mov al, 0xE0
    out dx, al
    mov edx, 0x1F2
    mov al, 1
    out dx, al
    inc edx
    mov al, 0
    out dx, al
    inc edx
    out dx, al
    inc edx
    out dx, al
    mov edx, 0x1F7
    mov al, 0x20
    out dx, al
    again:
    in al, dx
    test al, 8
    jz again
    mov edx, 0x1F0
    in ax, dx
    out 0xE9, al
    jmp good
"""


@pytest.fixture
def echo(tmp_path: Path) -> Program:
    """A kernel that prints what its serial port receives, up to a dot."""
    path = tmp_path / "echo"
    path.write_bytes(image_of(ECHO))
    return Program(path)


def run(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vmxon", "run", *map(str, words)]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("paging", ["ept", "shadow"])
def test_keys_go_to_the_guest_in_focus(echo: Program, paging: str, capsys: pytest.CaptureFixture[str]) -> None:
    hypervisor = build([echo, echo, echo], MACHINE, paging)
    panel, (first, second, third) = Panel(hypervisor), hypervisor.guests
    panel.keys(b"ab")
    panel.keys(b"\x012")
    panel.obey()
    panel.keys(b"c.")
    panel.keys(b"\x013\x01k")
    panel.obey()
    panel.keys(b"\x011")
    panel.obey()
    panel.keys(b".")
    hypervisor.run(20)
    assert [bytes(guest.output) for guest in hypervisor.guests] == [b"ab.", b"c.", b""]
    assert [guest.condition for guest in (first, second, third)] == [Condition.FINISHED, Condition.FINISHED, Condition.KILLED]
    assert panel.draw().row_count == 3
    assert report(hypervisor.guests) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["1: ab.", "2: c."]
    assert [line.split()[:3] for line in lines[-3:-1]] == [["1", "finished", "0"], ["2", "finished", "0"]]
    assert lines[-1].split()[:2] == ["3", "killed"]


def test_pause_and_resume_by_key(echo: Program) -> None:
    hypervisor = build([echo], MACHINE, "ept")
    panel = Panel(hypervisor)
    for condition in (Condition.PAUSED, Condition.READY):
        panel.keys(b"\x01p")
        panel.obey()
        assert panel.focus.condition is condition


def test_each_guest_has_the_drive(tmp_path: Path) -> None:
    kernel, disk = tmp_path / "kernel", tmp_path / "disk"
    kernel.write_bytes(image_of(FIRST_SECTOR))
    disk.write_bytes(b"D" * (1 << 20))
    process = run("--guests", 3, "-m", "2M", "--paging", "shadow", "--drive", disk, kernel)
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.splitlines()[:3] == ["1: D", "2: D", "3: D"]


def test_eight_bundled_guests_under_shadow_paging() -> None:
    process = run("--guests", 8, "-m", "8M", "--paging", "shadow")
    assert (process.returncode, process.stderr) == (0, "")
    lines = process.stdout.splitlines()
    assert [line for line in lines if line.endswith("guest: done")] == [f"{number}: guest: done" for number in range(1, 9)]
    assert lines[-9].split() == ["guest", "state", "status", "instructions", "asleep", "VM", "exits", "slices", "time"]
    assert [line.split()[:3] for line in lines[-8:]] == [[f"{number}", "finished", "0"] for number in range(1, 9)]


def test_the_table_comes_after_a_time_limit_too(echo: Program) -> None:
    process = run("--guests", 2, "-m", "2M", "--timeout", "0.3", echo.kernel)
    assert process.returncode == 124
    assert process.stderr.endswith("1, 2: not all guests ended within 0.3 s\n")
    assert [line.split()[:2] for line in process.stdout.splitlines()[-2:]] == [["1", "ready"], ["2", "ready"]]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--guests", 2, "--json"), "several guests take neither --hints nor --json, nor a --kernel beside IMAGEs"),
        (("--guests", 2, "a", "b"), "--guests repeats one IMAGE"),
        (("--guests", 2, "--append", "x"), "--initrd and --append need a --kernel"),
    ],
)
def test_options_that_do_not_go_together(words: tuple[object, ...], line: str) -> None:
    process = run(*words)
    assert process.returncode == 2
    assert line in process.stderr
