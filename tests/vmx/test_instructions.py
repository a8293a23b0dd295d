"""Every outcome of the VMX instructions in root operation and outside (Vol. 3C §31.3 “VMX Instructions”)."""

import struct

import pytest

from tests.vmx.vmx_bench import INVALID, POINTERS, SUCCEED, VALID, VMXON_REGION, VmxBench
from tests.vmx.witness import BEYOND, REVISION, VMCS
from vmxon.arch.exceptions import Vector
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.state import active_vmcss

STATUS = 0x8D5
ROOT_ONLY = ("vmxoff", "vmclear [0x20008]", "vmptrld [0x20008]", "vmptrst [0x20100]", "vmread rax, rcx", "vmwrite rcx, rax",
             "vmlaunch", "vmresume", "invept rcx, [0x20200]", "invvpid rcx, [0x20200]")  # fmt: skip
ALL = (*ROOT_ONLY, "vmxon [0x20000]", "vmcall")


@pytest.fixture
def bench():
    return VmxBench()


@pytest.fixture
def outside():
    return VmxBench(current=False)


def status(bench, *lines):
    """The flags that the last line leaves; all are set before it."""
    *before, last = lines
    if before:
        bench.steps(*before)
    bench.processor.rflags = 2 | STATUS
    return bench.steps(last) & (STATUS | 2)


def error(bench):
    """The VM-instruction error."""
    return bench[VmcsField.VM_INSTRUCTION_ERROR]


def region(bench, address, pointer=POINTERS):
    """Put a region's address where the memory operand is."""
    bench.engine.write_physical(pointer, struct.pack("<Q", address))


# VMXON


def test_vmxon_succeeds_and_leaves_no_current_vmcs(outside):
    assert status(outside, "vmxon [0x20000]") == SUCCEED
    state = outside.state
    assert (state.vmx_operation, state.vmxon_pointer, state.vmcs_pointer) == (1, VMXON_REGION, (1 << 64) - 1)


@pytest.mark.parametrize("address", [0x40010, BEYOND, 0x30000])
def test_vmxon_with_a_bad_region_fails_invalid(outside, address):
    region(outside, address)
    assert status(outside, "vmxon [0x20000]") == INVALID
    assert outside.state.vmx_operation == 0


@pytest.mark.parametrize("word", [REVISION + 1, REVISION | 1 << 31])
def test_vmxon_wants_the_revision_identifier(outside, word):
    outside.engine.write_physical(VMXON_REGION, struct.pack("<I", word))
    assert status(outside, "vmxon [0x20000]") == INVALID


def test_vmxon_in_root_operation_fails(bench):
    assert status(bench, "vmxon [0x20000]") == VALID
    assert error(bench) == 15


def test_vmxon_in_root_operation_without_vmcs_fails_invalid(outside):
    assert status(outside, "vmxon [0x20000]", "vmxon [0x20000]") == INVALID


@pytest.mark.parametrize("control", [0, 1, 4, 3])
def test_vmxon_needs_the_lock_and_the_enable_of_feature_control(outside, control):
    outside.state.feature_control = control
    assert outside.vector_of("vmxon [0x20000]") == Vector.GP


def test_vmxon_needs_cr4_vmxe(outside):
    outside.state.cr4 &= ~(1 << 13)
    assert outside.vector_of("vmxon [0x20000]") == Vector.UD


def test_vmxon_needs_the_fixed_bits_of_cr0(outside):
    outside.state.cr0 &= ~0x20
    assert outside.vector_of("vmxon [0x20000]") == Vector.GP


# Modes and privilege


@pytest.mark.parametrize("line", [line for line in ALL if "vmxon" not in line])
def test_undefined_outside_vmx_operation(outside, line):
    assert outside.vector_of(line) == Vector.UD


@pytest.mark.parametrize("line", ALL)
def test_general_protection_above_cpl_0(bench, line):
    for index in (1, 2):
        bench.state.segments[index].rights |= 0x60
    bench.processor.refresh()
    assert bench.vector_of(line) == Vector.GP


