"""What the newest model allows that others refuse: VMWRITE to every field, and injection with or without error code and length."""

import pytest

from tests.vmx.vmx_bench import GUEST, HANDLERS, NO_EXIT, SUCCEED, VALID, VmxBench
from tests.vmx.witness import LONG, PrimaryProcessorBased, changed, having
from vmxon.arch.models import MAX, NEWEST
from vmxon.vmx.errors import InstructionError
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField as F

TABLES = {F.GUEST_GDTR_BASE: 0x18000, F.GUEST_GDTR_LIMIT: 23, F.GUEST_IDTR_BASE: 0x19000, F.GUEST_IDTR_LIMIT: 0xFFF}


@pytest.mark.parametrize(("model", "flags", "value"), [(MAX, VALID, 5), (NEWEST, SUCCEED, 7)])
def test_vmwrite_to_a_read_only_field(model, flags, value):
    bench = VmxBench(model=model)
    bench[F.EXIT_QUALIFICATION] = 5
    bench.state.gpr[1], bench.state.gpr[2] = F.EXIT_QUALIFICATION, 7
    assert bench.steps("vmwrite rcx, rdx") & 0xFF == flags
    assert bench[F.EXIT_QUALIFICATION] == value
    if flags == VALID:
        assert bench[F.VM_INSTRUCTION_ERROR] == InstructionError.VMWRITE_READ_ONLY


def inject(model, event, code=0, length=0):
    """Enter a guest with an event; the bench, whose guest exits by the HLT of the handler."""
    bench = VmxBench(model=model)
    bench.install_tables()
    fields = {F.VM_ENTRY_INTERRUPTION_INFORMATION: event, F.VM_ENTRY_EXCEPTION_ERROR_CODE: code, F.VM_ENTRY_INSTRUCTION_LENGTH: length}
    bench.guest("nop", changed(having(LONG, PrimaryProcessorBased.hlt_exiting), TABLES, fields))
    bench.launch()
    return bench


@pytest.mark.parametrize(
    ("event", "frame"),
    [
        (0x8000_030D, [GUEST, 8]),
        (0x8000_0B06, [0x55, GUEST, 8]),
        (0x8000_0480, [GUEST, 8]),
        (0x8000_0603, [GUEST, 8]),
    ],
    ids=["#GP without code", "#UD with code", "INT 80H of length 0", "INT3 of length 0"],
)
def test_injection(event, frame):
    assert inject(MAX, event, 0x55).reason == NO_EXIT
    bench = inject(NEWEST, event, 0x55)
    assert (bench.reason, bench[F.GUEST_RIP]) == (R.HLT, HANDLERS + 16 * (event & 0xFF))
    stack = bench[F.GUEST_RSP]
    assert [bench.quad(stack + 8 * n) for n in range(len(frame))] == frame


@pytest.mark.parametrize("event", [0x8000_0B06, 0x8000_030D])
def test_the_nested_exception_bit_is_refused_all_the_same(event):
    assert inject(NEWEST, event | 1 << 13).reason == NO_EXIT
