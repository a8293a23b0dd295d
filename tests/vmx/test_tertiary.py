"""Tertiary controls: MSR lists, IA32_SPEC_CTRL, IPI virtualization, the guest's APIC timer (Vol. 3C Table 25-8)."""

import struct

import pytest

from tests.vmx.vmx_bench import GUEST, NO_EXIT, VmxBench
from tests.vmx.witness import (
    LONG,
    Entry,
    PinBased,
    PrimaryExit,
    PrimaryProcessorBased,
    SecondaryExit,
    SecondaryProcessorBased,
    TertiaryProcessorBased,
    changed,
    having,
)
from vmxon.arch.exceptions import Vector
from vmxon.processor.state import HostRequest
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField as F
from vmxon.vmx.preemption import expiry_tick

P, S, T = PrimaryProcessorBased, SecondaryProcessorBased, TertiaryProcessorBased
BITMAP, INDICES, DATA = 0x44000, 0x20400, 0x20800
SYSENTER_CS, KERNEL_GS_BASE, SPEC_CTRL, DEADLINE = 0x174, 0xC000_0102, 0x48, 0x6E0


@pytest.fixture
def bench():
    return VmxBench()


def run(bench, code, *controls, **fields):
    """Launch a guest with MSR bitmaps and let it run to its first exit; gives the basic exit reason."""
    changes = {F.MSR_BITMAP_ADDRESS: BITMAP, **{F[name]: value for name, value in fields.items()}}
    bench.guest(code, changed(having(LONG, P.use_msr_bitmaps, *controls), changes))
    bench.launch()
    assert bench.in_host
    return bench.reason


# RDMSRLIST and WRMSRLIST

RDMSRLIST, WRMSRLIST, WRMSRNS = b"\xf2\x0f\x01\xc6", b"\xf3\x0f\x01\xc6", b"\x0f\x01\xc6"


def tables(bench, indices, data=()):
    """The tables at RSI and RDI."""
    bench.engine.write_physical(INDICES, struct.pack(f"<{len(indices)}Q", *indices))
    bench.engine.write_physical(DATA, struct.pack(f"<{max(1, len(data))}Q", *(data or (0,))))
    bench.state.gpr[6], bench.state.gpr[7] = INDICES, DATA


def test_rdmsrlist_reads_the_msrs_of_the_mask(bench):
    bench.state.sysenter_cs, bench.state.kernel_gs_base = 0x1234, 0x5678
    tables(bench, [SYSENTER_CS, 0xFFFF, KERNEL_GS_BASE], [1, 2, 3])
    bench.state.gpr[1] = 0b101
    bench.step(RDMSRLIST, 2)
    assert [bench.quad(DATA + 8 * n) for n in range(3)] == [0x1234, 2, 0x5678]
    assert bench.state.gpr[1] == 0


def test_wrmsrlist_writes_them(bench):
    tables(bench, [SYSENTER_CS, KERNEL_GS_BASE], [0x1234, 0x5678])
    bench.state.gpr[1] = 0b11
    bench.step(WRMSRLIST, 2)
    assert (bench.state.sysenter_cs, bench.state.kernel_gs_base, bench.state.gpr[1]) == (0x1234, 0x5678, 0)


def test_a_list_can_be_interrupted_between_two_msrs(bench):
    tables(bench, [SYSENTER_CS, KERNEL_GS_BASE], [0x1234, 0x5678])
    bench.state.gpr[1] = 0b11
    bench.step(WRMSRLIST, 1)
    assert (bench.state.sysenter_cs, bench.state.gpr[1], bench.state.rip) == (0x1234, 0b10, 0x10000)


def test_an_empty_list_does_nothing(bench):
    bench.state.gpr[1], bench.state.gpr[6] = 0, 1
    bench.step(RDMSRLIST)
    assert bench.state.rip == 0x10004


@pytest.mark.parametrize("code", [RDMSRLIST, WRMSRLIST])
@pytest.mark.parametrize("indices", [[1 << 32], [0x1FFF]])
def test_msrs_that_do_not_exist(bench, code, indices):
    tables(bench, indices)
    bench.state.gpr[1] = 1
    assert bench.vector_of(code) == Vector.GP
    assert bench.state.gpr[1] == 1


@pytest.mark.parametrize("register", [6, 7])
def test_tables_are_aligned(bench, register):
    tables(bench, [SYSENTER_CS])
    bench.state.gpr[1] = 1
    bench.state.gpr[register] += 4
    assert bench.vector_of(RDMSRLIST) == Vector.GP


@pytest.mark.parametrize("code", [RDMSRLIST, WRMSRLIST])
def test_lists_need_their_control_in_a_guest(bench, code):
    assert run(bench, code, EXCEPTION_BITMAP=1 << 6) == R.EXCEPTION_OR_NMI
    assert bench[F.VM_EXIT_INTERRUPTION_INFORMATION] == 0x8000_0306


