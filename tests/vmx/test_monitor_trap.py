"""Where the monitor trap flag exits (Vol. 3C §26.5.2 “Monitor Trap Flag”)."""

import pytest

from tests.vmx.vmx_bench import GDT, GUEST, HANDLERS, IDT, TSS, VmxBench
from tests.vmx.witness import PinBased, PrimaryProcessorBased
from vmxon.processor.state import HostRequest
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField as F

P = PrimaryProcessorBased
TRAP = (R.MONITOR_TRAP_FLAG, 0)
TABLES = {"GUEST_GDTR_BASE": GDT, "GUEST_IDTR_BASE": IDT, "GUEST_TR_BASE": TSS}
EVENT, LENGTH = "VM_ENTRY_INTERRUPTION_INFORMATION", "VM_ENTRY_INSTRUCTION_LENGTH"


def handler(vector):
    return HANDLERS + 16 * vector - GUEST


@pytest.mark.parametrize(
    ("code", "fields", "expected", "at"),
    [
        ("mov eax, 5\nnop", {}, TRAP, 5),
        ("jmp 1f\nnop\n1: nop", {}, TRAP, 3),
        ("rep lodsb\nnop", {}, TRAP, 0),
        ("xor ecx, ecx\nrep lodsb", {}, TRAP, 2),
        ("hlt", {}, TRAP, 1),
        ("mov ss, eax\nnop", {}, TRAP, 2),
        ("sti\nnop", {}, TRAP, 1),
        ("ud2", {}, TRAP, handler(6)),
        ("int 0x41", {}, TRAP, handler(0x41)),
        ("int3", {}, TRAP, handler(3)),
        (b"\xf1", {}, TRAP, handler(1)),
        ("mov rax, [rdx]", {}, TRAP, handler(14)),
        ("ud2", {"GUEST_IDTR_BASE": IDT + 16 * 8}, TRAP, handler(14)),
        ("cpuid", {}, (R.CPUID, 0), 0),
        ("ud2", {"EXCEPTION_BITMAP": 1 << 6}, (R.EXCEPTION_OR_NMI, 6), 0),
        ("ud2", {"GUEST_IDTR_LIMIT": 0}, (R.TRIPLE_FAULT, 0), 0),
        ("nop\nnop", {"GUEST_RFLAGS": 0x102, "EXCEPTION_BITMAP": 2}, TRAP, 1),
        ("nop", {EVENT: 0x8000_0041, "GUEST_RFLAGS": 0x202}, TRAP, handler(0x41)),
        ("nop", {EVENT: 0x8000_0202}, TRAP, handler(2)),
        ("nop", {EVENT: 0x8000_0441, LENGTH: 2}, TRAP, handler(0x41)),
        ("nop", {EVENT: 0x8000_0B0D}, TRAP, handler(13)),
        ("nop", {EVENT: 0x8000_0700}, TRAP, 0),
        ("nop", {"GUEST_PENDING_DEBUG_EXCEPTIONS": 0x1001}, TRAP, handler(1)),
        ("nop", {"GUEST_PENDING_DEBUG_EXCEPTIONS": 0x1001, "EXCEPTION_BITMAP": 2}, (R.EXCEPTION_OR_NMI, 1), 0),
    ],
)
def test_the_boundary(code, fields, expected, at):
    bench = VmxBench()
    bench.install_tables()
    gpr = bench.state.gpr
    gpr[0], gpr[1], gpr[2], gpr[6] = 0x10, 3, 0x7FFF_0000_0000, 0x20000
    assert bench.exit_of(code, P.monitor_trap_flag, **(TABLES | fields)) == expected
    assert bench[F.GUEST_RIP] - GUEST == at


def test_halting_exits_from_the_halt():
    bench = VmxBench()
    assert bench.exit_of("hlt", P.monitor_trap_flag) == TRAP
    assert bench[F.GUEST_ACTIVITY_STATE] == 1


@pytest.mark.parametrize("kind", ["nmi", "interrupt"])
def test_an_event_that_comes_before_the_first_instruction(kind):
    bench = VmxBench()
    bench.install_tables()
    bench.state.interruptibility = 8
    if kind == "nmi":
        bench.state.nmi_pending = 1
        assert bench.exit_of("nop", P.monitor_trap_flag, **TABLES) == TRAP
        assert bench[F.GUEST_RIP] == HANDLERS + 32
        return
    bench.state.interrupt_line = 1
    bench.guest("nop")
    fields = {F[name]: value for name, value in TABLES.items()} | {F.GUEST_RFLAGS: 0x202}
    for field, value in fields.items():
        bench[field] = value
    bench[F.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS] |= P.monitor_trap_flag.mask
    assert bench.launch() is HostRequest.ACKNOWLEDGE
    bench.state.acknowledged, bench.state.acknowledged_vector, bench.state.interrupt_line = 1, 0x31, 0
    bench.state.attention = 1
    bench.processor.run(20)
    assert (bench.reason, bench[F.GUEST_RIP]) == (R.MONITOR_TRAP_FLAG, HANDLERS + 16 * 0x31)


def test_each_resumed_step_exits_again():
    bench = VmxBench()
    assert bench.exit_of("mov ecx, 2\n1: loop 1b\nnop\nvmcall", P.monitor_trap_flag) == TRAP
    places = [bench[F.GUEST_RIP] - GUEST]
    for _ in range(4):
        bench.launch("vmresume")
        places.append(bench[F.GUEST_RIP] - GUEST)
    assert places == [5, 5, 7, 8, 8]
    assert bench.reason == R.VMCALL


def test_an_external_interrupt_exit_comes_instead():
    bench = VmxBench()
    bench.state.interrupt_line = 1
    assert bench.exit_of("nop", P.monitor_trap_flag, PinBased.external_interrupt_exiting) == (R.EXTERNAL_INTERRUPT, 0)
