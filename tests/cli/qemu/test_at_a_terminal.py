"""`vmxon-system-x86_64` with a person at a terminal: keys reach the guest's keyboard, the text screen is drawn."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vmxon.machine.multiboot_program import multiboot_program

PROGRAM = "import sys; from vmxon.cli.qemu.main import main; sys.exit(main())"
KEYS = """
    mov edi, 0xb8000
    mov dword ptr [edi], 0x1f411f42
    mov al, 0x42; out 0xe9, al
    mov ebx, 3
1:  in al, 0x64; test al, 1; jz 1b; in al, 0x60; test al, 0x80; jnz 1b
    out 0xe9, al
    dec ebx
    jnz 1b
    mov dx, 0xf4; mov al, 5; out dx, al
"""
"""Writes “BA” to the screen and “B” to port 0xE9, then three scan codes."""


def at_a_terminal(environment: dict[str, str], words: list[str], typed: list[bytes]) -> tuple[int, bytes]:
    """Type as soon as a B is there; the status, and what the terminal received."""
    ours, theirs = os.openpty()
    seen, end = b"", time.monotonic() + 100
    command = [sys.executable, "-c", PROGRAM, *words]
    with subprocess.Popen(command, env={**environment, "TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        while process.poll() is None and time.monotonic() < end:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    seen += os.read(ours, 65536)
                except OSError:  # the other end is closed
                    break
            if b"B" in seen and typed:
                os.write(ours, typed.pop(0))
        status = process.wait(20)
    os.close(ours)
    return status, seen


@pytest.mark.parametrize("console", [["-debugcon", "stdio"], []], ids=["debug console", "screen"])
def test_keys_reach_the_keyboard(environment: dict[str, str], tmp_path: Path, console: list[str]) -> None:
    (tmp_path / "kernel.elf").write_bytes(multiboot_program(KEYS))
    words = ["-kernel", str(tmp_path / "kernel.elf"), "-device", "isa-debug-exit,iobase=0xf4", *console]
    status, seen = at_a_terminal(environment, words, [b"a", b"1", b"\r"])
    assert status == 11
    if console:
        assert seen.startswith(b"B\x1e\x02\x1c")
    else:
        assert b"\x1b[0;97;44mBA" in seen
        assert seen.endswith(b"\x1b[?1049lBA\r\n")
