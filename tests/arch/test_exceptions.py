"""Exception vectors and error codes."""

import pytest

from vmxon.arch.exceptions import (
    DOUBLE_FAULT_PAIRS,
    ERROR_CODE_VECTORS,
    Kind,
    PageFaultErrorCode,
    SelectorErrorCode,
    Severity,
    Vector,
)


def test_vectors_that_push_an_error_code() -> None:
    assert {v for v in range(32) if ERROR_CODE_VECTORS >> v & 1} == {8, 10, 11, 12, 13, 14, 17, 21}


@pytest.mark.parametrize(
    ("vector", "mnemonic", "kind", "severity"),
    [
        (0, "#DE", Kind.FAULT, Severity.CONTRIBUTORY),
        (1, "#DB", Kind.FAULT_OR_TRAP, Severity.BENIGN),
        (2, "NMI", Kind.INTERRUPT, Severity.BENIGN),
        (3, "#BP", Kind.TRAP, Severity.BENIGN),
        (8, "#DF", Kind.ABORT, Severity.BENIGN),
        (13, "#GP", Kind.FAULT, Severity.CONTRIBUTORY),
        (14, "#PF", Kind.FAULT, Severity.PAGE_FAULT),
        (17, "#AC", Kind.FAULT, Severity.BENIGN),
        (18, "#MC", Kind.ABORT, Severity.BENIGN),
    ],
)
def test_truth_table(vector: int, mnemonic: str, kind: Kind, severity: Severity) -> None:
    row = Vector(vector)
    assert (row.mnemonic, row.kind, row.severity) == (mnemonic, kind, severity)


@pytest.mark.parametrize(
    ("first", "second", "double_fault"),
    [
        (Vector.GP, Vector.NP, True),
        (Vector.GP, Vector.PF, False),
        (Vector.PF, Vector.GP, True),
        (Vector.PF, Vector.PF, True),
        (Vector.DB, Vector.GP, False),
        (Vector.GP, Vector.DB, False),
        (Vector.UD, Vector.UD, False),
    ],
)
def test_double_faults(first: Vector, second: Vector, double_fault: bool) -> None:
    assert ((first.severity, second.severity) in DOUBLE_FAULT_PAIRS) is double_fault


@pytest.mark.parametrize("vector", [9, 15, 22, 31])
def test_vectors_without_meaning_are_absent_but_for_the_coprocessor(vector: int) -> None:
    assert (vector in {int(v) for v in Vector}) is (vector == 9)


def test_error_codes() -> None:
    assert repr(PageFaultErrorCode(0x13)) == "PageFaultErrorCode(0x13: present write fetch)"
    assert SelectorErrorCode(0x42).idt
    assert SelectorErrorCode(0x42).index == 8
