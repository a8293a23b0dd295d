"""A qcow2 image, version 2 or 3: two levels of tables lead to clusters, which may be compressed, zero or absent.

Source: QEMU docs/interop/qcow2.txt, “Header”, “Cluster mapping”. Reference counts are not needed for reading;
encryption, backing files, external data files and extended L2 entries are refused.
"""

from __future__ import annotations

import struct
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

from vmxon.devices.disk.image import LARGEST, SECTOR, DiskImageError, ImageFile, check_range

MAGIC = b"QFI\xfb"
HEADER = struct.Struct(">4sIQIIQIIQQIIQ")
HEADER_3 = struct.Struct(">QQQII")
DIRTY, CORRUPT, EXTERNAL_DATA, COMPRESSION_TYPE, EXTENDED_L2 = 1, 2, 4, 8, 16
OFFSET = 0x00FF_FFFF_FFFF_FE00
COMPRESSED = 1 << 62
READS_AS_ZERO = 1
LARGEST_L1 = 32 << 20
CACHED_TABLES, CACHED_CLUSTERS = 64, 16
FLATTEN = "Flatten it: qemu-img convert -O qcow2 IMAGE.qcow2 FLAT.qcow2"


class Header(NamedTuple):
    """The first 72 bytes of the file."""

    magic: bytes
    version: int
    backing_offset: int
    backing_length: int
    cluster_bits: int
    size: int
    encryption: int
    l1_entries: int
    l1_offset: int
    refcount_offset: int
    refcount_clusters: int
    snapshots: int
    snapshots_offset: int


