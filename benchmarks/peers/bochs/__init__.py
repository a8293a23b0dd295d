"""Debian's Bochs as a peer and a second opinion: runs a multiboot ELF file and returns what it printed on port 0xE9.

The guest ends by halting with interrupts disabled (`cli; hlt`). Needs Debian's packages bochs, bochs-x and bochsbios.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template

from benchmarks.peers import PeerFailed, Run, Stopwatch
from benchmarks.peers.bochs.disk import disk_image

COMMAND = "bochs-bin"
TEMPLATE = Path(__file__).with_name("bochsrc.template")
PROMPT = b"<bochs:1> continue\n"
"""Debian builds Bochs with its debugger, whose talk precedes the guest's."""
HALTED = b"HLT instruction with IF=0"
PANIC = b">>PANIC<< "
DEBUGGER_LINES = re.compile(rb"(?:\(0\)\.\[\d+\] \[0x[^\n]*\n)+\Z")
"""Printed behind the guest's output on a panic."""
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Machine:
    """The PC that Bochs plays: processor model (`bochs --help cpu`), memory in MiB, virtual instructions per second."""

    model: str = "corei7_skylake_x"
    megabytes: int = 128
    speed: int = 50_000_000


def installed() -> bool:
    """It is on this machine."""
    return shutil.which(COMMAND) is not None


def run(image: Path, timeout: float, machine: Machine = Machine()) -> Run:
    """Run a multiboot ELF file until it halts for good.

    Raises:
        PeerFailed: a triple fault or another panic, or still running after `timeout` seconds.
    """
    with tempfile.TemporaryDirectory(prefix="bochs-") as directory:
        disk, log, configuration = (Path(directory, name) for name in ("disk.img", "bochs.log", "bochsrc"))
        disk.write_bytes(disk_image(image.read_bytes(), image.name, machine.megabytes << 20))
        settings = {"MODEL": machine.model, "IPS": machine.speed, "MEGABYTES": machine.megabytes}
        configuration.write_text(Template(TEMPLATE.read_text()).substitute(settings, DISK=disk, LOG=log))
        watch = Stopwatch()
        for arrived, data in _output(configuration, log, timeout):
            watch.take(data, arrived)
        watch.printed = DEBUGGER_LINES.sub(b"", watch.printed)
        story = log.read_bytes() if log.exists() else b""
        if HALTED not in story:
            panic = story.rpartition(PANIC)[2].split(b"\n")[0].decode() if PANIC in story else ""
            reason = panic or f"still running after {timeout:g} s"
            raise PeerFailed(f"{image.name}: {reason}; printed {watch.printed!r}")
        return watch.run()


def _output(configuration: Path, log: Path, timeout: float) -> Iterator[tuple[float, bytes]]:
    """What the guest prints, with the time of its arrival, until it has ended, Bochs exits or the time is over."""
    command = [COMMAND, "-q", "-f", str(configuration)]
    deadline = time.monotonic() + timeout
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None  # both are pipes
        assert process.stdout is not None
        process.stdin.write(b"continue\n")
        process.stdin.close()
        preamble: bytes | None = b""
        halted = False
        while time.monotonic() < deadline:
            if select.select([process.stdout], [], [], 0 if halted else POLL_SECONDS)[0]:
                data = os.read(process.stdout.fileno(), 65536)
                if not data:
                    break
                if preamble is not None:
                    preamble += data
                    _, found, data = preamble.partition(PROMPT)
                    if not found:
                        continue
                    preamble = None
                yield time.monotonic(), data
            elif halted:
                break
            else:
                halted = log.exists() and HALTED in log.read_bytes()
        process.kill()
