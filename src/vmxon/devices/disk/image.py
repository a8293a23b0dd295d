"""What a disk is, and what goes wrong with a disk image."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

SECTOR = 512
"""Bytes in a sector."""
LARGEST = 1 << 48
"""Sectors that LBA48 can name."""


class DiskImageError(Exception):
    """An image file cannot be used: what is wrong, where, what was expected, what to do."""

    def __init__(self, path: Path, offset: int | None, what: str, expected: str, advice: str) -> None:
        where = str(path) if offset is None else f"{path}, offset {offset:#x}"
        super().__init__(f"{where}: {what}; expected {expected}. {advice}")
        self.path, self.offset, self.what, self.expected, self.advice = path, offset, what, expected, advice


class Disk(Protocol):
    """A block device of `sectors` sectors of 512 bytes."""

    @property
    def sectors(self) -> int: ...

    def read(self, lba: int, count: int) -> bytes:
        """`count` sectors from `lba` on; ValueError outside the disk, DiskImageError where the file is broken."""
        ...

    def write(self, lba: int, data: bytes) -> None:
        """Store whole sectors from `lba` on; ValueError outside the disk."""
        ...

    def close(self) -> None:
        """Let the files go."""
        ...


def check_range(sectors: int, lba: int, count: int) -> None:
    """ValueError unless `count` sectors from `lba` on lie on a disk of `sectors`."""
    if lba < 0 or count < 0 or lba + count > sectors:
        raise ValueError(f"sectors {lba:#x}..{lba + count:#x} must be within a disk of {sectors:#x} sectors")


class ImageFile:
    """A file that is only read inside its bounds."""

    def __init__(self, path: Path, writable: bool = False) -> None:
        self.path = path
        try:
            self._file = path.open("r+b" if writable else "rb")
            self.size = self._file.seek(0, 2)
        except OSError as error:
            reason = error.strerror or str(error)
            raise self.error(
                None, f"cannot be opened ({reason})", "a readable file", "Check the path and its permissions."
            ) from error

    def error(self, offset: int | None, what: str, expected: str, advice: str = "") -> DiskImageError:
        """A DiskImageError about this file."""
        return DiskImageError(self.path, offset, what, expected, advice or f"Check it with: qemu-img check {self.path}")

    def read_at(self, offset: int, length: int, what: str) -> bytes:
        """`length` bytes at `offset`; DiskImageError if the file has no such place. `what` names it in the message."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise self.error(offset, f"{what} lies beyond the end of the file", f"a place below {self.size:#x}")
        try:
            self._file.seek(offset)
            data = self._file.read(length)
        except OSError as error:
            raise self.error(offset, f"{what} cannot be read ({error.strerror})", "a readable file") from error
        if len(data) != length:
            raise self.error(offset, f"{what} is cut off: the file shrank", f"{length:#x} bytes")
        return data

    def read_padded(self, offset: int, length: int, what: str) -> bytes:
        """As `read_at`, but what lies beyond the end of the file reads as zeros, if the place itself is inside."""
        present = min(length, self.size - offset)
        if present <= 0 and length:
            return self.read_at(offset, length, what)
        return self.read_at(offset, present, what).ljust(length, b"\0")

    def write_at(self, offset: int, data: bytes) -> None:
        """Store `data` at `offset`."""
        try:
            self._file.seek(offset)
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            raise self.error(
                offset, f"cannot be written ({error.strerror})", "a writable file", "Run without write-through."
            ) from error
        self.size = max(self.size, offset + len(data))

    def close(self) -> None:
        """Let the file go."""
        self._file.close()
