"""The error tree: one clear line each, the status each ends with, and the drawing at the top of the module."""

import errno
import re

import pytest

from vmxon import errors
from vmxon.errors import (
    ConfigurationError,
    ExitStatus,
    Fault,
    GuestStopped,
    ImageError,
    StorageError,
    TimedOut,
    TripleFault,
    VmxonError,
    debug_exit_status,
)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (VmxonError("too many drives"), "too many drives"),
        (ImageError("is empty", where="kernel.x"), "kernel.x: is empty"),
        (
            ImageError("bad magic 0x4d5a9000", where="kernel.x", expected="0x7f454c46"),
            "kernel.x: bad magic 0x4d5a9000, expected 0x7f454c46",
        ),
        (
            ConfigurationError("2 MiB of memory", where="--memory", expected="at least 3 MiB", advice="give -m 8M"),
            "--memory: 2 MiB of memory, expected at least 3 MiB; give -m 8M",
        ),
        (ImageError("no such file", where="a\nb\x1b[31m"), r"a\nb\x1b[31m: no such file"),
        (ImageError("no such file", where="caf\udce9"), r"caf\udce9: no such file"),
        (TimedOut("5 s are over"), "5 s are over"),
    ],
)
def test_an_error_is_one_line(error: VmxonError, line: str) -> None:
    assert str(error) == line
    assert error.details == ()


def test_a_triple_fault_shows_each_fault_and_its_registers() -> None:
    faults = (
        Fault("#PF", 0x1000, 0x2, {"RAX": 1, "RSP": 0xFFFF_8000_0000_0000, "CR2": 0xDEAD_B000, "CR3": 0x1000, "CS": 8}),
        Fault("#GP", 0x1000, 0x0),
        Fault("#DF", 0x1000, 0x0),
    )
    error = TripleFault(faults)
    assert str(error) == (
        "guest: triple fault: #PF(0x2) at 0x0000000000001000, then #GP(0x0) at 0x0000000000001000, "
        "then #DF(0x0) at 0x0000000000001000"
    )
    assert error.details == (
        "  1. #PF(0x2) at 0x0000000000001000",
        "      RAX 0x0000000000000001    RSP 0xffff800000000000    CR2 0x00000000deadb000    CR3 0x0000000000001000",
        "       CS 0x0000000000000008",
        "  2. #GP(0x0) at 0x0000000000001000",
        "  3. #DF(0x0) at 0x0000000000001000",
    )


def test_a_fault_without_error_code_prints_none() -> None:
    assert str(Fault("#UD", 0x7C00)) == "#UD at 0x0000000000007c00"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ImageError("x"), 2),
        (ConfigurationError("x"), 2),
        (StorageError("x"), 2),
        (GuestStopped("x"), 1),
        (TripleFault(()), 1),
        (TimedOut("x"), 124),
    ],
)
def test_status_of_each_error(error: VmxonError, status: int) -> None:
    assert error.status == status


def test_the_drawing_shows_the_tree_and_its_statuses() -> None:
    drawn = re.findall(r"^[ │├└─]*([A-Z]\w+) {2,}.*?(?: {2,}(\d+))?$", errors.__doc__ or "", re.MULTILINE)
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, VmxonError)]
    assert {name for name, _ in drawn} == {value.__name__ for value in classes}
    for name, status in drawn:
        if status:
            assert getattr(errors, name).status == int(status), name


def test_all_names_exist_and_are_sorted() -> None:
    assert errors.__all__ == sorted(errors.__all__)
    assert all(hasattr(errors, name) for name in errors.__all__)


@pytest.mark.parametrize(
    ("value", "status"), [(0, 1), (1, 3), (0x10, 33), (0x7F, 0xFF), (0x80, 1), (0xFFFF_FFFF, 0xFF)]
)
def test_debug_exit_status_is_odd_and_eight_bits_wide(value: int, status: int) -> None:
    assert debug_exit_status(value) == status


def test_every_exit_status_has_a_meaning() -> None:
    assert {int(status) for status in ExitStatus} == {0, 1, 2, 70, 124, 130, 141}
    assert all(status.meaning for status in ExitStatus)


def test_a_full_disk_comes_with_advice() -> None:
    error = OSError(errno.ENOSPC, "No space left on device", "overlay.img")
    assert StorageError.describes(error)
    assert str(StorageError.of(error)) == (
        "overlay.img: no space left on device; free some space, or point TMPDIR at another disk"
    )


def test_a_missing_file_is_not_a_storage_error() -> None:
    assert not StorageError.describes(FileNotFoundError(errno.ENOENT, "No such file or directory", "x"))
