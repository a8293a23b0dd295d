"""Who may execute x87 and SSE instructions: CR0, CR4, alignment, pending exceptions, reserved bits of MXCSR."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.isa.vector.subject import CR4_OSFXSR, CR4_OSXMMEXCPT, Subject, subject
from tests.isa.vector.world import World

MP, EM, TS = 1 << 1, 1 << 2, 1 << 3
UD, NM, GP, MF, XM = 6, 7, 13, 16, 19
ONE = 1 << 63
PENDING = World(control=0x037E, status=0x8081)
"""An unmasked invalid operation waits."""
DIVIDE_BY_ZERO = World(xmm=(0x3F800000, 0, 0, 0), mxcsr=0x1D80)


@pytest.fixture
def processor() -> Iterator[Subject]:
    machine = subject()
    cr0, cr4 = machine.state.cr0, machine.state.cr4
    machine.state.cr0 = cr0 & ~(EM | TS | MP)
    yield machine
    machine.state.cr0, machine.state.cr4 = cr0, cr4
    machine.bench.processor.refresh()


@pytest.mark.parametrize(
    ("text", "bits", "vector"),
    [
        ("fld1", 0, None),
        ("fld1", EM, NM),
        ("fld1", TS, NM),
        ("fninit", EM, NM),
        ("fnstcw word ptr [rsi]", TS, NM),
        ("fnstsw ax", TS, NM),
        ("fxsave [rsi]", TS, NM),
        ("fxrstor [rsi]", EM, NM),
        ("fwait", 0, None),
        ("fwait", TS, None),
        ("fwait", MP, None),
        ("fwait", MP | TS, NM),
        ("fwait", EM, None),
        ("addps xmm0, xmm1", 0, None),
        ("addps xmm0, xmm1", TS, NM),
        ("addps xmm0, xmm1", EM, UD),
        ("addps xmm0, xmm1", EM | TS, UD),
        ("paddb xmm0, xmm1", TS, NM),
        ("movq xmm0, rax", EM, UD),
        ("stmxcsr dword ptr [rsi]", TS, NM),
        ("ldmxcsr dword ptr [rsi]", EM, UD),
        ("movnti dword ptr [rsi], eax", TS | EM, None),
    ],
)
def test_cr0_decides(processor: Subject, text: str, bits: int, vector: int | None) -> None:
    processor.state.cr0 |= bits
    processor.bench.processor.refresh()
    assert processor.vector(text) == vector


@pytest.mark.parametrize(("text", "vector"), [("addps xmm0, xmm1", UD), ("movaps xmm0, xmm1", UD), ("pxor xmm0, xmm0", UD), ("fld1", None)])
def test_sse_needs_osfxsr(processor: Subject, text: str, vector: int | None) -> None:
    processor.state.cr4 &= ~CR4_OSFXSR
    processor.bench.processor.refresh()
    assert processor.vector(text) == vector


@pytest.mark.parametrize(("bits", "vector"), [(CR4_OSXMMEXCPT, XM), (0, UD)])
def test_an_unmasked_sse_exception_is_xm_or_ud(processor: Subject, bits: int, vector: int) -> None:
    processor.state.cr4 = processor.state.cr4 & ~CR4_OSXMMEXCPT | bits
    processor.bench.processor.refresh()
    assert processor.vector("divss xmm0, xmm1", DIVIDE_BY_ZERO) == vector
    assert processor.state.mxcsr == DIVIDE_BY_ZERO.mxcsr | 4
    assert processor.state.xmm[0] == 0x3F800000


def test_an_unmasked_exception_of_operands_hides_those_of_results(processor: Subject) -> None:
    # Element 0 overflows, element 1 divides by zero: only the latter is reported.
    dividends, divisors = 0x3F800000_7F000000, 0x3F800000_3F800000_00000000_00800000
    assert processor.vector("divps xmm0, xmm1", World(xmm=(dividends, divisors, 0, 0), mxcsr=0x1D80)) == XM
    assert processor.state.mxcsr & 0x3F == 4


@pytest.mark.parametrize(
    ("text", "offset", "vector"),
    [
        *((f"{m} xmm0, xmmword ptr [rsi + {{}}]", 8, GP) for m in ("movaps", "movdqa", "addps", "pxor", "cvtpd2dq")),
        *((f"{m} xmm0, xmmword ptr [rsi + {{}}]", 1, None) for m in ("movups", "movupd", "movdqu")),
        ("movaps xmmword ptr [rsi + {}], xmm0", 4, GP),
        ("movntdq xmmword ptr [rsi + {}], xmm0", 8, GP),
        ("movntps xmmword ptr [rsi + {}], xmm0", 16, None),
        ("addss xmm0, dword ptr [rsi + {}]", 3, None),
        ("movhps xmm0, qword ptr [rsi + {}]", 3, None),
        ("fxsave [rsi + {}]", 8, GP),
        ("fxsave [rsi + {}]", 16, None),
    ],
)
def test_sixteen_byte_operands_are_aligned(processor: Subject, text: str, offset: int, vector: int | None) -> None:
    assert processor.vector(text.format(offset)) == vector


@pytest.mark.parametrize(("value", "vector"), [(0x1F80, None), (0xFFFF, None), (0x10000, GP), (0x80001F80, GP)])
def test_reserved_bits_of_mxcsr(processor: Subject, value: int, vector: int | None) -> None:
    before = World(memory=value.to_bytes(4, "little").ljust(64, b"\0"))
    assert processor.vector("ldmxcsr dword ptr [rsi]", before) == vector
    assert processor.state.mxcsr == (value if vector is None else 0x1F80)


@pytest.mark.parametrize("text", ["fld1", "fwait", "fldcw word ptr [rsi]", "fxch st(1)", "fldenv [rsi]", "frstor [rsi]"])
def test_waiting_instructions_deliver_what_is_pending(processor: Subject, text: str) -> None:
    assert processor.vector(text, PENDING) == MF


@pytest.mark.parametrize("text", ["fninit", "fnclex", "fnstcw word ptr [rsi]", "fnstsw ax", "fnstenv [rsi]", "fxsave [rsi]"])
def test_others_do_not_wait(processor: Subject, text: str) -> None:
    assert processor.vector(text, PENDING) is None


def test_mf_comes_with_the_next_waiting_instruction(processor: Subject) -> None:
    before = World(control=0x037B, present=1, stack=((0x3FFF, ONE), *((0, 0),) * 7))
    after = processor.run("fdiv dword ptr [rsi]", before)
    assert after.status & 0x80FF == 0x8084
    assert after.stack[0] == (0x3FFF, ONE)
    assert processor.vector("fwait", after) == MF


LATER = {
    "emms": "mmx",
    "paddb mm0, mm1": "mmx",
    "addsubps xmm0, xmm1": "sse3",
    "lddqu xmm0, xmmword ptr [rsi]": "sse3",
    "fisttp dword ptr [rsi]": "sse3",
    "pshufb xmm0, xmm1": "ssse3",
    "pshufb mm0, mm1": "ssse3",
    "pmulld xmm0, xmm1": "sse4_1",
    "roundsd xmm0, xmm1, 0": "sse4_1",
    "pcmpgtq xmm0, xmm1": "sse4_2",
    "pcmpistri xmm0, xmm1, 0": "sse4_2",
}


@pytest.mark.parametrize("text", LATER)
def test_extensions_need_their_feature(processor: Subject, text: str) -> None:
    assert processor.vector(text) is None
    names = processor.bench.engine.library.image.facts["features"]
    assert isinstance(names, list)
    number = names.index(LATER[text])
    features = processor.state.features
    features[number >> 6] ^= 1 << (number & 63)
    assert processor.vector(text) == UD
    features[number >> 6] ^= 1 << (number & 63)


@pytest.mark.parametrize("text", ["vaddps xmm0, xmm1, xmm2", "aesenc xmm0, xmm1", "pclmulqdq xmm0, xmm1, 0", "sha1msg1 xmm0, xmm1"])
def test_what_no_model_announces_is_undefined(processor: Subject, text: str) -> None:
    assert processor.vector(text) == UD


@pytest.mark.parametrize(
    ("text", "bits", "before", "vector"),
    [
        ("paddb mm0, mm1", EM, World(), UD),
        ("paddb mm0, mm1", EM | TS, World(), UD),
        ("emms", TS, World(), NM),
        ("movq qword ptr [rsi], mm0", TS, World(), NM),
        ("paddb mm0, mm1", 0, PENDING, MF),
        ("emms", 0, PENDING, MF),
        ("cvtpi2ps xmm0, mm1", EM, World(), UD),
        ("cvtpi2ps xmm0, mm1", 0, PENDING, MF),
        ("cvtpi2pd xmm0, mm1", 0, PENDING, MF),
        ("cvtpi2pd xmm0, qword ptr [rsi]", 0, PENDING, None),
        ("movq2dq xmm0, mm1", 0, PENDING, MF),
    ],
)
def test_mmx_availability(processor: Subject, text: str, bits: int, before: World, vector: int | None) -> None:
    processor.state.cr0 |= bits
    processor.bench.processor.refresh()
    assert processor.vector(text, before) == vector
