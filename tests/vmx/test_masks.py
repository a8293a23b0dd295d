"""Guest/host masks and read shadows of CR0 and CR4, against the sentences of Vol. 3C §26.1.3 and §26.3 written out in Python."""

from random import Random

import pytest

from tests.vmx.vmx_bench import VmxBench
from tests.vmx.witness import SecondaryProcessorBased
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField as F

PE, MP, EM, TS, NE, WP, AM, NW, CD, PG = (1 << n for n in (0, 1, 2, 3, 5, 16, 18, 29, 30, 31))
ET = 1 << 4
FREE_0, FREE_4 = MP | EM | TS | WP | AM, 1 << 2 | 1 << 3 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10
"""Bits that a guest may change without further consequences."""
CR0, CR4 = PG | NE | ET | PE, 0x2020
VMCALL, CR_ACCESS, GP = (R.VMCALL, 0), (R.CR_ACCESS, 0), (R.EXCEPTION_OR_NMI, 13)


def run(code, registers, *controls, **fields):
    """The first exit, with the general registers as given."""
    bench = VmxBench()
    for number, value in registers.items():
        bench.state.gpr[number] = value
    return bench, bench.exit_of(f"{code}\nvmcall", *controls, EXCEPTION_BITMAP=1 << 13, **fields)


def draw(seed, free, base):
    """Real value, mask, shadow and a new value of a control register."""
    random = Random(seed)
    real = base | random.getrandbits(32) & free
    mask = random.getrandbits(32) & (free | PE | PG | NE)
    shadow = random.getrandbits(32) & (free | base)
    new = base | random.getrandbits(32) & free
    if random.random() < 0.5:
        new = new & ~mask | shadow & mask
    return real, mask, shadow, new


@pytest.mark.parametrize("seed", range(60))
def test_moves_to_and_from_cr0(seed):
    real, mask, shadow, new = draw(seed, FREE_0, CR0)
    fields = {"GUEST_CR0": real, "CR0_GUEST_HOST_MASK": mask, "CR0_READ_SHADOW": shadow}
    bench, exit_ = run("mov rdx, cr0\nsmsw r8\nmov cr0, rcx\nmov rbx, cr0", {1: new}, **fields)
    seen = real & ~mask | shadow & mask
    assert (bench.state.gpr[2], bench.state.gpr[8]) == (seen, seen)
    if (new ^ shadow) & mask:
        assert exit_ == CR_ACCESS
        assert (bench.qualification, bench[F.GUEST_CR0]) == (1 << 8, real)
        return
    result = new & ~mask | real & mask
    assert exit_ == VMCALL
    assert (bench[F.GUEST_CR0], bench.state.gpr[3]) == (result, result & ~mask | shadow & mask)


@pytest.mark.parametrize("seed", range(40))
def test_moves_to_and_from_cr4(seed):
    real, mask, shadow, new = draw(seed, FREE_4, CR4)
    mask &= 0xFFFF
    fields = {"GUEST_CR4": real, "CR4_GUEST_HOST_MASK": mask, "CR4_READ_SHADOW": shadow}
    bench, exit_ = run("mov rdx, cr4\nmov cr4, rcx\nmov rbx, cr4", {1: new}, **fields)
    assert bench.state.gpr[2] == real & ~mask | shadow & mask
    if (new ^ shadow) & mask:
        assert exit_ == CR_ACCESS
        assert (bench.qualification, bench[F.GUEST_CR4]) == (4 | 1 << 8, real)
        return
    assert exit_ == VMCALL
    assert bench[F.GUEST_CR4] == new & ~mask | real & mask


@pytest.mark.parametrize("mask", range(16))
@pytest.mark.parametrize(("shadow", "source"), [(0, 0), (0, 15), (15, 0), (15, 15), (1, 14), (6, 9), (8, 1), (9, 0)])
def test_lmsw(mask, shadow, source):
    real = CR0 | TS
    fields = {"GUEST_CR0": real, "CR0_GUEST_HOST_MASK": mask, "CR0_READ_SHADOW": shadow}
    bench, exit_ = run("lmsw ax", {0: source}, **fields)
    sets_pe = mask & 1 and source & 1 and not shadow & 1
    differs = (source ^ shadow) & mask & 0xE
    if sets_pe or differs:
        assert exit_ == CR_ACCESS
        assert bench.qualification == source << 16 | 3 << 4
        return
    assert exit_ == VMCALL
    free = 0xF & ~mask
    assert bench[F.GUEST_CR0] == real & ~free | source & free | real & PE


@pytest.mark.parametrize("mask", [0, TS])
@pytest.mark.parametrize("shadow", [0, TS])
@pytest.mark.parametrize("real", [CR0, CR0 | TS])
def test_clts(mask, shadow, real):
    bench, exit_ = run("clts", {}, GUEST_CR0=real, CR0_GUEST_HOST_MASK=mask, CR0_READ_SHADOW=shadow)
    assert exit_ == (CR_ACCESS if mask & shadow else VMCALL)
    assert bench[F.GUEST_CR0] == (real & ~TS if not mask else real)
    assert bench.qualification == (2 << 4 if mask & shadow else 0)


@pytest.mark.parametrize(
    ("register", "value", "mask", "expected"),
    [
        ("cr0", CR0 & ~NE, 0, GP),
        ("cr0", CR0 & ~NE, NE, CR_ACCESS),
        ("cr0", CR0 & ~PG, 0, GP),
        ("cr0", CR0 & ~PE, 0, GP),
        ("cr0", CR0 | 1 << 32, 0, GP),
        ("cr0", CR0 | NW, 0, GP),
        ("cr0", CR0 | NW | CD, 0, VMCALL),
        ("cr4", CR4 & ~0x2000, 0, GP),
        ("cr4", CR4 & ~0x2000, 0x2000, CR_ACCESS),
        ("cr4", CR4 & ~0x20, 0, GP),
        ("cr4", CR4 | 1 << 31, 0, GP),
        ("cr4", CR4 | 1 << 31, 1 << 31, CR_ACCESS),
    ],
)
def test_values_that_vmx_operation_or_the_mode_forbids(register, value, mask, expected):
    name = register.upper()
    fields = {f"{name}_GUEST_HOST_MASK": mask, f"{name}_READ_SHADOW": CR0 if name == "CR0" else CR4}
    assert run(f"mov {register}, rax", {0: value}, **fields)[1] == expected


@pytest.mark.parametrize(("value", "expected"), [(CR0 & ~PG, VMCALL), (CR0 & ~(PG | PE), VMCALL), (CR0 & ~PE, GP), (CR0 & ~(PG | NE), GP)])
def test_an_unrestricted_guest_is_free_in_pe_and_pg(value, expected):
    from tests.vmx.test_ept import EptBench

    bench = EptBench()
    bench.state.gpr[0] = value
    unrestricted = SecondaryProcessorBased.unrestricted_guest
    # Compatibility mode, from which paging can be turned off; without PE the next instruction is fetched in real-address mode.
    code = "mov cr0, eax\nvmcall"
    reason = bench.run(code, unrestricted, bits=32, GUEST_CS_ACCESS_RIGHTS=0xC09B, EXCEPTION_BITMAP=1 << 13)
    assert reason == expected[0]
    assert bench[F.GUEST_CR0] == (value if expected == VMCALL else CR0)
