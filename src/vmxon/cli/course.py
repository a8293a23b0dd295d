"""`vmxon course`: the steps of the course, listed, shown and run, from the package or from the checkout."""

from __future__ import annotations

import ast
import re
import runpy
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

import vmxon
from vmxon.cli.options import Console, MachineOptions
from vmxon.errors import ConfigurationError, ExitStatus

PLACES = (Path(vmxon.__file__).parent / "course", Path(vmxon.__file__).parents[2] / "examples/course")
"""Where a wheel has the steps, and where the checkout has them."""
FIRST_TEXTS = ("long_mode.s", "vmx_operation.s")
"""What every step in assembly begins with."""
TITLE = re.compile(r"Step \d+\. (.*?[?.])(?: |$)")
MEMORY = 64 << 20


@dataclass(frozen=True, slots=True)
class Step:
    """One topic."""

    number: int
    program: Path
    assembly: Path | None

    @property
    def title(self) -> str:
        """The first sentence of its text, without “Step N.” and what it cites."""
        text = ast.get_docstring(ast.parse(self.program.read_text(encoding="utf-8"))) or ""
        found = TITLE.match(" ".join(text.split()))
        return found[1] if found else self.program.stem


def find_steps() -> list[Step]:
    """The steps, in order.

    Raises:
        ConfigurationError: this installation has none.
    """
    folder = next((place for place in PLACES if place.is_dir()), None)
    if folder is None:
        raise ConfigurationError("the steps of the course are not installed", advice="install vmxon from its wheel or its checkout")
    steps = []
    for program in sorted(folder.glob("[0-9][0-9]_*.py")):
        assembly = folder / "asm" / f"{program.stem}.s"
        steps.append(Step(int(program.name[:2]), program, assembly if assembly.exists() else None))
    return steps


def run_program(step: Step) -> int:
    """Run the step in Python, as `python STEP` does."""
    sys.path.insert(0, str(step.program.parent))
    try:
        runpy.run_path(str(step.program), run_name="__main__")
    finally:
        sys.path.remove(str(step.program.parent))
    return ExitStatus.SUCCESS


def run_assembly(texts: Sequence[Path]) -> int:
    """Assemble the step and boot it, as `vmxon assemble` and `vmxon boot` do."""
    from vmxon.cli.boot import BootOptions
    from vmxon.cli.boot import start as boot
    from vmxon.cli.images import Program
    from vmxon.machine.multiboot_program import multiboot_program

    with tempfile.TemporaryDirectory(prefix="vmxon-course-") as folder:
        image = Path(folder) / f"{texts[-1].stem}.elf"
        image.write_bytes(multiboot_program("\n".join(text.read_text(encoding="utf-8") for text in texts), 1 << 20))
        status = boot(BootOptions(Program(image), MachineOptions(memory=MEMORY, consoles=frozenset({Console.E9}))))
    return ExitStatus.SUCCESS if status == 1 else status


@click.command("course", short_help="List, show and run the steps of the course.")
@click.argument("number", type=int, required=False)
@click.option("--assembly", is_flag=True, help="The step in assembly, on the bare machine.")
@click.option("--show", is_flag=True, help="Print its text instead of running it.")
def command(*, number: int | None, assembly: bool, show: bool) -> int:
    """Run step NUMBER of the course; without NUMBER, list the steps."""
    steps = find_steps()
    if number is None:
        for each in steps:
            click.echo(f"{each.number:2}  {each.title}{'' if each.assembly is None else '  [--assembly]'}")
        return ExitStatus.SUCCESS
    step = next((each for each in steps if each.number == number), None)
    if step is None:
        raise click.UsageError(f"there is no step {number}; they are 1 to {steps[-1].number}")
    if not assembly:
        if show:
            click.echo(step.program.read_text(encoding="utf-8"), nl=False)
            return ExitStatus.SUCCESS
        return run_program(step)
    if step.assembly is None:
        with_assembly = ", ".join(str(each.number) for each in steps if each.assembly is not None)
        raise click.UsageError(f"step {number} has no text in assembly; {with_assembly} have")
    if show:
        click.echo(step.assembly.read_text(encoding="utf-8"), nl=False)
        return ExitStatus.SUCCESS
    return run_assembly([*(step.assembly.parent / name for name in FIRST_TEXTS), step.assembly])
