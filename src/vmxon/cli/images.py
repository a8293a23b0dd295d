"""Files that a guest is made of, as options name them: kernel, modules, drives."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import click

from vmxon.errors import ImageError

DRIVE_SLOTS = 4
CDROM_SLOTS = (2, 3, 1, 0)
KERNEL_SEARCH = 8192
"""Bytes at the start of a kernel within which its multiboot header lies."""
MULTIBOOT = (0x1BADB002).to_bytes(4, "little")
ISO_9660_AT = 0x8001
"""Where an ISO 9660 image says that it is one."""
FORMATS = ("raw", "vmdk", "qcow2")


@dataclass(frozen=True, slots=True)
class Module:
    """A multiboot module: its file, and the whole string that the kernel is told."""

    path: Path
    command_line: str


@dataclass(frozen=True, slots=True)
class Program:
    """A kernel, its command line and its modules."""

    kernel: Path
    append: str = ""
    modules: tuple[Module, ...] = ()


@dataclass(frozen=True, slots=True)
class Drive:
    """A disk image on an IDE slot: 0 primary master, 1 primary slave, 2 and 3 the secondary channel's."""

    path: Path
    slot: int
    format: str | None = None
    """None: recognised by its content."""
    snapshot: bool = True
    """True: writes go to an overlay that is thrown away."""
    cdrom: bool = False


@dataclass(frozen=True, slots=True)
class DriveRequest:
    """One --drive as written; its slot may be left to us."""

    path: str
    slot: int | None = None
    format: str | None = None
    snapshot: bool = True
    cdrom: bool = False


def image_file(name: str, role: str) -> Path:
    """The path of a file that exists, is a file, can be read and is not empty."""
    wanted = f"{'an' if role[0].lower() in 'aeio' else 'a'} {role}"
    if not name:
        raise ImageError(f"the path of {wanted} is empty")
    path = Path(name)
    advice = f"give the path of {wanted}"
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise ImageError("no such file", where=name, advice=advice) from None
    except (OSError, ValueError) as error:
        raise ImageError(str(getattr(error, "strerror", None) or error).lower(), where=name, advice=advice) from None
    if path.is_dir():
        raise ImageError("is a folder", where=name, expected=wanted)
    if path.is_file() and size == 0:
        raise ImageError("is empty", where=name, expected=wanted)
    if not os.access(path, os.R_OK):
        raise ImageError("may not be read", where=name, advice="change its permissions")
    return path


def with_cdrom(drives: tuple[Drive, ...], name: str) -> tuple[Drive, ...]:
    """The drives and a CD in the first free slot from the secondary master on, as `-cdrom` of QEMU has it."""
    taken = {drive.slot for drive in drives}
    slot = next((slot for slot in CDROM_SLOTS if slot not in taken), None)
    if slot is None:
        raise click.UsageError("there is no IDE slot left for --cdrom")
    return (*drives, Drive(image_file(name, "CD image"), slot, cdrom=True))


def kind_of(path: Path) -> str:
    """What an image is by its content: "kernel" (ELF, multiboot, Linux), "cdrom" (ISO 9660) or "disk"."""
    with path.open("rb") as file:
        begin = file.read(KERNEL_SEARCH)
        file.seek(ISO_9660_AT)
        descriptor = file.read(5)
    if descriptor == b"CD001":
        return "cdrom"
    header = any(begin[at : at + 4] == MULTIBOOT for at in range(0, len(begin) - 3, 4))
    return "kernel" if begin.startswith(b"\x7fELF") or begin[0x202:0x206] == b"HdrS" or header else "disk"


def find_program(kernel: str, append: str, modules: tuple[str, ...]) -> Program:
    """The kernel and modules of the options, found on disk."""
    return Program(image_file(kernel, "kernel"), append, tuple(map(_module, modules)))


def _module(text: str) -> Module:
    """A module is "FILE ARGUMENTS"; a file whose own name has the space wins."""
    name = text if Path(text).exists() else text.partition(" ")[0]
    return Module(image_file(name, "module or initial RAM disk"), text)


def place_drives(requests: tuple[DriveRequest, ...]) -> tuple[Drive, ...]:
    """Each request on its slot, those without one on the first free; sorted by slot."""
    taken: dict[int, DriveRequest] = {}
    for request in requests:
        if request.slot is not None and request.slot in taken:
            raise click.UsageError(f"two drives ask for index {request.slot}")
        if request.slot is not None:
            taken[request.slot] = request
    for request in requests:
        if request.slot is None:
            slot = next((slot for slot in range(DRIVE_SLOTS) if slot not in taken), None)
            if slot is None:
                raise click.UsageError(f"{len(requests)} drives, but the machine has {DRIVE_SLOTS} slots")
            taken[slot] = request
    return tuple(
        Drive(image_file(request.path, "disk image"), slot, request.format, request.snapshot, request.cdrom)
        for slot, request in sorted(taken.items())
    )


class DriveType(click.ParamType[DriveRequest]):
    """FILE, or QEMU's file=FILE,index=0,media=disk,format=raw,snapshot=on; a comma in FILE is doubled."""

    name = "drive"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> DriveRequest:
        if isinstance(value, DriveRequest):
            return value
        first, *rest = (part.replace("\0", ",") for part in str(value).replace(",,", "\0").split(","))
        settings = {"file": first.removeprefix("file=")} if first.startswith("file=") or "=" not in first else {}
        for part in rest if settings else [first, *rest]:
            key, equals, setting = part.partition("=")
            if not equals:
                self.fail(f"{part!r} is not a setting: write key=value", param, ctx)
            if key in settings:
                self.fail(f"{key!r} is given twice", param, ctx)
            settings[key] = setting
        return self._request(settings, param, ctx)

    def _request(
        self, settings: dict[str, str], param: click.Parameter | None, ctx: click.Context | None
    ) -> DriveRequest:
        allowed = {
            "index": [str(slot) for slot in range(DRIVE_SLOTS)],
            "media": ["disk", "cdrom"],
            "if": ["ide"],
            "format": list(FORMATS),
            "snapshot": ["on", "off"],
        }
        for key, setting in settings.items():
            if key == "file":
                continue
            if key not in allowed:
                self.fail(f"{key!r} is not a setting of a drive: file, {', '.join(allowed)}", param, ctx)
            if setting not in allowed[key]:
                self.fail(f"{key}={setting} must be {key}={_alternatives(allowed[key])}", param, ctx)
        if not settings.get("file"):
            self.fail("a drive needs its file", param, ctx)
        return DriveRequest(
            settings["file"],
            int(settings["index"]) if "index" in settings else None,
            settings.get("format"),
            settings.get("snapshot", "on") == "on",
            settings.get("media") == "cdrom",
        )


def _alternatives(words: list[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last
