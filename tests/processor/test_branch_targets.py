"""Relative branches to where no instruction can be: #GP(0) at the branch, before anything changed, and only where it is taken."""

from __future__ import annotations

import pytest

from tests.harness import CODE
from tests.processor.system_bench import FINE, GP, SystemBench, fault
from vmxon.processor.state import Segment

LIMIT = CODE + 0x80
"""Of the code segment in 32-bit mode."""
ZF = 1 << 6
LAST = 0x7FFF_FFFF_FFF0
"""Close to the end of the lower canonical half."""


def limited() -> SystemBench:
    bench = SystemBench(32)
    bench.state.segments[Segment.CS].limit = LIMIT
    bench.processor.refresh()
    bench.state.gpr[1] = 2
    return bench


@pytest.mark.parametrize(
    ("code", "flags", "count", "expected", "after"),
    [
        (b"\xeb\x7e", 0, 2, FINE, LIMIT - CODE),
        (b"\xeb\x7f", 0, 2, fault(GP), None),
        (b"\xe9\x7c\0\0\0", 0, 2, fault(GP), None),
        (b"\xe8\x7c\0\0\0", 0, 2, fault(GP), None),
        (b"\x74\x7f", 0, 2, FINE, 2),
        (b"\x74\x7f", ZF, 2, fault(GP), None),
        (b"\x0f\x84\x7c\0\0\0", 0, 2, FINE, 6),
        (b"\x0f\x84\x7c\0\0\0", ZF, 2, fault(GP), None),
        (b"\xe2\x7f", 0, 2, fault(GP), None),
        (b"\xe2\x7f", 0, 1, FINE, 2),
        (b"\xe1\x7f", 0, 2, FINE, 2),
        (b"\xe1\x7f", ZF, 2, fault(GP), None),
        (b"\xe0\x7f", 0, 2, fault(GP), None),
        (b"\xe0\x7f", ZF, 2, FINE, 2),
        (b"\xe3\x7f", 0, 2, FINE, 2),
        (b"\xe3\x7f", 0, 0, fault(GP), None),
        (b"\x67\xe3\x7f", 0, 0x10000, fault(GP), None),
    ],
)
def test_beyond_the_code_segment(code: bytes, flags: int, count: int, expected: object, after: int | None) -> None:
    bench = limited()
    bench.processor.rflags = 2 | flags
    bench.state.gpr[1] = count
    stack = bench.state.gpr[4]
    assert bench.run(code) == expected
    if after is None:
        assert bench.pushed(1) == CODE, "the branch itself"
        assert bench.state.gpr[1] == count
        assert bench.state.gpr[4] == stack - 16, "nothing but the frame"
    else:
        assert bench.state.rip == CODE + after
        assert bench.state.gpr[1] == (count - 1 if code[0] & 0xFC == 0xE0 and code[0] != 0xE3 else count)


def test_the_limit_may_grow() -> None:
    bench = limited()
    assert bench.run(b"\xeb\x7f") == fault(GP)
    bench.state.segments[Segment.CS].limit = 0xFFFFFFFF
    bench.set_level(0)
    assert bench.run(b"\xeb\x7f") == FINE
    assert bench.state.rip == CODE + 0x81


@pytest.mark.parametrize(("code", "taken"), [(b"\xeb\x7f", True), (b"\x75\x7f", True), (b"\x74\x7f", False), (b"\xe9\x7f\0\0\0", True)])
def test_not_canonical(code: bytes, taken: bool) -> None:
    bench = SystemBench(64)
    # The page at the end of the lower half is the one that has the code.
    write, read = bench.engine.write_physical, bench.engine.read_physical
    tables = bench.state.cr3 & ~0xFFF
    pml4 = int.from_bytes(read(tables, 8), "little")
    write(tables + 255 * 8, pml4.to_bytes(8, "little"))
    pdpt = pml4 & ~0xFFF
    pd = int.from_bytes(read(pdpt, 8), "little")
    write(pdpt + 511 * 8, pd.to_bytes(8, "little"))
    write((pd & ~0xFFF) + 511 * 8, (0x87).to_bytes(8, "little"))
    bench.processor.refresh()
    write(LAST & 0x1FFFFF, code + b"\x90" * 4)
    bench.state.rip = LAST
    assert bench.go_on(1) == (fault(GP) if taken else FINE)
    if taken:
        assert bench.pushed(1) == LAST
