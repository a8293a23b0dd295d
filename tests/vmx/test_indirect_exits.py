"""VM exits while an event is delivered: what the event has changed by then (Vol. 3C §28.1 “Architectural State Before a VM Exit”)."""

import struct

import pytest

from tests.vmx.test_ept import ALL, LARGE, PD, TARGET, WB, EptBench
from tests.vmx.vmx_bench import GDT, GUEST, IDT, TSS, VmxBench
from tests.vmx.witness import LONG, PROTECTED, PinBased, PrimaryProcessorBased, changed, having
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField as F

RF = 1 << 16
NO_HANDLER = {"GUEST_IDTR_LIMIT": 0, "EXCEPTION_BITMAP": 1 << 13}
STI, MOV_SS, NMI = 1, 2, 8
HLT = 1


@pytest.mark.parametrize(
    ("event", "length", "before", "after"),
    [
        (0x8000_0030, 0, 0, 0),
        (0x8000_0202, 0, 0, NMI),
        (0x8000_0306, 0, STI, 0),
        (0x8000_0306, 0, MOV_SS, 0),
        (0x8000_0480, 2, STI, 0),
        (0x8000_0603, 1, MOV_SS, 0),
        (0x8000_0501, 1, MOV_SS, 0),
    ],
)
@pytest.mark.parametrize("virtual_nmis", [False, True])
def test_injected_events_end_shadows_and_block_nmis(event, length, before, after, virtual_nmis):
    bench = VmxBench()
    controls = (PinBased.nmi_exiting, PinBased.virtual_nmis) if virtual_nmis else ()
    fields = {"VM_ENTRY_INTERRUPTION_INFORMATION": event, "VM_ENTRY_INSTRUCTION_LENGTH": length, "GUEST_RFLAGS": 0x202}
    assert bench.exit_of("nop", *controls, GUEST_INTERRUPTIBILITY_STATE=before, **fields, **NO_HANDLER) == (R.EXCEPTION_OR_NMI, 13)
    assert (bench[F.IDT_VECTORING_INFORMATION], bench[F.GUEST_INTERRUPTIBILITY_STATE]) == (event, after)
    assert (bench[F.GUEST_RIP], bench[F.GUEST_RFLAGS]) == (GUEST, 0x202 | RF)
    assert bench.state.interruptibility == (0 if virtual_nmis else after)


@pytest.mark.parametrize("event", [0x8000_0030, 0x8000_0202, 0x8000_0301, 0x8000_0312])
def test_injected_events_end_hlt(event):
    bench = VmxBench()
    fields = {"VM_ENTRY_INTERRUPTION_INFORMATION": event, "GUEST_ACTIVITY_STATE": HLT, "GUEST_RFLAGS": 0x202}
    assert bench.exit_of("nop", **fields, **NO_HANDLER) == (R.EXCEPTION_OR_NMI, 13)
    assert bench[F.GUEST_ACTIVITY_STATE] == 0


def test_an_nmi_that_the_guest_takes_ends_hlt_and_blocks_nmis():
    bench = VmxBench()
    bench.guest("hlt", changed(LONG, {F[name]: value for name, value in NO_HANDLER.items()}))
    bench.launch()
    assert bench.state.activity == HLT
    bench.state.nmi_pending = bench.state.attention = 1
    bench.processor.run(10)
    assert bench[F.IDT_VECTORING_INFORMATION] == 0x8000_0202
    assert (bench[F.GUEST_ACTIVITY_STATE], bench[F.GUEST_INTERRUPTIBILITY_STATE], bench[F.GUEST_RIP]) == (0, NMI, GUEST + 1)


def test_page_faults_load_cr2_and_debug_exceptions_dr6():
    bench = VmxBench()
    code = "mov rax, 0x7fff00000000\nmov [rax], rbx"
    assert bench.exit_of(code, **NO_HANDLER) == (R.EXCEPTION_OR_NMI, 13)
    assert (bench[F.IDT_VECTORING_INFORMATION], bench[F.IDT_VECTORING_ERROR_CODE]) == (0x8000_0B0E, 2)
    assert bench.state.cr2 == 0x7FFF_0000_0000
    traced = VmxBench()
    assert traced.exit_of("nop\nnop", GUEST_RFLAGS=0x102, **NO_HANDLER) == (R.EXCEPTION_OR_NMI, 13)
    assert traced[F.IDT_VECTORING_INFORMATION] == 0x8000_0301
    assert (traced.state.dr[6] & 0x4000, traced[F.GUEST_PENDING_DEBUG_EXCEPTIONS]) == (0x4000, 0)


