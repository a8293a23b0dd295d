"""Stores into code: the next instruction is always the one that memory holds."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import pytest

from tests.engine.worlds import PAGE, golden, program
from tests.harness import CODE, TABLES, Bench, assemble
from vmxon.engine.blocks import NEXT_IN_TABLE
from vmxon.engine.places import TABLE_ENTRIES
from vmxon.processor.state import HostRequest

WORLDS: list[Callable[[int], Bench]] = [Bench, golden]


@pytest.fixture(params=WORLDS, ids=["native", "golden"])
def bench(request: pytest.FixtureRequest) -> Bench:
    return request.param(64)


def run(bench: Bench, count: int, rip: int = CODE) -> None:
    bench.state.rip = rip
    before = bench.processor.instructions
    assert bench.processor.run(count) is HostRequest.BUDGET
    assert bench.processor.instructions - before == count


def test_the_next_instruction(bench: Bench) -> None:
    # mov byte ptr [next + 1], 7; next: mov al, 1
    program(bench, "mov byte ptr [rip + 1], 7\nmov al, 1\nmov ah, 2")
    run(bench, 3)
    assert bench.state.gpr[0] & 0xFFFF == 0x0207


def test_an_instruction_already_run_in_a_loop(bench: Bench) -> None:
    program(bench, f"again: mov al, 0\ninc byte ptr [{CODE + 1}]\nadd ebx, eax\njmp again")
    run(bench, 4 * 20)
    assert bench.state.gpr[3] == sum(range(20))


def test_the_instruction_that_stores(bench: Bench) -> None:
    """Its own bytes: it completes, and next time it is another one."""
    program(bench, f"again: mov dword ptr [{CODE}], 0x90909090\njmp again")
    first = assemble(f"mov dword ptr [{CODE}], 0x90909090")
    run(bench, 1)
    assert bench.state.rip == CODE + len(first)
    run(bench, 5, bench.state.rip)
    assert bench.state.rip == CODE + 4


def test_code_of_another_page(bench: Bench) -> None:
    other = CODE + 4 * PAGE
    program(bench, "mov al, 1\nret", other)
    program(bench, f"call rsi\nadd ebx, eax\nmov byte ptr [{other + 1}], 2\ncall rsi\nadd ebx, eax")
    bench.state.gpr[0], bench.state.gpr[6] = 0, other
    run(bench, 9)
    assert bench.state.gpr[3] == 3


def test_a_store_across_two_pages_of_code(bench: Bench) -> None:
    border = CODE + 2 * PAGE
    program(bench, "nop\nnop\nnop\nnop\nnop\nnop", border - 3)
    run(bench, 6, border - 3)
    # inc eax (ff c0) twice, across the border; then two nops.
    program(bench, f"mov dword ptr [{border - 2}], 0xc0ffc0ff")
    run(bench, 1)
    bench.state.gpr[0] = 0
    run(bench, 3, border - 3)
    assert (bench.state.gpr[0], bench.state.rip) == (2, border + 2)


def test_an_instruction_across_two_pages(bench: Bench) -> None:
    border = CODE + 2 * PAGE
    program(bench, "mov eax, 0x11223344", border - 2)
    run(bench, 1, border - 2)
    assert bench.state.gpr[0] == 0x11223344
    program(bench, f"mov byte ptr [{border}], 0x99")
    run(bench, 1)
    run(bench, 1, border - 2)
    assert bench.state.gpr[0] == 0x11229944


def test_an_alias_of_the_page(bench: Bench) -> None:
    """The second GiB maps the first one again: a store there is a store here."""
    bench.engine.write_physical(TABLES + 0x1008, (TABLES + 0x2000 | 7).to_bytes(8, "little"))
    place = len(assemble(f"mov rsi, {(1 << 30) + CODE}")) + 1
    program(bench, f"mov rsi, {(1 << 30) + CODE}\nagain: mov al, 5\nmov byte ptr [rsi + {place}], 6\njmp again")
    run(bench, 2)
    assert bench.state.gpr[0] & 0xFF == 5
    run(bench, 3, bench.state.rip)
    assert bench.state.gpr[0] & 0xFF == 6


def test_a_write_from_python(bench: Bench) -> None:
    program(bench, "again: mov al, 1\nadd ebx, eax\njmp again")
    bench.state.gpr[0] = bench.state.gpr[3] = 0
    run(bench, 300)
    bench.engine.write_physical(CODE + 1, b"\x03")
    run(bench, 300, bench.state.rip)
    assert bench.state.gpr[3] == 100 + 300


def test_a_page_table_entry_with_code_in_it(bench: Bench) -> None:
    """A walk that marks an entry accessed writes memory like any store: 05 (add eax, imm32) becomes 25 (and eax, imm32)."""
    table = 0x90000
    bench.engine.write_physical(TABLES + 0x2010, (table | 7).to_bytes(8, "little"))
    bench.engine.write_physical(table, (0x300005).to_bytes(8, "little"))  # add eax, 0x3000; add [rax], al
    bench.processor.refresh()
    bench.state.gpr[0] = 1
    run(bench, 1, table)
    assert bench.state.gpr[0] == 0x3001
    program(bench, "mov rbx, [0x400000]")
    run(bench, 1)
    assert bench.engine.read_physical(table, 1) == b"\x25"
    run(bench, 1, table)
    assert bench.state.gpr[0] == 0x3000


@pytest.mark.parametrize("pattern", ["rep stosb", "rep movsb"])
def test_a_repeated_store_over_its_own_loop(bench: Bench, pattern: str) -> None:
    """The string instruction overwrites what follows it with NOPs."""
    code = assemble(f"mov ecx, 8\nmov edi, {CODE + 64}\nmov esi, {CODE + 128}\nmov al, 0x90\n{pattern}")
    bench.engine.write_physical(CODE, (code + b"\x90" * (64 - len(code)) + b"\xff\xc3" * 4).ljust(128, b"\x90") + b"\x90" * 8)
    bench.state.gpr[3] = 0
    run(bench, 4 + 8 + (64 - len(code)) + 8)
    assert (bench.state.gpr[3], bench.state.rip) == (0, CODE + 72)


def test_dropped_blocks_do_not_pile_up() -> None:
    """GRUB patches its calls of the BIOS thousands of times: looking a block up must not pass all its predecessors."""
    bench = Bench(64)
    program(bench, f"again: mov al, 0\ninc byte ptr [{CODE + 1}]\njmp again")
    run(bench, 3 * 200)
    state = bench.state
    word = ctypes.c_uint64.from_address
    pointer = word(state.block_table + 8 * ((CODE ^ CODE >> 12 ^ CODE >> 14) & TABLE_ENTRIES - 1)).value
    chain = []
    while pointer:
        chain.append(pointer)
        pointer = word(pointer + NEXT_IN_TABLE).value
    assert 1 <= len(chain) <= 2