@pytest.mark.parametrize("line", ALL)
def test_undefined_in_compatibility_mode(bench, line):
    bench.state.segments[1].rights = 0xC09B
    bench.processor.refresh()
    bench.bits = 32
    assert bench.vector_of(line.replace("rax", "eax").replace("rcx", "ecx")) == Vector.UD


# VMCLEAR, VMPTRLD, VMPTRST


@pytest.mark.parametrize(("address", "number"), [(0x41008, 2), (BEYOND, 2), (VMXON_REGION, 3)])
def test_vmclear_fails(bench, address, number):
    region(bench, address)
    assert status(bench, "vmclear [0x20000]") == VALID
    assert error(bench) == number


@pytest.mark.parametrize(("address", "number"), [(0x41008, 9), (BEYOND, 9), (VMXON_REGION, 10), (0x30000, 11)])
def test_vmptrld_fails(bench, address, number):
    region(bench, address)
    assert status(bench, "vmptrld [0x20000]") == VALID
    assert error(bench) == number
    assert bench.state.vmcs_pointer == VMCS


def test_vmptrld_refuses_a_shadow_vmcs_without_vmcs_shadowing(bench):
    bench.state.vmx_capability[0x48B - 0x480] &= ~(1 << 14 << 32)
    bench.engine.write_physical(0x42000, struct.pack("<I", REVISION | 1 << 31))
    assert status(bench, "vmptrld [0x20010]") == VALID
    assert error(bench) == 11


def test_failures_without_current_vmcs_are_invalid(outside):
    region(outside, 0x41008, POINTERS + 8)
    assert status(outside, "vmxon [0x20000]", "vmptrld [0x20008]") == INVALID
    assert status(outside, "vmclear [0x20008]") == INVALID
    for line in ("vmread rax, rcx", "vmwrite rcx, rax", "vmlaunch", "vmresume", "vmcall"):
        assert status(outside, line) == INVALID, line


def test_vmclear_of_the_current_vmcs_leaves_none(bench):
    assert status(bench, "vmclear [0x20008]") == SUCCEED
    assert bench.state.vmcs_pointer == (1 << 64) - 1


def test_vmptrst_stores_the_pointer(bench):
    assert status(bench, "vmptrst [0x20100]") == SUCCEED
    assert bench.engine.read_physical(0x20100, 8) == struct.pack("<Q", VMCS)
    bench.steps("vmclear [0x20008]", "vmptrst [0x20100]")
    assert bench.engine.read_physical(0x20100, 8) == b"\xff" * 8


def test_a_vmcs_keeps_its_data_over_vmclear(bench):
    bench.steps("mov ecx, 0x681E", "mov rax, 0x123456789ABC", "vmwrite rcx, rax", "vmclear [0x20008]", "vmptrld [0x20008]")
    assert bench[VmcsField.GUEST_RIP] == 0x123456789ABC


def test_stores_to_an_active_region_do_not_reach_the_fields(bench):
    bench.steps("mov ecx, 0x681E", "mov eax, 0x77", "vmwrite rcx, rax")
    bench.engine.write_physical(VMCS + 8, b"\xcc" * 4088)
    assert status(bench, "vmptrld [0x20008]", "xor ebx, ebx", "vmread rbx, rcx") == SUCCEED
    assert bench.state.gpr[3] == 0x77


def test_many_active_vmcss_are_kept_even_where_the_cache_is_full(bench):
    for number in range(40):
        address = 0x80000 + number * 0x1000
        bench.engine.write_physical(address, struct.pack("<I", REVISION))
        region(bench, address)
        bench.steps("vmclear [0x20000]", "vmptrld [0x20000]")
        bench[VmcsField.HOST_RSP] = number
    for number in (0, 39, 1, 20):
        region(bench, 0x80000 + number * 0x1000)
        bench.steps("vmptrld [0x20000]")
        assert bench[VmcsField.HOST_RSP] == number


