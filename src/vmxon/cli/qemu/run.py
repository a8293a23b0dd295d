"""Running the machine of a draft: the bare PC, or a guest of the hypervisor under -accel kvm."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from vmxon.cli.console import press, show_build_progress, text_screen
from vmxon.cli.qemu.machines import configuration, monitors, serials
from vmxon.cli.qemu.option import Draft
from vmxon.cli.qemu.places import Places
from vmxon.cli.screen import LiveScreen
from vmxon.debug.debugger import Debugger
from vmxon.debug.gdb.server import LOOPBACK, GdbServer
from vmxon.debug.monitor import Monitor
from vmxon.debug.monitor.conversation import Conversation
from vmxon.debug.monitor.machine import DebuggedPc, Machine
from vmxon.debug.monitor.processor_state import registers
from vmxon.devices.bus import BusOverlap
from vmxon.errors import ConfigurationError, ExitStatus, TripleFault
from vmxon.machine.board import Board
from vmxon.machine.pc import End, Pc
from vmxon.machine.shutdown import triple_fault
from vmxon.processor.state import HostRequest

if TYPE_CHECKING:
    from vmxon.machine.configuration import PcConfiguration

PROMPT = "(qemu) "
"""What scripts that drive QEMU's monitor wait for."""
Post = Callable[[Callable[[], None]], None]


class SerialInput:
    """Bytes to a serial port, in the machine's thread."""

    def __init__(self, board: Board, number: int, post: Post) -> None:
        self.board, self.number, self.post = board, number, post

    def opened(self) -> None:
        """A serial port says nothing by itself."""

    def receive(self, data: bytes) -> None:
        self.post(lambda: self.board.uarts[self.number].receive(data))


def start(draft: Draft) -> int:
    """Build the machine, run it to its end, and answer the exit status of the process."""
    made = configuration(draft)
    for line in draft.notes:
        sys.stderr.write(f"vmxon-system-x86_64: {line}\n")
    if draft.pid_file is not None:
        _write_pid(draft.pid_file)
    show_build_progress(sys.stderr)
    if draft.hypervisor:
        from vmxon.cli.qemu.guest import start_guest

        return start_guest(draft, made)
    return _start_pc(draft, made)


def _write_pid(name: str) -> None:
    try:
        Path(name).write_text(f"{os.getpid()}\n", encoding="ascii")
    except OSError as error:
        raise ConfigurationError(f"-pidfile: {name}: {(error.strerror or str(error)).lower()}") from None


def _start_pc(draft: Draft, made: PcConfiguration) -> int:
    places = Places(draft)
    sinks = [places.sink(words) for words in serials(draft)]
    debug_console = places.sink(draft.debug_console or "null")
    try:
        pc = Pc(made, serial=sinks, debug_console=debug_console)
    except BusOverlap as overlap:
        raise ConfigurationError(str(overlap), advice="give another iobase") from None
    debugger = Debugger(pc)
    machine = DebuggedPc(debugger)
    pc.paused = draft.paused
    with ExitStack() as stack:
        pc.attended = pc.interactive = attend(draft, places, machine, pc.post)
        if draft.gdb is not None:
            server = stack.enter_context(GdbServer(debugger, Monitor(machine).execute, gdb_port(draft.gdb)))
            sys.stderr.write(f"gdb: listening at {LOOPBACK}:{server.port}\n" if server.port != 1234 else "")
            pc.attended = True
        places.input_ended = lambda: pc.post(lambda: _leave_alone(pc, others=draft.gdb is not None or bool(places.places)))
        _log_resets(pc, stack.enter_context(log(draft)) if "cpu_reset" in draft.log_items else None)
        _explain_triple_faults(pc)
        stack.enter_context(shown(draft, places, pc.board))
        stack.enter_context(places.open(shared=any(words.startswith("mon:") for words in serials(draft))))
        status = pc.run()
        while pc.end is End.POWER_OFF and draft.no_shutdown:
            pc.end, pc.paused = None, True
            status = pc.run()
    return ExitStatus.SUCCESS if status is None else status


