"""VMCS shadowing: VMREAD and VMWRITE of a guest that reach the shadow VMCS (Vol. 3C §25.6.15, §25.10, §31.3)."""

import struct

import pytest

from tests.vmx.vmx_bench import GUEST, INVALID, SUCCEED, VALID, VmxBench
from tests.vmx.witness import LONG, REVISION, SecondaryProcessorBased, changed, having
from vmxon.vmx.errors import InstructionError
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField as F
from vmxon.vmx.state import ACTIVE, active_vmcss

SHADOW, READS, WRITES = 0x43000, 0x50000, 0x51000
STATUS = 0x8D5
"""CF, PF, AF, ZF, SF, OF."""
ALL_ONES = (1 << 64) - 1


class ShadowBench(VmxBench):
    """A current VMCS with a shadow, whose bitmaps let everything through."""

    def __init__(self) -> None:
        super().__init__()
        self.engine.write_physical(SHADOW, struct.pack("<I", REVISION | 1 << 31))
        self.steps("vmclear [0x20018]")

    def mark(self, bitmap: int, field: int) -> None:
        """Make VMREAD or VMWRITE of a field exit."""
        place = bitmap + field // 8
        self.engine.write_physical(place, bytes([self.engine.read_physical(place, 1)[0] | 1 << field % 8]))

    def run(self, code: str, **fields: int) -> int:
        """Launch the guest `code` in front of VMCALL; gives the exit reason."""
        addresses = {F.VMREAD_BITMAP_ADDRESS: READS, F.VMWRITE_BITMAP_ADDRESS: WRITES, F.VMCS_LINK_POINTER: SHADOW}
        base = having(LONG, SecondaryProcessorBased.vmcs_shadowing)
        self.guest(code + "\nvmcall", changed(base, addresses, {F[name]: value for name, value in fields.items()}))
        self.launch()
        assert self.in_host
        return self.reason

    @property
    def status(self) -> int:
        """The guest's status flags, with bit 1."""
        return self[F.GUEST_RFLAGS] & STATUS | 2

    def shadow(self, field: F) -> int:
        """A field of the shadow VMCS."""
        return active_vmcss(self.engine.vmx_memory)[SHADOW].fields[field.slot]


def write(field: int, value: int) -> str:
    """VMWRITE of a field."""
    return f"mov ecx, {field:#x}\nmov rax, {value:#x}\nvmwrite rcx, rax"


def test_the_guest_reads_what_it_wrote_and_the_current_vmcs_stays():
    bench = ShadowBench()
    assert bench.run(write(F.GUEST_RIP, 0x1234_5678_9ABC) + "\nvmread rbx, rcx", EXCEPTION_BITMAP=0) == R.VMCALL
    assert (bench.state.gpr[3], bench.shadow(F.GUEST_RIP), bench.status) == (0x1234_5678_9ABC, 0x1234_5678_9ABC, SUCCEED)
    assert GUEST < bench[F.GUEST_RIP] < GUEST + 64


def test_the_host_reads_what_the_guest_wrote():
    bench = ShadowBench()
    bench.run(write(F.GUEST_RSP, 0x77))
    bench.state.activity = 0
    assert bench.steps("vmptrld [0x20018]", f"mov ecx, {int(F.GUEST_RSP):#x}", "vmread rdx, rcx") & STATUS == 0
    assert bench.state.gpr[2] == 0x77


def test_memory_operands():
    bench = ShadowBench()
    code = f"mov ecx, {int(F.TSC_OFFSET):#x}\nmov ebx, 0x21000\nmov qword ptr [rbx], 0x55\nvmwrite rcx, [rbx]\nvmread [rbx + 8], rcx"
    assert bench.run(code) == R.VMCALL
    assert bench.quad(0x21008) == 0x55


