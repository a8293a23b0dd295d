"""An entry that fails on the machine, explained from the VMCS that the processor holds."""

import struct

import pytest

from tests.vmx.witness import LONG
from vmxon.explain import explain_entry, record_of_cache
from vmxon.machine.outcome import FailedValid
from vmxon.machine.root import PYTHON_RIP, RootProcessor, bare_processor
from vmxon.vmx.fields import VmcsField as F
from vmxon.vmx.rules import RULES
from vmxon.vmx.state import active_vmcss

VMXON_REGION, VMCS = 0x10_0000, 0x10_1000


@pytest.fixture
def root() -> RootProcessor:
    """A processor in VMX root operation with a clear current VMCS."""
    root = bare_processor()
    root.write_cr(4, root.read_cr(4).value | 1 << 13)
    root.wrmsr(0x3A, 5)
    revision = struct.pack("<I", root.rdmsr(0x480).value & 0x7FFF_FFFF)
    for address in (VMXON_REGION, VMCS):
        root.write(address, revision)
    for outcome in (root.vmxon(VMXON_REGION), root.vmclear(VMCS), root.vmptrld(VMCS)):
        assert outcome.succeeded
    return root


def test_the_explanation_agrees_with_the_processor_and_knows_who_wrote_what(root):
    for which, value in {**LONG, F.GUEST_RFLAGS: 0}.items():
        if which is not F.HOST_TR_SELECTOR:
            assert root.vmwrite(which, value).succeeded
    outcome = root.vmlaunch()
    assert isinstance(outcome, FailedValid)
    state = root.state
    record = record_of_cache(
        active_vmcss(root.engine.vmx_memory)[VMCS],
        root.processor.model,
        efer=state.efer,
        pointer=state.vmcs_pointer,
        read_quad=lambda address: struct.unpack("<Q", root.read(address, 8))[0],
    )
    explanation = explain_entry(record, lambda rip: "the program in Python" if abs(PYTHON_RIP - rip) < 16 else None)
    assert [failure.rule.name for failure in explanation.failures] == ["host_tr_selector.null", "guest.rflags.bit_1"]
    assert explanation.reported is RULES[state.vmx_broken_rule - 1]
    assert explanation.undecided == ()
    host_tr, flags = (failure.fields[0] for failure in explanation.failures)
    assert host_tr.origin == "never written since VMCLEAR"
    assert flags.origin.startswith(f"written at RIP {PYTHON_RIP - 3:#x} the program in Python, instruction ")
    assert F.HOST_TR_SELECTOR in explanation.unwritten
    assert F.GUEST_RFLAGS not in explanation.unwritten