@pytest.mark.parametrize(("code", "reason"), [(RDMSRLIST, R.RDMSRLIST), (WRMSRLIST, R.WRMSRLIST)])
def test_lists_exit_without_msr_bitmaps(bench, code, reason):
    bench.guest(code, having(LONG, T.enable_msr_list))
    bench.launch()
    assert (bench.reason, bench.qualification, bench[F.VM_EXIT_INSTRUCTION_LENGTH]) == (reason, 0, 4)


@pytest.mark.parametrize(("code", "reason", "place"), [(RDMSRLIST, R.RDMSRLIST, 1024), (WRMSRLIST, R.WRMSRLIST, 3072)])
def test_lists_exit_at_the_msr_that_the_bitmap_names(bench, code, reason, place):
    tables(bench, [SYSENTER_CS, KERNEL_GS_BASE], [0x11, 0x22])
    bench.state.gpr[1] = 0b11
    bench.engine.write_physical(BITMAP + place + (0x102 >> 3), bytes([1 << (0x102 & 7)]))
    assert run(bench, code, T.enable_msr_list) == reason
    assert (bench.qualification, bench.state.gpr[1], bench[F.GUEST_RIP]) == (KERNEL_GS_BASE, 0b10, GUEST)
    assert bench[F.MSR_DATA] == (0x22 if code == WRMSRLIST else 0)


def test_wrmsrns_exits_as_wrmsr(bench):
    bench.state.gpr[0], bench.state.gpr[1], bench.state.gpr[2] = 0x33, SYSENTER_CS, 0
    bench.step(WRMSRNS)
    assert bench.state.sysenter_cs == 0x33
    bench.guest(WRMSRNS, LONG)
    bench.launch()
    assert (bench.reason, bench[F.VM_EXIT_INSTRUCTION_LENGTH]) == (R.WRMSR, 3)


# IA32_SPEC_CTRL


def test_spec_ctrl_stays_without_controls_and_is_saved(bench):
    bench.state.spec_ctrl = 5
    assert run(bench, "vmcall", GUEST_IA32_SPEC_CTRL=1, HOST_IA32_SPEC_CTRL=2) == R.VMCALL
    assert (bench[F.GUEST_IA32_SPEC_CTRL], bench.state.spec_ctrl) == (5, 5)


def test_spec_ctrl_is_switched_under_controls(bench):
    controls = Entry.load_spec_ctrl, PrimaryExit.activate_secondary, SecondaryExit.load_spec_ctrl
    assert run(bench, "vmcall", *controls, GUEST_IA32_SPEC_CTRL=1, HOST_IA32_SPEC_CTRL=2) == R.VMCALL
    assert (bench[F.GUEST_IA32_SPEC_CTRL], bench.state.spec_ctrl) == (1, 2)


@pytest.mark.parametrize(("before", "mask", "written", "after"), [(0, 0, 5, 5), (1, 1, 4, 5), (4, 4, 1, 5), (0, 7, 7, 0)])
def test_the_guest_sees_what_it_wrote_to_spec_ctrl(bench, before, mask, written, after):
    bench.state.spec_ctrl = before
    code = f"mov ecx, 0x48\nmov eax, {written}\nxor edx, edx\nwrmsr\nrdmsr\nvmcall"
    assert run(bench, code, T.virtualize_spec_ctrl, IA32_SPEC_CTRL_MASK=mask) == R.VMCALL
    assert (bench.state.gpr[0], bench[F.IA32_SPEC_CTRL_SHADOW], bench.state.spec_ctrl) == (written, written, after)


def test_the_shadow_answers_before_the_first_write(bench):
    bench.state.spec_ctrl = 1
    assert run(bench, "mov ecx, 0x48\nrdmsr\nvmcall", T.virtualize_spec_ctrl, IA32_SPEC_CTRL_SHADOW=4) == R.VMCALL
    assert bench.state.gpr[0] == 4


def test_reserved_bits_of_a_virtualized_spec_ctrl_fault(bench):
    code = "mov ecx, 0x48\nmov eax, 0x80\nxor edx, edx\nwrmsr"
    assert run(bench, code, T.virtualize_spec_ctrl, EXCEPTION_BITMAP=1 << 13) == R.EXCEPTION_OR_NMI
    assert bench[F.VM_EXIT_INTERRUPTION_INFORMATION] == 0x8000_0B0D


# IPI virtualization

