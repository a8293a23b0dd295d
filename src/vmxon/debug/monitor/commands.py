"""The monitor's commands, declared once: what runs them, what `help` says, and which word is nearest to an unknown one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from vmxon import __version__
from vmxon.debug.address_space import AddressSpace
from vmxon.debug.monitor import device_state, processor_state
from vmxon.debug.monitor.complaint import Complaint
from vmxon.debug.monitor.examine import Format, dump
from vmxon.debug.monitor.expression import Expression
from vmxon.debug.monitor.machine import Machine
from vmxon.debug.picture import png
from vmxon.errors import printable

Action = Callable[["Monitor", str], str]
MILLISECOND = 1_000_000
LONGEST_HOLD = 60_000
"""Milliseconds for which `sendkey` holds keys at most."""
LARGEST_SAVE = 1 << 30


@dataclass(frozen=True, slots=True)
class Command:
    """A word of the monitor's language."""

    action: Action
    arguments: str
    help: str


COMMANDS: dict[str, Command] = {}
INFORMATION: dict[str, Command] = {}
"""What comes behind `info`."""


def _command(table: dict[str, Command], names: str, arguments: str, help_line: str) -> Callable[[Action], Action]:
    """Enter an action under each of its names, separated by “|”."""

    def enter(action: Action) -> Action:
        for name in names.split("|"):
            table[name] = Command(action, arguments, help_line)
        return action

    return enter


