"""Partial knowledge: with all of it the book decides as ever, and with less it never decides wrongly."""

import random

import pytest

from tests.vmx.witness import BASES, EVERYTHING, MEMORY, VMCS, WIDTH, Witness
from tests.vmx.witnesses import WITNESSES
from vmxon.arch.models import MAX, MODELS
from vmxon.explain import EntryRecord, Writer, examine, explain_entry, model_capabilities, record_of_cache
from vmxon.explain.record import CAPABILITY_MSRS, NOT_IN_CAPABILITIES, KnownView, Unknown, UnknownNumber
from vmxon.microcode.layout import Memory
from vmxon.vmx.capabilities import capability_msrs
from vmxon.vmx.fields import SLOTS, VmcsField
from vmxon.vmx.rules import RULES, broken_rules
from vmxon.vmx.state import VmcsCache


def known(witness: Witness) -> EntryRecord:
    """Everything that the witness's snapshot knows."""
    snapshot = witness.snapshot()
    return EntryRecord(
        {which: snapshot.field(which) for which in VmcsField},
        {address: snapshot.capability(address) for address in CAPABILITY_MSRS},
        physical_width=WIDTH,
        linear_width=48,
        efer=snapshot.efer(),
        pointer=VMCS,
        read_quad=lambda address: MEMORY.get(address, 0),
        complete_processor=True,
    )


@pytest.mark.parametrize("name", WITNESSES)
def test_full_knowledge_decides_like_the_book(name):
    findings = examine(known(WITNESSES[name]))
    assert findings.undecided == ()
    assert findings.certain
    assert list(findings.broken) == broken_rules(WITNESSES[name].snapshot())


@pytest.mark.parametrize("seed", range(4))
def test_less_knowledge_never_decides_wrongly(seed):
    chance = random.Random(seed)
    undecided = 0
    for name in chance.sample(list(WITNESSES), 40):
        record = known(WITNESSES[name])
        hidden = set(chance.sample(list(VmcsField), 12)) | set(chance.sample(RULES[0].reads, 1))
        partial = EntryRecord(
            {which: value for which, value in record.fields.items() if which not in hidden},
            {address: value for address, value in record.capabilities.items() if chance.random() < 0.8},
            physical_width=chance.choice((None, WIDTH)),
            linear_width=chance.choice((None, 48)),
            efer=chance.choice((None, record.efer)),
            pointer=chance.choice((None, VMCS)),
            read_quad=chance.choice((None, record.read_quad)),
            complete_processor=True,
        )
        findings = examine(partial)
        truth = {rule.name for rule in broken_rules(WITNESSES[name].snapshot())}
        open_ = {rule.name for rule, _ in findings.undecided}
        found = {rule.name for rule in findings.broken}
        assert found <= truth
        assert truth <= found | open_
        undecided += len(open_)
    assert undecided > 100


def test_a_control_that_is_0_decides_without_its_field():
    fields = {which: value for which, value in BASES["LONG"].items() if which is not VmcsField.GUEST_IA32_EFER}
    names = {rule.name for rule, _ in examine(EntryRecord(fields)).undecided}
    assert not {"guest.efer.lma", "host.efer.lma", "vpid.zero", "eptp.width"} & names


def test_what_is_unknown_has_a_name():
    reasons = {rule.name: what for rule, what in examine(EntryRecord(dict.fromkeys(VmcsField, 0))).undecided}
    assert reasons["pin.must_be_one"] == "IA32_VMX_BASIC"
    assert reasons["host.cr0.fixed0"] == "IA32_VMX_CR0_FIXED0"
    assert reasons["host.mode.host_64"] == "IA32_EFER of the host"
    assert reasons["link.revision"] == "memory at 0x0"
    assert reasons["link.current"] == "the address of the VMCS"


def test_rules_that_depend_on_features_outside_the_capability_msrs_stay_open():
    blocked = {**BASES["LONG"], VmcsField.GUEST_INTERRUPTIBILITY_STATE: 1 << 4}
    record = EntryRecord(blocked, EVERYTHING, physical_width=WIDTH, linear_width=48)
    assert ("guest.blocking.enclave", "SGX (CPUID.07H.0:EBX bit 2)") in {(rule.name, what) for rule, what in examine(record).undecided}
    assert set(NOT_IN_CAPABILITIES) <= {rule.name for rule in RULES}


@pytest.mark.parametrize("use", [bool, int, lambda n: n in (0, 1), lambda n: 1 if n == 5 else 0, lambda n: (n & 7) >> 3 < 2 and True])
def test_deciding_by_an_unknown_number_raises(use):
    with pytest.raises(Unknown, match="GUEST_CR0"):
        use(UnknownNumber("GUEST_CR0"))


def test_addresses_that_fit_every_processor_or_none_are_decided():
    view = KnownView(EntryRecord({}))
    assert view.fits(0xFFFF_F000)
    assert not view.fits(1 << 52)
    assert view.canonical(0xFFFF_8000_0000_0000)
    assert not view.canonical(1 << 60)
    with pytest.raises(Unknown, match="MAXPHYADDR"):
        view.fits(1 << 40)
    with pytest.raises(Unknown, match="width of linear addresses"):
        view.canonical(1 << 50)


class Cache:
    """A VmcsCache by hand."""

    def __init__(self) -> None:
        self.fields = [which.slot for which in SLOTS]
        self.writer_rip = [0x1000 + which.slot for which in SLOTS]
        self.writer_number = [which.slot % 2 for which in SLOTS]


def test_the_record_of_a_cache_knows_values_and_writers():
    record = record_of_cache(Cache(), MAX, pointer=0x41000)
    assert record.fields[VmcsField.HOST_RIP] == VmcsField.HOST_RIP.slot
    assert record.writers is not None
    assert record.writers.keys() == {which for which in SLOTS if which.slot % 2}
    assert record.writers[SLOTS[1]] == Writer(0x1001, 1)
    assert (record.physical_width, record.linear_width, record.pointer) == (46, 48, 0x41000)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_knows_every_capability(name):
    capabilities = model_capabilities(MODELS[name])
    assert list(capabilities) == list(CAPABILITY_MSRS)
    assert {address: value for address, value in capabilities.items() if value} == {
        a: v for a, v in capability_msrs(MODELS[name]).items() if v
    }


def test_the_record_of_a_real_cache():
    cache = VmcsCache(Memory(memoryview(bytearray(VmcsCache.size)), 0))
    cache.fields[VmcsField.GUEST_RIP.slot] = 0x1234
    cache.writer_rip[VmcsField.GUEST_RIP.slot] = 0xFFFF_8000_0000_1000
    cache.writer_number[VmcsField.GUEST_RIP.slot] = 42
    record = record_of_cache(cache, MAX)
    assert record.fields[VmcsField.GUEST_RIP] == 0x1234
    assert record.writers == {VmcsField.GUEST_RIP: Writer(0xFFFF_8000_0000_1000, 42)}
    assert "GUEST_RIP" not in {which.name for which in explain_entry(record).unwritten}
