"""The VMCS field table."""

import subprocess
import sys

import pytest

from vmxon.vmx.fields import HIGH, SLOTS, Kind, VmcsField, Width

RESERVED = 0xFFFF_8000 | 1 << 12 | HIGH


@pytest.mark.parametrize("field", VmcsField)
def test_encodings_have_no_reserved_bit(field: VmcsField) -> None:
    assert not field & RESERVED
    assert field == field.width << 13 | field.kind << 10 | field.index << 1


@pytest.mark.parametrize("field", VmcsField)
def test_names_agree_with_the_kind(field: VmcsField) -> None:
    exceptions = {VmcsField.GUEST_PHYSICAL_ADDRESS, VmcsField.GUEST_LINEAR_ADDRESS}
    if field.name.startswith("HOST_"):
        assert field.kind is Kind.HOST
    elif field.name.startswith("GUEST_") and field not in exceptions and field is not VmcsField.GUEST_DEADLINE_SHADOW:
        assert field.kind is Kind.GUEST
    elif field.kind is Kind.GUEST:
        assert field in (VmcsField.VMCS_LINK_POINTER, VmcsField.VMX_PREEMPTION_TIMER_VALUE)
    else:
        assert field.kind in (Kind.CONTROL, Kind.EXIT_INFORMATION)


@pytest.mark.parametrize(
    ("ending", "width"),
    [
        ("_SELECTOR", Width.W16),
        ("_VECTOR", Width.W16),
        ("_LIMIT", Width.W32),
        ("_ACCESS_RIGHTS", Width.W32),
        ("_COUNT", Width.W32),
        ("_ERROR_CODE", Width.W32),
        ("_INFORMATION", Width.W32),
        ("_ADDRESS", Width.W64),
        ("_BITMAP", Width.W64),
        ("_BASE", Width.NATURAL),
        ("_RIP", Width.NATURAL),
        ("_SHADOW", Width.NATURAL),
    ],
)
def test_names_agree_with_the_width(ending: str, width: Width) -> None:
    exceptions = {"GUEST_LINEAR_ADDRESS", "EXCEPTION_BITMAP", "IA32_SPEC_CTRL_SHADOW", "GUEST_DEADLINE_SHADOW"}
    fields = [field for field in VmcsField if field.name.endswith(ending) and field.name not in exceptions]
    assert fields
    assert {field.width for field in fields} == {width}


@pytest.mark.parametrize(
    ("width", "kind", "count"),
    [
        # Entries of Tables B-1 to B-15 (64-bit tables hold two for each field), and the later additions.
        (Width.W16, Kind.CONTROL, 5 + 1),  # virtual timer vector
        (Width.W16, Kind.GUEST, 11),
        (Width.W16, Kind.HOST, 7),
        (Width.W64, Kind.CONTROL, 74 // 2 + 2),  # ENCLV-exiting bitmap, guest deadline shadow
        (Width.W64, Kind.EXIT_INFORMATION, 6 // 2),
        (Width.W64, Kind.GUEST, 42 // 2 + 2),  # IA32_SPEC_CTRL, guest deadline
        (Width.W64, Kind.HOST, 24 // 2 + 1),  # IA32_SPEC_CTRL
        (Width.W32, Kind.CONTROL, 20),
        (Width.W32, Kind.EXIT_INFORMATION, 8),
        (Width.W32, Kind.GUEST, 23),
        (Width.W32, Kind.HOST, 1),
        (Width.NATURAL, Kind.CONTROL, 8),
        (Width.NATURAL, Kind.EXIT_INFORMATION, 6),
        (Width.NATURAL, Kind.GUEST, 23),
        (Width.NATURAL, Kind.HOST, 15),
    ],
)
def test_every_table_is_complete(width: Width, kind: Kind, count: int) -> None:
    assert sum(field.width is width and field.kind is kind for field in VmcsField) == count


@pytest.mark.parametrize(
    ("field", "encoding"),
    [
        (VmcsField.GUEST_CS_SELECTOR, 0x802),
        (VmcsField.EPTP, 0x201A),
        (VmcsField.TSC_MULTIPLIER, 0x2032),
        (VmcsField.VMCS_LINK_POINTER, 0x2800),
        (VmcsField.HOST_IA32_PKRS, 0x2C06),
        (VmcsField.VM_INSTRUCTION_ERROR, 0x4400),
        (VmcsField.GUEST_IA32_SYSENTER_CS, 0x482A),
        (VmcsField.VMX_PREEMPTION_TIMER_VALUE, 0x482E),
        (VmcsField.EXIT_QUALIFICATION, 0x6400),
        (VmcsField.GUEST_RFLAGS, 0x6820),
        (VmcsField.HOST_RIP, 0x6C16),
    ],
)
def test_encodings_that_linux_uses(field: VmcsField, encoding: int) -> None:
    assert field == encoding


def test_no_encoding_is_given_twice() -> None:
    assert len(VmcsField.__members__) == len(VmcsField)


def test_tables_follow_each_other_in_encoding_order() -> None:
    assert list(VmcsField) == sorted(VmcsField)


def test_slots_are_dense_in_table_order() -> None:
    assert [field.slot for field in VmcsField] == list(range(len(VmcsField)))
    assert SLOTS[VmcsField.HOST_RIP.slot] is VmcsField.HOST_RIP


def test_only_64_bit_fields_have_a_high_half() -> None:
    assert VmcsField.EPTP.has_high_half
    assert not VmcsField.GUEST_RIP.has_high_half
    assert VmcsField.EPTP + HIGH not in VmcsField._value2member_map_


def test_sizes() -> None:
    assert [VmcsField(encoding).bits for encoding in (0x0, 0x2000, 0x4000, 0x6000)] == [16, 64, 32, 64]


def test_read_only_fields_are_the_exit_information() -> None:
    assert VmcsField.EXIT_REASON.read_only
    assert not VmcsField.GUEST_RIP.read_only


def test_every_field_has_a_line_of_text() -> None:
    for field in VmcsField:
        assert field.doc.strip() == field.doc != ""
    assert len({field.doc for field in VmcsField if "error code" not in field.doc}) > len(VmcsField) - 5


def test_importing_the_table_loads_nothing_heavy() -> None:
    code = "import sys; import vmxon.vmx.fields; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"llvmlite", "rich", "click"} & set(modules)
