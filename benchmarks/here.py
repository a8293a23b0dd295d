"""Our own side: a workload on the bare machine in this process, and the time that a start takes in a new one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import END, START, PeerFailed, Run, Stopwatch
from vmxon.machine.configuration import PcConfiguration
from vmxon.machine.loader import load_multiboot
from vmxon.machine.pc import Limits, Pc

MEMORY = 128 << 20


@dataclass(frozen=True, slots=True)
class Measured:
    """A run, with the number of instructions between S and E."""

    run: Run
    instructions: int


def run(image: bytes, name: str, timeout: float) -> Measured:
    """Run a multiboot ELF file until it leaves through isa-debug-exit.

    Raises:
        GuestStopped: it did not.
    """
    watch, counts = Stopwatch(), dict.fromkeys((START, END), 0)

    def take(value: int) -> None:
        data = bytes([value])
        watch.take(data, time.monotonic())
        if data in counts:
            counts[data] = pc.processor.instructions

    pc = Pc(PcConfiguration(memory_size=MEMORY, kernel=load_multiboot(image, name, MEMORY)), debug_console=take)
    pc.run(Limits(seconds=timeout))
    return Measured(watch.run(), counts[END] - counts[START])


def start_seconds(image: Path, cache: Path) -> float:
    """Seconds from the start of a new `vmxon boot` to the first byte that the guest prints, with the engine kept in `cache`.

    Raises:
        PeerFailed: the guest printed nothing.
    """
    command = [sys.executable, "-m", "vmxon", "boot", "--kernel", str(image)]
    started = time.monotonic()
    with subprocess.Popen(
        command,
        env=os.environ | {"VMXON_CACHE": str(cache)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None  # opened with PIPE above
        first = os.read(process.stdout.fileno(), 1)
        seconds = time.monotonic() - started
        complaint = process.communicate()[1]
    if first != START or process.returncode not in (0, 1):
        last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
        raise PeerFailed(f"vmxon boot printed {first!r} and ended with status {process.returncode}: {last}")
    return seconds


@contextmanager
def empty_cache() -> Iterator[Path]:
    """A folder for the engine that is as empty as before the first start ever."""
    with tempfile.TemporaryDirectory(prefix="vmxon-bench-") as folder:
        yield Path(folder)