@pytest.mark.parametrize(
    ("bitmap", "reason", "vector", "vectoring"),
    [
        (1 << 13, R.EXCEPTION_OR_NMI, 13, 0x8000_0B0E),
        (1 << 8, R.EXCEPTION_OR_NMI, 8, 0),
        (0, R.TRIPLE_FAULT, 0, 0),
    ],
)
def test_faults_on_top_of_a_page_fault(bitmap, reason, vector, vectoring):
    bench = VmxBench()
    code = "mov rax, 0x7fff00000000\nmov [rax], rbx"
    assert bench.exit_of(code, GUEST_IDTR_LIMIT=0, EXCEPTION_BITMAP=bitmap) == (reason, vector)
    assert bench[F.IDT_VECTORING_INFORMATION] == vectoring
    assert bench.state.cr2 == 0x7FFF_0000_0000


@pytest.mark.parametrize(
    ("code", "vectoring", "length", "flag"),
    [("ud2", 0x8000_0306, None, RF), ("int 0x80", 0x8000_0480, 2, 0), ("int3", 0x8000_0603, 1, 0), (b"\xf1", 0x8000_0501, 1, 0)],
)
def test_ept_violations_save_rf_as_the_event_would_push_it(code, vectoring, length, flag):
    bench = EptBench()
    bench.install_tables()
    bench.entry(PD + 8, TARGET | ALL & ~2 | LARGE | WB)
    tables = {"GUEST_GDTR_BASE": GDT, "GUEST_IDTR_BASE": IDT, "GUEST_TR_BASE": TSS, "GUEST_RSP": TARGET + 0x1000}
    assert bench.run(code, **tables) == R.EPT_VIOLATION
    assert (bench[F.IDT_VECTORING_INFORMATION], bench[F.GUEST_RFLAGS] & RF, bench[F.GUEST_RIP]) == (vectoring, flag, GUEST)
    assert length is None or bench[F.VM_EXIT_INSTRUCTION_LENGTH] == length


@pytest.mark.parametrize(("code", "vectoring", "flag"), [("ud2", 0x8000_0306, RF), ("int 6", 0x8000_0406, 0)])
def test_task_gates_save_rf_as_the_old_task_would_keep_it(code, vectoring, flag):
    bench = VmxBench()
    write = bench.engine.write_physical
    write(0x5000, struct.pack("<1024I", *(n << 22 | 0x83 for n in range(1024))))
    write(GDT, struct.pack("<4Q", 0, 0x00CF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF, 0x0000_8901_B000_0067))
    write(IDT + 8 * 6, struct.pack("<Q", 0x18 << 16 | 0x8500 << 32))
    paging = {"GUEST_CR3": 0x5000, "GUEST_CR4": 0x2010, "GUEST_GDTR_BASE": GDT, "GUEST_GDTR_LIMIT": 31, "GUEST_IDTR_BASE": IDT}
    assert bench.exit_of(code, base=PROTECTED, bits=32, **paging) == (R.TASK_SWITCH, 0)
    assert (bench.qualification, bench[F.IDT_VECTORING_INFORMATION]) == (3 << 30 | 0x18, vectoring)
    assert (bench[F.GUEST_RFLAGS] & RF, bench[F.GUEST_RIP]) == (flag, GUEST)


def test_a_guest_in_ia32e_mode_cannot_exit_to_a_short_host():
    from tests.vmx.test_modes import PAE_POINTERS, short_host
    from tests.vmx.witness import SHORT_HOST

    bench = short_host(True)
    roots = {F.HOST_CR3: PAE_POINTERS, F.HOST_CR4: 0x2020, F.GUEST_CR3: PAE_POINTERS, F.GUEST_CR4: 0x2020}
    bench.guest("nop\nvmcall", changed(having(SHORT_HOST, PrimaryProcessorBased.hlt_exiting), roots), 32)
    bench.launch(count=2)
    bench.state.efer |= 0x500
    bench.processor.run(10)
    assert bench.state.vmx_abort == 6
    assert bench.engine.read_physical(bench.state.vmcs_pointer + 4, 4) == struct.pack("<I", 6)
