"""`vmxon boot`: a multiboot kernel on the bare machine with VMX, without the hypervisor."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import click

from vmxon.cli.attendance import Attendance, attendance_options, attended
from vmxon.cli.images import DriveRequest, Program, find_program, image_file, kind_of, place_drives, with_cdrom
from vmxon.cli.options import MachineOptions, hints_option, machine_options
from vmxon.cli.report import print_json
from vmxon.errors import ExitStatus


@dataclass(frozen=True, slots=True)
class BootOptions:
    """What to boot, on which machine, and for how many instructions at most."""

    program: Program | None
    """None: the boot sector of a disk."""
    machine: MachineOptions
    count: int | None = None
    hints: bool = False
    attendance: Attendance = field(default_factory=Attendance)
    bios: Path | None = None
    """A ROM in place of our firmware."""
    no_reboot: bool = False


def start(options: BootOptions) -> int:
    """Build the machine, run it to its end, and answer the exit status of the process."""
    from vmxon.cli.console import GuestConsole, show_build_progress
    from vmxon.cli.entry_failures import explain_failures
    from vmxon.cli.hints import record_hints
    from vmxon.cli.machines import find_model, open_drives
    from vmxon.machine.configuration import Firmware, PcConfiguration
    from vmxon.machine.loader import load_files
    from vmxon.machine.loader.information import ROOT_POINTER
    from vmxon.machine.loader.linux import LinuxEntry
    from vmxon.machine.pc import Limits, Pc
    from vmxon.machine.rom_files import read_rom, video_rom_beside

    machine, program = options.machine, options.program
    model, drives = find_model(machine.model), open_drives(machine.drives)
    image = None
    if program is not None:
        modules = [(module.path, module.command_line) for module in program.modules]
        image = load_files(program.kernel, machine.memory, program.append, modules, ROOT_POINTER, LinuxEntry(machine.entry))
    firmware: Firmware | bytes = Firmware.OWN if image is None else Firmware.NONE
    video_rom = b""
    if options.bios is not None:
        firmware, video_rom = read_rom(options.bios), video_rom_beside(options.bios)
    show_build_progress(sys.stderr)
    console = GuestConsole(machine)
    configuration = PcConfiguration(
        model=model,
        memory_size=machine.memory,
        drives=tuple(drives),
        kernel=image,
        tlb=machine.tlb,
        firmware=firmware,
        video_rom=video_rom,
        no_reboot=options.no_reboot,
    )
    pc = Pc(configuration, serial=(console.serial,), debug_console=console.debug_console)
    pc.interactive = sys.stdin.isatty()
    explain_failures(pc, program.kernel if program is not None else None, sys.stderr)
    history = record_hints(pc.processor, sys.stderr) if options.hints else None
    if history is not None:
        pc.record_guests(history)
    try:
        with console.attached(pc.board, pc.post), attended(pc, options.attendance):
            status = pc.run(Limits(machine.timeout, options.count))
    finally:
        if history is not None:
            history.hints()
        if machine.json:
            print_json((), sys.stdout, instructions=pc.processor.instructions, memory=pc.memory_hash())
    return ExitStatus.SUCCESS if status is None else status


@click.command("boot", short_help="Start an image on the bare machine, VMX included.")
@click.argument("image", required=False)
@machine_options
@click.option("--cdrom", metavar="ISO", help="Image in the CD-ROM drive, which is the master of the secondary channel.")
@click.option("--bios", metavar="ROM", help="A ROM in place of our firmware.")
@click.option("--no-reboot", is_flag=True, help="End the run where the machine would reset.")
@attendance_options
@hints_option
@click.option(
    "--count", type=click.IntRange(min=1), metavar="N", help="Stop after this many instructions, with status 124."
)
def command(
    *,
    image: str | None,
    kernel: str | None,
    modules: tuple[str, ...],
    append: str,
    machine: MachineOptions,
    cdrom: str | None,
    bios: str | None,
    no_reboot: bool,
    attendance: Attendance,
    hints: bool,
    count: int | None,
) -> int:
    """Run a kernel, or the boot sector of a disk or CD, on the bare machine with VMX, without the hypervisor.

    IMAGE is short for --kernel, --cdrom or --drive, whichever its content says. The exit status is the one that the kernel writes to
    isa-debug-exit.
    """
    if image is not None:
        match kind_of(image_file(image, "kernel, disk or CD image")):
            case "kernel" if kernel is None:
                kernel = image
            case "cdrom" if cdrom is None:
                cdrom = image
            case "disk" if not machine.drives:
                machine = replace(machine, drives=place_drives((DriveRequest(image),)))
            case kind:
                raise click.UsageError(f"IMAGE is a {kind} image, and an option names another")
    if kernel is None and not machine.drives and cdrom is None and bios is None:
        raise click.UsageError("boot needs an IMAGE, --kernel, --drive, --cdrom or --bios")
    if cdrom is not None:
        machine = replace(machine, drives=with_cdrom(machine.drives, cdrom))
    if kernel is not None and bios is not None:
        raise click.UsageError("--bios starts what is on a disk or a CD; leave out --kernel or --bios")
    if kernel is None and (modules or append):
        raise click.UsageError("--initrd and --append need a --kernel")
    program = None if kernel is None else find_program(kernel, append, modules)
    return start(
        BootOptions(
            program,
            machine,
            count,
            hints,
            attendance,
            None if bios is None else image_file(bios, "ROM"),
            no_reboot,
        )
    )
