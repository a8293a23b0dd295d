"""Accesses that no single host pointer serves: across pages, to devices, at limits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.engine.worlds import (
    DEVICE,
    HANDLERS,
    PAGE,
    exception_recorder,
    golden,
    program,
    run_with_devices,
    vector_taken,
)
from tests.harness import CODE, MEMORY, STACK, TABLES, Bench
from vmxon.arch.exceptions import Vector
from vmxon.processor.state import HostRequest, Segment

WORLDS: list[Callable[[int], Bench]] = [Bench, golden]
TABLE = 0x90000
WINDOW, FIRST, SECOND = 200 << 21, 0x200000, 0x280000
"""Two linear pages, and the physical pages behind them, which are not neighbours."""
SEED = bytes(range(1, 256)) * 17
PATTERN = 0x1122334455667788


@pytest.fixture(params=WORLDS, ids=["native", "golden"])
def bench(request: pytest.FixtureRequest) -> Bench:
    bench = request.param(64)
    exception_recorder(bench)
    map_window(bench, FIRST | 7, SECOND | 7)
    bench.engine.write_physical(FIRST, SEED[:PAGE])
    bench.engine.write_physical(SECOND, SEED[100 : 100 + PAGE])
    return bench


def map_window(bench: Bench, *entries: int) -> None:
    """Map the pages from WINDOW on by these page-table entries."""
    bench.engine.write_physical(TABLES + 0x2000 + 200 * 8, (TABLE | 7).to_bytes(8, "little"))
    bench.engine.write_physical(TABLE, b"".join(e.to_bytes(8, "little") for e in entries))
    bench.processor.refresh()


def window(bench: Bench) -> bytearray:
    """Both pages as the program sees them."""
    return bytearray(bench.engine.read_physical(FIRST, PAGE) + bench.engine.read_physical(SECOND, PAGE))


def execute(bench: Bench, text: str, **registers: int) -> HostRequest:
    """Run one instruction."""
    program(bench, text)
    bench.state.rip = CODE
    for name, value in registers.items():
        bench.state.gpr[["rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"].index(name)] = value
    return bench.processor.run(1)


WIDTHS = [("ax", "word", 2), ("eax", "dword", 4), ("rax", "qword", 8)]


@pytest.mark.parametrize(("register", "width", "size"), WIDTHS)
def test_accesses_across_two_pages(bench: Bench, register: str, width: str, size: int) -> None:
    for offset in range(PAGE - size + 1, PAGE):
        expected = window(bench)
        value = int.from_bytes(expected[offset : offset + size], "little")
        execute(bench, f"mov {register}, [rsi]", rsi=WINDOW + offset, rax=0)
        assert bench.state.gpr[0] == value
        execute(bench, f"mov [rsi], {register}", rsi=WINDOW + offset, rax=PATTERN)
        expected[offset : offset + size] = PATTERN.to_bytes(8, "little")[:size]
        assert window(bench) == expected
        execute(bench, f"add {width} ptr [rsi], 1", rsi=WINDOW + offset)
        total = int.from_bytes(expected[offset : offset + size], "little") + 1
        expected[offset : offset + size] = total.to_bytes(size, "little")
        assert window(bench) == expected
        execute(bench, f"xchg [rsi], {register}", rsi=WINDOW + offset, rax=0)
        assert bench.state.gpr[0] == total


def test_sixteen_bytes_across_two_pages(bench: Bench) -> None:
    bench.state.cr4 |= 1 << 9
    bench.processor.refresh()
    for offset in (PAGE - 15, PAGE - 8, PAGE - 1):
        before = window(bench)
        execute(bench, "movups xmm3, [rsi]", rsi=WINDOW + offset)
        low, high = bench.state.xmm[6], bench.state.xmm[7]
        assert (high << 64 | low).to_bytes(16, "little") == before[offset : offset + 16]
        execute(bench, "movups [rsi], xmm4", rsi=WINDOW + offset)
        before[offset : offset + 16] = bytes(16)
        assert window(bench) == before
        execute(bench, "movups [rsi], xmm3", rsi=WINDOW + offset)
        assert window(bench)[offset : offset + 16] == (high << 64 | low).to_bytes(16, "little")


FAULTS = [
    # entries of both pages, instruction, error code of the #PF (None: no fault), which page faults
    ((FIRST | 7, 0), "mov rax, [rsi]", 0, 1),
    ((FIRST | 7, 0), "mov [rsi], rax", 2, 1),
    ((FIRST | 7, 0), "add [rsi], rax", 2, 1),
    ((FIRST | 7, SECOND | 5), "mov rax, [rsi]", None, 1),
    ((FIRST | 7, SECOND | 5), "mov [rsi], rax", 3, 1),
    ((FIRST | 7, SECOND | 5), "add [rsi], rax", 3, 1),
    ((0, SECOND | 7), "mov rax, [rsi]", 0, 0),
    ((0, SECOND | 7), "mov [rsi], rax", 2, 0),
    ((FIRST | 5, 0), "mov [rsi], rax", 3, 0),
    ((0, 0), "xchg [rsi], rax", 2, 0),
    ((FIRST | 7, 0), "push qword ptr [rsi]", 0, 1),
    ((FIRST | 7, 0), "pop qword ptr [rsi]", 2, 1),
]  # fmt: skip


@pytest.mark.parametrize(("entries", "text", "code", "page"), FAULTS)
def test_a_fault_on_either_page_changes_nothing(
    bench: Bench, entries: tuple[int, int], text: str, code: int | None, page: int
) -> None:
    map_window(bench, *entries)
    bench.engine.write_physical(STACK - 8, PATTERN.to_bytes(8, "little"))
    before = window(bench)
    address = WINDOW + PAGE - 3
    execute(bench, text, rsi=address, rax=PATTERN, rsp=STACK - 8)
    if code is None:
        assert bench.state.gpr[0] == int.from_bytes(before[PAGE - 3 : PAGE + 5], "little")
        return
    assert bench.state.rip == HANDLERS + Vector.PF * 32, "the first instruction of the handler is next"
    assert bench.state.cr2 == (WINDOW + PAGE if page else address)
    stack = bench.engine.read_physical(bench.state.gpr[4], 48)
    assert int.from_bytes(stack[:8], "little") == code
    assert int.from_bytes(stack[8:16], "little") == CODE
    assert int.from_bytes(stack[32:40], "little") == STACK - 8, "RSP as before the instruction"
    assert window(bench) == before
    assert bench.state.gpr[0] == PATTERN


@pytest.mark.parametrize("length", range(1, 7))
def test_instructions_across_two_pages(bench: Bench, length: int) -> None:
    code = program(bench, "add eax, 0x11223344\nmov dword ptr [rsi], 0x01020304")
    for start in (0, 5):
        at = PAGE - length
        piece = code[start:]
        bench.engine.write_physical(FIRST + at, piece[:length])
        bench.engine.write_physical(SECOND, piece[length : length + 12])
        bench.state.rip, bench.state.gpr[0], bench.state.gpr[6] = WINDOW + at, 1, 0x20000
        assert bench.processor.run(1) is HostRequest.BUDGET
        if start:
            assert bench.engine.read_physical(0x20000, 4) == b"\4\3\2\1"
        else:
            assert bench.state.gpr[0] == 0x11223345


def test_an_instruction_whose_second_page_is_missing(bench: Bench) -> None:
    map_window(bench, FIRST | 7, 0)
    bench.engine.write_physical(FIRST + PAGE - 3, b"\x90\xb8\x01")
    bench.state.rip = WINDOW + PAGE - 3
    bench.processor.run(2)
    assert bench.state.cr2 == WINDOW + PAGE
    assert int.from_bytes(bench.engine.read_physical(bench.state.gpr[4] + 8, 8), "little") == WINDOW + PAGE - 2


def test_an_instruction_whose_second_page_changes(bench: Bench) -> None:
    """INVLPG and another page: nothing of the old one may run on."""
    for page, value in ((SECOND, 5), (FIRST + 0x3000, 6)):
        map_window(bench, FIRST | 7, page | 7)
        bench.engine.write_physical(FIRST + PAGE - 1, b"\xb0")
        bench.engine.write_physical(page, bytes([value]))
        bench.state.rip = WINDOW + PAGE - 1
        bench.processor.run(1)
        assert bench.state.gpr[0] & 0xFF == value


def test_a_block_that_ends_with_its_page_does_not_keep_its_successor(bench: Bench) -> None:
    """The link from the last instruction of a page must not outlive the mapping of the next one."""
    program(bench, "invlpg [rsi]\njmp rdi")
    nops = b"\x90" * 4
    bench.engine.write_physical(FIRST + PAGE - 4, nops)
    other = FIRST + 0x4000
    for page, value in ((SECOND, 1), (other, 2)):
        bench.engine.write_physical(page, bytes([0xB0, value, 0xFF, 0xE5]))  # mov al, value; jmp rbp
    bench.state.gpr[5], bench.state.gpr[6], bench.state.gpr[7] = CODE, WINDOW + PAGE, WINDOW + PAGE - 4
    for _ in range(3):
        for page, value in ((SECOND, 1), (other, 2)):
            bench.engine.write_physical(TABLE + 8, (page | 7).to_bytes(8, "little"))
            bench.state.rip = CODE
            assert bench.processor.run(2 + 4 + 2) is HostRequest.BUDGET
            assert bench.state.gpr[0] & 0xFF == value


# Devices.
def answer(address: int, size: int) -> int:
    return (address * 0x9E3779B97F4A7C15 >> 7) & (1 << 8 * size) - 1


def expected_read(address: int, size: int) -> tuple[str, int, int, int]:
    return "read", address, size, answer(address, size)


@pytest.mark.parametrize(("register", "width", "size"), [("al", "byte", 1), *WIDTHS])
def test_device_reads_and_writes_happen_once_and_in_order(bench: Bench, register: str, width: str, size: int) -> None:
    value = answer(DEVICE, size)
    total = value + 3 & (1 << 8 * size) - 1
    program(bench, f"mov {register}, [rsi]\nmov [rsi + 16], {register}\nadd {width} ptr [rsi], 3\nxchg [rsi], {register}\nnop")
    bench.state.rip, bench.state.gpr[6], bench.state.gpr[0] = CODE, DEVICE, 0
    assert run_with_devices(bench, 5, answer) == [
        expected_read(DEVICE, size),
        ("write", DEVICE + 16, size, value),
        expected_read(DEVICE, size),
        ("write", DEVICE, size, total),
        expected_read(DEVICE, size),
        ("write", DEVICE, size, value),
    ]


def test_device_to_device_strings(bench: Bench) -> None:
    program(bench, "rep movsd\nnop")
    bench.state.rip, bench.state.gpr[1] = CODE, 3
    bench.state.gpr[6], bench.state.gpr[7] = DEVICE, DEVICE + 0x1000
    expected = []
    for index in range(3):
        expected.append(expected_read(DEVICE + 4 * index, 4))
        expected.append(("write", DEVICE + 0x1000 + 4 * index, 4, answer(DEVICE + 4 * index, 4)))
    assert run_with_devices(bench, 4, answer) == expected
    assert (bench.state.gpr[1], bench.state.gpr[6], bench.state.gpr[7]) == (0, DEVICE + 12, DEVICE + 0x100C)


def test_wide_device_accesses_go_in_parts_of_eight_bytes(bench: Bench) -> None:
    bench.state.cr4 |= 1 << 9
    bench.processor.refresh()
    program(bench, "movups xmm1, [rsi]\nmovups [rsi + 32], xmm1\nnop")
    bench.state.rip, bench.state.gpr[6] = CODE, DEVICE
    low, high = answer(DEVICE, 8), answer(DEVICE + 8, 8)
    assert run_with_devices(bench, 3, answer) == [
        expected_read(DEVICE, 8), expected_read(DEVICE + 8, 8), ("write", DEVICE + 32, 8, low), ("write", DEVICE + 40, 8, high),
    ]  # fmt: skip


def test_an_instruction_with_64_device_accesses(bench: Bench) -> None:
    """FXSAVE and FXRSTOR: more parts than any other instruction."""
    bench.state.cr4 |= 1 << 9
    bench.processor.refresh()
    for number in range(32):
        bench.state.xmm[number] = number * 0x0101010101010101
    program(bench, "fxsave [rsi]\nnop")
    bench.state.rip, bench.state.gpr[6] = CODE, DEVICE
    log = run_with_devices(bench, 2, answer)
    image = {address: value for kind, address, _, value in log if kind == "write"}
    assert [image[DEVICE + 160 + 8 * number] for number in range(32)] == [n * 0x0101010101010101 for n in range(32)]
    before = list(bench.state.xmm)
    for number in range(32):
        bench.state.xmm[number] = 0
    program(bench, "fxrstor [rsi]\nnop")
    bench.state.rip = CODE
    reads = run_with_devices(bench, 2, lambda address, size: image.get(address, 0) & (1 << 8 * size) - 1)
    assert list(bench.state.xmm) == before
    assert len({address for _, address, _, _ in reads}) == len(reads), "no part is read twice"


def test_half_in_memory_and_half_in_a_device(bench: Bench) -> None:
    bench.engine.write_physical(MEMORY - 4, b"\x01\x02\x03\x04")
    program(bench, "mov rax, [rsi]\nadd qword ptr [rsi], 1\nnop")
    bench.state.rip, bench.state.gpr[6] = CODE, MEMORY - 4
    upper = answer(MEMORY, 4)
    value = upper << 32 | 0x04030201
    assert run_with_devices(bench, 3, answer) == [
        expected_read(MEMORY, 4), expected_read(MEMORY, 4), ("write", MEMORY, 4, value + 1 >> 32),
    ]  # fmt: skip
    assert bench.state.gpr[0] == value
    assert bench.engine.read_physical(MEMORY - 4, 4) == b"\x02\x02\x03\x04"


def test_an_interrupt_waits_for_an_instruction_that_has_read_a_device(bench: Bench) -> None:
    """Or the handler would find the latch, and the device would be read twice."""
    program(bench, "sti\nnop\nmov eax, [rsi]\nnop")
    bench.state.rip, bench.state.gpr[6] = CODE, DEVICE
    assert bench.processor.run(10) is HostRequest.MEMORY_READ
    bench.state.memory_latch_address[0], bench.state.memory_latch_value[0] = DEVICE, 77
    bench.state.memory_latch_count = 1
    bench.state.interrupt_line = bench.state.attention = 1
    assert bench.processor.run(10) is HostRequest.ACKNOWLEDGE
    assert bench.state.gpr[0] == 77
    assert bench.state.memory_latch_count == 0


def test_fetching_outside_memory_finds_no_instruction(bench: Bench) -> None:
    bench.state.rip = DEVICE
    bench.processor.run(2)
    assert vector_taken(bench) == Vector.UD


def test_a_block_at_the_very_end_of_memory(bench: Bench) -> None:
    bench.engine.write_physical(MEMORY - 3, b"\xb0\x07\x90")
    bench.state.rip = MEMORY - 3
    bench.processor.run(4)
    assert bench.state.gpr[0] & 0xFF == 7
    assert vector_taken(bench) == Vector.UD
    assert int.from_bytes(bench.engine.read_physical(bench.state.gpr[4], 8), "little") == MEMORY


# Limits.
@pytest.mark.parametrize("world", WORLDS)
def test_real_mode_code_ends_at_64_kib(world: Callable[[int], Bench]) -> None:
    """Also where the segment does not begin with a page, inside a block and inside an instruction: #GP."""
    for base, text, good in ((0x20010, b"\x90\x90\x40", 3), (0x20010, b"\x90\x90\xb8", 2), (0x20000, b"\x90\x90\xb8", 2)):
        bench = world(16)
        state = bench.state
        state.segments[Segment.CS].base, state.segments[Segment.CS].selector = base, base >> 4
        bench.engine.write_physical(base + 0xFFFD, text + b"\x11\x22\x33\x40\x40")
        # Interrupt vector 13 at 0x3000:0.
        bench.engine.write_physical(13 * 4, (0x3000 << 16).to_bytes(4, "little"))
        bench.processor.refresh()
        state.rip, state.gpr[0], state.gpr[4] = 0xFFFD, 5, 0x7000
        bench.processor.run(good + 1)
        assert (state.segments[Segment.CS].selector, state.rip) == (0x3000, 0)
        pushed = int.from_bytes(bench.engine.read_physical(state.segments[Segment.SS].base + state.gpr[4], 2), "little")
        assert pushed == 0xFFFD + good & 0xFFFF
        assert state.gpr[0] == (6 if good == 3 else 5)


