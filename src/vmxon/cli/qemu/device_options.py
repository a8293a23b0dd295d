"""Options for devices: serial ports, consoles, -device, screens, the network that is not there."""

from __future__ import annotations

from vmxon.cli.qemu.machine_options import passed
from vmxon.cli.qemu.option import Draft, Listing, Option, Section, nearest, number, only, settings
from vmxon.cli.qemu.storage_options import SLOTS
from vmxon.errors import ConfigurationError

PLACES = (
    "stdio", "mon:stdio", "file:PATH", "pipe:NAME", "tcp:127.0.0.1:PORT,server,nowait", "unix:PATH,server,nowait", "pty", "chardev:ID",
    "null", "none",
)  # fmt: skip
"""Words of -serial, -debugcon and -monitor."""
PORTS = 0x1_0000
DEVICES = {
    "isa-debug-exit": "iobase=0x501,iosize=2: a write of V ends the process with status (V << 1) | 1",
    "isa-debugcon": "iobase=0xe9,chardev=ID: a port whose bytes go to a character device",
    "isa-serial": "chardev=ID: one more serial port",
    "pc-testdev": "interrupt lines, memory and page flushes for test kernels",
    "ide-hd": "drive=ID,bus=ide.N,unit=N: a -drive if=none as a disk",
    "ide-cd": "the same as a CD-ROM",
}
ABSENT = {
    "pci-testdev": "-device pci-testdev: there is no such device, and the machine runs without it",
    "VGA": "",
    "isa-vga": "",
}
"""Devices that are passed over, with a note or without."""
DISPLAYS = ("none", "curses")
WINDOWS = ("gtk", "sdl", "cocoa", "default", "egl-headless")
BACK_ENDS = {"stdio": "stdio", "null": "null", "vc": "null", "pty": "pty", "file": "file:{path}", "pipe": "pipe:{path}"}


def serial(draft: Draft, text: str) -> None:
    """-serial."""
    draft.serials.append(text)


def debug_console(draft: Draft, text: str) -> None:
    """-debugcon."""
    draft.debug_console = text


def monitor(draft: Draft, text: str) -> None:
    """-monitor."""
    draft.monitors.append(text)


def monitor_on(draft: Draft, text: str) -> None:
    """-mon chardev=ID."""
    found = settings(text, "chardev")
    only("mon", found, ("chardev",), ("mode", "pretty"))
    if found.get("mode", "readline") != "readline":
        raise ConfigurationError("-mon: there is no QMP", advice="the nearest is mode=readline")
    draft.monitors.append(f"chardev:{found.get('chardev', '')}")


def no_qmp(draft: Draft, text: str) -> None:
    """-qmp."""
    if text != "none":
        raise ConfigurationError("-qmp: there is no QMP", advice="the nearest is -monitor, with HMP's words")


def character(draft: Draft, text: str) -> None:
    """-chardev."""
    found = settings(text, "backend")
    back_end, identity = found.pop("backend", ""), found.pop("id", "")
    if not identity:
        raise ConfigurationError(f"-chardev: {text} has no id", expected="BACKEND,id=ID")
    if back_end == "socket":
        address = f"unix:{found['path']}" if "path" in found else f"tcp:{found.get('host', '')}:{found.get('port', '')}"
        waits = "" if found.get("wait", "on") == "on" else ",nowait"
        spelled = address + (",server" if found.get("server", "off") == "on" else "") + waits
    elif back_end in BACK_ENDS:
        spelled = BACK_ENDS[back_end].format(path=found.get("path", ""))
    else:
        raise ConfigurationError(f"-chardev: {back_end!r} is no back end here", advice=nearest(back_end, [*BACK_ENDS, "socket"]))
    draft.characters[identity] = f"mon:{spelled}" if found.get("mux") == "on" else spelled


def device(draft: Draft, text: str) -> None:
    """-device."""
    found = settings(text, "driver")
    name = found.pop("driver", "")
    if name in {"?", "help"}:
        raise Listing("".join(f'name "{key}", {title}\n' for key, title in DEVICES.items()))
    if name in ABSENT:
        if ABSENT[name]:
            draft.note(ABSENT[name])
        return
    match name:
        case "isa-debug-exit":
            only("device", found, ("iobase", "iosize"))
            draft.debug_exit = _ports(found, "0x501", "2")
        case "isa-debugcon":
            only("device", found, ("iobase", "chardev"), ("readback",))
            draft.debug_console_port, _ = _ports(found, "0xe9", "1")
            draft.debug_console = f"chardev:{found.get('chardev', '')}"
        case "isa-serial":
            only("device", found, ("chardev",), ("iobase", "irq", "index"))
            draft.serials.append(f"chardev:{found.get('chardev', '')}")
        case "pc-testdev":
            draft.test_device = True
        case "ide-hd" | "ide-cd":
            _plug(draft, name, found)
        case _:
            raise ConfigurationError(f"-device: there is no {name!r}", advice=nearest(name, list(DEVICES)))


