"""What the commands that start a machine have in common: options, their types, and the values they become."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import wraps

import click

from vmxon.cli.images import Drive, DriveRequest, DriveType, place_drives
from vmxon.errors import ConfigurationError

KIB = 1024
UNITS = {"K": KIB, "M": KIB**2, "G": KIB**3}
SMALLEST_MEMORY = UNITS["M"]
PAGE = 4 * KIB


class Console(Enum):
    """Where the guest's console is: what it prints goes to the terminal, what is typed goes to it."""

    SERIAL = "serial"
    E9 = "e9"
    VGA = "vga"


class Size(click.ParamType[int]):
    """A number of bytes with its unit: 64K, 8M, 1G (also KiB, MiB, GiB)."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value).strip()
        match = re.fullmatch(r"([0-9]+)([KMG])(?:I?B)?", text, re.IGNORECASE)
        if text.isascii() and text.isdigit():
            self.fail(f"{text!r} has no unit: write {text}K, {text}M or {text}G", param, ctx)
        if not match:
            self.fail(f"{text!r} is not a size: write a whole number and K, M or G, such as 64K, 8M or 1G", param, ctx)
        return int(match[1]) * UNITS[match[2].upper()]


class Seconds(click.ParamType[float]):
    """A span of time in seconds, more than none and not endless."""

    name = "seconds"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            seconds = float(str(value))
        except ValueError:
            seconds = 0.0
        if not 0 < seconds < math.inf:
            self.fail(f"{str(value)!r} is not a time: write seconds, such as 2.5", param, ctx)
        return seconds


class MemorySize(Size):
    """The guest's memory: whole pages, at least 1 MiB."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        size = super().convert(value, param, ctx)
        if size < SMALLEST_MEMORY:
            self.fail(f"{size // KIB}K is too little for any guest: at least 1M", param, ctx)
        if size % PAGE:
            self.fail(f"{size // KIB}K is not a whole number of 4K pages", param, ctx)
        return size


class TlbRule(click.ParamType[str]):
    """Which translations the processor keeps, as `Processor.keep_translations` takes it."""

    name = "policy"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from vmxon.machine.translations import parse_policy

        try:
            parse_policy(str(value))
        except ConfigurationError as error:
            self.fail(str(error), param, ctx)
        return str(value)


@dataclass(frozen=True, slots=True)
class MachineOptions:
    """The machine to build, where its console is, and how its run is limited and reported."""

    memory: int
    """Bytes."""
    drives: tuple[Drive, ...] = ()
    model: str = "max"
    consoles: frozenset[Console] = frozenset({Console.SERIAL, Console.E9})
    timeout: float | None = None
    """Seconds of wall-clock time; None is no limit."""
    json: bool = False
    tlb: str = "keep"
    """Which translations the processor keeps of those that it may keep."""
    entry: int = 32
    """The mode, in bits, in which a Linux kernel is entered."""


PROGRAM_OPTIONS = (
    click.option(
        "--kernel", metavar="FILE", help="Kernel to load: multiboot 1 or 2, Linux (bzImage, PVH), or a flat binary with a boot sector."
    ),
    click.option(
        "--initrd",
        "modules",
        metavar="FILE",
        multiple=True,
        help="Module or initial RAM disk, its arguments after a space. Repeatable.",
    ),
    click.option("--append", metavar="TEXT", default="", help="Command line of the kernel."),
    click.option(
        "--entry",
        type=click.Choice(["16", "32", "64"]),
        default="32",
        show_default=True,
        help="Mode, in bits, in which a bzImage is entered; 16 starts it through the firmware.",
    ),
)

MACHINE_OPTIONS = (
    click.option(
        "--drive",
        "drives",
        type=DriveType(),
        multiple=True,
        help="Disk image (raw, flat VMDK, qcow2), as FILE or file=FILE,index=N,snapshot=off. Writes go to an overlay "
        "that is thrown away unless snapshot=off. Repeatable, up to four.",
    ),
    click.option(
        "-m", "--memory", type=MemorySize(), default="128M", show_default=True, help="Memory, such as 8M or 1G."
    ),
    click.option("--model", metavar="NAME", default="max", show_default=True, help="Processor model."),
    click.option(
        "--console",
        "consoles",
        type=click.Choice([console.value for console in Console]),
        multiple=True,
        help="What the terminal shows: the serial port, port 0xE9, or, alone, the VGA text screen drawn live. "
        "Repeatable.  [default: serial and e9]",
    ),
    click.option(
        "--tlb",
        type=TlbRule(),
        default="keep",
        show_default=True,
        help="Translations that the processor keeps of those that it may keep: keep all, nothing, random or random:SEED.",
    ),
    click.option("--timeout", type=Seconds(), help="Stop after this much time, with status 124."),
    click.option("--json", "as_json", is_flag=True, help="Report as JSON on stdout; the console goes to stderr."),
)

hints_option = click.option(
    "--hints", is_flag=True, help="Watch VM exits and entries for silent mistakes of the hypervisor; slower. Hints go to stderr."
)


def machine_options(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command the options of a machine; it receives `kernel`, `modules`, `append` and the `machine`."""

    @wraps(function)
    def gather(
        *,
        drives: tuple[DriveRequest, ...],
        memory: int,
        model: str,
        tlb: str,
        consoles: tuple[str, ...],
        timeout: float | None,
        as_json: bool,
        entry: str,
        **others: object,
    ) -> int:
        machine = MachineOptions(
            memory=memory,
            drives=place_drives(drives),
            model=model,
            consoles=_consoles(consoles),
            timeout=timeout,
            json=as_json,
            entry=int(entry),
            tlb=tlb,
        )
        return function(machine=machine, **others)

    command: Callable[..., int] = gather
    for option in reversed((*PROGRAM_OPTIONS, *MACHINE_OPTIONS)):
        command = option(command)
    return command


def _consoles(names: tuple[str, ...]) -> frozenset[Console]:
    """The consoles asked for; the drawn screen leaves no room for another."""
    if not names:
        return frozenset({Console.SERIAL, Console.E9})
    consoles = frozenset(map(Console, names))
    if Console.VGA in consoles and len(consoles) > 1:
        raise click.UsageError("--console vga draws the whole terminal and cannot be combined with another console")
    return consoles