VIRTUAL_APIC, APIC_ACCESS, PID_POINTERS, DESCRIPTOR = 0x48000, 0x49000, 0x4A000, 0x4B040
APIC = (P.use_tpr_shadow, S.virtual_interrupt_delivery, PinBased.external_interrupt_exiting)
PIDS = {"VIRTUAL_APIC_ADDRESS": VIRTUAL_APIC, "PID_POINTER_TABLE_ADDRESS": PID_POINTERS, "LAST_PID_POINTER_INDEX": 3}


def posting(bench, notification=0xF2 << 16 | 0x55 << 32, pointer=DESCRIPTOR | 1):
    """PID pointer 2 names the descriptor; the others are not valid."""
    bench.engine.write_physical(PID_POINTERS, struct.pack("<4Q", 0, 0, pointer, 0))
    bench.engine.write_physical(DESCRIPTOR, bytes(32) + struct.pack("<4Q", notification, 0, 0, 0))


def x2apic(bench, command, target, *controls):
    """WRMSR of the ICR in x2APIC mode; gives the exit reason."""
    code = f"mov ecx, 0x830\nmov eax, {command:#x}\nmov edx, {target:#x}\nwrmsr\nmov ebx, 7\nvmcall"
    return run(bench, code, *APIC, S.virtualize_x2apic_mode, T.ipi_virtualization, *controls, **PIDS)


def posted(bench):
    """The requests in the descriptor, and its word for notifications."""
    return int.from_bytes(bench.engine.read_physical(DESCRIPTOR, 32), "little"), bench.quad(DESCRIPTOR + 32)


def test_an_ipi_is_posted_and_the_notification_sent(bench):
    posting(bench)
    requests = []
    bench.guest(b"", LONG)
    code = "mov ecx, 0x830\nmov eax, 0x41\nmov edx, 2\nwrmsr\nmov ebx, 7\nvmcall"
    controls = (*APIC, S.virtualize_x2apic_mode, T.ipi_virtualization, P.use_msr_bitmaps)
    bench.guest(code, changed(having(LONG, *controls), {F.MSR_BITMAP_ADDRESS: BITMAP, **{F[n]: v for n, v in PIDS.items()}}))
    requests.append(bench.launch())
    assert requests == [HostRequest.NOTIFY]
    assert (bench.state.request_address, bench.state.request_value) == (0xF2, 0x55)
    assert posted(bench) == (1 << 0x41, 0xF2 << 16 | 0x55 << 32 | 1)
    bench.processor.run(10)
    assert (bench.reason, bench.state.gpr[3]) == (R.VMCALL, 7)
    assert bench.quad(VIRTUAL_APIC + 0x300) == 2 << 32 | 0x41


@pytest.mark.parametrize("notification", [1, 2, 3])
def test_no_notification_where_one_is_outstanding_or_suppressed(bench, notification):
    posting(bench, notification)
    assert x2apic(bench, 0x41, 2) == R.VMCALL
    assert posted(bench) == (1 << 0x41, notification)


@pytest.mark.parametrize(
    ("command", "target", "pointer"),
    [
        (0x0F, 2, DESCRIPTOR | 1),
        (0x41, 3, DESCRIPTOR | 1),
        (0x41, 4, DESCRIPTOR | 1),
        (0x41, 2, DESCRIPTOR),
        (0x41, 2, DESCRIPTOR | 3),
        (0x41, 2, 1 << 46 | DESCRIPTOR | 1),
        (0x441, 2, DESCRIPTOR | 1),
        (0x841, 2, DESCRIPTOR | 1),
        (0x8041, 2, DESCRIPTOR | 1),
        (0xC0041, 2, DESCRIPTOR | 1),
        (0x80041, 2, DESCRIPTOR | 1),
    ],
)
def test_what_cannot_be_posted_exits(bench, command, target, pointer):
    posting(bench, pointer=pointer)
    assert x2apic(bench, command, target) == R.APIC_WRITE
    assert bench.qualification == 0x300
    assert bench.quad(VIRTUAL_APIC + 0x300) == target << 32 | command
    assert posted(bench)[0] == 0


@pytest.mark.parametrize("reserved", [1 << 13, 1 << 16, 1 << 20])
def test_reserved_bits_of_the_command_fault(bench, reserved):
    code = f"mov ecx, 0x830\nmov eax, {0x41 | reserved:#x}\nmov edx, 2\nwrmsr"
    fields = {**PIDS, "EXCEPTION_BITMAP": 1 << 13}
    assert run(bench, code, *APIC, S.virtualize_x2apic_mode, T.ipi_virtualization, **fields) == R.EXCEPTION_OR_NMI


def test_a_self_ipi_stays_one(bench):
    posting(bench)
    assert x2apic(bench, 0x40041, 0) == R.VMCALL
    assert bench[F.GUEST_INTERRUPT_STATUS] == 0x41
    assert posted(bench)[0] == 0


