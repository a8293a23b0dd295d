"""State of a device as plain data: what a snapshot stores and restores."""

from __future__ import annotations

from collections import deque
from typing import ClassVar, TypeAlias, cast

Plain: TypeAlias = "bool | int | str | bytes | list[Plain] | dict[str, Plain] | None"
State: TypeAlias = dict[str, Plain]


class Saved:
    """An object whose state is a set of attributes, named once with the class keyword `saves`.

    An attribute may be a number (any int subclass: words, enums), None, a string, a bytearray, a deque, a list, or
    another `Saved`; it returns from a snapshot with the type that it has in the fresh object.
    """

    saves: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, *, saves: tuple[str, ...] = ()) -> None:
        cls.saves = cls.saves + saves

    def state(self) -> State:
        """Everything that differs from a fresh object, as plain data."""
        return {name: _plain(getattr(self, name)) for name in self.saves}

    def restore(self, state: State) -> None:
        """Become the object that `state` was taken from; ValueError where an attribute is missing."""
        for name in self.saves:
            if name not in state:
                raise ValueError(f"state of {type(self).__name__} must have {name!r}, has {sorted(state)}")
            setattr(self, name, _revive(getattr(self, name), state[name]))
        self.restored()

    def restored(self) -> None:
        """Rebuild what follows from the attributes; a subclass that caches something overrides it."""


def cast_state(value: Plain) -> State:
    """`value` as the state of an object; ValueError if it is anything else."""
    if not isinstance(value, dict):
        raise ValueError(f"the state of an object must be a dict, not {value!r}")
    return value


def _plain(value: object) -> Plain:
    match value:
        case Saved():
            return value.state()
        case None | bool() | str():
            return value
        case int():
            return int(value)
        case bytes() | bytearray():
            return bytes(value)
        case list() | tuple() | deque():
            return [_plain(item) for item in value]
    raise TypeError(f"a device's state must be plain data, not {type(value).__name__}")


def _revive(fresh: object, value: Plain) -> object:
    match fresh:
        case Saved():
            fresh.restore(cast_state(value))
            return fresh
        case bytearray():
            return bytearray(cast(bytes, value))
        case deque():
            return deque(cast("list[object]", value), fresh.maxlen)
        case list() if fresh and isinstance(fresh[0], Saved):
            return [_revive(item, part) for item, part in zip(fresh, cast("list[Plain]", value), strict=True)]
        case list():
            return list(cast("list[object]", value))
        case int() if isinstance(value, int):
            return type(fresh)(value)
    return value
