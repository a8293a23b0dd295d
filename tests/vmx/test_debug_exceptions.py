"""Debug exceptions that exit: their qualification, RF, and the debug registers, which they leave alone (Vol. 3C Table 28-1, §28.1)."""

import pytest

from tests.vmx.vmx_bench import GUEST, VmxBench
from tests.vmx.witness import Entry, PrimaryExit
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField as F

RF, TF = 1 << 16, 1 << 8
EXECUTE, WRITE, READ_WRITE = 0, 1, 3
DATA = 0x20000
STORE = f"mov eax, {DATA:#x}\nmov [rax], ecx\nnop"
DB = (R.EXCEPTION_OR_NMI, 1)
B0, B1, BD, BS = 1, 2, 1 << 13, 1 << 14


def breakpoint_at(number, condition, length=3):
    """DR7 bits that arm a breakpoint."""
    return 2 << 2 * number | condition << 16 + 4 * number | length << 18 + 4 * number


def outcome(code, dr7=0, *, bitmap=2, flags=2, addresses=(), **fields):
    """The first exit of a guest with armed breakpoints."""
    bench = VmxBench()
    for number, address in enumerate(addresses):
        bench.state.dr[number] = address
    bench.state.dr[6] = 0xFFFF_0FF0
    fields = {"GUEST_DR7": 0x400 | dr7, "GUEST_RFLAGS": flags, "EXCEPTION_BITMAP": bitmap, **fields}
    return bench, bench.exit_of(code, Entry.load_debug_controls, PrimaryExit.save_debug_controls, **fields)


@pytest.mark.parametrize(
    ("code", "dr7", "flags", "addresses", "qualification", "at", "resume"),
    [
        ("nop\nnop", 0, 2 | TF, (), BS, 1, 0),
        (STORE, breakpoint_at(0, WRITE), 2, (DATA,), B0, 7, 0),
        (STORE, breakpoint_at(0, WRITE), 2 | TF, (DATA,), BS, 5, 0),
        (STORE, breakpoint_at(0, WRITE) | breakpoint_at(1, READ_WRITE), 2, (DATA, DATA), B0 | B1, 7, 0),
        ("nop\nnop\nnop", breakpoint_at(1, EXECUTE, 0), 2, (0, GUEST + 1), B1, 1, 0),
        ("nop\nnop\nnop", breakpoint_at(0, EXECUTE, 0), 2 | RF, (GUEST,), None, 0, 0),
        ("mov rax, dr0", 1 << 13, 2, (), BD, 0, RF),
        ("mov dr1, rax", 1 << 13, 2, (), BD, 0, RF),
    ],
)
def test_conditions(code, dr7, flags, addresses, qualification, at, resume):
    bench, exit_ = outcome(f"{code}\nvmcall", dr7, flags=flags, addresses=addresses)
    if qualification is None:
        assert exit_ == (R.VMCALL, 0)
        return
    assert exit_ == DB
    assert bench[F.VM_EXIT_INTERRUPTION_INFORMATION] == 0x8000_0301
    assert (bench.qualification, bench[F.GUEST_RIP] - GUEST, bench[F.GUEST_RFLAGS] & RF) == (qualification, at, resume)
    assert (bench.state.dr[6], bench[F.GUEST_DR7]) == (0xFFFF_0FF0, 0x400 | dr7)
    assert bench[F.GUEST_PENDING_DEBUG_EXCEPTIONS] == 0


def test_a_single_step_onto_a_store_reports_both():
    bench, exit_ = outcome("mov [rbx], ecx\nnop", breakpoint_at(0, WRITE), flags=2 | TF, addresses=(0x38,))
    assert exit_ == DB
    assert bench.qualification in (BS, BS | B0)


@pytest.mark.parametrize(
    ("code", "bitmap", "information", "length"),
    [(b"\xf1", 2, 0x8000_0501, 1), (b"\xcc", 8, 0x8000_0603, 1), (b"\xcd\x03", 8, None, None), (b"\x48\xf1", 2, 0x8000_0501, 2)],
)
def test_software_exceptions(code, bitmap, information, length):
    bench, exit_ = outcome(code, bitmap=bitmap, GUEST_IDTR_LIMIT=0)
    if information is None:
        # INT n is no exception: the bitmap does not see it.
        assert exit_ == (R.TRIPLE_FAULT, 0)
        return
    assert exit_[0] == R.EXCEPTION_OR_NMI
    assert (bench[F.VM_EXIT_INTERRUPTION_INFORMATION], bench[F.VM_EXIT_INSTRUCTION_LENGTH]) == (information, length)
    assert (bench[F.GUEST_RIP], bench.qualification, bench.state.dr[6]) == (GUEST, 0, 0xFFFF_0FF0)


@pytest.mark.parametrize(("save", "load"), [(True, True), (True, False), (False, True), (False, False)])
def test_dr7_and_debugctl_are_switched_by_their_controls(save, load):
    bench = VmxBench()
    bench.state.dr[7], bench.state.debugctl = 0x402, 1
    controls = [*([PrimaryExit.save_debug_controls] if save else []), *([Entry.load_debug_controls] if load else [])]
    assert bench.exit_of("mov rax, dr7\nvmcall", *controls, GUEST_DR7=0x404, GUEST_IA32_DEBUGCTL=2) == (R.VMCALL, 0)
    ran = (0x404, 2) if load else (0x402, 1)
    assert bench.state.gpr[0] == ran[0]
    assert (bench[F.GUEST_DR7], bench[F.GUEST_IA32_DEBUGCTL]) == (ran if save else (0x404, 2))
    assert (bench.state.dr[7], bench.state.debugctl) == (0x400, 0)
