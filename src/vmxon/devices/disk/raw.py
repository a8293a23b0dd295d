"""A raw image: the sectors of a disk, one after the other (also the `-flat.vmdk` beside a VMDK descriptor)."""

from __future__ import annotations

from pathlib import Path

from vmxon.devices.disk.image import LARGEST, SECTOR, ImageFile, check_range


class RawImage:
    """A raw image; a last sector that is cut off reads with zeros behind it. `writable` stores into the file."""

    def __init__(self, path: Path, writable: bool = False) -> None:
        self.writable = writable
        self.file = ImageFile(path, writable)
        self._sectors = -(-self.file.size // SECTOR)
        if not 0 < self._sectors <= LARGEST:
            self.file.close()
            raise self.file.error(
                None,
                f"holds {self.file.size:#x} bytes",
                f"a disk of 1 to {LARGEST:#x} sectors",
                "Name an image with something in it.",
            )

    @property
    def sectors(self) -> int:
        return self._sectors

    def read(self, lba: int, count: int) -> bytes:
        check_range(self._sectors, lba, count)
        return self.file.read_padded(lba * SECTOR, count * SECTOR, "a sector")

    def write(self, lba: int, data: bytes) -> None:
        check_range(self._sectors, lba, len(data) // SECTOR)
        if not self.writable:
            raise self.file.error(
                lba * SECTOR, "is open for reading only", "write-through", "Put a SnapshotOverlay over it."
            )
        self.file.write_at(lba * SECTOR, data)

    def close(self) -> None:
        """Let the file go."""
        self.file.close()
