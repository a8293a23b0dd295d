"""`vmxon check` and `vmxon diff`: dumps of the field on the command line."""

import json

import pytest

from tests.explain.formats import kvm_text, xen_text
from tests.explain.test_pains import VALID
from vmxon.arch.models import NEHALEM
from vmxon.vmx.capabilities import capability_msrs
from vmxon.vmx.fields import VmcsField as F

HOST_64 = {F.HOST_RIP: 0xFFFF_FFFF_8100_0000}
BAD = {**VALID, **HOST_64, F.GUEST_TR_ACCESS_RIGHTS: 0x10000, F.EXIT_REASON: 0x8000_0021, F.HOST_TR_SELECTOR: 0}


@pytest.fixture
def dump(tmp_path):
    """Write a dump and give its path."""

    def write(text, name="vmcs.txt"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


def test_a_kvm_dump_without_the_processor(invoke, dump):
    outcome = invoke("check", dump(kvm_text(BAD)))
    assert outcome.status == 1
    assert outcome.err == ""
    assert outcome.out.startswith(
        "VM entry fails: VMfailValid with error 8: VM entry with invalid host-state fields\n"
        "Linux KVM: 115 fields shown\n"
        "the dump's exit reason 0x80000021 says that VM entry failed: 33: VM entry failed: the guest state breaks a rule, qualification 0\n"
    )
    assert "1. host_tr_selector.null (hardware may report this one)" in outcome.out
    assert ". guest.tr.usable\n" in outcome.out
    assert "Cannot tell: " in outcome.out
    assert "IA32_VMX_CR0_FIXED0  " in outcome.out
    assert "\x1b" not in outcome.out


@pytest.mark.parametrize("write", [kvm_text, xen_text])
def test_a_valid_guest_breaks_no_rule(invoke, dump, write):
    outcome = invoke("check", "--model", "nehalem", dump(write({**VALID, **HOST_64})))
    assert outcome.status == 0
    assert outcome.out.startswith("No broken rule among the ")


def test_model_and_msrs_decide_what_is_open_without_them(invoke, dump):
    text = json.dumps({which.name: hex(value) for which, value in {**VALID, **HOST_64, F.GUEST_CR4: 0x20}.items()})
    names = {}
    for words in (
        (),
        ("--model", "nehalem"),
        ("--msrs", dump(json.dumps({hex(a): hex(v) for a, v in capability_msrs(NEHALEM).items()}), "msrs")),
    ):
        outcome = invoke("check", "--json", *words, dump(text))
        report = json.loads(outcome.out)
        names[len(words) and words[0]] = [rule["rule"] for rule in report["broken"]]
        assert report["format"] == "JSON"
        assert report["fields"] == len(F)
    assert names == {0: [], "--model": ["guest.cr4.fixed0"], "--msrs": ["guest.cr4.fixed0"]}


def test_provenance_in_json_shows_writers_and_what_was_never_written(invoke, dump):
    provenance = {"HOST_TR_SELECTOR": {"rip": "0xffff800000001000", "instruction": 77}}
    text = json.dumps({"fields": {which.name: value for which, value in BAD.items()}, "provenance": provenance})
    outcome = invoke("check", "--model", "nehalem", dump(text))
    assert "written at RIP 0xffff800000001000, instruction 77" in outcome.out
    assert "Usual cause: GUEST_TR_ACCESS_RIGHTS was never written since VMCLEAR." in outcome.out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--model", "i486"), "no processor model 'i486', expected first, nehalem, "),
        (("--model", "max", "--msrs", "x"), "--model and --msrs both describe the processor; give one; see vmxon check --help"),
        (("--number", "2"), "vmcs.txt: there is no dump number 2, expected a number from 1 to 1"),
        (("--msrs", "/nowhere/msrs"), "/nowhere/msrs: no such file or directory"),
    ],
)
def test_mistakes_are_one_line(invoke, dump, words, line):
    outcome = invoke("check", *words, dump(kvm_text(VALID)))
    assert outcome.status == 2
    assert outcome.out == ""
    assert line in outcome.err
    assert outcome.err.count("\n") == 1


def test_diff_by_meaning(invoke, dump):
    first = dump(kvm_text(VALID), "first")
    second = dump(xen_text({**VALID, F.PIN_BASED_VM_EXECUTION_CONTROLS: VALID[F.PIN_BASED_VM_EXECUTION_CONTROLS] | 1}), "second")
    outcome = invoke("diff", first, second)
    assert outcome.status == 1
    assert "PIN_BASED_VM_EXECUTION_CONTROLS  0x00000016 → 0x00000017\n    + external-interrupt exiting (bit 0)" in outcome.out
    assert "Only the first shows\n" in outcome.out
    data = json.loads(invoke("diff", "--json", first, second).out)
    assert [difference["field"] for difference in data["differences"]] == ["PIN_BASED_VM_EXECUTION_CONTROLS"]
    assert invoke("diff", first, first).status == 0


def test_what_is_no_dump_is_one_line(invoke, dump):
    outcome = invoke("diff", dump("hello", "a"), dump("{}", "b"))
    assert outcome.status == 2
    assert outcome.err.count("\n") == 1
    assert "there is no VMCS dump in it" in outcome.err