@pytest.mark.parametrize(("line", "bitmap", "reason"), [("vmread rax, rcx", READS, R.VMREAD), ("vmwrite rcx, rax", WRITES, R.VMWRITE)])
@pytest.mark.parametrize("marked", [False, True])
@pytest.mark.parametrize("control", [False, True])
def test_bitmaps_decide(line, bitmap, reason, marked, control):
    bench = ShadowBench()
    if marked:
        bench.mark(bitmap, F.GUEST_RSP)
    bench.mark(bitmap, F.GUEST_RIP)
    controls = {} if control else {"SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS": 0, "VMCS_LINK_POINTER": ALL_ONES}
    expected = R.VMCALL if control and not marked else reason
    assert bench.run(f"mov ecx, {int(F.GUEST_RSP):#x}\n{line}", **controls) == expected


@pytest.mark.parametrize("encoding", [0x8000, 0x1_0000_6800, 1 << 63 | 0x681C])
def test_encodings_beyond_the_bitmaps_exit(encoding):
    assert ShadowBench().run(f"mov rcx, {encoding:#x}\nvmread rax, rcx") == R.VMREAD


def test_no_shadow_fails_invalid():
    bench = ShadowBench()
    assert bench.run(write(F.GUEST_RSP, 1), VMCS_LINK_POINTER=ALL_ONES) == R.VMCALL
    assert bench.status == INVALID


@pytest.mark.parametrize("line", ["vmread rax, rcx", "vmwrite rcx, rax"])
def test_unsupported_fields_fail_valid(line):
    bench = ShadowBench()
    assert bench.run(f"mov ecx, 0x7FFE\n{line}") == R.VMCALL
    assert (bench.status, bench[F.VM_INSTRUCTION_ERROR]) == (VALID, InstructionError.UNSUPPORTED_FIELD)


@pytest.mark.parametrize("allowed", [False, True])
def test_exit_information_can_be_written_where_the_processor_says_so(allowed):
    bench = ShadowBench()
    bench.state.vmx_capability[5] = bench.state.vmx_capability[5] & ~(1 << 29) | allowed << 29
    bench.run(write(F.EXIT_REASON, 48))
    assert bench.status == (SUCCEED if allowed else VALID)
    assert bench[F.VM_INSTRUCTION_ERROR] == (0 if allowed else InstructionError.VMWRITE_READ_ONLY)
    if allowed:
        assert bench.shadow(F.EXIT_REASON) == 48


def test_user_mode_gets_a_general_protection_after_the_bitmaps():
    user = {
        "GUEST_CS_SELECTOR": 0x0B,
        "GUEST_CS_ACCESS_RIGHTS": 0xA0FB,
        "GUEST_SS_SELECTOR": 0x13,
        "GUEST_SS_ACCESS_RIGHTS": 0xC0F3,
        "EXCEPTION_BITMAP": 1 << 13,
    }
    bench = ShadowBench()
    assert bench.run(write(F.GUEST_RSP, 1), **user) == R.EXCEPTION_OR_NMI
    marked = ShadowBench()
    marked.mark(WRITES, F.GUEST_RSP)
    assert marked.run(write(F.GUEST_RSP, 1), **user) == R.VMWRITE


def test_the_current_vmcs_stays_active_whatever_many_shadows_there_are():
    bench = ShadowBench()
    for number in range(ACTIVE + 2):
        region = 0x80000 + number * 0x1000
        bench.engine.write_physical(region, struct.pack("<I", REVISION | 1 << 31))
        bench.steps("vmclear [0x20008]", "vmptrld [0x20008]")
        assert bench.run(write(F.GUEST_RSP, number), VMCS_LINK_POINTER=region) == R.VMCALL
        assert bench.status == SUCCEED
        bench.state.activity = 0


@pytest.mark.parametrize(("shadow", "shadowing"), [(False, True), (True, False)])
def test_the_link_pointer_must_be_of_the_kind_that_the_control_wants(shadow, shadowing):
    bench = ShadowBench()
    bench.engine.write_physical(SHADOW, struct.pack("<I", REVISION | shadow << 31))
    fields = having(LONG, SecondaryProcessorBased.vmcs_shadowing) if shadowing else LONG
    bench.guest("vmcall", changed(fields, {F.VMCS_LINK_POINTER: SHADOW}))
    bench.launch()
    assert (bench.reason, bench.qualification) == (0x8000_0021, 4)
