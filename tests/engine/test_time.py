"""Exact time: however a run is cut into budgets, every stop shows the state after that many instructions."""

from __future__ import annotations

import random

import pytest

from tests.engine.worlds import architectural, exception_recorder, golden, memory_hash, program
from tests.harness import CODE, DATA, Bench
from vmxon.processor.state import HostRequest

PROGRAMS = {
    "loops": f"""
        start: mov ecx, 13
        outer: mov edx, 7
        inner: add rax, rcx
        imul rax, rax, 5
        mov [{DATA} + rdx * 8], rax
        dec edx
        jnz inner
        xor rbx, rax
        loop outer
        jmp start""",
    "calls and strings": f"""
        again: mov ecx, 37
        mov edi, {DATA}
        mov eax, ebx
        rep stosb
        call work
        mov ecx, 19
        mov esi, {DATA}
        mov edi, {DATA + 0x900}
        rep movsd
        jmp again
        work: inc ebx
        push rbx
        mov ecx, 11
        mov esi, {DATA}
        mov edi, {DATA + 3}
        repe cmpsb
        pop rdx
        ret""",
    "page crossings and code": f"""
        again: mov rax, [{DATA + 0xFFD}]
        add qword ptr [{DATA + 0xFFB}], 77
        inc dword ptr [{DATA + 0x2FFE}]
        inc byte ptr [rip + 1]
        mov bl, 1
        add rdx, rbx
        std
        mov ecx, 5
        mov edi, {DATA + 0x1002}
        rep stosw
        cld
        jmp again""",
    "faults": f"""
        again: inc eax
        mov ecx, 3
        div cl
        ud2
        add ebx, eax
        mov edx, [{0x7FFFFFFF}]
        jmp again""",
}  # fmt: skip


def world(make: type[Bench], text: str) -> Bench:
    bench = make(64)
    exception_recorder(bench)
    if "ud2" in text:
        # Handlers that skip: #UD two bytes, #PF and the rest seven.
        for vector in range(32):
            skip = "add qword ptr [rsp + 8], 7" if vector == 14 else "add qword ptr [rsp], 2"
            drop = "add rsp, 8\niretq" if vector == 14 else "iretq"
            program(bench, f"{skip}\n{drop}", 0x7000 + vector * 32)
    program(bench, text.strip())
    bench.state.rip = CODE
    return bench


def snapshot(bench: Bench) -> tuple[dict[str, object], str]:
    return architectural(bench), memory_hash(bench)


def advance(bench: Bench, count: int) -> None:
    assert bench.processor.run(count) is HostRequest.BUDGET


@pytest.mark.parametrize("name", PROGRAMS)
def test_stopping_anywhere_is_stepping_there(name: str) -> None:
    text = PROGRAMS[name]
    stepped, cut = world(Bench, text), world(Bench, text)
    source = random.Random(name)
    total = 0
    while total < 3000:
        count = source.choice((1, 2, 3, 5, source.randrange(1, 90), source.randrange(1, 400)))
        for _ in range(count):
            advance(stepped, 1)
        advance(cut, count)
        total += count
        assert cut.processor.instructions == total
        assert snapshot(cut) == snapshot(stepped), f"after {total} instructions"
    whole = world(Bench, text)
    advance(whole, total)
    assert snapshot(whole) == snapshot(stepped)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_golden_model_stops_there_too(name: str) -> None:
    text = PROGRAMS[name]
    native, model = world(Bench, text), world(golden, text)  # type: ignore[arg-type]  # makes a Bench
    source = random.Random(name)
    for _ in range(25):
        count = source.choice((1, 2, 7, source.randrange(1, 120)))
        advance(native, count)
        advance(model, count)
        assert snapshot(native) == snapshot(model)


@pytest.mark.parametrize("name", PROGRAMS)
def test_two_runs_are_equal(name: str) -> None:
    runs = []
    for _ in range(2):
        bench = world(Bench, PROGRAMS[name])
        advance(bench, 100_000)
        runs.append(snapshot(bench))
    assert runs[0] == runs[1]


def test_a_handler_that_faults_spends_the_budget() -> None:
    """The invalid-opcode handler is an invalid opcode: native code comes back all the same."""
    bench = world(Bench, "ud2")
    exception_recorder(bench)
    program(bench, "mov rsp, 0x38000\nud2", 0x7000 + 6 * 32)
    bench.state.rip = CODE
    assert bench.processor.run(10_000) is HostRequest.BUDGET
