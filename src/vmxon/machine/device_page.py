"""The page of devices: for each one where it answers, what it does and does not, its registers' bits without effect, its source.

`python -m vmxon.machine.device_page docs/devices.md` writes it; without a file name it goes to standard output. Everything on it
comes from the modules' docstrings and from a board with all that a configuration can ask for.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import TypeVar

import vmxon.devices
from vmxon.arch.bits import Word
from vmxon.devices.bus import Bus
from vmxon.devices.disk import AtaDrive, CdromDrive
from vmxon.devices.state import Saved
from vmxon.machine.board import Board, Sinks, ignore, nothing
from vmxon.machine.configuration import SERIAL_PORTS, PcConfiguration

T = TypeVar("T")
PREFIX = vmxon.devices.__name__
SOURCE, ABSENT = re.compile(r"^Sources?: "), "Not there: "
IDLE = re.compile(r"without effect|never|ignored|kept")
"""How a bit's description says that the bit does nothing."""
NO_DEVICES = ("bus", "clock", "counter", "disk", "dma", "interrupt", "state")
"""Modules of `devices` that serve devices and are none."""
ELSEWHERE = (
    "floppy drives",
    "parallel ports",
    "the 8237 DMA controllers",
    "HPET",
    "sound",
    "network cards",
    "USB",
    "virtio",
    "a watchdog",
)
"""Devices of PCs that this one has not got."""

INTRODUCTION = (
    "Written by `python -m vmxon.machine.device_page docs/devices.md` from the docstrings of the devices and from a board that has "
    "them all; a test keeps it true."
)


class Zeros:
    """A disk for the board that is looked at."""

    sectors = 1

    def read(self, lba: int, count: int) -> bytes:
        """Nothing is on it."""
        return bytes(512 * count)

    def write(self, lba: int, data: bytes) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is open."""


class NoMemory:
    """What bus masters of that board reach."""

    def read(self, address: int, size: int) -> bytes:
        """Nothing answers."""
        return b"\xff" * size

    def write(self, address: int, data: bytes) -> None:
        """Nothing takes it."""


def whole_board() -> Board:
    """A board with everything."""
    configuration = PcConfiguration(
        memory_size=1 << 20,
        drives=(AtaDrive(Zeros()), None, CdromDrive()),
        serial_ports=len(SERIAL_PORTS),
        test_device=True,
        pci=True,
        acpi=True,
    )
    board = Board(configuration, memoryview(bytearray(1 << 20)), Sinks(leave=ignore, reset=nothing), NoMemory())
    board.program()
    return board


def unit_of(thing: object) -> str:
    """The module or package below `devices` that a device comes from; a bus within a bus belongs to what is on it."""
    if isinstance(thing, Bus) and thing.owners:
        thing = next(iter(thing.owners.values()))
    return type(thing).__module__.removeprefix(f"{PREFIX}.").split(".")[0]


def answers(bus: Bus) -> dict[str, list[tuple[int, int]]]:
    """First and last address of each stretch at which a unit answers on a bus."""
    owned: dict[str, set[int]] = defaultdict(set)
    for address, device in bus.owners.items():
        owned[unit_of(device)].add(address)
    found = {unit: stretches(addresses) for unit, addresses in owned.items()}
    for start, size, window in bus.windows():
        found.setdefault(unit_of(window), []).append((start, start + size - 1))
    return {unit: sorted(places) for unit, places in found.items()}


def stretches(addresses: set[int]) -> list[tuple[int, int]]:
    """Runs of neighbours, as first and last."""
    runs: list[tuple[int, int]] = []
    for address in sorted(addresses):
        if runs and address == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], address)
        else:
            runs.append((address, address))
    return runs


def modules_of(unit: str) -> list[ModuleType]:
    """The module, or the package and what is in it."""
    module = import_module(f"{PREFIX}.{unit}")
    inner = [import_module(f"{PREFIX}.{unit}.{row.name}") for row in iter_modules(getattr(module, "__path__", ()))]
    return [module, *inner]


def idle_bits(modules: Sequence[ModuleType]) -> Iterator[str]:
    """Bits of the unit's registers that do nothing, with what they are."""
    for word in classes_of(modules, Word):
        for bits in word.layout.fields:
            if IDLE.search(bits.doc):
                yield f"`{word.__name__}.{bits.name}`: {bits.doc}"


def classes_of(modules: Sequence[ModuleType], kind: type[T]) -> Iterator[type[T]]:
    """The classes of a kind that the modules define, in their order."""
    for module in modules:
        for name, member in vars(module).items():
            if isinstance(member, type) and issubclass(member, kind) and member.__module__ == module.__name__ and name[0] != "_":
                yield member


def docstring(thing: object) -> list[str]:
    """The paragraphs of a docstring, each on one line; a table stays as it is."""
    parts = (inspect.getdoc(thing) or "").split("\n\n")
    return [part if part.startswith("    ") else " ".join(part.split()) for part in parts]


def section(unit: str, places: Sequence[str]) -> Iterator[str]:
    """One unit's part of the page.

    Raises:
        LookupError: its docstring does not say what is not there.
    """
    modules = modules_of(unit)
    title, *paragraphs = docstring(modules[0])
    yield f"## `{unit}`: {title}"
    yield f"Answers at {', '.join(places)}."
    yield from (text for text in paragraphs if not SOURCE.match(text) and not text.startswith(ABSENT))
    yield "\n".join(f"- `{part.__name__}`: {' '.join(docstring(part))}" for part in classes_of(modules, Saved))
    absent = [text for text in paragraphs if text.startswith(ABSENT)]
    if not absent:
        raise LookupError(f"the docstring of {PREFIX}.{unit} has no paragraph that begins with “{ABSENT.strip()}”")
    yield f"**{ABSENT.strip()[:-1]}**: {absent[0].removeprefix(ABSENT)}"
    idle = list(idle_bits(modules))
    if idle:
        yield "Bits without effect:\n\n" + "\n".join(f"- {line}" for line in idle)
    sources = [SOURCE.sub("", part) for module in modules for part in docstring(module) if SOURCE.match(part)]
    if sources:
        yield "Sources:\n\n" + "\n".join(f"- {source}" for source in dict.fromkeys(sources))
    yield f"Code: [`devices/{unit}`](../src/vmxon/devices/{unit}{'' if len(modules) > 1 else '.py'})."


def page() -> str:
    """The whole page."""
    board = whole_board()
    ports, memory = answers(board.bus), answers(board.memory_bus)
    units = [row.name for row in iter_modules(vmxon.devices.__path__) if row.name not in NO_DEVICES]
    parts = [
        "# The devices of the PC",
        INTRODUCTION,
        f"Not on this PC: {', '.join(ELSEWHERE)}. What no device claims reads as ones, and writes to it are lost.",
    ]
    for unit in units:
        places = [f"port {_span(*place)}" for place in ports.get(unit, ())] + [f"memory {_span(*place)}" for place in memory.get(unit, ())]
        parts += section(unit, places)
    return "\n\n".join(parts) + "\n"


def _span(first: int, last: int) -> str:
    return f"{first:#x}" if first == last else f"{first:#x}–{last:#x}"


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())
