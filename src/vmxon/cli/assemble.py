"""`vmxon assemble`: assembly files become a kernel for `vmxon boot`."""

from __future__ import annotations

from pathlib import Path

import click

from vmxon.cli.images import image_file
from vmxon.cli.options import Size
from vmxon.errors import ExitStatus, ImageError

LONGEST = 16 << 20
"""Bytes of a file that are assembled; a device such as /dev/zero has no end."""


def _read(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(LONGEST + 1)
    if len(content) > LONGEST:
        raise ImageError("is longer than 16 MiB", where=path, expected="assembly in UTF-8")
    try:
        return content.decode().replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise ImageError("is no text", where=path, expected="assembly in UTF-8") from None


@click.command("assemble", short_help="Assemble files into a multiboot kernel.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("-o", "--output", metavar="ELF", help="Where the kernel goes.  [default: the last FILE with .elf]")
@click.option("--zeros", type=Size(), default="1M", show_default=True, help="Zeroed memory behind the code, at the symbol `zeros`.")
def command(files: tuple[str, ...], output: str | None, zeros: int) -> int:
    """Assemble FILEs, one after the other as one text in Intel syntax, into a multiboot ELF kernel.

    It starts with the first instruction in 32-bit protected mode; .code64 and .code16 change the size of what follows.
    """
    from vmxon.machine.assembler import AssemblyError
    from vmxon.machine.multiboot_program import multiboot_program

    paths = [image_file(name, "assembly file") for name in files]
    target = Path(output) if output else paths[-1].with_suffix(".elf")
    if target in paths:
        raise click.UsageError(f"{target} is an input; give another --output")
    text = "\n".join(map(_read, paths))
    try:
        image = multiboot_program(text, zeros)
    except AssemblyError as error:
        raise ImageError(" ".join(str(error).split()), where=", ".join(files)) from None
    try:
        target.write_bytes(image)
    except OSError as error:
        raise ImageError((error.strerror or str(error)).lower(), where=target, advice="choose another --output") from None
    return ExitStatus.SUCCESS
