"""PUSHF, POPF, CLI, STI: who may change which flag."""

from __future__ import annotations

import pytest

from tests.processor.system_bench import FINE, GP, VM, Outcome, SystemBench, fault
from vmxon.arch.control import Cr4

STATUS, TF, IF, DF, NT, RF, AC, VIF, VIP, ID = 0x8D5, *(1 << n for n in (8, 9, 10, 14, 16, 18, 19, 20, 21))
ANY_16, ANY_32 = STATUS | TF | DF | NT, STATUS | TF | DF | NT | AC | ID
POPF = {2: b"\x66\x9d", 4: b"\x9d", 8: b"\x9d"}

# mode, CPL, IOPL, width, flags that come in from an image of all ones, fault
POPS = [
    (16, 0, 0, 2, ANY_16 | IF | 3 << 12, None),
    (32, 0, 0, 4, ANY_32 | IF | 3 << 12, None),
    (32, 0, 0, 2, ANY_16 | IF | 3 << 12, None),
    (32, 1, 0, 4, ANY_32, None),
    (32, 1, 1, 4, ANY_32 | IF | 1 << 12, None),
    (32, 3, 0, 4, ANY_32, None),
    (32, 3, 2, 4, ANY_32 | 2 << 12, None),
    (32, 3, 3, 4, ANY_32 | IF | 3 << 12, None),
    (64, 0, 0, 8, ANY_32 | IF | 3 << 12, None),
    (64, 3, 0, 8, ANY_32, None),
    (64, 3, 3, 2, ANY_16 | IF | 3 << 12, None),
    (86, 3, 3, 2, ANY_16 | IF | 3 << 12 | VM, None),
    (86, 3, 2, 2, 0, GP),
]


@pytest.mark.parametrize(("mode", "cpl", "iopl", "width", "expected", "vector"), POPS)
def test_popf(mode: int, cpl: int, iopl: int, width: int, expected: int, vector: int | None) -> None:
    bench = SystemBench(mode, cpl)
    bench.state.rflags_other |= iopl << 12
    bench.state.gpr[4] -= width
    base = bench.state.segments[2].base
    bench.engine.write_physical(base + (bench.state.gpr[4] & 0xFFFFFFFF), b"\xff" * 4 + bytes(4))
    before = bench.state.gpr[4]
    code = POPF[width] if mode not in (16, 86) else b"\x9d"
    assert bench.run(code) == (FINE if vector is None else fault(vector))
    if vector is None:
        assert bench.processor.rflags == expected | 2
        assert bench.state.gpr[4] == before + width


@pytest.mark.parametrize(("mode", "width"), [(16, 2), (32, 4), (64, 8)])
def test_pushf_hides_rf_and_vm(mode: int, width: int) -> None:
    bench = SystemBench(mode)
    bench.processor.rflags = STATUS | RF | AC | ID | NT | 2
    assert bench.run(b"\x9c") == FINE
    assert bench.stacked(0, width) == (STATUS | AC | ID | NT | 2) & ((1 << 8 * width) - 1)


def test_pushf_in_virtual_8086_mode_shows_iopl() -> None:
    bench = SystemBench(86, 3)
    bench.state.rflags_other |= 3 << 12
    assert bench.run(b"\x66\x9c") == FINE
    assert bench.stacked(0, 4) == 3 << 12 | 2


# mode, CPL, IOPL, CR4, VIP, outcome of CLI, outcome of STI, which flag they act on
INTERRUPT_FLAG = [
    (16, 0, 0, 0, 0, FINE, FINE, IF),
    (32, 0, 0, 0, 0, FINE, FINE, IF),
    (32, 3, 3, 0, 0, FINE, FINE, IF),
    (32, 3, 2, 0, 0, fault(GP), fault(GP), 0),
    (32, 1, 1, 0, 0, FINE, FINE, IF),
    (32, 3, 0, Cr4.pvi.mask, 0, FINE, FINE, VIF),
    (32, 3, 0, Cr4.pvi.mask, VIP, FINE, fault(GP), VIF),
    (64, 3, 0, 0, 0, fault(GP), fault(GP), 0),
    (86, 3, 3, 0, 0, FINE, FINE, IF),
    (86, 3, 0, 0, 0, fault(GP), fault(GP), 0),
    (86, 3, 0, Cr4.vme.mask, 0, FINE, FINE, VIF),
    (86, 3, 0, Cr4.vme.mask, VIP, FINE, fault(GP), VIF),
]


@pytest.mark.parametrize(("mode", "cpl", "iopl", "cr4", "vip", "cli", "sti", "flag"), INTERRUPT_FLAG)
def test_cli_and_sti(mode: int, cpl: int, iopl: int, cr4: int, vip: int, cli: Outcome, sti: Outcome, flag: int) -> None:
    for code, expected, on in ((b"\xfa", cli, False), (b"\xfb", sti, True)):
        bench = SystemBench(mode, cpl)
        bench.state.cr4 = cr4 | (bench.state.cr4 if mode == 64 else 0)
        bench.state.rflags_other |= iopl << 12 | vip | (0 if on else flag)
        assert bench.run(code) == expected
        if expected == FINE:
            assert bool(bench.processor.rflags & flag) == on
