"""The compiled rule book: the same first broken rule as the Python book, for every witness and for random changes."""

import random

import pytest

from tests.vmx.vmx_bench import VmxBench
from tests.vmx.witness import BASES, EVERYTHING, Witness, changed
from tests.vmx.witnesses import WITNESSES
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.rules import RULES, first_broken


@pytest.fixture(scope="module")
def bench():
    return VmxBench()


def compiled(bench, witness):
    """Name of the rule that the compiled book finds broken first."""
    state = bench.state
    bench.fill(witness.fields)
    for address, value in witness.capabilities.items():
        state.vmx_capability[address - 0x480] = value
    kept, state.efer = state.efer, 0x500 if witness.long_mode else 0
    number = bench.engine.call("first_broken")
    state.efer = kept
    return RULES[number - 1].name if number else None


@pytest.mark.parametrize("name", WITNESSES)
def test_the_compiled_book_finds_the_witness(bench, name):
    assert compiled(bench, WITNESSES[name]) == name


@pytest.mark.parametrize("name", BASES)
def test_the_compiled_book_accepts_valid_ones(bench, name):
    assert compiled(bench, Witness(BASES[name], long_mode=name != "SHORT_HOST")) is None


@pytest.mark.parametrize("seed", range(4))
def test_both_books_agree_on_changed_vmcss(bench, seed):
    chance = random.Random(seed)
    entered = 0
    for _ in range(250):
        name = chance.choice(list(BASES))
        changes = {}
        for field in chance.sample(list(VmcsField), chance.randint(1, 3)):
            old = BASES[name].get(field, 0)
            changes[field] = chance.choice((chance.getrandbits(field.bits), old ^ 1 << chance.randrange(field.bits)))
        witness = Witness(changed(BASES[name], changes), EVERYTHING, name != "SHORT_HOST")
        broken = first_broken(witness.snapshot(bench.quad))
        assert compiled(bench, witness) == (broken.name if broken else None), changes
        entered += broken is None
    assert entered > 25
