"""Who looks into a machine that `vmxon boot` runs: gdb, and monitors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from vmxon.machine.pc import Pc

PROMPT = "(vmxon) "


@dataclass(frozen=True, slots=True)
class Attendance:
    """What was asked for."""

    gdb: int | None = None
    """The port of the loopback address; 0 takes a free one."""
    monitors: tuple[str, ...] = ()
    wait: bool = False
    """The machine starts when gdb or a monitor says so."""


ATTENDANCE_OPTIONS = (
    click.option("--gdb", type=click.IntRange(0, 0xFFFF), metavar="PORT", help="Serve gdb at this port of 127.0.0.1; 0 takes a free one."),
    click.option(
        "--monitor",
        "monitors",
        multiple=True,
        metavar="WHERE",
        help="A monitor with the words of QEMU's, at pipe:NAME, tcp:127.0.0.1:PORT,server,nowait, unix:PATH,server,nowait or pty.",
    ),
    click.option("--wait", is_flag=True, help="Start when gdb or a monitor says so."),
)


def attendance_options(function: Callable[..., int]) -> Callable[..., int]:
    """Give a command these options; it receives the `attendance`."""

    @wraps(function)
    def gather(*, gdb: int | None, monitors: tuple[str, ...], wait: bool, **others: object) -> int:
        if wait and gdb is None and not monitors:
            raise click.UsageError("--wait needs --gdb or --monitor: nobody else can start the machine")
        return function(attendance=Attendance(gdb, monitors, wait), **others)

    command: Callable[..., int] = gather
    for option in reversed(ATTENDANCE_OPTIONS):
        command = option(command)
    return command


@contextmanager
def attended(pc: Pc, attendance: Attendance) -> Iterator[None]:
    """While the machine runs, gdb is served and monitors answer."""
    if attendance == Attendance():
        yield
        return
    from vmxon.debug.channels import open_channel
    from vmxon.debug.debugger import Debugger
    from vmxon.debug.gdb.server import LOOPBACK, GdbServer
    from vmxon.debug.monitor import Monitor
    from vmxon.debug.monitor.conversation import Conversation
    from vmxon.debug.monitor.machine import DebuggedPc

    debugger = Debugger(pc)
    monitor = Monitor(DebuggedPc(debugger))
    pc.attended = True
    pc.interactive = pc.interactive or bool(attendance.monitors)  # gdb types nothing, and its runs are to be equal
    pc.paused = attendance.wait
    with ExitStack() as stack:
        for words in attendance.monitors:
            channel = open_channel(words)
            channel.connect(Conversation(monitor, pc.post, channel.write, PROMPT))
            stack.enter_context(channel)
        if attendance.gdb is not None:
            server = stack.enter_context(GdbServer(debugger, monitor.execute, attendance.gdb))
            sys.stderr.write(f"gdb: target remote {LOOPBACK}:{server.port}\n")
        yield
