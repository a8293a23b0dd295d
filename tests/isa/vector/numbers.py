"""Random operands, most of them at the edges of formats."""

from __future__ import annotations

import random
import struct
from dataclasses import replace

from tests.isa.vector.world import World
from vmxon.processor.floating.formats import DOUBLE, SINGLE, Format

INTEGER_BIT = 1 << 63
ONES = (1 << 64) - 1


def pattern(choose: random.Random, kind: Format) -> int:
    """A single or double."""
    width = kind.precision + kind.exponent_bits
    sign = choose.getrandbits(1) << (width - 1)
    match choose.randrange(8):
        case 0:
            return choose.getrandbits(width)
        case 1:
            infinity = kind.infinity
            edges = [0, 1, 2, kind.quiet, infinity, infinity - 1, infinity | 1, infinity | kind.quiet | 5]
            return sign | choose.choice([*edges, 1 << kind.fraction_bits, kind.bias << kind.fraction_bits])
        case 2:
            return sign | (kind.bias + choose.randrange(66)) << kind.fraction_bits | fraction(choose, kind)
    bias = kind.bias
    near = [bias, bias // 2, bias * 3 // 2, 3, kind.top - 5]
    exponent = choose.choice([0, choose.randrange(kind.top), *(n + choose.randrange(-3, 4) for n in near)])
    return sign | exponent << kind.fraction_bits | fraction(choose, kind)


def fraction(choose: random.Random, kind: Format) -> int:
    """Fraction bits with long runs of zeros or ones."""
    bits = kind.fraction_bits
    ones = (1 << bits) - 1
    return choose.choice(
        [
            choose.getrandbits(bits),
            choose.getrandbits(3),
            ones - choose.getrandbits(3),
            choose.getrandbits(4) << (bits - 4),
            ones >> choose.randrange(bits) << choose.randrange(bits) & ones,
        ]
    )


def vector(choose: random.Random) -> int:
    """128 bits: singles, doubles, or anything."""
    match choose.randrange(3):
        case 0:
            return sum(pattern(choose, SINGLE) << 32 * n for n in range(4))
        case 1:
            return pattern(choose, DOUBLE) | pattern(choose, DOUBLE) << 64
    edges = [0, ONES, 0x80, 0x8000, 0x8000_0000, 0x7FFF_7F7F_7FFF_FFFF, 0x8000_8080_8000_0000]
    return choose.choice([choose.getrandbits(64), *edges]) | choose.choice([choose.getrandbits(64), *edges]) << 64


def extended(choose: random.Random) -> tuple[int, int]:
    """Head and significand, unsupported encodings included."""
    sign = choose.getrandbits(1) << 15
    match choose.randrange(12):
        case 0:
            return choose.getrandbits(16), choose.getrandbits(64)
        case 1:
            significands = [0, 1, 1 << 62, INTEGER_BIT, INTEGER_BIT | 1, INTEGER_BIT - 1, 3 << 62, ONES]
            return sign | choose.choice([0, 1, 0x3FFF, 0x7FFE, 0x7FFF]), choose.choice(significands)
        case 2:
            return sign | 0x7FFF, INTEGER_BIT | choose.choice([0, 1 << 62, choose.getrandbits(63)])
    around = [0x3FFF, 0x3FFF + 32, 0x3FFF + 64, 0x3FFF - 126, 0x3FFF - 149, 0x3FFF - 1022, 0x3FFF - 1074, 0x3FFF + 1023]
    exponents = [
        choose.randrange(0x8000),
        choose.randrange(4),
        0x7FFE - choose.randrange(4),
        0x1FFF + choose.randrange(5),
    ]
    exponent = choose.choice([*exponents, *(a + choose.randrange(-3, 4) for a in around)])
    significand = choose.choice(
        [
            choose.getrandbits(64),
            choose.getrandbits(3),
            ONES - choose.getrandbits(3),
            choose.getrandbits(24) << 40,
            choose.getrandbits(26) << 38,
            choose.getrandbits(53) << 11,
            choose.getrandbits(55) << 9,
            ONES << choose.randrange(64) & ONES,
        ]
    )
    return sign | exponent, significand | INTEGER_BIT if exponent else significand


def memory(choose: random.Random) -> bytes:
    """64 bytes whose start is a number of some kind."""
    starts = [
        choose.randbytes(16),
        vector(choose).to_bytes(16, "little"),
        struct.pack("<QH6x", *reversed(extended(choose))),
        bytes(choose.randrange(10) | choose.randrange(10) << 4 for _ in range(9)) + choose.choice([b"\x00", b"\x80"]),
    ]
    return choose.choice(starts).ljust(16, b"\0") + choose.randbytes(48)


def sse_world(choose: random.Random) -> World:
    """A state for SSE instructions, all exceptions masked."""
    flags = choose.getrandbits(2) << 13 | (choose.random() < 0.2) << 15 | (choose.random() < 0.2) << 6
    registers = [vector(choose) for _ in range(4)]
    if choose.random() < 0.2:
        registers[1] = registers[0] ^ choose.choice([0, 1 << 63, 1 << 127, 1, 1 << 31])
    return World(
        xmm=tuple(registers),
        mxcsr=0x1F80 | flags,
        rax=choose.choice([choose.getrandbits(64), choose.getrandbits(32), choose.getrandbits(8), ONES]),
        rcx=choose.getrandbits(64),
        rdx=choose.getrandbits(64),
        rflags=2 | choose.getrandbits(12) & 0x8D5,
        memory=memory(choose),
    )


def without_nans(world: World) -> World:
    """The same with numbers in the place of NaNs and infinities: which NaN a dot product gives is up to the processor."""

    def number(value: int) -> int:
        return value & ~(0x4040_0000_4040_0000 << 64 | 0x4040_0000_4040_0000)

    memory = number(int.from_bytes(world.memory[:16], "little")).to_bytes(16, "little") + world.memory[16:]
    return replace(world, xmm=tuple(map(number, world.xmm)), memory=memory)


def text(choose: random.Random, alphabet: bytes) -> bytes:
    """16 bytes of a string that may end before."""
    size = choose.choice([*range(17), 16, 16, 16])
    return bytes(choose.choice(alphabet) for _ in range(size)) + bytes(choose.choice(b"\0a") for _ in range(16 - size))


def string_world(choose: random.Random) -> World:
    """A state for string comparisons: two texts of few letters, short lengths."""
    alphabet = choose.choice([b"ab", b"abz", b"a\0", b"a\x80\x7f\xff", bytes(range(1, 256))])
    first, second, wide = (text(choose, alphabet) for _ in range(3))
    if choose.random() < 0.3:
        at = choose.randrange(16)
        second = (second[:at] + first[: choose.randrange(1, 5)] + second)[:16]
    world = sse_world(choose)
    lengths = [choose.choice([choose.randrange(-20, 20), choose.randrange(17)]) & ONES for _ in range(2)]
    registers = int.from_bytes(first, "little"), int.from_bytes(second, "little"), *world.xmm[2:]
    return replace(world, xmm=registers, rax=lengths[0], rdx=lengths[1], memory=world.memory[:3] + wide + world.memory[19:])


def x87_world(choose: random.Random) -> World:
    """A state for x87 instructions: any masks, precision, rounding, TOP and tags."""
    masks = 0x3F if choose.random() < 0.6 else choose.getrandbits(6)
    control = 0x40 | masks | choose.choice([0, 2, 3, 3]) << 8 | choose.getrandbits(2) << 10
    top = choose.randrange(8)
    status = top << 11 | choose.getrandbits(3) << 8 | choose.getrandbits(1) << 14
    present = 0
    for index in range(8):
        if choose.random() < (0.95 if index < 3 else 0.3):
            present |= 1 << ((top + index) & 7)
    stack = [extended(choose) for _ in range(8)]
    if choose.random() < 0.2:
        stack[1] = stack[0][0] ^ choose.choice([0, 0x8000]), stack[0][1] ^ choose.choice([0, 1, 1 << 62])
    world = sse_world(choose)
    return replace(world, mxcsr=0x1F80, control=control, status=status, present=present, stack=tuple(stack))
