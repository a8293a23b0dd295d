"""QEMU with its translator TCG, which has no VMX."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import time
from pathlib import Path

from benchmarks.peers import PeerFailed, Run, Stopwatch

COMMAND = "qemu-system-x86_64"
PROCESSOR = "qemu64,+smep"


def installed() -> bool:
    """It is on this machine."""
    return shutil.which(COMMAND) is not None


def run(image: Path, timeout: float, processor: str = PROCESSOR) -> Run:
    """Run a multiboot ELF file until it leaves through isa-debug-exit.

    Raises:
        PeerFailed: it did not within `timeout` seconds.
    """
    command = [COMMAND, "-accel", "tcg", "-kernel", str(image), "-cpu", processor, "-display", "none", "-no-reboot"]
    command += ["-debugcon", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
    watch = Stopwatch()
    deadline = time.monotonic() + timeout
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None  # opened with PIPE above
        while select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
            data = os.read(process.stdout.fileno(), 65536)
            if not data:
                return watch.run()
            watch.take(data, time.monotonic())
        process.kill()
    raise PeerFailed(f"{image.name}: still running after {timeout:g} s; printed {watch.printed!r}")
