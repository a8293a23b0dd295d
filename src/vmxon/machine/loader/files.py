"""Boot files by their paths."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

from vmxon.errors import ImageError
from vmxon.machine.loader import multiboot, multiboot2
from vmxon.machine.loader.elf import is_elf
from vmxon.machine.loader.flat import is_flat, load_flat
from vmxon.machine.loader.image import BootImage, Module
from vmxon.machine.loader.linux import LinuxEntry, is_bzimage, load_bzimage
from vmxon.machine.loader.multiboot import load_multiboot
from vmxon.machine.loader.multiboot2 import load_multiboot2
from vmxon.machine.loader.pvh import load_pvh, pvh_entry

GZIP = b"\x1f\x8b"


def read_file(path: Path, largest: int) -> bytes:
    """The bytes of a kernel or module.

    Raises:
        ImageError: it cannot be read, or has more than `largest` bytes: the guest's memory.
    """
    try:
        with path.open("rb") as file:
            data = file.read(largest + 1)
    except OSError as error:
        raise ImageError((error.strerror or str(error)).lower(), where=path) from None
    if len(data) > largest:
        raise ImageError(f"has more bytes than the guest's memory ({largest:#x})", where=path, advice="give a larger --memory")
    return data


def unpacked(data: bytes, name: str, largest: int) -> bytes:
    """What gzip packed, as GRUB unpacks kernels; other data as it is.

    Raises:
        ImageError: it is damaged, or has more than `largest` bytes.
    """
    if not data.startswith(GZIP):
        return data
    packed = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        plain = packed.decompress(data, largest + 1)
    except zlib.error as error:
        raise ImageError(f"is packed by gzip, and damaged: {error}", where=name) from None
    if len(plain) > largest:
        raise ImageError(f"unpacks to more bytes than the guest's memory ({largest:#x})", where=name, advice="give a larger --memory")
    if not packed.eof:
        raise ImageError("ends inside what gzip packed", where=name, advice="the file is truncated")
    return plain


def load_files(
    kernel: Path,
    memory_size: int,
    command_line: str = "",
    modules: Sequence[tuple[Path, str]] = (),
    root_pointer: int = 0,
    entry: LinuxEntry = LinuxEntry.PROTECTED,
) -> BootImage:
    """Read a kernel and its modules, each with its string, and lay them out as `load_image` does.

    Raises:
        ImageError: a file is not what it should be, or memory is too small.
    """
    image = read_file(kernel, memory_size)
    read = [Module(str(path), read_file(path, memory_size), line) for path, line in modules]
    return load_image(image, str(kernel), memory_size, command_line, read, root_pointer, entry)


def load_image(
    image: bytes,
    name: str,
    memory_size: int,
    command_line: str = "",
    modules: Sequence[Module] = (),
    root_pointer: int = 0,
    entry: LinuxEntry = LinuxEntry.PROTECTED,
) -> BootImage:
    """Lay out a kernel by the first protocol that it offers.

    They are Linux's bzImage (at `entry`), multiboot 1 and 2, PVH, and a flat binary that begins with a boot sector; the kernel may be
    packed by gzip. `root_pointer` is where the ACPI root pointer will be; 0 lets the kernel search.

    Raises:
        ImageError: it is not what it should be, or memory is too small.
    """
    image = unpacked(image, name, memory_size)
    if is_bzimage(image):
        return load_bzimage(image, name, memory_size, command_line, modules, root_pointer, entry)
    if multiboot.has_header(image):
        return load_multiboot(image, name, memory_size, command_line, modules)
    if multiboot2.has_header(image):
        return load_multiboot2(image, name, memory_size, command_line, modules, root_pointer)
    if pvh_entry(image) is not None:
        return load_pvh(image, name, memory_size, command_line, modules, root_pointer)
    if is_flat(image):
        return load_flat(image, name)
    what = "an ELF program without a header of a boot protocol" if is_elf(image) else "no kernel that we know"
    raise ImageError(
        f"is {what}",
        where=name,
        expected="multiboot 1 or 2, a PVH note, a bzImage, or a boot sector (55 aa at 0x1fe)",
        advice="add a multiboot header" if is_elf(image) else "",
    )