@pytest.mark.parametrize("world", WORLDS)
def test_the_same_ip_in_two_segments(world: Callable[[int], Bench]) -> None:
    """The cache of jump targets must know which code segment it is for."""
    bench = world(16)
    for segment, value in ((0x2000, 1), (0x3000, 2)):
        other = 0x5000 - segment
        # mov al, value; jmp short +0; jmp far other:0
        bench.engine.write_physical(segment << 4, bytes([0xB0, value, 0xEB, 0, 0xEA, 0, 0]) + other.to_bytes(2, "little"))
    state = bench.state
    state.segments[Segment.CS].base, state.segments[Segment.CS].selector = 0x20000, 0x2000
    bench.processor.refresh()
    state.rip = 0
    for turn in range(12):
        assert bench.processor.run(3) is HostRequest.BUDGET
        assert state.gpr[0] & 0xFF == 1 + turn % 2
        assert state.segments[Segment.CS].selector == (0x3000, 0x2000)[turn % 2]


@pytest.mark.parametrize("world", WORLDS)
def test_four_gib_wraps_in_32_bit_mode(world: Callable[[int], Bench]) -> None:
    bench = world(32)
    bench.engine.write_physical(0, b"\x01\x02\x03\x04")
    program(bench, "mov eax, [esi]\nmov [esi], ebx\nnop")
    bench.state.segments[Segment.DS].base = 0xFFFFF000
    bench.processor.refresh()
    bench.state.rip, bench.state.gpr[6], bench.state.gpr[3] = CODE, 0xFFE, 0xAABBCCDD
    log = run_with_devices(bench, 3, answer)
    assert log == [expected_read(0xFFFFFFFE, 2), ("write", 0xFFFFFFFE, 2, 0xCCDD)]
    assert bench.state.gpr[0] == 0x0201 << 16 | answer(0xFFFFFFFE, 2)
    assert bench.engine.read_physical(0, 4) == b"\xbb\xaa\x03\x04"