class Qcow2Image:
    """A qcow2 image, read only."""

    def __init__(self, path: Path) -> None:
        self.file = ImageFile(path)
        try:
            self.header = Header._make(HEADER.unpack(self.file.read_at(0, HEADER.size, "the header")))
            self._check_header()
            self._check_features()
            self._l1 = self._table(self.header.l1_offset, self._l1_needed(), "the L1 table")
        except DiskImageError:
            self.file.close()
            raise
        self._l2: OrderedDict[int, tuple[int, ...]] = OrderedDict()
        self._clusters: OrderedDict[int, bytes] = OrderedDict()

    # -- opening -------------------------------------------------------------------------------------------------------

    def _check_header(self) -> None:
        file, header = self.file, self.header
        if header.magic != MAGIC:
            raise file.error(0, f"begins with {header.magic.hex(' ')}", MAGIC.hex(" "), "Name a qcow2 image.")
        if header.version not in (2, 3):
            raise file.error(4, f"has version {header.version}", "version 2 or 3", FLATTEN)
        if header.backing_offset:
            raise file.error(8, f"needs a backing file {self._backing_name()}", "an image of its own", FLATTEN)
        if not 9 <= header.cluster_bits <= 21:
            raise file.error(20, f"has clusters of 2^{header.cluster_bits} bytes", "2^9 to 2^21")
        if not 0 < header.size <= LARGEST * SECTOR:
            raise file.error(24, f"has a disk of {header.size:#x} bytes", f"1 to {LARGEST * SECTOR:#x}")
        if header.encryption:
            raise file.error(32, f"is encrypted (method {header.encryption})", "method 0", FLATTEN)
        needed = self._l1_needed()
        if header.l1_entries < needed or header.l1_entries * 8 > LARGEST_L1:
            raise file.error(
                36, f"has {header.l1_entries} L1 entries", f"{needed} to {LARGEST_L1 // 8} for {header.size:#x} bytes"
            )

    def _l1_needed(self) -> int:
        return -(-self.header.size // (self.cluster * (self.cluster // 8)))

    def _backing_name(self) -> str:
        offset, length = self.header.backing_offset, self.header.backing_length
        if length > 1023 or offset + length > self.file.size:
            return "(its name is out of bounds)"
        return repr(self.file.read_at(offset, length, "the backing file's name").decode("utf-8", "replace"))

    def _check_features(self) -> None:
        if self.header.version == 2:
            return
        file = self.file
        incompatible, _, _, _, length = HEADER_3.unpack(file.read_at(72, HEADER_3.size, "the version-3 header"))
        refusals = (
            (CORRUPT, "is marked corrupt", "a sound image", "Repair it: qemu-img check -r all IMAGE.qcow2"),
            (EXTERNAL_DATA, "keeps its data in another file", "an image of its own", FLATTEN),
            (EXTENDED_L2, "has extended L2 entries", "plain L2 entries", FLATTEN),
            (~(DIRTY | COMPRESSION_TYPE), f"needs features {incompatible:#x}", "bits 0 and 3 at most", FLATTEN),
        )
        for bits, what, expected, advice in refusals:
            if incompatible & bits:
                raise file.error(72, what, expected, advice)
        if incompatible & COMPRESSION_TYPE and length > 104:
            kind = file.read_at(104, 1, "the compression type")[0]
            if kind:
                raise file.error(104, f"has compression type {kind}", "type 0 (zlib)", FLATTEN)

    def _table(self, offset: int, entries: int, what: str) -> tuple[int, ...]:
        if offset % self.cluster:
            raise self.file.error(offset, f"{what} does not begin on a cluster", f"a multiple of {self.cluster:#x}")
        return struct.unpack(f">{entries}Q", self.file.read_at(offset, entries * 8, what))

    # -- reading -------------------------------------------------------------------------------------------------------

    @property
    def cluster(self) -> int:
        """Bytes in a cluster."""
        return 1 << self.header.cluster_bits

    @property
    def sectors(self) -> int:
        return -(-self.header.size // SECTOR)

    def read(self, lba: int, count: int) -> bytes:
        check_range(self.sectors, lba, count)
        parts = []
        position, end = lba * SECTOR, (lba + count) * SECTOR
        while position < end:
            number, start = divmod(position, self.cluster)
            length = min(self.cluster - start, end - position)
            parts.append(self._read_within(number, start, length))
            position += length
        return b"".join(parts)

    def _read_within(self, number: int, start: int, length: int) -> bytes:
        """`length` bytes from `start` of the guest's cluster `number`."""
        entry = self._l2_entry(number)
        if entry & COMPRESSED:
            return self._decompressed(entry)[start : start + length]
        offset = entry & OFFSET
        if not offset or (entry & READS_AS_ZERO and self.header.version == 3):
            return bytes(length)
        if offset % self.cluster:
            raise self.file.error(offset, "a cluster does not begin on a cluster", f"a multiple of {self.cluster:#x}")
        if offset >= self.file.size:
            raise self.file.error(offset, "a cluster lies beyond the end of the file", f"below {self.file.size:#x}")
        if offset + start >= self.file.size:
            return bytes(length)
        return self.file.read_padded(offset + start, length, "a cluster")

    def _l2_entry(self, number: int) -> int:
        entries = self.cluster // 8
        index, within = divmod(number, entries)
        offset = self._l1[index] & OFFSET
        if not offset:
            return 0
        table = self._l2.get(offset)
        if table is None:
            table = self._l2[offset] = self._table(offset, entries, f"L2 table {index}")
            if len(self._l2) > CACHED_TABLES:
                self._l2.popitem(last=False)
        return table[within]

    def _decompressed(self, entry: int) -> bytes:
        """The cluster that a compressed entry names: offset in the low bits, further sectors above them."""
        data = self._clusters.get(entry)
        if data is not None:
            return data
        offset_bits = 62 - (self.header.cluster_bits - 8)
        offset = entry & ((1 << offset_bits) - 1)
        more_sectors = (entry & (COMPRESSED - 1)) >> offset_bits
        length = (more_sectors + 1) * SECTOR - offset % SECTOR
        stored = self.file.read_at(offset, max(min(length, self.file.size - offset), 1), "a compressed cluster")
        try:
            data = zlib.decompressobj(-12).decompress(stored, self.cluster)
        except zlib.error as error:
            raise self.file.error(offset, f"a compressed cluster is damaged ({error})", "deflate data") from error
        if len(data) != self.cluster:
            raise self.file.error(offset, f"a compressed cluster unpacks to {len(data):#x} bytes", f"{self.cluster:#x}")
        self._clusters[entry] = data
        if len(self._clusters) > CACHED_CLUSTERS:
            self._clusters.popitem(last=False)
        return data

    def write(self, lba: int, data: bytes) -> None:
        raise self.file.error(None, "is open for reading only", "a raw image", "Put a SnapshotOverlay over it.")

    def close(self) -> None:
        """Let the file go."""
        self.file.close()
