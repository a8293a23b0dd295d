"""String instructions, alone and repeated: results, direction, exact counting, precise faults, devices, code."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness import TABLES
from tests.isa.bare import CF, DATA, DF, ZF, Bare
from vmxon.processor.state import HostRequest

SIZES = {"b": 1, "w": 2, "d": 4, "q": 8}
OTHER = DATA + 0x8000
HOLE = 0x200000
"""Not mapped on the `holed` processor."""
PAGE_FAULT = 14


@pytest.fixture(scope="module")
def holed() -> Bare:
    """64-bit mode with the second 2 MiB not present."""
    machine = Bare(64)
    machine.write(TABLES + 0x2000 + 8, 0, 8)
    machine.bench.processor.refresh()
    return machine


@pytest.mark.parametrize("letter", SIZES)
@pytest.mark.parametrize("flags", [2, DF | 2])
def test_each_once(long: Bare, letter: str, flags: int) -> None:
    size = SIZES[letter]
    step = -size if flags & DF else size
    mask = (1 << 8 * size) - 1
    first, second = 0x8877665544332211, 0x1122334455667788
    long.write(DATA, first, 8)
    long.write(OTHER, second, 8)
    long.run(f"movs{letter}", flags=flags, rsi=DATA, rdi=OTHER)
    assert (long["rsi"], long["rdi"]) == (DATA + step, OTHER + step)
    assert long.read(OTHER, 8) == second & ~mask | first & mask
    long.run(f"stos{letter}", flags=flags, rax=second, rdi=DATA)
    assert (long["rdi"], long.read(DATA, size)) == (DATA + step, second & mask)
    long.run(f"lods{letter}", flags=flags, rax=0, rsi=OTHER)
    assert (long["rsi"], long["rax"]) == (OTHER + step, first & mask)
    for text, left, right in ((f"cmps{letter}", 3, 5), (f"cmps{letter}", 5, 5), (f"scas{letter}", 3, 5), (f"scas{letter}", 5, 5)):
        long.write(DATA, left, 8)
        long.write(OTHER, right, 8)
        long.run(text, flags=flags, rax=left, rsi=DATA, rdi=OTHER)
        assert long["rdi"] == OTHER + step
        assert long["rsi"] == (DATA + step if text[0] == "c" else DATA)
        assert long.flags & (CF | ZF) == (ZF if left == right else CF)


@settings(max_examples=150, deadline=None)
@given(distance=st.integers(-40, 40), count=st.integers(0, 70), backward=st.booleans(), start=st.integers(0, 0x40))
@pytest.mark.parametrize("letter", SIZES)
def test_copies_that_overlap(long: Bare, letter: str, distance: int, count: int, backward: bool, start: int) -> None:
    size = SIZES[letter]
    area = bytearray(range(256)) * 16
    base = DATA + 0xFC0  # so that the page boundary is inside
    source, target = 0x600 + start, 0x600 + start + distance
    long.engine.write_physical(base, bytes(area))
    long.run(f"rep movs{letter}", count=max(1, count), flags=2 | (DF if backward else 0), rcx=count, rsi=base + source, rdi=base + target)
    step = -size if backward else size
    for number in range(count):
        at = number * step
        area[target + at : target + at + size] = area[source + at : source + at + size]
    assert (long["rcx"], long["rsi"], long["rdi"]) == (0, base + source + count * step, base + target + count * step)
    assert long.engine.read_physical(base, len(area)) == bytes(area)


@pytest.mark.parametrize("letter", SIZES)
@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 9, 1000])
def test_fills(long: Bare, letter: str, count: int) -> None:
    size = SIZES[letter]
    long.write(DATA + 0xFF0, 0, 9000)
    long.run(f"rep stos{letter}", count=max(1, count), rax=0x8877665544332211, rcx=count, rdi=DATA + 0xFFD)
    pattern = (0x8877665544332211).to_bytes(8, "little")[:size]
    assert long.engine.read_physical(DATA + 0xFF0, 9000) == (bytes(13) + pattern * count).ljust(9000, b"\0")
    assert (long["rcx"], long["rdi"]) == (0, DATA + 0xFFD + count * size)


def test_each_iteration_counts_one_instruction(long: Bare) -> None:
    processor = long.bench.processor
    before = processor.instructions
    assert long.run("rep stosb\ninc rbx", count=5, rcx=100, rdi=DATA) == HostRequest.BUDGET
    assert (long["rcx"], long["rdi"], long.offset, processor.instructions - before) == (95, DATA + 5, 0, 5)
    assert processor.run(94) == HostRequest.BUDGET
    assert (long["rcx"], long.offset) == (1, 0)
    processor.run(1)
    assert (long["rcx"], long.offset, long["rbx"]) == (0, 2, 0)
    processor.run(1)
    assert (long["rbx"], processor.instructions - before) == (1, 101)


def test_a_large_budget_is_charged_exactly(long: Bare) -> None:
    processor = long.bench.processor
    before = processor.instructions
    long.run("rep stosb\nagain: inc rbx\njmp again", count=10_001, rcx=9000, rdi=DATA)
    assert processor.instructions - before == 10_001
    assert long["rbx"] == 501


def test_a_count_of_zero_is_one_instruction(long: Bare) -> None:
    processor = long.bench.processor
    before = processor.instructions
    long.run("rep movsb\ninc rbx", count=2, rsi=1 << 45, rdi=1 << 45)
    assert (long["rbx"], processor.instructions - before) == (1, 2)
    long.run("repe cmpsb", flags=ZF | CF | 2, rsi=1 << 45, rdi=1 << 45)
    assert long.flags == ZF | CF


@pytest.mark.parametrize(
    ("text", "rcx", "rdi", "zero"),
    [
        ("repne scasb", 20 - 6, OTHER + 6, True),
        ("repe scasb", 20 - 1, OTHER + 1, False),
        ("repe cmpsb", 20 - 9, OTHER + 9, False),
        ("repne cmpsb", 20 - 1, OTHER + 1, True),
    ],
)
def test_conditions_end_the_repetition(long: Bare, text: str, rcx: int, rdi: int, zero: bool) -> None:
    long.engine.write_physical(DATA, b"abcdefghIjklmnopqrstuvwxyz")
    long.engine.write_physical(OTHER, b"abcdefghijklmnopqrstuvwxyz")
    long.run(text, count=21 - rcx - 1, rax=ord("f"), rcx=20, rsi=DATA, rdi=OTHER)
    assert (long["rcx"], long["rdi"], long.offset, long.flags & ZF != 0) == (rcx, rdi, 2, zero)


def test_rep_lods_keeps_the_last(long: Bare) -> None:
    long.engine.write_physical(DATA, bytes(range(64)))
    long.run("rep lodsw", count=10, rax=0x55550000, rcx=10, rsi=DATA)
    assert (long["rax"], long["rsi"], long["rcx"]) == (0x55551312, DATA + 20, 0)


@pytest.mark.parametrize(
    ("text", "registers", "left"),
    [
        ("rep movsb", {"rsi": DATA, "rdi": HOLE - 10}, 10),
        ("rep movsb", {"rsi": HOLE - 7, "rdi": DATA}, 13),
        ("rep movsq", {"rsi": DATA, "rdi": HOLE - 36}, 16),
        ("rep stosd", {"rdi": HOLE - 10}, 18),
        ("rep lodsb", {"rsi": HOLE - 3}, 17),
        ("repe cmpsb", {"rsi": HOLE - 4, "rdi": HOLE - 0x104}, 16),
        ("repe scasb", {"rdi": HOLE - 5}, 15),
    ],
)
def test_faults_are_precise(holed: Bare, text: str, registers: dict[str, int], left: int) -> None:
    holed.engine.write_physical(HOLE - 0x200, bytes(0x200))
    processor = holed.bench.processor
    before = processor.instructions
    assert holed.vector(text, count=1000, flags=CF | 2, rcx=20, **registers) == PAGE_FAULT
    done = 20 - left
    size = SIZES[text[-1]]
    assert holed["rcx"] == left
    for name, start in registers.items():
        assert holed[name] == start + done * size
    assert holed.state.cr2 in range(HOLE, HOLE + 8)
    assert holed.flags == CF
    assert processor.instructions - before == done + 1  # an exception counts as one


def test_devices_get_each_element(long: Bare) -> None:
    processor, state = long.bench.processor, long.state
    device = 0x800000
    request = long.run("rep stosw\ninc rbx", count=50, rax=0xABCD, rcx=3, rdi=device)
    seen = []
    while request == HostRequest.MEMORY_WRITE:
        seen.append((state.request_address, state.request_size, state.request_value))
        request = processor.run(50)
    assert seen == [(device + 2 * n, 2, 0xABCD) for n in range(3)]
    assert (long["rcx"], long["rbx"] > 0) == (0, True)


def test_reads_of_a_device(long: Bare) -> None:
    processor, state = long.bench.processor, long.state
    device = 0x800000
    long.write(DATA, 0, 64)
    request = long.run("rep movsd\ninc rbx", count=50, rcx=3, rsi=device, rdi=DATA)
    asked = []
    while request == HostRequest.MEMORY_READ:
        asked.append(state.request_address)
        number = state.memory_latch_count
        state.memory_latch_address[number], state.memory_latch_value[number] = state.request_address, 0x100 + len(asked)
        state.memory_latch_count = number + 1
        request = processor.run(50)
    assert asked == [device, device + 4, device + 8]
    assert [long.read(DATA + 4 * n, 4) for n in range(4)] == [0x101, 0x102, 0x103, 0]


def test_a_string_copied_over_code_takes_effect(long: Bare) -> None:
    """The loop body `inc rbx` becomes `dec rbx` after its second round."""
    text = """
        again: inc rbx
        nop
        lea rsi, [rip + other]
        lea rdi, [rip + again]
        mov ecx, 4
        cmp rbx, 2
        jne again
        rep movsb
        jmp again
        other: dec rbx
        nop
    """
    long.run(text, count=2 * 7 + 5 + 1 + 1)
    assert long["rbx"] == 1


@pytest.mark.parametrize("code", ["67 a4", "f3 67 a4"])
def test_address_size(long: Bare, code: str) -> None:
    long.write(DATA, 0x5A, 1)
    long.run(bytes.fromhex(code), rsi=1 << 40 | DATA, rdi=3 << 40 | OTHER, rcx=7 << 32 | 1)
    assert (long["rsi"], long["rdi"], long.read(OTHER, 1)) == (DATA + 1, OTHER + 1, 0x5A)
    assert long["rcx"] == (0 if code.startswith("f3") else 7 << 32 | 1)


def test_a_16_bit_index_wraps(real: Bare) -> None:
    real.write(0xFFFF, 0xAA, 1)
    real.write(0, 0xBB, 1)
    real.run("rep movsb", count=2, rcx=0x70002, rsi=0x1FFFF, rdi=0x40100)
    assert [real.read(0x100, 1), real.read(0x101, 1)] == [0xAA, 0xBB]
    assert (real["rsi"], real["rdi"], real["rcx"]) == (0x10001, 0x40102, 0x70000)


def test_the_source_segment_can_be_overridden(real: Bare) -> None:
    segment = real.state.segments[5]
    segment.selector, segment.base = 0x3000, 0x30000
    real.bench.processor.refresh()
    real.write(0x30010, 0x77, 1)
    real.run(bytes.fromhex("65 ac"), rsi=0x10)
    assert real["rax"] == 0x77
    real.run(bytes.fromhex("65 f3 a4"), rsi=0x10, rdi=0x500, rcx=1)
    assert real.read(0x500, 1) == 0x77