# VMREAD and VMWRITE


@pytest.mark.parametrize("field", list(VmcsField))
def test_every_field_is_read_as_written_or_does_not_exist(bench, field):
    from vmxon.vmx.field_support import supported_fields

    bench.state.gpr[1], bench.state.gpr[0] = field, 0x8877_6655_4433_2211
    expected = 12 if field not in supported_fields(bench.processor.model.vmx) else 13 if field.read_only else 0
    assert status(bench, "vmwrite rcx, rax") == (VALID if expected else SUCCEED)
    if expected:
        assert error(bench) == expected
    if expected == 12:
        assert status(bench, "vmread rbx, rcx") == VALID
    elif expected == 0:
        assert status(bench, "vmread rbx, rcx") == SUCCEED
        assert bench.state.gpr[3] == 0x8877_6655_4433_2211 & ((1 << field.bits) - 1)


@pytest.mark.parametrize("encoding", [0x681F, 0x4001, 0x6FFE, 0x1000, 0x8000, 1 << 32, 0x2C80, 0x107FE])
def test_unsupported_encodings_fail(bench, encoding):
    bench.state.gpr[1] = encoding
    assert status(bench, "vmread rax, rcx") == VALID
    assert error(bench) == 12
    assert status(bench, "vmwrite rcx, rax") == VALID


def test_high_halves(bench):
    bench[VmcsField.TSC_OFFSET] = 0x1111_2222_3333_4444
    bench.state.gpr[1], bench.state.gpr[0] = VmcsField.TSC_OFFSET | 1, 0x9999_9999_AAAA_BBBB
    bench.steps("vmread rbx, rcx", "vmwrite rcx, rax")
    assert bench.state.gpr[3] == 0x1111_2222
    assert bench[VmcsField.TSC_OFFSET] == 0xAAAA_BBBB_3333_4444


def test_memory_operands(bench):
    bench.state.gpr[1] = VmcsField.HOST_RSP
    bench.engine.write_physical(0x20100, struct.pack("<Q", 0x1234))
    bench.steps("vmwrite rcx, [0x20100]", "vmread [0x20108], rcx")
    assert bench.engine.read_physical(0x20108, 8) == struct.pack("<Q", 0x1234)


def test_vmwrite_notes_who_wrote(bench):
    field = VmcsField.HOST_RIP
    assert bench.vmcs.writer_number[field.slot] == 0
    bench.state.gpr[1] = field
    bench.steps("vmwrite rcx, rax")
    assert bench.vmcs.writer_rip[field.slot] == 0x10000
    assert bench.vmcs.writer_number[field.slot] == bench.processor.instructions
    bench.steps("vmclear [0x20008]", "vmptrld [0x20008]")
    assert bench.vmcs.writer_number[field.slot] == 0


def test_thirty_two_bit_mode():
    bench = VmxBench(32, current=False)
    tables = 0x5000
    bench.engine.write_physical(tables, struct.pack("<1024I", *(n << 22 | 0x83 for n in range(1024))))
    bench.state.cr3, bench.state.cr4 = tables, bench.state.cr4 | 1 << 4
    bench.state.cr0 |= 1 << 31
    bench.processor.refresh()
    bench.steps("vmxon [0x20000]", "vmclear [0x20008]", "vmptrld [0x20008]")
    bench.state.gpr[1], bench.state.gpr[0] = VmcsField.HOST_RSP, 0x8000_1234
    assert status(bench, "vmwrite ecx, eax") == SUCCEED
    assert status(bench, "vmread ebx, ecx") == SUCCEED
    assert bench.state.gpr[3] == 0x8000_1234


# VMLAUNCH, VMRESUME, VMCALL, VMXOFF


def test_launch_states(bench):
    assert status(bench, "vmresume") == VALID
    assert error(bench) == 5
    bench.vmcs.launched = 1
    assert status(bench, "vmlaunch") == VALID
    assert error(bench) == 4
    assert status(bench, "vmclear [0x20008]", "vmptrld [0x20008]", "vmresume") == VALID
    assert error(bench) == 5


