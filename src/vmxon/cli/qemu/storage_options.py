"""Options for what the machine boots: kernels, disks, firmware."""

from __future__ import annotations

from vmxon.cli.qemu.option import Draft, DriveDraft, Effect, Option, Section, nearest, number, only, settings, switch
from vmxon.errors import ConfigurationError

SLOTS = 4
CDROM_SLOT = 2
"""Where QEMU puts -cdrom: the master of the secondary channel."""
PASSED = (
    "cache", "cache.direct", "cache.writeback", "cache.no-flush", "aio", "discard", "detect-zeroes", "werror", "rerror", "readonly",
    "read-only", "serial", "copy-on-read", "locking", "file.locking",
)  # fmt: skip
FORMATS = ("raw", "qcow2", "vmdk")
LETTERS = {"a": "the floppy drive", "c": "the first disk", "d": "the CD-ROM", "n": "the network"}


def _text(name: str) -> Effect:
    def effect(draft: Draft, text: str) -> None:
        setattr(draft, name, text)

    return effect


def hard_disk(slot: int) -> Effect:
    """-hda to -hdd."""

    def effect(draft: Draft, text: str) -> None:
        draft.drives.append(DriveDraft(text, slot))

    return effect


def cdrom(draft: Draft, text: str) -> None:
    """-cdrom."""
    draft.drives.append(DriveDraft(text, CDROM_SLOT, cdrom=True))


def drive(draft: Draft, text: str) -> None:
    """-drive."""
    found = settings(text, "file")
    known = ("file", "index", "media", "if", "format", "snapshot", "id", "bus", "unit")
    only("drive", found, known, PASSED)
    interface, media = found.get("if", "ide"), found.get("media", "disk")
    if interface not in {"ide", "none"}:
        raise ConfigurationError(f"-drive: there is no if={interface}", advice="the nearest is if=ide")
    if media not in {"disk", "cdrom"}:
        raise ConfigurationError(f"-drive: media={media} must be disk or cdrom")
    form = found.get("format")
    if form is not None and form not in FORMATS:
        raise ConfigurationError(f"-drive: format={form} cannot be read", advice=nearest(form, list(FORMATS)))
    if not found.get("file") and media == "disk":
        raise ConfigurationError("-drive: a disk needs its file", expected="file=FILE")
    draft.drives.append(
        DriveDraft(
            found.get("file", ""),
            _slot(found),
            cdrom=media == "cdrom",
            snapshot=switch("drive", found["snapshot"]) if "snapshot" in found else None,
            format=form,
            waits=found.get("id", "") if interface == "none" else None,
        )
    )


def _slot(found: dict[str, str]) -> int | None:
    """index=, or bus= and unit=."""
    if "index" in found:
        slot = number("drive", found["index"])
    elif "bus" in found or "unit" in found:
        slot = 2 * number("drive", found.get("bus", "0")) + number("drive", found.get("unit", "0"))
    else:
        return None
    if not 0 <= slot < SLOTS:
        raise ConfigurationError(f"-drive: slot {slot} of the IDE controller", expected=f"0 to {SLOTS - 1}")
    return slot


def boot(draft: Draft, text: str) -> None:
    """-boot: letters, or order=letters."""
    found = settings(text, "order")
    only("boot", found, ("order", "once"), ("menu", "splash", "splash-time", "reboot-timeout", "strict"))
    order = found.get("once", found.get("order", draft.boot_order))
    for letter in order:
        if letter not in LETTERS:
            raise ConfigurationError(f"-boot: {letter!r} is no boot device", expected=", ".join(LETTERS))
        if letter in "an":
            draft.note(f"-boot: {LETTERS[letter]} is not there and is passed over")
    draft.boot_order = "".join(letter for letter in order if letter not in "an") or draft.boot_order


def snapshot(draft: Draft, _: str) -> None:
    """-snapshot."""
    draft.snapshot = True


def no_floppy(draft: Draft, text: str) -> None:
    """-fda and -fdb."""
    raise ConfigurationError(f"-fda: there is no floppy drive for {text}", advice="the nearest is -hda")


SECTION = Section(
    "What to boot",
    (
        Option("kernel", "FILE", "multiboot kernel, Linux bzImage, or a program with a PVH note", _text("kernel")),
        Option("initrd", "FILE[ ARGUMENTS][,FILE…]", "initial ramdisk, or multiboot modules", _text("initrd")),
        Option("append", "TEXT", "the kernel's command line", _text("append")),
        *(Option(f"hd{letter}", "FILE", f"IDE disk {slot}", hard_disk(slot)) for slot, letter in enumerate("abcd")),
        Option("cdrom", "FILE", "ISO image in the CD-ROM drive (IDE slot 2)", cdrom),
        Option(
            "drive",
            "[file=]FILE[,index=N][,media=disk|cdrom][,format=F][,snapshot=on|off][,if=ide|none][,id=ID]",
            "disk or CD-ROM; writes to raw images go to the file, those to qcow2 and VMDK are kept for the run and thrown away",
            drive,
        ),
        Option("snapshot", "", "throw away all writes to disks at the end", snapshot),
        Option("boot", "[order=]cd", "c first disk, d CD-ROM, in this order", boot),
        Option("bios", "FILE", "a ROM in place of our firmware, with the VGA BIOS that lies beside it (vgabios-stdvga.bin)", _text("bios")),
        Option("L", "DIRECTORY", "accepted: our firmware is part of the program", lambda draft, text: None),
        Option("fda", "FILE", "refused: there is no floppy drive", no_floppy, ("fdb",)),
    ),
)
