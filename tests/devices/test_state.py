from collections import deque
from enum import IntEnum

import pytest

from vmxon.arch.bits import Word, flag
from vmxon.devices.state import Saved


class Flags(Word, width=8):
    """A register."""

    ready = flag(0, "ready")


class Phase(IntEnum):
    IDLE = 0
    BUSY = 1


class Part(Saved, saves=("number",)):
    def __init__(self) -> None:
        self.number: int | None = None


class Whole(Saved, saves=("flags", "phase", "queue", "memory", "parts", "name")):
    def __init__(self) -> None:
        self.flags, self.phase, self.name = Flags(0), Phase.IDLE, ""
        self.queue: deque[int] = deque(maxlen=4)
        self.memory = bytearray(2)
        self.parts = [Part(), Part()]
        self.rebuilt = 0

    def restored(self) -> None:
        self.rebuilt += 1


def test_values_return_with_the_types_of_the_fresh_object() -> None:
    old, new = Whole(), Whole()
    old.flags, old.phase, old.name, old.memory[1], old.parts[1].number = Flags(1), Phase.BUSY, "x", 7, 3
    old.queue.extend([1, 2])
    state = old.state()
    assert state == {
        "flags": 1, "phase": 1, "queue": [1, 2], "memory": b"\0\x07",
        "parts": [{"number": None}, {"number": 3}], "name": "x",
    }  # fmt: skip
    assert [type(state[name]) for name in ("flags", "phase", "memory")] == [int, int, bytes]
    parts = list(new.parts)
    new.restore(state)
    assert new.state() == state
    assert new.flags.ready
    assert new.phase is Phase.BUSY
    assert new.queue.maxlen == 4
    assert new.parts[1] is parts[1]
    assert new.rebuilt == 1


def test_the_copy_shares_nothing() -> None:
    old = Whole()
    state = old.state()
    old.memory[0] = 1
    old.queue.append(1)
    assert state["memory"] == b"\0\0"
    assert state["queue"] == []


def test_refusals() -> None:
    part = Part()
    with pytest.raises(ValueError, match=r"state of Part must have 'number', has \['other'\]"):
        part.restore({"other": 1})
    with pytest.raises(ValueError, match="the state of an object must be a dict, not 5"):
        Whole().restore(Whole().state() | {"parts": [5, 5]})
    part.number = {1, 2}
    with pytest.raises(TypeError, match="a device's state must be plain data, not set"):
        part.state()
