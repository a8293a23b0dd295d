"""Parts of a machine from options: the processor model, the drives."""

from __future__ import annotations

from difflib import get_close_matches

from vmxon.arch.cpuid import Model
from vmxon.arch.models import MODELS
from vmxon.cli.images import DRIVE_SLOTS, Drive
from vmxon.devices.disk import AtaDrive, open_image
from vmxon.devices.disk.cdrom import CdromDrive
from vmxon.devices.ide import IdeDrive
from vmxon.errors import ConfigurationError


def find_model(name: str) -> Model:
    """The processor model of this name.

    Raises:
        ConfigurationError: there is none.
    """
    model = MODELS.get(name)
    if model is None:
        near = get_close_matches(name, MODELS, 1)
        raise ConfigurationError(
            f"no processor model {name!r}",
            expected=f"one of {', '.join(MODELS)}",
            advice=f"did you mean {near[0]}?" if near else "",
        )
    return model


def open_drives(drives: tuple[Drive, ...]) -> list[IdeDrive | None]:
    """A hard disk or a CD-ROM drive for each slot."""
    slots: list[IdeDrive | None] = [None] * DRIVE_SLOTS
    for drive in drives:
        image = open_image(drive.path, write_through=not drive.snapshot)
        slots[drive.slot] = CdromDrive(image) if drive.cdrom else AtaDrive(image)
    return slots
