"""A machine from a draft: configuration, drives, kernel."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from vmxon.cli.images import image_file
from vmxon.cli.qemu.option import Draft, DriveDraft
from vmxon.cli.qemu.processors import find_processor
from vmxon.devices.disk import AtaDrive, CdromDrive, DiskImageError, open_image
from vmxon.errors import ConfigurationError
from vmxon.machine.configuration import DRIVE_SLOTS, EPOCH, BootDevice, DebugExitPorts, Firmware, PcConfiguration
from vmxon.machine.loader import BootImage, load_files
from vmxon.machine.loader.boot_files import BootFiles
from vmxon.machine.loader.information import ROOT_POINTER
from vmxon.machine.rom_files import read_rom, video_rom_beside

Drives = tuple[AtaDrive | CdromDrive | None, ...]


def configuration(draft: Draft) -> PcConfiguration:
    """What the draft describes; files are opened."""
    image = kernel(draft) if draft.bios is None else None
    firmware: Firmware | bytes = Firmware.OWN if image is None else Firmware.NONE
    video_rom = b""
    if draft.bios is not None:
        path = image_file(draft.bios, "ROM")
        firmware, video_rom = read_rom(path), video_rom_beside(path) if draft.vga else b""
    return PcConfiguration(
        model=find_processor(draft.processor, draft),
        memory_size=draft.memory,
        drives=drives(draft),
        kernel=image,
        firmware=firmware,
        video_rom=video_rom,
        boot_files=None if draft.bios is None else boot_files(draft),
        graphics=not draft.nographic,
        boot_order=tuple(BootDevice(letter) for letter in draft.boot_order),
        test_device=draft.test_device,
        debug_exit=None if draft.debug_exit is None else DebugExitPorts(*draft.debug_exit),
        serial_ports=len(serials(draft)),
        debug_console=None if draft.debug_console is None else draft.debug_console_port,
        pci=draft.pci,
        acpi=draft.acpi,
        base_time=base_time(draft),
        no_reboot=draft.no_reboot,
        triple_fault_resets=True,
    )


def serials(draft: Draft) -> list[str]:
    """The places of the serial ports that there are."""
    asked = [words for words in draft.serials if words != "none"]
    if draft.serials or not draft.defaults:
        return asked
    if not draft.nographic:
        return ["null"]
    return ["stdio" if draft.monitors else "mon:stdio"]


def monitors(draft: Draft) -> list[str]:
    """The places of the monitors."""
    if draft.monitors or not draft.nographic or not draft.defaults:
        return [words for words in draft.monitors if words != "none"]
    return ["stdio"] if draft.serials else []


def kernel(draft: Draft) -> BootImage | None:
    """The kernel of -kernel with its modules."""
    if draft.kernel is None:
        if draft.initrd is not None or draft.append:
            raise ConfigurationError("-initrd and -append need a -kernel")
        return None
    modules = [(_module(text), text) for text in (draft.initrd or "").replace(",,", "\0").split(",") if text]
    path = image_file(draft.kernel, "kernel")
    return load_files(path, draft.memory, draft.append, [(path_, line.replace("\0", ",")) for path_, line in modules], ROOT_POINTER)


def boot_files(draft: Draft) -> BootFiles | None:
    """The same for the firmware in the ROM of -bios to start: a bzImage, one initial RAM disk."""
    if draft.kernel is None:
        return None
    initrd = b"" if draft.initrd is None else image_file(draft.initrd, "initial ramdisk").read_bytes()
    return BootFiles(image_file(draft.kernel, "kernel").read_bytes(), initrd, draft.append, draft.kernel)


def _module(text: str) -> Path:
    """A module is “FILE ARGUMENTS”; a file whose own name has the space wins."""
    name = text.replace("\0", ",")
    return image_file(name if Path(name).exists() else name.partition(" ")[0], "module or initial ramdisk")


def drives(draft: Draft) -> Drives:
    """What is in each slot; drives without a slot take the first that is free."""
    slots: list[DriveDraft | None] = [None] * DRIVE_SLOTS
    asked = [drive for drive in draft.drives if drive.waits is None]
    for drive in asked:
        if drive.slot is not None:
            if slots[drive.slot] is not None:
                raise ConfigurationError(f"two drives in IDE slot {drive.slot}: {drive.file} is the second", advice="give another index")
            slots[drive.slot] = drive
    for drive in asked:
        if drive.slot is None:
            if None not in slots:
                raise ConfigurationError(f"more drives than the {DRIVE_SLOTS} IDE slots hold")
            slots[slots.index(None)] = drive
    return tuple(None if drive is None else open_drive(drive, draft) for drive in slots)


def open_drive(drive: DriveDraft, draft: Draft) -> AtaDrive | CdromDrive:
    """One drive; what cannot be written through is kept in memory, with a note."""
    if drive.cdrom:
        return CdromDrive(open_image(image_file(drive.file, "ISO image")) if drive.file else None)
    path = image_file(drive.file, "disk image")
    through = not (draft.snapshot if drive.snapshot is None else drive.snapshot)
    if not through:
        return AtaDrive(open_image(path))
    try:
        return AtaDrive(open_image(path, write_through=True))
    except (DiskImageError, PermissionError):
        disk = AtaDrive(open_image(path))
    draft.note(f"{drive.file}: writes are kept for this run and then thrown away (only raw images that may be written keep them)")
    return disk


def base_time(draft: Draft) -> datetime:
    """What -rtc base= says."""
    match draft.base_time:
        case None:
            return EPOCH
        case "utc":
            return datetime.now(UTC).replace(microsecond=0)
        case "localtime":
            return datetime.now().astimezone().replace(tzinfo=UTC, microsecond=0)
    try:
        found = datetime.fromisoformat(draft.base_time)
    except ValueError:
        raise ConfigurationError(f"-rtc: {draft.base_time!r} is no date", expected="utc, localtime or 2006-06-17T16:01:21") from None
    return found.replace(tzinfo=found.tzinfo or UTC)
