"""Boot files by their paths."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vmxon.errors import ImageError
from vmxon.machine.loader.image import BootImage, Module
from vmxon.machine.loader.linux import is_bzimage, load_bzimage, load_pvh, pvh_entry
from vmxon.machine.loader.multiboot import load_multiboot


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


def load_files(
    kernel: Path, memory_size: int, command_line: str = "", modules: Sequence[tuple[Path, str]] = (), root_pointer: int = 0
) -> BootImage:
    """Read and lay out a kernel and its modules, each with its string: multiboot, Linux's bzImage, or a program with a PVH note.

    `root_pointer` is where the ACPI root pointer will be; 0 lets the kernel search.

    Raises:
        ImageError: a file is not what it should be, or memory is too small.
    """
    image = read_file(kernel, memory_size)
    read = [Module(str(path), read_file(path, memory_size), line) for path, line in modules]
    if is_bzimage(image):
        return load_bzimage(image, str(kernel), memory_size, command_line, read, root_pointer)
    if pvh_entry(image) is not None:
        return load_pvh(image, str(kernel), memory_size, command_line, read, root_pointer)
    return load_multiboot(image, str(kernel), memory_size, command_line, read)
