"""Disks: image formats, writes kept in memory, and the drives that show a disk to the guest."""

from vmxon.devices.disk.cdrom import CdromDrive
from vmxon.devices.disk.drive import AtaDrive
from vmxon.devices.disk.formats import open_image
from vmxon.devices.disk.image import SECTOR, Disk, DiskImageError
from vmxon.devices.disk.overlay import SnapshotOverlay
from vmxon.devices.disk.qcow2 import Qcow2Image
from vmxon.devices.disk.raw import RawImage
from vmxon.devices.disk.vmdk import FlatVmdk

__all__ = [
    "SECTOR",
    "AtaDrive",
    "CdromDrive",
    "Disk",
    "DiskImageError",
    "FlatVmdk",
    "Qcow2Image",
    "RawImage",
    "SnapshotOverlay",
    "open_image",
]
