"""What an option of QEMU's command line is, and the machine that options describe bit by bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches

from vmxon.errors import ConfigurationError

MEBIBYTE = 1 << 20


@dataclass(slots=True)
class DriveDraft:
    """One disk or CD-ROM as asked for."""

    file: str
    slot: int | None = None
    cdrom: bool = False
    snapshot: bool | None = None
    """None: as -snapshot says."""
    format: str | None = None
    waits: str | None = None
    """An id under which a -device takes it; None where it has its slot without."""


@dataclass(slots=True)
class Draft:
    """What the options have said so far; the defaults are QEMU's where we can have them."""

    memory: int = 128 * MEBIBYTE
    processor: str = "qemu64"
    hypervisor: bool = False
    acpi: bool = True
    pci: bool = True
    kernel: str | None = None
    initrd: str | None = None
    append: str = ""
    drives: list[DriveDraft] = field(default_factory=list)
    boot_order: str = "cd"
    bios: str | None = None
    snapshot: bool = False
    serials: list[str] = field(default_factory=list)
    debug_console: str | None = None
    debug_console_port: int = 0xE9
    monitors: list[str] = field(default_factory=list)
    characters: dict[str, str] = field(default_factory=dict)
    """Back ends of -chardev by id, in the words of -serial."""
    display: str | None = None
    nographic: bool = False
    vga: bool = True
    """The ROM of -bios finds a VGA BIOS, where one is beside it."""
    defaults: bool = True
    debug_exit: tuple[int, int] | None = None
    test_device: bool = False
    gdb: str | None = None
    paused: bool = False
    no_reboot: bool = False
    no_shutdown: bool = False
    base_time: str | None = None
    log_items: set[str] = field(default_factory=set)
    log_file: str | None = None
    pid_file: str | None = None
    name: str = ""
    notes: list[str] = field(default_factory=list)
    """Lines about what was accepted and is not as asked."""

    def note(self, line: str) -> None:
        """Say something once."""
        if line not in self.notes:
            self.notes.append(line)


class Listing(Exception):
    """A list that was asked for in place of a machine (-help, -cpu ?)."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


Effect = Callable[[Draft, str], None]


@dataclass(frozen=True, slots=True)
class Option:
    """An option, its argument as help writes it, what we do about it, and how."""

    name: str
    argument: str
    """Empty where it takes none."""
    help: str
    effect: Effect
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """Options that belong together."""

    title: str
    options: tuple[Option, ...]


def nearest(word: str, known: list[str], dash: str = "") -> str:
    """What was perhaps meant, as the end of a sentence."""
    near = get_close_matches(word, known, 1, 0.4)
    return f"the nearest is {dash}{near[0]}" if near else f"see {dash}help" if not dash else "see -help"


def settings(text: str, implied: str = "") -> dict[str, str]:
    """`key=value,key,…` as QEMU reads it: a comma in a value is doubled, a key alone is on, `implied` names a first value without a key."""
    found: dict[str, str] = {}
    for number, part in enumerate(part.replace("\0", ",") for part in text.replace(",,", "\0").split(",")):
        key, equals, value = part.partition("=")
        if number == 0 and implied and not equals:
            found[implied] = part
        elif key:
            found[key] = value if equals else "on"
    return found


def only(option: str, found: dict[str, str], known: tuple[str, ...], passed: tuple[str, ...] = ()) -> None:
    """Refuse settings that are neither `known` nor `passed` over in silence."""
    for key in found:
        if key not in known and key not in passed:
            raise ConfigurationError(f"-{option}: {key!r} is no setting here", advice=nearest(key, list(known)))


def number(option: str, text: str) -> int:
    """A number in C's notation."""
    try:
        return int(text, 0)
    except ValueError:
        raise ConfigurationError(f"-{option}: {text!r} is no number", expected="digits, or 0x and hex digits") from None


def switch(option: str, text: str) -> bool:
    """on or off."""
    if text not in {"on", "off", "yes", "no"}:
        raise ConfigurationError(f"-{option}: {text!r} must be on or off")
    return text in {"on", "yes"}
