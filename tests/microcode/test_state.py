"""State: fields of every width, arrays and structures with static and runtime index, host memory."""

from __future__ import annotations

import random

import pytest

from tests.microcode.both import SIZE, Both, Cell, Point, placed
from vmxon.microcode import i8, i16, inline, load, microcode, store, u8, u16, u32, u64, u128
from vmxon.microcode.layout import Memory


@microcode
def fields(cpu: Cell, a: u64) -> tuple[u64, u64, u64, u64, u128]:
    """Every width, read, changed and written back."""
    cpu.byte += u8(a)
    cpu.word = u16(a) ^ cpu.word
    cpu.double -= u32(a)
    cpu.quad = cpu.quad * 3 + a
    cpu.wide = cpu.wide + (u128(a) << 64) + 1
    return u64(cpu.byte), u64(cpu.word), u64(cpu.double), cpu.quad, cpu.wide


@microcode
def elements(cpu: Cell, index: u64, value: u64) -> tuple[u32, u8, u32]:
    """Arrays by static and by runtime index."""
    place = index & 7
    cpu.numbers[place] = u32(value)
    cpu.numbers[2] += 1
    cpu.bytes[u8(index) & 3] = u8(value)
    cpu.bytes[1] = cpu.bytes[0]
    return cpu.numbers[u32(place ^ 1)], cpu.bytes[index & 3], cpu.numbers[7]


@microcode
def structures(cpu: Cell, index: u64, value: u64) -> u64:
    """Arrays of structures, through a name and without."""
    point = cpu.points[index & 3]
    point.x = u32(value)
    point.y = point.x + 1
    cpu.points[2].tag = u8(value)
    cpu.points[(index + 1) & 3].tag += 1
    return u64(point.y) + u64(cpu.points[0].tag) + u64(cpu.points[index & 3].x)


@microcode
def moved(cpu: Cell, point: Point, dx: u32) -> u32:
    """A structure that is a parameter."""
    point.x += dx
    cpu.double = point.x
    return point.x


@microcode
def own_structure(point: Point, dx: u32) -> u32:
    """A structure that is the first parameter and no processor."""
    point.x += dx
    return point.x + point.y


@microcode
def passed(cpu: Cell, index: u64, dx: u32) -> tuple[u32, u32, u32]:
    """Structures given to functions, by static and by runtime index."""
    return moved(cpu, cpu.points[1], dx), moved(cpu, cpu.points[index & 3], dx), own_structure(cpu.points[3], dx)


@inline
def at(pointer: u64, index: u64) -> u64:
    """The address of a word."""
    return pointer + index * 8


@microcode
def host_memory(cpu: Cell, pointer: u64, index: u64, value: u64) -> tuple[u64, u64, u64, u64, u128]:
    """load and store in every width, signed ones too; a structure at an address."""
    here = at(pointer, index & 7)
    store(u64, here, value)
    store(u8, here + 1, u8(0x80))
    store(u16, here + 11, u16(value))
    store(u128, here + 16, u128(value) * u128(value))
    store(i16, here + 3, i16(-2))
    other = Point(here + 32)
    other.y = u32(value)
    other.tag = u8(3)
    return u64(load(i8, here + 1)), u64(load(u8, here + 1)), u64(load(i16, here + 3)), load(u64, here + 2), load(u128, here + 9)


@microcode
def host_memory_of_state(cpu: Cell, offset: u64, index: u64, value: u64) -> tuple[u64, u64, u64, u64, u128]:
    """`host_memory` on the scratch words of the state."""
    return host_memory(cpu, address_of(cpu), index, value)


@inline
def address_of(cpu: Cell) -> u64:
    """The scratch words hold their own address in front."""
    return cpu.quad


def filled(seed: int) -> bytes:
    return random.Random(seed).randbytes(Cell.size)


@pytest.mark.parametrize("function", [fields, elements, structures, passed], ids=lambda function: function.__name__)
def test_both_ways_agree(function: object) -> None:
    both = Both(function)  # type: ignore[arg-type]  # a function
    count = len(both.compiled.signature.parameters) - 1
    source = random.Random(3)
    for seed in range(50):
        both.outcome(filled(seed), *(source.getrandbits(64) for _ in range(count)))


def test_fields() -> None:
    assert Both(fields)(0x1_0000_0001) == (1, 1, 0xFFFFFFFF, 0x1_0000_0001, (0x1_0000_0001 << 64) + 1)


def test_elements() -> None:
    both = Both(elements)
    assert both(3, 0x1FF) == (1, 0xFF, 0)
    assert both(6, 5) == (0, 5, 0)


def test_structures() -> None:
    both = Both(structures)
    assert both(1, 10) == (11 + 0 + 10)
    assert both(3, 10) == (11 + 1 + 10)
    assert Both(passed)(1, 4) == (4, 8, 4)
    assert Both(passed)(3, 4) == (4, 4, 8)


def test_host_memory() -> None:
    """Addresses differ between the two ways, so each result is compared with a model of its own."""
    both = Both(host_memory_of_state)
    for way in (both.compiled, both.interpreted):
        for value in (0, 0x1122334455667788, (1 << 64) - 1):
            expected = bytearray(SIZE)
            at = SIZE - 256
            for offset, data in (
                (0, value.to_bytes(8, "little")),
                (1, b"\x80"),
                (11, (value & 0xFFFF).to_bytes(2, "little")),
                (16, (value * value).to_bytes(16, "little")),
                (3, b"\xfe\xff"),
                (36, (value & 0xFFFFFFFF).to_bytes(4, "little")),
                (40, b"\x03"),
            ):
                expected[at + offset : at + offset + len(data)] = data
            results = run_on_scratch(way, value)
            assert results == (
                (1 << 64) - 0x80,
                0x80,
                (1 << 64) - 2,
                int.from_bytes(expected[at + 2 : at + 10], "little"),
                int.from_bytes(expected[at + 9 : at + 25], "little"),
            )


def run_on_scratch(way: object, value: int) -> tuple[int, ...] | None:
    """Call with cpu.quad pointing into the block of the call."""
    import tests.microcode.both as module

    original = module.placed

    def with_pointer() -> tuple[object, Memory]:
        block, memory = original()
        Cell(memory).quad = memory.address + SIZE - 256
        return block, memory

    module.placed = with_pointer  # type: ignore[assignment]  # for one call
    try:
        return way(b"", 0, 0, value).results  # type: ignore[operator, no-any-return]
    finally:
        module.placed = original


def test_layout_in_python() -> None:
    _, memory = placed()
    cell = Cell(memory)
    cell.byte, cell.wide = 0x1FF, 1 << 100
    cell.numbers[3], cell.points[1].y = 7, 9
    assert (cell.byte, cell.wide, list(cell.numbers)[3], cell.points[1].y) == (0xFF, 1 << 100, 7, 9)
    with pytest.raises(IndexError):
        cell.numbers[8] = 1
    with pytest.raises(TypeError, match="bare address"):
        Point(0x1000)
