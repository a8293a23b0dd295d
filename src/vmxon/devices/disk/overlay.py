"""A disk whose writes stay in memory."""

from __future__ import annotations

from vmxon.devices.disk.image import SECTOR, Disk, check_range
from vmxon.devices.state import Saved, State


class SnapshotOverlay(Saved):
    """`base` with the sectors that were written since kept in memory; `base` is never touched."""

    def __init__(self, base: Disk) -> None:
        self.base = base
        self.written: dict[int, bytes] = {}

    @property
    def sectors(self) -> int:
        return self.base.sectors

    def read(self, lba: int, count: int) -> bytes:
        written = self.written
        if not written:
            return self.base.read(lba, count)
        data = bytearray(self.base.read(lba, count))
        for place in range(count):
            sector = written.get(lba + place)
            if sector is not None:
                data[place * SECTOR : (place + 1) * SECTOR] = sector
        return bytes(data)

    def write(self, lba: int, data: bytes) -> None:
        count, rest = divmod(len(data), SECTOR)
        if rest:
            raise ValueError(f"a write must be whole sectors of {SECTOR} bytes, not {len(data)} bytes")
        check_range(self.sectors, lba, count)
        for place in range(count):
            self.written[lba + place] = bytes(data[place * SECTOR : (place + 1) * SECTOR])

    def close(self) -> None:
        """Let the files of `base` go."""
        self.base.close()

    def state(self) -> State:
        return {"written": {str(lba): data for lba, data in self.written.items()}}

    def restore(self, state: State) -> None:
        written = state.get("written")
        if not isinstance(written, dict):
            raise ValueError(f"state of SnapshotOverlay must have 'written', has {sorted(state)}")
        self.written = {int(lba): data for lba, data in written.items() if isinstance(data, bytes)}