def test_entry_right_after_mov_ss_fails(bench):
    bench.state.interruptibility = 2
    bench.state.shadow_ticks = bench.processor.instructions
    assert status(bench, "vmlaunch") == VALID
    assert error(bench) == 26


def test_launch_of_an_empty_vmcs_fails_by_its_controls(bench):
    assert status(bench, "vmlaunch") == VALID
    assert error(bench) == 7
    assert bench.state.vmx_broken_rule == 1


def test_vmcall_in_root_fails(bench):
    assert status(bench, "vmcall") == VALID
    assert error(bench) == 1


def test_vmxoff(bench):
    assert status(bench, "vmxoff") == SUCCEED
    assert bench.state.vmx_operation == 0
    assert status(bench, "vmxon [0x20000]", "vmptrld [0x20008]") == SUCCEED


def test_cr4_vmxe_and_cr0_ne_are_fixed_in_vmx_operation(bench):
    bench.state.gpr[0] = bench.state.cr4 & ~(1 << 13)
    assert bench.vector_of("mov cr4, rax") == Vector.GP
    other = VmxBench()
    other.state.gpr[0] = other.state.cr0 & ~0x20
    assert other.vector_of("mov cr0, rax") == Vector.GP


# INVEPT, INVVPID, VMFUNC, GETSEC


@pytest.mark.parametrize(
    ("line", "kind", "descriptor", "result"),
    [
        ("invept", 1, (0x5001E, 0), SUCCEED),
        ("invept", 2, (0, 0), SUCCEED),
        ("invept", 0, (0x5001E, 0), VALID),
        ("invept", 3, (0x5001E, 0), VALID),
        ("invept", 1, (0x50019, 0), VALID),
        ("invept", 1 << 32 | 1, (0x5001E, 0), VALID),
        ("invvpid", 0, (1, 0x1000), SUCCEED),
        ("invvpid", 0, (0, 0x1000), VALID),
        ("invvpid", 0, (1, 1 << 47), VALID),
        ("invvpid", 0, (0x10001, 0), VALID),
        ("invvpid", 1, (1, 0), SUCCEED),
        ("invvpid", 1, (0, 0), VALID),
        ("invvpid", 2, (0, 0), SUCCEED),
        ("invvpid", 2, (0x10000, 0), VALID),
        ("invvpid", 3, (1, 0), SUCCEED),
        ("invvpid", 3, (0, 0), VALID),
        ("invvpid", 4, (1, 0), VALID),
    ],
)
def test_invalidation(bench, line, kind, descriptor, result):
    bench.engine.write_physical(0x20200, struct.pack("<2Q", *descriptor))
    bench.state.gpr[1] = kind
    assert status(bench, f"{line} rcx, [0x20200]") == result
    if result == VALID:
        assert error(bench) == 28


@pytest.mark.parametrize("code", [b"\x0f\x01\xd4", b"\x0f\x37"])
def test_vmfunc_and_getsec_are_undefined_in_root(bench, code):
    assert bench.vector_of(code) == Vector.UD


def test_capability_msrs(bench):
    for address, value in ((0x480, bench.state.vmx_capability[0]), (0x48C, bench.state.vmx_capability[12])):
        bench.state.gpr[1] = address
        bench.steps("rdmsr")
        assert bench.state.gpr[0] | bench.state.gpr[2] << 32 == value
    bench.state.gpr[1] = 0x494
    assert bench.vector_of("rdmsr") == Vector.GP


def test_reset_forgets_active_vmcss():
    bench = VmxBench()
    bench[VmcsField.HOST_RSP] = 0x1234
    bench.processor.reset()
    state = bench.state
    assert (state.vmx_operation, state.vmcs_pointer, state.second_stage) == (0, (1 << 64) - 1, 0)
    assert active_vmcss(bench.engine.vmx_memory) == {}
