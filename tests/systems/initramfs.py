"""An initial RAM file system for Linux: a cpio archive in the “newc” format (“initramfs buffer format” in Linux's documentation)."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass

TRAILER = "TRAILER!!!"


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, folder, link or device node; `name` has no leading slash."""

    name: str
    mode: int
    data: bytes = b""
    major: int = 0
    minor: int = 0


def folder(name: str) -> Entry:
    """A folder, which must come before what is in it."""
    return Entry(name, stat.S_IFDIR | 0o755)


def program(name: str, data: bytes | str) -> Entry:
    """A file that may be executed: a binary or a script."""
    return Entry(name, stat.S_IFREG | 0o755, data.encode() if isinstance(data, str) else data)


def file(name: str, data: bytes | str) -> Entry:
    """A plain file."""
    return Entry(name, stat.S_IFREG | 0o644, data.encode() if isinstance(data, str) else data)


def link(name: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(name, stat.S_IFLNK | 0o777, target.encode())


def character_device(name: str, major: int, minor: int) -> Entry:
    """A device node, such as dev/console: 5, 1."""
    return Entry(name, stat.S_IFCHR | 0o600, major=major, minor=minor)


def archive(entries: Iterable[Entry]) -> bytes:
    """The archive of `entries`, in their order."""
    out = bytearray()
    for inode, entry in enumerate((*entries, Entry(TRAILER, 0)), 1):
        name = entry.name.encode() + b"\0"
        fields = (inode, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, entry.major, entry.minor, len(name), 0)
        out += b"070701" + b"".join(b"%08X" % field for field in fields) + name
        out += bytes(-len(out) % 4) + entry.data
        out += bytes(-len(out) % 4)
    return bytes(out)


def busybox_root(busybox: bytes, init: str, more: Iterable[Entry] = ()) -> bytes:
    """A root with Busybox, the console, and `init` as /init: a script for its shell, with /bin in its PATH."""
    return archive(
        (
            *map(folder, ("bin", "dev", "proc", "sys")),
            character_device("dev/console", 5, 1),
            character_device("dev/null", 1, 3),
            program("bin/busybox", busybox),
            link("bin/sh", "busybox"),
            program("init", f"#!/bin/sh\n/bin/busybox --install -s /bin\nexport PATH=/bin\n{init}\n"),
            *more,
        )
    )
