"""A call of the firmware as the stub leaves it on the caller's stack: registers to read and change, flags to answer with."""

from __future__ import annotations

import struct
from typing import overload

from vmxon.arch.flags import Rflags

LAYOUT = struct.Struct("<2H8I2B3H")
"""What the stub pushed, the last first: ES, DS, PUSHAD's eight, the vector, the waiting mark; then what INT pushed."""


class Part:
    """The low word of a register, or one of its two bytes."""

    def __init__(self, register: str, shift: int, width: int) -> None:
        self.register, self.shift, self.mask = register, shift, (1 << width) - 1

    @overload
    def __get__(self, call: None, owner: type[Call]) -> Part: ...
    @overload
    def __get__(self, call: Call, owner: type[Call]) -> int: ...
    def __get__(self, call: Call | None, owner: type[Call]) -> int | Part:
        if call is None:
            return self
        value: int = getattr(call, self.register)
        return value >> self.shift & self.mask

    def __set__(self, call: Call, value: int) -> None:
        kept: int = getattr(call, self.register) & ~(self.mask << self.shift)
        setattr(call, self.register, kept | (value & self.mask) << self.shift)


class Call:
    """The frame of one call; `to_bytes` is what the stub pops again."""

    ax, bx, cx, dx, si, di, bp = (Part(name, 0, 16) for name in ("eax", "ebx", "ecx", "edx", "esi", "edi", "ebp"))
    al, bl, cl, dl = (Part(name, 0, 8) for name in ("eax", "ebx", "ecx", "edx"))
    ah, bh, ch, dh = (Part(name, 8, 8) for name in ("eax", "ebx", "ecx", "edx"))

    def __init__(self, frame: bytes) -> None:
        (
            self.es, self.ds, self.edi, self.esi, self.ebp, self.esp, self.ebx, self.edx, self.ecx, self.eax,
            self.vector, self.waiting, self.ip, self.cs, self.flags,
        ) = LAYOUT.unpack(frame)  # fmt: skip

    def to_bytes(self) -> bytes:
        """The frame with its changes."""
        return LAYOUT.pack(
            self.es, self.ds, self.edi, self.esi, self.ebp, self.esp, self.ebx, self.edx, self.ecx, self.eax,
            self.vector, self.waiting, self.ip, self.cs, self.flags,
        )  # fmt: skip

    def set_flag(self, mask: int, on: bool) -> None:
        """A flag as the caller sees it after IRET."""
        self.flags = self.flags | mask if on else self.flags & ~mask

    def succeed(self) -> None:
        """CF = 0."""
        self.set_flag(Rflags.cf.mask, on=False)

    def fail(self, code: int) -> None:
        """CF = 1 and an error code in AH."""
        self.ah = code
        self.set_flag(Rflags.cf.mask, on=True)

    def answer_zero(self, zero: bool) -> None:
        """ZF, by which INT 16h says that there is no key."""
        self.set_flag(Rflags.zf.mask, zero)

    def wait(self) -> None:
        """Have the stub halt until the next interrupt, and call again with the same registers."""
        self.waiting = 1