def test_an_ipi_through_the_apic_page(bench):
    posting(bench, 1)
    bench.engine.write_physical(VIRTUAL_APIC + 0x310, struct.pack("<I", 2 << 24))
    code = f"mov rbx, {APIC_ACCESS:#x}\nmov dword ptr [rbx+0x300], 0x41\nnop\nvmcall"
    fields = {**PIDS, "APIC_ACCESS_ADDRESS": APIC_ACCESS}
    assert run(bench, code, P.use_tpr_shadow, S.virtualize_apic_accesses, T.ipi_virtualization, **fields) == R.VMCALL
    assert posted(bench)[0] == 1 << 0x41


# The guest's APIC timer

TIMER = (*APIC, T.apic_timer_virtualization)
TIMED = {"VIRTUAL_APIC_ADDRESS": VIRTUAL_APIC, "VIRTUAL_TIMER_VECTOR": 0x51}


def test_the_guest_reads_its_deadline_as_it_wrote_it(bench):
    code = "mov ecx, 0x6E0\nmov eax, 0x99999999\nmov edx, 7\nwrmsr\nxor eax, eax\nrdmsr\nvmcall"
    assert run(bench, code, *TIMER, P.use_tsc_offsetting, TSC_OFFSET=0x1000, **TIMED) == R.VMCALL
    assert bench.state.gpr[0] | bench.state.gpr[2] << 32 == 0x7_9999_9999
    assert (bench[F.GUEST_DEADLINE_SHADOW], bench[F.GUEST_DEADLINE]) == (0x7_9999_9999, 0x7_9999_8999)
    assert bench.state.vmx_guest_deadline == 0
    assert bench.state.tsc_deadline == 0


@pytest.mark.parametrize(
    ("value", "multiplier", "deadline"),
    [(1 << 40, 2 << 48, 1 << 39), (3 << 40, 1 << 47, 6 << 40), (1 << 63, 1 << 40, (1 << 64) - 1), (10**12, 3 << 47, 10**12 * 2 // 3)],
)
def test_scaling_is_undone(bench, value, multiplier, deadline):
    code = f"mov ecx, 0x6E0\nmov eax, {value & 0xFFFF_FFFF}\nmov edx, {value >> 32}\nwrmsr\nvmcall"
    assert run(bench, code, *TIMER, P.use_tsc_offsetting, S.use_tsc_scaling, TSC_MULTIPLIER=multiplier, **TIMED) == R.VMCALL
    assert bench[F.GUEST_DEADLINE] == deadline


def test_zero_stops_the_timer(bench):
    code = "mov ecx, 0x6E0\nxor eax, eax\nxor edx, edx\nwrmsr\nvmcall"
    assert run(bench, code, *TIMER, GUEST_DEADLINE=1 << 40, GUEST_DEADLINE_SHADOW=5, **TIMED) == R.VMCALL
    assert (bench[F.GUEST_DEADLINE], bench[F.GUEST_DEADLINE_SHADOW]) == (0, 0)


@pytest.mark.parametrize("distance", [1, 5, 100])
def test_an_expired_timer_posts_its_vector_exactly(bench, distance):
    """The guest counts in RBX until the interrupt comes, whose handler exits by HLT."""
    bench.install_tables()
    bench.state.gpr[3] = 0
    deadline = bench.processor.ticks + 1 + distance
    fields = {"GUEST_GDTR_BASE": 0x18000, "GUEST_GDTR_LIMIT": 23, "GUEST_IDTR_BASE": 0x19000, "GUEST_IDTR_LIMIT": 0xFFF}
    fields |= {"GUEST_RFLAGS": 0x202, "GUEST_DEADLINE": deadline, "GUEST_DEADLINE_SHADOW": 9}
    changes = {F[name]: value for name, value in (fields | TIMED).items()}
    bench.guest("inc rbx\n" * 200, changed(having(LONG, *TIMER, P.hlt_exiting), changes))
    bench.launch(count=250)
    while bench.reason == NO_EXIT:
        bench.processor.run(250)
    assert (bench.reason, bench[F.GUEST_RIP]) == (R.HLT, 0x1A000 + 16 * 0x51)
    assert bench.state.gpr[3] == distance
    assert (bench[F.GUEST_DEADLINE], bench[F.GUEST_DEADLINE_SHADOW]) == (0, 0)
    assert bench[F.GUEST_INTERRUPT_STATUS] == 0x5100


def test_who_skips_idle_time_knows_of_it(bench):
    bench.guest("hlt", changed(having(LONG, *TIMER), {F.GUEST_DEADLINE: 5000, **{F[n]: v for n, v in TIMED.items()}}))
    assert bench.launch() == HostRequest.HALT
    assert expiry_tick(bench.state) == 5000
