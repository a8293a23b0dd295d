"""A flat VMDK: a text descriptor and the raw extents that it names.

Source: VMware “Virtual Disk Format 5.0”, “The Descriptor File”. Sparse, split and streamed VMDKs are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from vmxon.devices.disk.image import LARGEST, SECTOR, DiskImageError, ImageFile, check_range

MAGIC = b"# Disk DescriptorFile"
SPARSE_MAGIC = b"KDMV"
LONGEST_DESCRIPTOR = 64 << 10
LONGEST_LINE = 1024
FLAT_TYPES = ("monolithicFlat", "twoGbMaxExtentFlat")
NO_PARENT = "ffffffff"
CONVERT = "Convert it: qemu-img convert -O raw IMAGE.vmdk IMAGE.raw"
EXTENT = re.compile(r'^(RW|RDONLY|NOACCESS)\s+(\d{1,20})\s+(\w+)(?:\s+"([^"]*)")?(?:\s+(\d{1,20}))?\s*$')
SETTING = re.compile(r'^(\w+)\s*=\s*"?([^"]*)"?\s*$')


@dataclass(frozen=True, slots=True)
class Extent:
    """A run of sectors, from byte `offset` of a file on; without a file it is zeros."""

    first: int
    sectors: int
    file: ImageFile | None
    offset: int


class FlatVmdk:
    """A VMDK of type monolithicFlat or twoGbMaxExtentFlat, by its descriptor; read only."""

    def __init__(self, path: Path) -> None:
        self.file = ImageFile(path)
        self.extents: list[Extent] = []
        try:
            self._read_descriptor()
        except DiskImageError:
            self.close()
            raise

    def _read_descriptor(self) -> None:
        file = self.file
        data = file.read_at(0, min(file.size, LONGEST_DESCRIPTOR), "the descriptor")
        if data.startswith(SPARSE_MAGIC):
            raise file.error(0, "is a sparse VMDK", "a descriptor of flat extents", CONVERT)
        if not data.startswith(MAGIC):
            raise file.error(0, f"begins with {data[:8].hex(' ')}", f"{MAGIC.decode()!r}", "Name the descriptor file.")
        offset = 0
        for raw_line in data.splitlines(keepends=True):
            if len(raw_line) > LONGEST_LINE:
                raise file.error(offset, f"has a line of {len(raw_line)} bytes", f"at most {LONGEST_LINE}")
            self._take_line(raw_line.decode("utf-8", "replace").strip(), offset)
            offset += len(raw_line)
        if not self.sectors:
            raise file.error(None, "names no extent with sectors", 'a line such as RW 262144 FLAT "disk-flat.vmdk" 0')
        if self.sectors > LARGEST:
            raise file.error(None, f"names {self.sectors:#x} sectors", f"at most {LARGEST:#x}")

    def _take_line(self, line: str, offset: int) -> None:
        if extent := EXTENT.match(line):
            self._add_extent(int(extent[2]), extent[3], extent[4] or "", int(extent[5] or 0), offset)
        elif setting := SETTING.match(line):
            match setting[1], setting[2]:
                case "createType", kind if kind not in FLAT_TYPES:
                    raise self.file.error(offset, f"has createType {kind!r}", " or ".join(FLAT_TYPES), CONVERT)
                case "parentCID", parent if parent.lower() != NO_PARENT:
                    raise self.file.error(offset, f"depends on parent {parent!r}", f"parentCID={NO_PARENT}", CONVERT)

    def _add_extent(self, sectors: int, kind: str, name: str, start: int, offset: int) -> None:
        first = self.sectors
        if kind == "ZERO":
            self.extents.append(Extent(first, sectors, None, 0))
            return
        if kind != "FLAT":
            raise self.file.error(offset, f"has an extent of type {kind}", "FLAT or ZERO", CONVERT)
        if not name or name in {".", ".."} or "/" in name or "\\" in name or not name.isprintable():
            raise self.file.error(
                offset, f"names the extent {name!r}", "a file beside the descriptor", "Move it there, edit the name."
            )
        file = ImageFile(self.file.path.with_name(name))
        self.extents.append(Extent(first, sectors, file, start * SECTOR))
        if (start + sectors) * SECTOR > file.size:
            raise file.error(file.size, "ends too early", f"{(start + sectors) * SECTOR:#x} bytes", "Copy it again.")

    @property
    def sectors(self) -> int:
        return self.extents[-1].first + self.extents[-1].sectors if self.extents else 0

    def read(self, lba: int, count: int) -> bytes:
        check_range(self.sectors, lba, count)
        parts = []
        for extent in self.extents:
            begin, end = max(lba, extent.first), min(lba + count, extent.first + extent.sectors)
            if begin < end:
                length = (end - begin) * SECTOR
                at = extent.offset + (begin - extent.first) * SECTOR
                parts.append(extent.file.read_at(at, length, "a sector") if extent.file else bytes(length))
        return b"".join(parts)

    def write(self, lba: int, data: bytes) -> None:
        raise self.file.error(None, "is open for reading only", "a raw image", "Put a SnapshotOverlay over it.")

    def close(self) -> None:
        """Let the files go."""
        self.file.close()
        for extent in self.extents:
            if extent.file:
                extent.file.close()
