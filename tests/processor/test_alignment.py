"""Alignment checks: CPL 3, CR0.AM and RFLAGS.AC together (Vol. 3A §6.15 “Interrupt 17—Alignment Check Exception (#AC)”)."""

from __future__ import annotations

import pytest

from tests.harness import DATA
from tests.processor.system_bench import FINE, SystemBench, fault

AM, AC = 1 << 18, 1 << 18
ALIGNMENT = fault(17)


def bench_with(mode: int = 64, cpl: int = 3, am: int = AM, ac: int = AC) -> SystemBench:
    bench = SystemBench(mode, cpl)
    bench.state.cr0 |= am
    bench.processor.rflags |= ac
    bench.processor.refresh()
    return bench


@pytest.mark.parametrize("mode", [32, 33, 64])
@pytest.mark.parametrize(("cpl", "am", "ac", "checks"), [(3, AM, AC, True), (0, AM, AC, False), (3, 0, AC, False), (3, AM, 0, False)])
def test_three_conditions(mode: int, cpl: int, am: int, ac: int, checks: bool) -> None:
    bench = bench_with(mode, cpl, am, ac)
    assert bench.run(f"mov eax, [{DATA + 1}]") == (ALIGNMENT if checks else FINE)


@pytest.mark.parametrize(
    ("text", "boundary"),
    [
        ("mov al, [{}]", 1),
        ("mov ax, [{}]", 2),
        ("mov eax, [{}]", 4),
        ("mov rax, [{}]", 8),
        ("mov [{}], ax", 2),
        ("mov [{}], rax", 8),
        ("add dword ptr [{}], 1", 4),
        ("push qword ptr [{}]", 8),
        ("fld tbyte ptr [{}]", 8),
        ("fld dword ptr [{}]", 4),
        ("fnstcw word ptr [{}]", 2),
        ("movq xmm0, qword ptr [{}]", 8),
        ("movups xmm0, xmmword ptr [{}]", 1),
        ("bt dword ptr [{}], eax", 4),
    ],
)
def test_boundaries(text: str, boundary: int) -> None:
    for offset in range(9):
        bench = bench_with()
        bench.state.cr4 |= 0x200
        expected = FINE if offset % boundary == 0 else ALIGNMENT
        assert bench.run(text.format(DATA + offset)) == expected, offset


def test_every_access_is_checked_after_good_ones() -> None:
    bench = bench_with()
    text = f"mov eax, [{DATA}]\nmov [{DATA + 4}], eax\nmov ecx, [{DATA + 8}]\nmov eax, [{DATA + 2}]"
    assert bench.run(text, 4) == ALIGNMENT


def test_the_program_turns_it_on_and_off() -> None:
    bench = bench_with(ac=0)
    on = "pushfq\nor dword ptr [rsp], 0x40000\npopfq\n"
    off = "pushfq\nand dword ptr [rsp], ~0x40000\npopfq\n"
    misaligned = f"mov eax, [{DATA + 1}]\n"
    assert bench.run(misaligned + on + off + misaligned, 8) == FINE
    assert bench.run(misaligned + on + misaligned, 5) == ALIGNMENT


def test_system_accesses_and_the_handler_are_not_checked() -> None:
    bench = bench_with()
    bench.state.gdt_base += 1
    bench.engine.write_physical(bench.state.gdt_base, bench.engine.read_physical(bench.state.gdt_base - 1, 0x100))
    assert bench.run("mov eax, 0x23\nmov ds, eax", 2) == FINE
