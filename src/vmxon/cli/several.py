"""Several guests at once: a live table on a terminal, keys for the guest in focus, what each printed, and a table at the end."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from vmxon.cli.images import Program
from vmxon.cli.options import MachineOptions
from vmxon.errors import ExitStatus

if TYPE_CHECKING:
    from rich.table import Table

    from vmxon.hypervisor.hypervisor import Guest, Hypervisor

HEADINGS = ("guest", "state", "status", "instructions", "asleep", "VM exits", "slices", "time")
REFRESH = 0.1
"""Seconds between two drawings of the live table."""
ROOM = 16 << 20
"""Bytes of the machine beyond the guests' memory."""
COMMAND_KEY = 0x01
"""Ctrl-A: what follows is for us."""
HELP = "Ctrl-A 1…9: keys go to that guest; Ctrl-A p: pause or resume it; Ctrl-A k: kill it"


def cells(guest: Guest) -> tuple[str, ...]:
    """A guest's row."""
    job, exits, spent = guest.job, sum(guest.machine.accounting.counts.values()), guest.machine.time
    status = "" if guest.status is None else str(guest.status)
    asleep = f"{spent.slept / max(1, spent.now):.0%}"
    figures = f"{job.instructions:,}", asleep, f"{exits:,}", f"{job.slices:,}", f"{job.seconds:.2f} s"
    return guest.name, guest.condition.value, status, *figures


class Panel:
    """Where keys go, and what is drawn; `keys` runs on the terminal's thread, everything else on the guests'."""

    def __init__(self, hypervisor: Hypervisor) -> None:
        self.hypervisor, self.guests = hypervisor, hypervisor.guests
        self.focus = self.guests[0]
        self.arrived = threading.Event()
        self._command = False
        self._words: list[str] = []

    def keys(self, data: bytes) -> None:
        """What was typed: to the serial port and the keyboard of the guest in focus, but for commands."""
        for byte in data:
            if self._command:
                self._command = False
                self._words.append(chr(byte))
            elif byte == COMMAND_KEY:
                self._command = True
            else:
                self.focus.send(bytes((byte,)))
                self.focus.type(chr(byte).replace("\r", "\n").replace("\x7f", "\b"))
        self.arrived.set()

    def obey(self) -> None:
        """Carry out the commands that have been typed."""
        while self._words:
            word, focus = self._words.pop(0), self.focus
            if word.isdigit() and 0 < int(word) <= len(self.guests):
                self.focus = self.guests[int(word) - 1]
            elif focus.job.alive and word == "k":
                focus.kill()
            elif focus.job.alive and word == "p":
                focus.resume() if focus.condition.value == "paused" else focus.pause()

    def draw(self) -> Table:
        """All rows, and the last line that the guest in focus has printed."""
        from rich.table import Table

        lines = bytes(self.focus.output).decode("utf-8", "replace").splitlines() or [""]
        table = Table(*HEADINGS, caption=f"{self.focus.name}: {''.join(filter(str.isprintable, lines[-1]))}\n{HELP}")
        for guest in self.guests:
            table.add_row(*cells(guest), style="bold" if guest is self.focus else "")
        return table

    def wait(self, seconds: float) -> None:
        """Every guest sleeps: so do we, until a key comes."""
        self.arrived.wait(seconds)
        self.arrived.clear()


def start(programs: Sequence[Program | None], machine: MachineOptions, paging: str) -> int:
    """Run one guest for each program, None being the bundled one, in turns; the first status that is not 0."""
    from rich.live import Live

    from vmxon.cli.console import show_build_progress
    from vmxon.cli.terminal import Terminal

    show_build_progress(sys.stderr)
    hypervisor = build(programs, machine, paging)
    panel, scheduler = Panel(hypervisor), hypervisor.scheduler
    attended, drawn = sys.stdin.isatty(), time.monotonic()
    if attended:
        scheduler.idle = panel.wait
    with Live(panel.draw(), auto_refresh=False, transient=True) if sys.stdout.isatty() else nullcontext() as live:

        def show(_: object) -> None:
            nonlocal drawn
            panel.obey()
            if live is not None and time.monotonic() - drawn > REFRESH:
                drawn = time.monotonic()
                live.update(panel.draw(), refresh=True)

        scheduler.on_slice = show
        try:
            with Terminal(panel.keys):
                hypervisor.run(machine.timeout)
        finally:
            if live is not None:
                live.stop()
            status = report(hypervisor.guests)
    return status


def build(programs: Sequence[Program | None], machine: MachineOptions, paging: str) -> Hypervisor:
    """A hypervisor with a loaded guest for each program; each has overlays of its own over the drives."""
    from vmxon.cli.machines import open_drives
    from vmxon.hypervisor.guest import bundled_guest
    from vmxon.hypervisor.hypervisor import Hypervisor
    from vmxon.hypervisor.memory.virtual_memory import PagingMode
    from vmxon.hypervisor.virtual_machine import machine_memory
    from vmxon.machine.loader import load_files
    from vmxon.machine.loader.information import ROOT_POINTER

    each = machine_memory(machine.memory, PagingMode(paging))
    hypervisor = Hypervisor(each * len(programs) + ROOM, machine.model)
    hypervisor.host.root.processor.keep_translations(machine.tlb)
    for number, program in enumerate(programs, 1):
        drives = open_drives(machine.drives)
        guest = hypervisor.create(machine.memory, f"{number}", paging=paging, drives=drives)
        if program is not None:
            modules = [(module.path, module.command_line) for module in program.modules]
            guest.load(load_files(program.kernel, machine.memory, program.append, modules, ROOT_POINTER))
        elif any(drives):
            guest.boot()
        else:
            guest.load(bundled_guest())
    return hypervisor


def report(guests: Sequence[Guest]) -> int:
    """What each guest printed, why some failed, and the table."""
    for guest in guests:
        for line in guest.output.decode("utf-8", "replace").splitlines():
            sys.stdout.write(f"{guest.name}: {line}\n")
        if guest.job.error is not None:
            sys.stderr.write(f"{guest.name}: {guest.job.error}\n")
    rows = [HEADINGS, *map(cells, guests)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    for row in rows:
        sys.stdout.write("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() + "\n")
    return next((guest.status or ExitStatus.GUEST_FAILED for guest in guests if guest.status != 0), 0)