def _ports(found: dict[str, str], base: str, size: str) -> tuple[int, int]:
    """iobase= and iosize=."""
    first, count = number("device", found.get("iobase", base)), number("device", found.get("iosize", size))
    if not (first >= 0 and count > 0 and first + count <= PORTS):
        raise ConfigurationError(f"-device: {count} ports from {first:#x} on", expected="at least one, below 0x10000")
    return first, count


def _plug(draft: Draft, name: str, found: dict[str, str]) -> None:
    """ide-hd and ide-cd: a slot for a drive that waits."""
    only("device", found, ("drive", "bus", "unit"), ("bootindex", "id", "serial", "model"))
    waiting = next((drive for drive in draft.drives if drive.waits and drive.waits == found.get("drive")), None)
    if waiting is None:
        identity = found.get("drive", "")
        raise ConfigurationError(f"-device: no drive waits under the id {identity!r}", expected="-drive if=none,id=ID before it")
    waiting.waits, waiting.cdrom = None, name == "ide-cd"
    if "bus" in found or "unit" in found:
        waiting.slot = 2 * number("device", found.get("bus", "ide.0").removeprefix("ide.")) + number("device", found.get("unit", "0"))
        if not 0 <= waiting.slot < SLOTS:
            raise ConfigurationError(f"-device: slot {waiting.slot} of the IDE controller", expected=f"0 to {SLOTS - 1}")


def display(draft: Draft, text: str) -> None:
    """-display."""
    name = settings(text, "type").get("type", "")
    if name in {"?", "help"}:
        raise Listing("Available display backend types:\n" + "".join(f"{key}\n" for key in DISPLAYS))
    if name in WINDOWS:
        draft.note(f"-display {name}: there is no window; the text screen is drawn in the terminal")
        name = "curses"
    if name not in DISPLAYS:
        raise ConfigurationError(f"-display: {name!r} is not there", advice=nearest(name, list(DISPLAYS)))
    draft.display = name


def vnc(draft: Draft, text: str) -> None:
    """-vnc."""
    if text != "none":
        raise ConfigurationError(f"-vnc: there is no VNC server for {text}", advice="the nearest is -display curses")
    draft.display = "none"


def nographic(draft: Draft, _: str) -> None:
    """-nographic."""
    draft.nographic = True


def curses(draft: Draft, _: str) -> None:
    """-curses."""
    draft.display = "curses"


def without_defaults(draft: Draft, _: str) -> None:
    """-nodefaults."""
    draft.defaults = False


def vga(draft: Draft, text: str) -> None:
    """-vga."""
    if text in {"?", "help"}:
        raise Listing("std    text mode of a VGA\nnone   the same, without a VGA BIOS for the ROM of -bios\n")
    if text not in {"std", "none"}:
        draft.note(f"-vga {text}: the card is a VGA in text mode")
    draft.vga = text != "none"


def no_network(draft: Draft, text: str) -> None:
    """-net, -nic, -netdev."""
    if text != "none":
        raise ConfigurationError(f"-nic: there is no network card for {text}", advice="the nearest is -nic none")


def no_parallel(draft: Draft, text: str) -> None:
    """-parallel."""
    if text not in {"none", "null"}:
        draft.note(f"-parallel {text}: there is no parallel port")


SECTION = Section(
    "Devices and consoles",
    (
        Option("serial", "WHERE", f"a serial port, to {', '.join(PLACES)}", serial),
        Option("debugcon", "WHERE", "port 0xE9, to the same places", debug_console),
        Option("monitor", "WHERE", "monitor with HMP's words, at the same places", monitor),
        Option("mon", "chardev=ID", "a monitor at a -chardev", monitor_on),
        Option("qmp", "none", "refused otherwise: there is no QMP", no_qmp),
        Option(
            "chardev",
            "BACKEND,id=ID[,path=P][,host=H,port=P,server=on,wait=off][,mux=on]",
            "a place under a name: stdio, null, file, pipe, socket, pty",
            character,
        ),
        Option("device", "DRIVER[,PROPERTY=VALUE]", f"{', '.join(DEVICES)}; ? lists them", device),
        Option("nodefaults", "", "no serial port and no monitor but those asked for", without_defaults),
        Option("nographic", "", "no screen: serial port and monitor on the terminal (Ctrl-A c switches, Ctrl-A x ends)", nographic),
        Option("display", "none|curses", "curses: the text screen in the terminal; windows are taken as that, with a note", display),
        Option("curses", "", "the same as -display curses", curses),
        Option("vnc", "none", "the same as -display none; there is no VNC server", vnc),
        Option("vga", "std|none", "the card is a VGA in text mode", vga),
        Option("nic", "none", "there is no network card", no_network, ("net", "netdev")),
        Option("parallel", "none", "there is no parallel port", no_parallel),
        Option("usb", "", "accepted with a note: there is no USB", passed("-usb: there is no USB controller")),
        Option("audiodev", "…", "accepted: there is no sound card", passed()),
    ),
)
