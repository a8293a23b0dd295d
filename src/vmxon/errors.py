"""Errors of the host's world. Architectural events (#GP, VMfail, VM exit) are values and never raise.

VmxonError                        what, where, expected, advice: one line; ends the command with its status
├── ImageError                    a kernel, module or disk image is missing, truncated or foreign      2
├── ConfigurationError            a machine that cannot be built as asked                              2
├── StorageError                  the host's disk is full, read-only or failing                        2
└── GuestStopped                  the guest cannot go on                                               1
    ├── TripleFault               the three faults and the state at each                               1
    └── TimedOut                  the time or instruction limit was reached                          124

`ExitStatus` is the one table of exit statuses. Devices raise their own errors, which the command line maps.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar

__all__ = [
    "ConfigurationError",
    "ExitStatus",
    "Fault",
    "GuestStopped",
    "ImageError",
    "StorageError",
    "TimedOut",
    "TripleFault",
    "VmxonError",
    "debug_exit_status",
]


class ExitStatus(IntEnum):
    """What the process tells its caller; `meaning` is what `vmxon --help` prints."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> ExitStatus:
        """A status with the sentence that explains it."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    SUCCESS = 0, "the guest ended by itself"
    GUEST_FAILED = 1, "the guest failed: triple fault, nothing to boot, a stop that it did not ask for"
    BAD_INPUT = 2, "an option, an image, the configuration or the host's storage is at fault"
    BUG = 70, "vmxon itself failed"
    TIMED_OUT = 124, "--timeout or --count was reached"
    INTERRUPTED = 130, "Ctrl-C"
    BROKEN_PIPE = 141, "the reader of the output went away"


def debug_exit_status(value: int) -> int:
    """Exit status of a guest that writes `value` to isa-debug-exit: (value << 1) | 1, cut to a process's 8 bits."""
    return (value << 1 | 1) & 0xFF


class VmxonError(Exception):
    """A host error: what is wrong, where (a file, an option, an address in hex), what was expected, what to do."""

    status: ClassVar[ExitStatus] = ExitStatus.BAD_INPUT

    def __init__(self, what: str, *, where: object = "", expected: str = "", advice: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = str(where)
        self.expected = expected
        self.advice = advice

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}" if self.where else self.what
        if self.expected:
            line += f", expected {self.expected}"
        if self.advice:
            line += f"; {self.advice}"
        return printable(line)

    @property
    def details(self) -> tuple[str, ...]:
        """Lines below the one line, for an error that has a state to show."""
        return ()


class ImageError(VmxonError):
    """A kernel, module or disk image that is missing, truncated or of another format."""


class ConfigurationError(VmxonError):
    """A machine that cannot be built as asked: memory, drives, processor model."""


class StorageError(VmxonError):
    """The host's storage failed: disk full, quota, read-only, input/output error."""

    ADVICE: ClassVar[Mapping[int, str]] = {
        errno.ENOSPC: "free some space, or point TMPDIR at another disk",
        errno.EDQUOT: "free some of your quota, or point TMPDIR at another disk",
        errno.EROFS: "choose a folder that can be written",
        errno.EIO: "the disk may be failing",
    }

    @classmethod
    def describes(cls, error: OSError) -> bool:
        """Whether `error` is about storage and not about a mistake of ours or of the user."""
        return error.errno in cls.ADVICE

    @classmethod
    def of(cls, error: OSError) -> StorageError:
        """The same error with advice."""
        return cls(
            (error.strerror or str(error)).lower(),
            where=error.filename or "",
            advice=cls.ADVICE.get(error.errno or 0, ""),
        )


class GuestStopped(VmxonError):
    """The guest cannot go on, through no fault of the host."""

    status = ExitStatus.GUEST_FAILED


@dataclass(frozen=True, slots=True)
class Fault:
    """One exception on the way to a triple fault, with the registers as they were when it was raised."""

    name: str
    """As the manual prints it: “#PF”."""
    instruction_pointer: int
    error_code: int | None = None
    registers: Mapping[str, int] = field(default_factory=dict)
    """By the manual's name, in the order in which they shall be printed."""

    def __str__(self) -> str:
        code = "" if self.error_code is None else f"({self.error_code:#x})"
        return f"{self.name}{code} at {self.instruction_pointer:#018x}"


class TripleFault(GuestStopped):
    """A fault while the double fault was delivered: a real processor shuts down."""

    def __init__(self, faults: tuple[Fault, ...], *, where: object = "guest") -> None:
        super().__init__("triple fault: " + ", then ".join(map(str, faults)), where=where)
        self.faults = faults

    @property
    def details(self) -> tuple[str, ...]:
        """Each fault, followed by its registers, four to a line."""
        lines: list[str] = []
        for number, fault in enumerate(self.faults, 1):
            lines.append(f"  {number}. {fault}")
            shown = [f"{name:>6} {value:#018x}" for name, value in fault.registers.items()]
            lines += [" " * 3 + " ".join(shown[start : start + 4]) for start in range(0, len(shown), 4)]
        return tuple(lines)


class TimedOut(GuestStopped):
    """The guest still ran when its time or instruction limit was reached."""

    status = ExitStatus.TIMED_OUT


def printable(line: str) -> str:
    """`line` on one line, its control characters escaped: file names and guest text may hold any."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in line)
