"""`vmxon assemble`: assembly files become a kernel for `vmxon boot`."""

from __future__ import annotations

from pathlib import Path

import click

from vmxon.cli.images import image_file
from vmxon.cli.options import Size
from vmxon.errors import ExitStatus, ImageError


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
    try:
        text = "\n".join(path.read_text(encoding="utf-8") for path in paths)
    except UnicodeDecodeError:
        raise ImageError("is no text", where=", ".join(files), expected="assembly in UTF-8") from None
    try:
        image = multiboot_program(text, zeros)
    except AssemblyError as error:
        raise ImageError(" ".join(str(error).split()), where=", ".join(files)) from None
    try:
        target.write_bytes(image)
    except OSError as error:
        raise ImageError((error.strerror or str(error)).lower(), where=target, advice="choose another --output") from None
    return ExitStatus.SUCCESS