def _leave_alone(pc: Pc, *, others: bool) -> None:
    """Standard input has ended: where nobody else may speak, a halt that nothing can end is the end."""
    pc.attended = others
    pc.interactive = others and pc.interactive


def attend(draft: Draft, places: Places, machine: Machine, post: Post) -> bool:
    """Connect whoever may speak to the machine; False where nobody can."""
    board = machine.board
    heard = False
    for number, words in enumerate(serials(draft)):
        connected = places.connect(words, SerialInput(board, number, post))
        heard = heard or (connected and _may_speak(places, words))
    asked = monitors(draft)
    if any(words.startswith("mon:") for words in serials(draft)):
        asked = [*asked, "stdio"]
    for words in asked:
        place = places.find(words)
        if place is None:
            continue
        echo = place.standard and sys.stdin.isatty()
        connected = places.connect(words, Conversation(Monitor(machine), post, places.writer(place), PROMPT, echo=echo))
        heard = heard or (connected and _may_speak(places, words))
    places.quit = lambda: post(machine.quit)
    if not places.readers and sys.stdin.isatty() and draft.display != "none" and not draft.nographic:
        places.unshared_keys = lambda data: post(lambda: press(board, data))
        heard = True
    return heard


def _may_speak(places: Places, words: str) -> bool:
    """Whether anything can still come from there: /dev/null and files at standard input cannot."""
    place = places.find(words)
    if place is None or place.channel is not None:
        return place is not None
    try:
        return sys.stdin.isatty() or Path("/dev/stdin").is_fifo() or Path("/dev/stdin").is_socket()
    except OSError:
        return False


def gdb_port(words: str) -> int:
    """The port of tcp:HOST:PORT, where HOST may only be ours."""
    kind, _, rest = words.split(",", maxsplit=1)[0].partition(":")
    host, _, port = rest.rpartition(":")
    if kind != "tcp" or not port.isdecimal():
        raise ConfigurationError(f"-gdb: {words!r} is no place for gdb", expected="tcp::PORT")
    if host not in {"", "localhost", LOOPBACK}:
        raise ConfigurationError(f"-gdb: {words} would be reachable from other hosts", expected=f"tcp::{port}")
    return int(port)


@contextmanager
def log(draft: Draft) -> Iterator[TextIO]:
    """Where -d logs to."""
    if draft.log_file is None:
        yield sys.stderr
        return
    try:
        file = Path(draft.log_file).open("w", encoding="utf-8")  # noqa: SIM115 - entered below
    except OSError as error:
        raise ConfigurationError(f"-D: {draft.log_file}: {(error.strerror or str(error)).lower()}") from None
    with file:
        yield file


def _log_resets(pc: Pc, file: TextIO | None) -> None:
    if file is not None:
        pc.on_reset = lambda: print(f"CPU Reset (CPU 0)\n{registers(pc.processor)}", end="", file=file)


def _explain_triple_faults(pc: Pc) -> None:
    """A triple fault resets, as on hardware; the first one is explained."""
    told = False

    def faulted() -> None:
        nonlocal told
        if not told:
            told = True
            report = TripleFault(triple_fault(pc.processor))
            sys.stderr.write("\n".join([f"vmxon-system-x86_64: {report}; the machine resets", *report.details, ""]))
        pc.want_reset()

    pc.services[HostRequest.TRIPLE_FAULT] = faulted


@contextmanager
def shown(draft: Draft, places: Places, board: Board) -> Iterator[None]:
    """The text screen in the terminal, where it is asked for or nothing else is there."""
    if draft.name and sys.stdout.isatty():
        places.output.write(b"\x1b]0;" + draft.name.encode() + b"\x07")
    free = draft.display is None and not draft.nographic and not uses_terminal(draft, places)
    if draft.display == "curses" or (free and sys.stdout.isatty()):
        with LiveScreen(lambda: text_screen(board), places.output):
            yield
    else:
        yield


def uses_terminal(draft: Draft, places: Places) -> bool:
    """Whether a device or a monitor writes to standard output."""
    spoken = [*serials(draft), *monitors(draft), *([draft.debug_console] if draft.debug_console is not None else [])]
    return any(place is not None and place.standard for place in map(places.find, spoken))
