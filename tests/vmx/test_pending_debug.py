"""Pending debug exceptions at entry and exit (Vol. 3C §27.7.3, §28.3.4), and single-stepping by branches."""

import pytest

from tests.vmx.vmx_bench import GDT, GUEST, HANDLERS, IDT, TSS, VmxBench
from tests.vmx.witness import Entry, PinBased, PrimaryExit, PrimaryProcessorBased
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField as F

P = PrimaryProcessorBased
DATA_MET, STEP = 0x1001, 0x4000
"""An enabled breakpoint 0; a single step."""
TABLES = {"GUEST_GDTR_BASE": GDT, "GUEST_IDTR_BASE": IDT, "GUEST_TR_BASE": TSS, "GUEST_RFLAGS": 0x202}
MOV_SS = 2


@pytest.mark.parametrize(
    ("event", "length", "blocking", "kept"),
    [
        (0x8000_0030, 0, 0, False),
        (0x8000_0202, 0, 0, False),
        (0x8000_0306, 0, 0, False),
        (0x8000_0306, 0, MOV_SS, False),
        (0x8000_0501, 1, 0, False),
        (0x8000_0501, 1, MOV_SS, False),
        (0x8000_0480, 2, 0, False),
        (0x8000_0480, 2, MOV_SS, True),
        (0x8000_0603, 1, 0, False),
        (0x8000_0603, 1, MOV_SS, True),
    ],
)
def test_an_injected_event_loses_them_unless_software_raised_it_behind_mov_ss(event, length, blocking, kept):
    bench = VmxBench()
    bench.install_tables()
    fields = {"VM_ENTRY_INTERRUPTION_INFORMATION": event, "VM_ENTRY_INSTRUCTION_LENGTH": length, "EXCEPTION_BITMAP": 2}
    state = {"GUEST_INTERRUPTIBILITY_STATE": blocking, "GUEST_PENDING_DEBUG_EXCEPTIONS": DATA_MET}
    expected = (R.EXCEPTION_OR_NMI, 1) if kept else (R.HLT, 0)
    assert bench.exit_of("ud2", P.hlt_exiting, **fields, **state, **TABLES) == expected
    assert bench[F.GUEST_RIP] == HANDLERS + 16 * (event & 0xFF)
    assert bench.qualification == (1 if kept else 0)
    assert bench[F.GUEST_PENDING_DEBUG_EXCEPTIONS] == 0


@pytest.mark.parametrize(
    ("code", "controls", "fields", "reason", "pending"),
    [
        ("nop\nvmcall", (P.monitor_trap_flag,), {"GUEST_RFLAGS": 0x102}, R.MONITOR_TRAP_FLAG, STEP),
        ("nop\nvmcall", (P.monitor_trap_flag,), {"GUEST_RFLAGS": 0x102, "GUEST_IA32_DEBUGCTL": 2}, R.MONITOR_TRAP_FLAG, 0),
        ("jmp 1f\nnop\n1: vmcall", (P.monitor_trap_flag,), {"GUEST_RFLAGS": 0x102, "GUEST_IA32_DEBUGCTL": 2}, R.MONITOR_TRAP_FLAG, STEP),
        ("cpuid", (), {"GUEST_INTERRUPTIBILITY_STATE": MOV_SS, "GUEST_PENDING_DEBUG_EXCEPTIONS": DATA_MET}, R.CPUID, DATA_MET),
        (
            "nop",
            (PinBased.preemption_timer,),
            {"GUEST_INTERRUPTIBILITY_STATE": MOV_SS, "GUEST_PENDING_DEBUG_EXCEPTIONS": DATA_MET},
            R.PREEMPTION_TIMER,
            DATA_MET,
        ),
        ("cpuid", (), {"GUEST_RFLAGS": 0x102}, R.CPUID, 0),
        ("nop\ncpuid", (), {"GUEST_PENDING_DEBUG_EXCEPTIONS": 0x3}, R.CPUID, 0),
    ],
)
def test_what_an_exit_saves(code, controls, fields, reason, pending):
    bench = VmxBench()
    assert bench.exit_of(code, Entry.load_debug_controls, *controls, **fields) == (reason, 0)
    assert bench[F.GUEST_PENDING_DEBUG_EXCEPTIONS] == pending


@pytest.mark.parametrize(
    ("code", "steps"),
    [
        ("nop\nnop\njmp 1f\nnop\n1: nop", 5),
        ("xor eax, eax\njnz 1f\njz 1f\nnop\n1: nop", 7),
        ("mov ecx, 3\nmov esi, 0x20000\nrep lodsb\ncall 1f\nnop\n1: nop", 18),
    ],
)
def test_btf_steps_from_branch_to_branch(code, steps):
    bench = VmxBench()
    stepping = {"GUEST_RFLAGS": 0x102, "GUEST_IA32_DEBUGCTL": 2, "EXCEPTION_BITMAP": 2}
    assert bench.exit_of(code, Entry.load_debug_controls, PrimaryExit.save_debug_controls, **stepping) == (R.EXCEPTION_OR_NMI, 1)
    assert (bench.qualification, bench[F.GUEST_RIP]) == (STEP, GUEST + steps)
    assert bench[F.GUEST_IA32_DEBUGCTL] == 2
