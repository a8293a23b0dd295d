"""Debian's kernel as a guest, under EPT and under shadow paging: to a shell that takes commands, and off by `poweroff`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.systems.debian import Debian
from tests.systems.initramfs import busybox_root
from tests.systems.test_acpi import COMPLAINTS
from vmxon.hypervisor.memory.virtual_memory import PagingMode

SHELL = "mount -t proc proc /proc\nexec sh"
PROMPT = b"/ # "
COMMANDS = (
    (b"echo $((6 * 7))\n", b"\r\n42\r\n"),
    (b"grep -v SPU /proc/interrupts\n", b"ttyS0"),
    (b"grep -c '^flags.*hypervisor' /proc/cpuinfo\n", b"\r\n1\r\n"),
)


class Console:
    """A `vmxon run` whose serial port is a pair of pipes."""

    def __init__(self, words: Sequence[object]) -> None:
        command = [sys.executable, "-m", "vmxon", "run", *map(str, words)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.text = b""

    def read_to(self, wanted: bytes, start: int = 0) -> int:
        """Read until `wanted` has come behind `start`; where it ends."""
        assert self.process.stdout is not None
        while wanted not in self.text[start:]:
            data = os.read(self.process.stdout.fileno(), 1 << 16)
            assert data, self.text[-2000:].decode(errors="replace")
            self.text += data
        return self.text.index(wanted, start) + len(wanted)

    def type(self, keys: bytes) -> None:
        """Type."""
        assert self.process.stdin is not None
        self.process.stdin.write(keys)
        self.process.stdin.flush()


@pytest.mark.linux
@pytest.mark.slow
@pytest.mark.parametrize("paging", [mode.value for mode in PagingMode])
@pytest.mark.parametrize("append", ["cryptomgr.notests", "cryptomgr.notests noapic nolapic"], ids=["whole", "small"])
def test_a_shell_takes_commands_and_turns_the_guest_off(debian: Debian, tmp_path: Path, paging: str, append: str) -> None:
    initrd = tmp_path / "initrd"
    initrd.write_bytes(busybox_root(debian.busybox.read_bytes(), SHELL))
    options = ["--kernel", debian.kernel, "--initrd", initrd, "--append", f"console=ttyS0 {append}", "--timeout", 280]
    console = Console(["--paging", paging, *options])
    at = console.read_to(PROMPT)
    for keys, answer in COMMANDS:
        console.type(keys)
        at = console.read_to(PROMPT, console.read_to(answer, at))
    console.type(b"poweroff -f\n")
    rest, errors = console.process.communicate(timeout=120)
    log = (console.text + rest).decode(errors="replace")
    assert (console.process.returncode, errors) == (0, b""), log[-2000:]
    assert "reboot: Power down" in log
    assert [line for line in log.splitlines() if COMPLAINTS.search(line)] == []
    assert bool(re.search("IO-APIC +4-edge +ttyS0", log)) is (append == "cryptomgr.notests")
    assert ("EPT VIOLATION" in log, "INVLPG" in log) == (paging == "ept", paging == "shadow")


@pytest.mark.linux
@pytest.mark.slow
@pytest.mark.parametrize(("entry", "paging"), [(16, "ept"), (64, "ept"), (64, "shadow")])
def test_the_other_entries_of_the_image(debian: Debian, tmp_path: Path, entry: int, paging: str) -> None:
    """In real mode through the firmware, for which the guest has to be unrestricted, and in 64-bit mode."""
    initrd = tmp_path / "initrd"
    initrd.write_bytes(busybox_root(debian.busybox.read_bytes(), "poweroff -f"))
    options = ["--kernel", debian.kernel, "--initrd", initrd, "--append", "console=ttyS0 cryptomgr.notests", "--timeout", 280]
    console = Console(["--paging", paging, "--entry", entry, *options])
    said, errors = console.process.communicate(timeout=290)
    assert (console.process.returncode, errors) == (0, b""), said[-2000:]
    assert b"reboot: Power down" in said
