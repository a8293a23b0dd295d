"""Guests entered in an activity state other than active: what ends it (Vol. 3C §25.4.2, §27.7.2)."""

import pytest

from tests.vmx.vmx_bench import GDT, GUEST, HANDLERS, IDT, NO_EXIT, VmxBench
from tests.vmx.witness import LONG, PinBased, changed, having
from vmxon.processor.state import HostRequest
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField as F

SHUTDOWN = 2
TABLES = {F.GUEST_GDTR_BASE: GDT, F.GUEST_GDTR_LIMIT: 23, F.GUEST_IDTR_BASE: IDT, F.GUEST_IDTR_LIMIT: 0xFFF}


def waiting(*controls, **fields):
    """A guest that was entered in shutdown, and waits."""
    bench = VmxBench()
    bench.install_tables()
    state = {F.GUEST_ACTIVITY_STATE: SHUTDOWN, F.GUEST_RFLAGS: 0x202, F.GUEST_CS_SELECTOR: 8}
    bench.guest("vmcall", changed(having(LONG, *controls), TABLES, state, {F[name]: value for name, value in fields.items()}))
    assert bench.launch() == HostRequest.HALT
    assert (bench.reason, bench.in_host) == (NO_EXIT, False)
    return bench


def test_shutdown_lasts_until_an_nmi_is_delivered():
    bench = waiting()
    bench.state.nmi_pending = bench.state.attention = 1
    bench.processor.run(1)
    assert bench.state.rip in (HANDLERS + 32, HANDLERS + 33)
    assert not bench.in_host


@pytest.mark.parametrize(
    ("control", "signal", "reason"),
    [((PinBased.nmi_exiting,), "nmi_pending", R.EXCEPTION_OR_NMI), ((), "init_pending", R.INIT_SIGNAL)],
)
def test_nmis_and_init_exit_and_save_the_state(control, signal, reason):
    bench = waiting(*control)
    setattr(bench.state, signal, 1)
    bench.state.attention = 1
    bench.processor.run(5)
    assert (bench.reason, bench[F.GUEST_ACTIVITY_STATE], bench[F.GUEST_RIP]) == (reason, SHUTDOWN, GUEST)


@pytest.mark.parametrize("controls", [(), (PinBased.external_interrupt_exiting,)])
def test_external_interrupts_stay_pending(controls):
    bench = waiting(*controls)
    bench.state.interrupt_line = bench.state.attention = 1
    assert bench.processor.run(5) == HostRequest.HALT
    assert bench.reason == NO_EXIT


def test_the_preemption_timer_exits():
    bench = waiting(PinBased.preemption_timer, VMX_PREEMPTION_TIMER_VALUE=1000)
    bench.state.idle_ticks += 1 << 20
    bench.state.attention = 1
    bench.processor.run(5)
    assert (bench.reason, bench[F.GUEST_ACTIVITY_STATE]) == (R.PREEMPTION_TIMER, SHUTDOWN)