CANONICAL = 1 << 47


@pytest.mark.parametrize(
    ("text", "registers", "vector"),
    [
        ("mov rax, [rsi]", {"rsi": CANONICAL}, Vector.GP),
        ("mov rax, [rsi]", {"rsi": CANONICAL - 4}, Vector.GP),
        ("mov [rsi], rax", {"rsi": -CANONICAL - 1 & (1 << 64) - 1}, Vector.GP),
        ("mov rax, [rsp]", {"rsp": CANONICAL}, Vector.SS),
        ("mov rax, [rbp]", {"rbp": CANONICAL}, Vector.SS),
        ("mov rax, [rsi + rbp]", {"rsi": CANONICAL, "rbp": 0}, Vector.GP),
        ("push rax", {"rsp": CANONICAL + 8}, Vector.SS),
        ("pop rax", {"rsp": CANONICAL}, Vector.SS),
        ("call rsi", {"rsi": CODE, "rsp": CANONICAL + 8}, Vector.SS),
        ("jmp rsi", {"rsi": CANONICAL}, Vector.GP),
        ("lea rax, [rsi]", {"rsi": CANONICAL}, None),
        ("mov rax, fs:[rsi]", {"rsi": CANONICAL}, Vector.GP),
    ],
)
def test_addresses_that_are_not_canonical(
    bench: Bench, text: str, registers: dict[str, int], vector: Vector | None
) -> None:
    # Delivery needs a stack of its own: IST 1.
    for number in range(32):
        entry = 0x6000 + number * 16
        bench.engine.write_physical(entry + 4, b"\x01")
    bench.engine.write_physical(0x8000 + 36, STACK.to_bytes(8, "little"))
    bench.state.segments[Segment.TR].base, bench.state.segments[Segment.TR].limit = 0x8000, 103
    bench.processor.refresh()
    execute(bench, text, **registers)
    if vector is None:
        assert bench.state.gpr[0] == registers["rsi"]
        return
    assert bench.state.rip == HANDLERS + vector * 32
    assert int.from_bytes(bench.engine.read_physical(bench.state.gpr[4], 8), "little") == 0, "error code"
    assert int.from_bytes(bench.engine.read_physical(bench.state.gpr[4] + 8, 8), "little") == CODE
