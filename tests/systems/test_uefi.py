"""A UEFI firmware in the ROM: Debian's OVMF starts its shell or a kernel, and turns the machine off."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.missing import report_missing
from tests.systems.debian import Debian
from tests.systems.initramfs import busybox_root
from vmxon.machine.configuration import PcConfiguration
from vmxon.machine.pc import End, Limits, Pc

OVMF = Path("/usr/share/ovmf/OVMF.fd")
PROGRAM = "import sys; from vmxon.cli.qemu.main import main; sys.exit(main())"
ANSWERS = {b"seconds to skip": b"\r", b"Shell> ": b"reset -s\r"}
"""What is typed when the firmware has printed something, once each."""


@pytest.mark.slow
def test_ovmf_starts_its_shell_and_turns_the_machine_off() -> None:
    if not OVMF.exists():
        report_missing("Debian's package ovmf is not installed")
    said, answers = bytearray(), dict(ANSWERS)

    def show(byte: int) -> None:
        said.append(byte)
        for prompt in [prompt for prompt in answers if said.endswith(prompt)]:
            pc.post(partial(pc.board.uarts[0].receive, answers.pop(prompt)))

    pc = Pc(PcConfiguration(memory_size=128 << 20, firmware=OVMF.read_bytes()), serial=(show,))
    pc.run(Limits(280))
    assert pc.end is End.POWER_OFF
    assert b"UEFI Interactive Shell" in said
    assert not answers


@pytest.mark.linux
@pytest.mark.slow
def test_ovmf_starts_the_kernel_of_the_command_line(debian: Debian, tmp_path: Path) -> None:
    if not OVMF.exists():
        report_missing("Debian's package ovmf is not installed")
    initrd = tmp_path / "initrd"
    initrd.write_bytes(busybox_root(debian.busybox.read_bytes(), "echo up; sleep 1; poweroff -f"))
    words = ["-m", "256M", "-bios", OVMF, "-kernel", debian.kernel, "-initrd", initrd, "-append", "console=ttyS0 cryptomgr.notests"]
    command = [sys.executable, "-c", PROGRAM, *map(str, words), "-nographic", "-monitor", "none"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=280)
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, done.stderr
    for line in ("efi: EFI v", "ACPI: PM: (supports S0 S5)", "up", "ACPI: PM: Preparing to enter system sleep state S5"):
        assert line in said, said
