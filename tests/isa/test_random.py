"""RDRAND and RDSEED: a fixed sequence, whole registers, CF."""

from __future__ import annotations

import pytest

from tests.isa.bare import CF, STATUS, Bare

ONES = (1 << 64) - 1
FIRST = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC]
"""SplitMix64 from 0, as its authors publish it."""


@pytest.fixture
def bare() -> Bare:
    bare = Bare(64)
    bare.state.random = 0
    return bare


def test_the_sequence_is_fixed(bare: Bare) -> None:
    found = []
    for text in ("rdrand rax", "rdseed rax", "rdrand rax", "rdseed rax"):
        bare.run(text)
        found.append(bare["rax"])
    assert found == FIRST


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rdrand r11", FIRST[0]),
        ("rdrand r11d", FIRST[0] & 0xFFFFFFFF),
        ("rdrand r11w", ONES & ~0xFFFF | FIRST[0] & 0xFFFF),
        ("rdseed r11", FIRST[0]),
        ("rdseed r11d", FIRST[0] & 0xFFFFFFFF),
        ("rdseed r11w", ONES & ~0xFFFF | FIRST[0] & 0xFFFF),
    ],
)
def test_operand_sizes_and_flags(bare: Bare, text: str, expected: int) -> None:
    bare.run(text, flags=STATUS, r11=ONES)
    assert bare["r11"] == expected
    assert bare.flags == CF


def test_reset_starts_it_again(bare: Bare) -> None:
    bare.run("rdrand rax")
    bare.bench.processor.reset()
    assert bare.state.random == 0
