"""Comparing two VMCSs: what differs is said in bits and names."""

from tests.vmx.witness import EPT, LONG
from vmxon.explain.differ import compare
from vmxon.vmx.fields import VmcsField as F


def test_the_same_vmcs_does_not_differ():
    comparison = compare(LONG, dict(LONG))
    assert comparison.differences == ()
    assert str(comparison) == f"0 fields differ, {len(LONG)} the same"


def test_controls_by_name_and_fields_by_bits():
    text = str(compare({**LONG, F.EPTP: 0}, {**EPT, F.GUEST_SS_ACCESS_RIGHTS: 0xC0F3, F.EXCEPTION_BITMAP: 1, F.GUEST_RIP: 0x12001}))
    assert text == (
        "4 fields differ, 45 the same\n"
        "\n"
        "Controls\n"
        "  EPTP  0x0000000000000000 → 0x000000000005001e\n"
        "    memory type 0x0 → 0x6 (bits 2:0): memory type of the paging structures: 0 UC, 6 WB\n"
        "    walk length 0x0 → 0x3 (bits 5:3): page-walk length minus one\n"
        "    root 0x0 → 0x50 (bits 51:12): bits 51:12 of the physical address of the top table\n"
        "  PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS  0x04006172 → 0x84006172\n"
        "    + activate secondary controls (bit 31): the secondary controls count; otherwise they are 0\n"
        "\n"
        "Guest state\n"
        "  GUEST_SS_ACCESS_RIGHTS  0x0000c093 → 0x0000c0f3\n"
        "    DPL 0x0 → 0x3 (bits 6:5): descriptor privilege level\n"
        "  GUEST_RIP  0x0000000000012000 → 0x0000000000012001\n"
        "\n"
        "Only the second shows\n"
        "  EXCEPTION_BITMAP, SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS"
    )


def test_values_without_bits_are_compared_by_meaning():
    before = {F.GUEST_ACTIVITY_STATE: 0, F.EXCEPTION_BITMAP: 1 << 14}
    after = {F.GUEST_ACTIVITY_STATE: 1, F.EXCEPTION_BITMAP: 1 << 13}
    assert [difference.changes for difference in compare(before, after).differences] == [("#PF → #GP",), ("active → hlt",)]


def test_qualifications_of_different_exits_have_no_common_bits():
    before = {F.EXIT_REASON: 48, F.EXIT_QUALIFICATION: 0x181}
    after = {F.EXIT_REASON: 30, F.EXIT_QUALIFICATION: 0x3F8_0000}
    reason, qualification = compare(before, after).differences
    assert reason.changes == ("basic 0x30 → 0x1e (bits 15:0): basic exit reason",)
    assert qualification.changes == ("read, linear valid, translated → port 0x3f8",)


def test_reserved_bits_are_named_by_number():
    (difference,) = compare({F.GUEST_CR0: 0}, {F.GUEST_CR0: 1 << 6}).differences
    assert difference.changes == ("+ reserved (bit 6)",)


def test_plain_data():
    data = compare({F.VPID: 1, F.GUEST_CR3: 0}, {F.VPID: 2, F.HOST_CR3: 0}).to_json()
    assert data == {
        "differences": [{"field": "VPID", "before": "0x1", "after": "0x2", "changes": []}],
        "only_first": ["GUEST_CR3"],
        "only_second": ["HOST_CR3"],
        "same": 0,
    }