class Monitor:
    """Runs lines on one machine; only in the machine's thread."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def execute(self, line: str) -> str:
        """What a line prints; a complaint is a line like any other."""
        word, _, rest = line.strip().partition(" ")
        if not word:
            return ""
        name, slash, form = word.partition("/")
        try:
            command = _find(COMMANDS, name, "command")
            return command.action(self, f"/{form} {rest.strip()}" if slash else rest.strip())
        except Complaint as complaint:
            return f"{printable(str(complaint))}\n"

    def number(self, text: str) -> int:
        """The value of an expression."""
        return Expression(text, self.machine.processor).value

    def formatted(self, rest: str) -> tuple[Format, int]:
        """A format that may be missing, and an expression."""
        form = ""
        if rest.startswith("/"):
            form, _, rest = rest[1:].partition(" ")
        if not rest.strip():
            raise Complaint("an address or number is missing")
        return Format.of(form), self.number(rest)


def _find(table: dict[str, Command], name: str, what: str) -> Command:
    if name not in table:
        near = get_close_matches(name, table, 1, 0.5)
        raise Complaint(f"unknown {what}: {name!r}; {f'did you mean {near[0]}?' if near else 'see help'}")
    return table[name]


def _without_arguments(word: str, rest: str) -> None:
    if rest:
        raise Complaint(f"{word} takes no argument, not {rest!r}")


# Running.
@_command(COMMANDS, "stop|s", "", "stop the machine")
def _stop(monitor: Monitor, rest: str) -> str:
    _without_arguments("stop", rest)
    monitor.machine.stop()
    return ""


@_command(COMMANDS, "cont|c", "", "let the machine go on")
def _cont(monitor: Monitor, rest: str) -> str:
    _without_arguments("cont", rest)
    monitor.machine.resume()
    return ""


@_command(COMMANDS, "system_reset", "", "reset the machine")
def _system_reset(monitor: Monitor, rest: str) -> str:
    _without_arguments("system_reset", rest)
    monitor.machine.reset()
    return ""


@_command(COMMANDS, "system_powerdown", "", "press the power button")
def _system_powerdown(monitor: Monitor, rest: str) -> str:
    _without_arguments("system_powerdown", rest)
    monitor.machine.board.power.press_power_button()
    return ""


@_command(COMMANDS, "nmi", "", "raise a non-maskable interrupt")
def _nmi(monitor: Monitor, rest: str) -> str:
    _without_arguments("nmi", rest)
    state = monitor.machine.processor.state
    state.nmi_pending, state.attention = 1, 1
    return ""


@_command(COMMANDS, "quit|q", "", "end the machine")
def _quit(monitor: Monitor, rest: str) -> str:
    _without_arguments("quit", rest)
    monitor.machine.quit()
    return ""


# Input and pictures.
@_command(COMMANDS, "sendkey", "KEYS [MILLISECONDS]", "press keys, such as a, kp_enter or ctrl-alt-delete, and release them")
def _sendkey(monitor: Monitor, rest: str) -> str:
    chord, _, hold = rest.partition(" ")
    if not chord:
        raise Complaint("sendkey needs keys, such as sendkey ret")
    if hold and not (hold.strip().isdecimal() and int(hold) <= LONGEST_HOLD):
        raise Complaint(f"{hold.strip()!r} is no time: write milliseconds, up to {LONGEST_HOLD}")
    try:
        monitor.machine.board.keyboard.send_key(chord, int(hold or 0) * MILLISECOND)
    except ValueError as error:
        raise Complaint(str(error)) from None
    return ""


@_command(COMMANDS, "screendump", "FILE", "write the VGA text screen to a file, as PNG")
def _screendump(monitor: Monitor, rest: str) -> str:
    if not rest:
        raise Complaint("screendump needs the name of a file")
    board = monitor.machine.board
    rows, cursor = board.vga.screen(board.text_memory), board.vga.cursor
    _save(rest, png(rows, board.vga.colours(), cursor))
    return ""


def _save(name: str, data: bytes) -> None:
    try:
        Path(name).write_bytes(data)
    except (OSError, ValueError) as error:
        raise Complaint(f"{name}: {getattr(error, 'strerror', None) or error}") from None


# Memory and numbers.
@_command(COMMANDS, "x", "/FORMAT ADDRESS", "memory at a linear address, such as x/8xg $rsp")
def _x(monitor: Monitor, rest: str) -> str:
    form, address = monitor.formatted(rest)
    return dump(address, form, AddressSpace(monitor.machine.processor).read)


@_command(COMMANDS, "xp", "/FORMAT ADDRESS", "memory at a physical address")
def _xp(monitor: Monitor, rest: str) -> str:
    form, address = monitor.formatted(rest)
    return dump(address, form, AddressSpace(monitor.machine.processor).read_physical)


@_command(COMMANDS, "p|print", "/FORMAT EXPRESSION", "the value of an expression, such as p/x $rip+8")
def _print(monitor: Monitor, rest: str) -> str:
    form, value = monitor.formatted(rest if rest.startswith("/") else f"/x {rest}")
    return f"{value:#x}\n" if form.letter == "x" else f"{Format(1, form.letter, 8).text(value).strip()}\n"


@_command(COMMANDS, "memsave", "ADDRESS SIZE FILE", "write linear memory to a file")
def _memsave(monitor: Monitor, rest: str) -> str:
    return _write_memory(monitor, rest, AddressSpace(monitor.machine.processor).read)


@_command(COMMANDS, "pmemsave", "ADDRESS SIZE FILE", "write physical memory to a file")
def _pmemsave(monitor: Monitor, rest: str) -> str:
    return _write_memory(monitor, rest, AddressSpace(monitor.machine.processor).read_physical)


def _write_memory(monitor: Monitor, rest: str, read: Callable[[int, int], bytes]) -> str:
    words = rest.split(None, 2)
    if len(words) != len(("address", "size", "file")):
        raise Complaint("an address, a size and the name of a file are needed")
    address, size = map(monitor.number, words[:2])
    if not 0 < size <= LARGEST_SAVE:
        raise Complaint(f"{size} bytes are too many or none: 1 to {LARGEST_SAVE}")
    data = read(address, size)
    if len(data) < size:
        raise Complaint(f"Cannot access memory at {address + len(data):#x}")
    _save(words[2].strip('"'), data)
    return ""


# Information.
@_command(COMMANDS, "info", "WHAT", "say what the machine holds")
def _info(monitor: Monitor, rest: str) -> str:
    name, _, more = rest.partition(" ")
    if not name:
        return _listing(INFORMATION, "info ")
    return _find(INFORMATION, name, "information").action(monitor, more.strip())


@_command(COMMANDS, "help|?", "[WORD]", "list the commands")
def _help(monitor: Monitor, rest: str) -> str:
    if not rest:
        return _listing(COMMANDS, "")
    if rest == "info":
        return _listing(INFORMATION, "info ")
    _find(COMMANDS, rest, "command")
    return _listing({rest: COMMANDS[rest]}, "")


def _listing(table: dict[str, Command], prefix: str) -> str:
    names: dict[Action, list[str]] = {}
    for name, command in table.items():
        names.setdefault(command.action, []).append(name)
    rows = []
    for spelled in names.values():
        command = table[spelled[0]]
        gap = "" if command.arguments.startswith("/") or not command.arguments else " "
        rows.append(f"{prefix}{'|'.join(spelled)}{gap}{command.arguments} -- {command.help}\n")
    return "".join(rows)


@_command(INFORMATION, "registers", "", "the processor's registers")
def _registers(monitor: Monitor, rest: str) -> str:
    return processor_state.registers(monitor.machine.processor)


@_command(INFORMATION, "tlb", "", "the pages of the present address space")
def _tlb(monitor: Monitor, rest: str) -> str:
    return processor_state.tlb(monitor.machine.processor)


@_command(INFORMATION, "mem", "", "ranges of the present address space and their rights")
def _mem(monitor: Monitor, rest: str) -> str:
    return processor_state.memory(monitor.machine.processor)


@_command(INFORMATION, "pic", "", "the two 8259 interrupt controllers")
def _pic(monitor: Monitor, rest: str) -> str:
    return device_state.pic(monitor.machine.board.pic)


@_command(INFORMATION, "lapic", "", "the local APIC")
def _lapic(monitor: Monitor, rest: str) -> str:
    return device_state.local_apic(monitor.machine.apic.apic)


@_command(INFORMATION, "vmx", "", "VMX operation, active VMCSs, the fields of the current one")
def _vmx(monitor: Monitor, rest: str) -> str:
    return processor_state.vmx(monitor.machine.processor)


@_command(INFORMATION, "status", "", "whether the machine runs")
def _status(monitor: Monitor, rest: str) -> str:
    return f"VM status: {'running' if monitor.machine.running else 'paused'}\n"


@_command(INFORMATION, "version", "", "the version of vmxon")
def _version(monitor: Monitor, rest: str) -> str:
    return f"vmxon {__version__}\n"
