"""`vmxon boot` with gdb and a monitor, as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.debug.machines import machine
from vmxon.cli.attendance import Attendance, attended
from vmxon.errors import ConfigurationError
from vmxon.machine.multiboot_program import multiboot_program
from vmxon.machine.pc import End

PROGRAM = "import sys; from vmxon.cli.main import main; sys.exit(main())"


def test_a_machine_that_waits_for_its_monitor(environment: dict[str, str], tmp_path: Path) -> None:
    for end in ("in", "out"):
        os.mkfifo(tmp_path / f"monitor.{end}")
    (tmp_path / "kernel.elf").write_bytes(multiboot_program("mov dx, 0xf4; mov al, 3; out dx, al"))
    words = ("boot", str(tmp_path / "kernel.elf"), "--wait", "--gdb", "0", "--monitor", f"pipe:{tmp_path / 'monitor'}")
    command = [sys.executable, "-c", PROGRAM, *words]
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        with (tmp_path / "monitor.in").open("wb", buffering=0) as lines:
            lines.write(b"info status\ncont\n")
        assert process.wait(120) == 7
        assert process.stderr is not None
        assert b"gdb: target remote 127.0.0.1:" in process.stderr.read()


def test_nobody_there_changes_nothing() -> None:
    pc = machine("mov dx, 0xf4; mov al, 3; out dx, al")
    with attended(pc, Attendance()):
        assert (pc.attended, pc.interactive, pc.paused) == (False, False, False)
        pc.run()
    assert pc.end is End.DEBUG_EXIT


def test_a_monitor_at_no_place() -> None:
    with (
        pytest.raises(ConfigurationError, match="'teletype' is no place, expected pipe:NAME, tcp:"),
        attended(machine("hlt"), Attendance(monitors=("teletype",))),
    ):
        pass


def test_gdb_alone_leaves_idle_time_as_it_is() -> None:
    pc = machine("mov dx, 0xf4; mov al, 3; out dx, al")
    with attended(pc, Attendance(gdb=0)):
        assert (pc.attended, pc.interactive) == (True, False)
        pc.run()
    assert pc.exit_value == 7
