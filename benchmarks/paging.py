"""`python -m benchmarks.paging`: the page docs/comparison.md, one table for each guest under EPT and under shadow paging.

The bundled guest always; SWEB where --sweb names its kernel.x; Debian's cloud kernel where it is found as the tests find it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.peers import qemu
from tests.systems.debian import PackageMissing, find_debian
from tests.systems.initramfs import busybox_root
from vmxon.cli.compare import MODES, rows, run_once
from vmxon.cli.images import Drive, Module, Program
from vmxon.cli.options import MachineOptions
from vmxon.machine.processor import library

PAGE = Path("docs/comparison.md")
TIMEOUT = 300.0
MIB = 1 << 20
READY = "the shell is here"
LINUX = "console=ttyS0 cryptomgr.notests"
INTRODUCTION = """# EPT and shadow paging, side by side

What each way to virtualize memory costs, for three guests. The tables are written by one command, in the checkout:

```
python -m benchmarks.paging --sweb kernel.x --drive SWEB.qcow2
```

`vmxon compare paging IMAGE` prints such a table for any guest. “The guest's own page tables” are those of the address space that it is
in at the end; the shadow tables beside them are the price that the course calls twice the memory. The bundled guest does the same work
at every start, so its memory is equal at its final hypercall; a guest that reads the clock sees how long its exits took, and may differ.
Times are processor time of one run, on a machine that had other work to do; all else is exact.
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """A guest to compare, and the text that it is measured to; without one it ends by itself."""

    name: str
    program: Program | None
    memory: int
    drives: tuple[Drive, ...] = ()
    until: str = ""

    @property
    def words(self) -> list[str]:
        """The options of `vmxon run`, which are QEMU's too."""
        words = ["-m", f"{self.memory // MIB}M"]
        if self.program is not None:
            words += ["--kernel", str(self.program.kernel)]
            words += ["--append", self.program.append] if self.program.append else []
            words += [word for module in self.program.modules for word in ("--initrd", str(module.path))]
        return [*words, *(word for drive in self.drives for word in ("--drive", f"file={drive.path}"))]


def seconds_to(text: str, command: Sequence[str]) -> float | None:
    """Processor time from the start of a process to the text in its output; None where that does not come."""
    wanted, printed = text.encode(), b""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None  # opened with PIPE above
        while wanted not in printed and (data := os.read(process.stdout.fileno(), 1 << 16)):
            printed += data
        process.kill()
        _, _, used = os.wait4(process.pid, 0)
        process.returncode = 0
    return used.ru_utime + used.ru_stime if wanted in printed else None


def starts(subject: Subject) -> list[tuple[str, float | None]]:
    """Each system that reaches the subject's text, and how much processor time that takes from the start of its process."""
    ours = [sys.executable, "-m", "vmxon", "run", "--timeout", f"{TIMEOUT:g}", *subject.words]
    times = [(f"`vmxon run --paging {mode}`", seconds_to(subject.until, [*ours, "--paging", mode])) for mode in MODES]
    if qemu.installed():
        words = [word.replace("--", "-", 1) if word.startswith("--") else word for word in subject.words]
        console = ["-serial", "stdio"] if subject.program and subject.program.modules else ["-debugcon", "stdio"]
        command = [qemu.COMMAND, "-accel", "tcg", "-cpu", qemu.PROCESSOR, "-display", "none", "-no-reboot", *console, *words]
        times.append(("QEMU TCG, without a hypervisor", seconds_to(subject.until, command)))
    return times


def section(subject: Subject) -> str:
    """A subject's heading and tables."""
    machine = MachineOptions(memory=subject.memory, drives=subject.drives, timeout=TIMEOUT)
    runs = [run_once(subject.program, machine, mode, subject.until) for mode in MODES]
    lines = [f"## {subject.name}", ""]
    head, *others = rows(runs)
    lines += ["| " + " | ".join(head) + " |", "|---" + "|---:" * len(runs) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in others]
    if subject.until:
        lines += ["", f"Processor time from the start of the process to “{subject.until}”:", "", "| system | time |", "|---|---:|"]
        lines += [f"| {system} | {'not reached' if seconds is None else f'{seconds:.1f} s'} |" for system, seconds in starts(subject)]
    return "\n".join(lines) + "\n"


def debian(folder: Path) -> Subject:
    """Debian's kernel with Busybox, to its first words.

    Raises:
        PackageMissing: it is not installed.
    """
    files = find_debian(folder)
    root = folder / "root.cpio"
    root.write_bytes(busybox_root(files.busybox.read_bytes(), f"echo {READY}\nexec sh"))
    program = Program(files.kernel, LINUX, (Module(root, str(root)),))
    return Subject("Debian's cloud kernel 6.1 with Busybox", program, 128 * MIB, until=READY)


@click.command()
@click.option("--sweb", type=click.Path(exists=True, path_type=Path), help="SWEB's kernel.x.")
@click.option("--drive", type=click.Path(exists=True, path_type=Path), help="SWEB's disk.")
@click.option("--output", type=click.Path(path_type=Path), default=PAGE, show_default=True)
def main(sweb: Path | None, drive: Path | None, output: Path) -> None:
    """Run the guests under EPT and shadow paging and write the page."""
    library()  # built before anything is timed
    subjects = [Subject("The bundled guest", None, 8 * MIB)]
    if sweb is not None:
        drives = () if drive is None else (Drive(drive, 0),)
        subjects.append(Subject("SWEB (IAIK/sweb, x86-64) to its prompt", Program(sweb), 8 * MIB, drives, "SWEB: />"))
    with tempfile.TemporaryDirectory(prefix="vmxon-paging-") as folder:
        try:
            subjects.append(debian(Path(folder)))
        except PackageMissing as missing:
            click.echo(f"without Debian's kernel: {missing}", err=True)
        sections = []
        for subject in subjects:
            click.echo(subject.name, err=True)
            sections.append(section(subject))
    output.write_text("\n".join([INTRODUCTION, *sections]), encoding="utf-8")


if __name__ == "__main__":
    main()
