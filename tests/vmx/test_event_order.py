"""What exits first where several things are due at one instruction boundary, and in which activity state (Vol. 3C §26.2, §27.7)."""

import itertools

import pytest

from tests.vmx.vmx_bench import GDT, GUEST, HANDLERS, IDT, TSS, VmxBench
from tests.vmx.witness import LONG, PinBased, PrimaryProcessorBased, SecondaryProcessorBased, changed, having
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField as F

P = PrimaryProcessorBased
ACTIVE, HLT, SHUTDOWN, WAIT_FOR_SIPI = range(4)
INTERRUPTS_ON, TRAP_FLAG, NO_EXIT = 0x202, 0x100, 0xFFFF
PRIORITY = (P.use_tpr_shadow, SecondaryProcessorBased.virtualize_apic_accesses)
PAGES = {F.VIRTUAL_APIC_ADDRESS: 0x50000, F.APIC_ACCESS_ADDRESS: 0x51000}
NMIS = (PinBased.nmi_exiting, PinBased.virtual_nmis)

DUE = {
    "TPR threshold": (PRIORITY, {**PAGES, F.TPR_THRESHOLD: 5}, None, (R.TPR_BELOW_THRESHOLD, 0)),
    "INIT": ((), {}, "init_pending", (R.INIT_SIGNAL, 0)),
    "MTF": ((), {F.VM_ENTRY_INTERRUPTION_INFORMATION: 0x8000_0700}, None, (R.MONITOR_TRAP_FLAG, 0)),
    "debug trap": ((), {F.GUEST_PENDING_DEBUG_EXCEPTIONS: 0x4000, F.EXCEPTION_BITMAP: 2}, None, (R.EXCEPTION_OR_NMI, 1)),
    "timer": ((PinBased.preemption_timer,), {F.VMX_PREEMPTION_TIMER_VALUE: 0}, None, (R.PREEMPTION_TIMER, 0)),
    "NMI window": ((*NMIS, P.nmi_window_exiting), {}, None, (R.NMI_WINDOW, 0)),
    "NMI": (NMIS, {}, "nmi_pending", (R.EXCEPTION_OR_NMI, 2)),
    "interrupt window": ((P.interrupt_window_exiting,), {}, None, (R.INTERRUPT_WINDOW, 0)),
    "interrupt": ((PinBased.external_interrupt_exiting,), {}, "interrupt_line", (R.EXTERNAL_INTERRUPT, 0)),
}
"""From the highest priority to the lowest: controls, fields, a signal, and the exit."""


def entered(*names, activity=ACTIVE, flags=INTERRUPTS_ON):
    """A guest at whose entry the events `names` are due."""
    bench = VmxBench()
    bench.state.interruptibility = 8
    fields = changed(LONG, {F.GUEST_RFLAGS: flags, F.GUEST_ACTIVITY_STATE: activity})
    for name in names:
        controls, more, signal, _ = DUE[name]
        fields = changed(having(fields, *controls), more)
        if signal:
            setattr(bench.state, signal, 1)
    bench.guest(b"\xeb\xfe", fields)
    bench.launch(count=20)
    return bench


def exit_of(bench):
    """The reason, and the vector where it is an exception or NMI."""
    vector = bench[F.VM_EXIT_INTERRUPTION_INFORMATION] & 0xFF if bench.reason == R.EXCEPTION_OR_NMI else 0
    return R(bench.reason), vector


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(DUE, 2)))
def test_the_higher_of_two_exits(first, second):
    bench = entered(first, second)
    assert bench.in_host
    assert exit_of(bench) == DUE[first][3]
    assert bench[F.GUEST_RIP] == GUEST


@pytest.mark.parametrize("name", DUE)
def test_halted_guests_exit_and_stay_halted(name):
    bench = entered(name, activity=HLT, flags=INTERRUPTS_ON | (TRAP_FLAG if name == "debug trap" else 0))
    assert exit_of(bench) == DUE[name][3]
    assert (bench[F.GUEST_ACTIVITY_STATE], bench[F.GUEST_RIP]) == (HLT, GUEST)


@pytest.mark.parametrize("activity", [SHUTDOWN, WAIT_FOR_SIPI])
@pytest.mark.parametrize("name", [name for name in DUE if name != "MTF"])
def test_shutdown_and_the_wait_for_sipi_hold_back(name, activity):
    bench = entered(name, activity=activity)
    if activity == SHUTDOWN and name in {"INIT", "timer", "NMI window", "NMI"}:
        assert exit_of(bench) == DUE[name][3]
        assert bench[F.GUEST_ACTIVITY_STATE] == SHUTDOWN
    else:
        assert (bench.reason, bench.in_host) == (NO_EXIT, False)


@pytest.mark.parametrize("name", ["monitor trap flag", "TPR threshold"])
def test_what_shutdown_held_back_comes_once_an_nmi_has_ended_it(name):
    bench = VmxBench()
    bench.install_tables()
    tables = {F.GUEST_GDTR_BASE: GDT, F.GUEST_IDTR_BASE: IDT, F.GUEST_TR_BASE: TSS, F.GUEST_ACTIVITY_STATE: SHUTDOWN}
    controls, fields = ((P.monitor_trap_flag,), {}) if name == "monitor trap flag" else DUE[name][:2]
    bench.guest("nop", changed(having(LONG, *controls), tables, fields))
    bench.launch(count=20)
    assert not bench.in_host
    bench.state.nmi_pending = bench.state.attention = 1
    bench.processor.run(20)
    assert bench.reason == (R.MONITOR_TRAP_FLAG if name == "monitor trap flag" else R.TPR_BELOW_THRESHOLD)
    assert (bench[F.GUEST_ACTIVITY_STATE], bench[F.GUEST_RIP]) == (ACTIVE, HANDLERS + 32)


@pytest.mark.parametrize("blocked", [1, 2])
@pytest.mark.parametrize(
    ("name", "waits"),
    [("TPR threshold", ()), ("INIT", ()), ("MTF", ()), ("timer", ()), ("interrupt window", (1, 2)), ("NMI window", (1, 2))],
)
def test_shadows_of_sti_and_mov_ss(name, waits, blocked):
    bench = VmxBench()
    controls, fields, signal, expected = DUE[name]
    state = {F.GUEST_RFLAGS: INTERRUPTS_ON, F.GUEST_INTERRUPTIBILITY_STATE: blocked}
    if signal:
        setattr(bench.state, signal, 1)
    bench.guest("nop\nnop\nvmcall", changed(having(LONG, *controls), fields, state))
    bench.launch(count=20)
    late = blocked in waits
    assert exit_of(bench) == expected
    assert (bench[F.GUEST_RIP], bench[F.GUEST_INTERRUPTIBILITY_STATE]) == (GUEST + late, 0 if late else blocked)
