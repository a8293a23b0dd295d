"""Opening an image by what its first bytes say."""

from __future__ import annotations

from pathlib import Path

from vmxon.devices.disk import qcow2, vmdk
from vmxon.devices.disk.image import Disk, DiskImageError, ImageFile
from vmxon.devices.disk.overlay import SnapshotOverlay
from vmxon.devices.disk.qcow2 import Qcow2Image
from vmxon.devices.disk.raw import RawImage
from vmxon.devices.disk.vmdk import FlatVmdk

FOREIGN = {
    b"vhdxfile": "a VHDX image",
    b"conectix": "a VHD image",
    b"<<< Orac": "a VirtualBox VDI image",
    b"\x1f\x8b": "gzip data",
    b"\xfd7zXZ": "xz data",
}


def open_image(path: Path | str, write_through: bool = False) -> Disk:
    """The disk in the file `path`: qcow2, flat VMDK, or raw.

    Writes stay in memory, unless `write_through` asks a raw image to keep them. DiskImageError where it cannot be used.
    """
    path = Path(path)
    file = ImageFile(path)
    try:
        begin = file.read_at(0, min(file.size, 64), "the first bytes")
    finally:
        file.close()
    base: Qcow2Image | FlatVmdk | RawImage
    if begin.startswith(qcow2.MAGIC):
        base = Qcow2Image(path)
    elif begin.startswith((vmdk.MAGIC, vmdk.SPARSE_MAGIC)):
        base = FlatVmdk(path)
    else:
        _refuse_foreign(path, begin)
        base = RawImage(path, writable=write_through)
        if write_through:
            return base
    if write_through:
        base.close()
        raise DiskImageError(
            path, None, "cannot be written through", "a raw image",
            "Leave write-through out, or convert it: qemu-img convert -O raw IMAGE IMAGE.raw",
        )  # fmt: skip
    return SnapshotOverlay(base)


def _refuse_foreign(path: Path, begin: bytes) -> None:
    for magic, name in FOREIGN.items():
        if begin.startswith(magic):
            raise DiskImageError(
                path, 0, f"is {name}", "a raw, qcow2 or flat VMDK image",
                "Unpack it, or convert it: qemu-img convert -O qcow2 IMAGE IMAGE.qcow2",
            )  # fmt: skip
