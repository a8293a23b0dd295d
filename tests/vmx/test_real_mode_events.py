"""Events in a real-mode guest, and PAE guests under EPT: what is pushed, what is reported (Vol. 3C §27.6.1.3, §28.2.2, §27.3.2.4)."""

import struct

import pytest

from tests.vmx.test_ept import LARGE, PD, TARGET, WB, EptBench
from tests.vmx.vmx_bench import GUEST
from tests.vmx.witness import PAE_EPT, REAL_MODE, PrimaryProcessorBased
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField as F

HANDLER = 0x500
STACK = 0x8000
EVENT, LENGTH = "VM_ENTRY_INTERRUPTION_INFORMATION", "VM_ENTRY_INSTRUCTION_LENGTH"


def run(code, **fields):
    """A real-mode guest at GUEST whose vector table at 0 leads to VMCALLs at HANDLER + 16 n."""
    bench = EptBench()
    for vector in range(64):
        bench.engine.write_physical(4 * vector, struct.pack("<HH", HANDLER + 16 * vector, 0))
        bench.engine.write_physical(HANDLER + 16 * vector, b"\x0f\x01\xc1")
    place = {"GUEST_CS_BASE": GUEST, "GUEST_CS_SELECTOR": GUEST >> 4, "GUEST_RIP": 0, "GUEST_RSP": STACK, "GUEST_IDTR_LIMIT": 0x3FF}
    bench.run(code, base=REAL_MODE, bits=16, **(place | fields))
    return bench


@pytest.mark.parametrize(
    ("event", "length", "ip"),
    [(0x8000_0020, 0, 0), (0x8000_0202, 0, 0), (0x8000_0306, 0, 0), (0x8000_0421, 2, 2), (0x8000_0603, 1, 1), (0x8000_0501, 1, 1)],
)
def test_injection(event, length, ip):
    bench = run("nop", GUEST_RFLAGS=0x202, **{EVENT: event, LENGTH: length})
    assert bench.reason == R.VMCALL
    assert bench[F.GUEST_RIP] == HANDLER + 16 * (event & 0xFF)
    assert struct.unpack("<3H", bench.engine.read_physical(STACK - 6, 6)) == (ip, GUEST >> 4, 0x202)
    assert bench[F.GUEST_RFLAGS] == 2


@pytest.mark.parametrize(
    ("code", "vector", "length"),
    [("ud2", 6, None), ("int 0x21", 0x21, None), ("int3", 3, None), ("xor dx, dx\nmov cx, dx\ndiv cx", 0, None)],
)
def test_exceptions_go_through_the_table(code, vector, length):
    bench = run(code)
    assert (bench.reason, bench[F.GUEST_RIP]) == (R.VMCALL, HANDLER + 16 * vector)


@pytest.mark.parametrize(
    ("fields", "vectoring"),
    [
        ({EVENT: 0x8000_0020, "GUEST_RFLAGS": 0x202}, 0x8000_0020),
        ({EVENT: 0x8000_0421, LENGTH: 2}, 0x8000_0421),
        ({EVENT: 0x8000_030D}, 0),
    ],
)
def test_a_table_that_is_too_short_makes_gp_without_a_code(fields, vectoring):
    bench = run("nop", GUEST_IDTR_LIMIT=0x33, EXCEPTION_BITMAP=1 << 13 | 1 << 8, **fields)
    assert bench.reason == R.EXCEPTION_OR_NMI
    assert bench[F.VM_EXIT_INTERRUPTION_INFORMATION] == 0x8000_030D
    assert bench[F.IDT_VECTORING_INFORMATION] == (vectoring or 0x8000_030D)
    assert bench[F.GUEST_RIP] == 0


def test_ports_and_hlt_have_no_privilege_there():
    bench = run("hlt", PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS=0x8400_6172 | PrimaryProcessorBased.hlt_exiting.mask)
    assert (bench.reason, bench[F.GUEST_RIP]) == (R.HLT, 0)


# PAE under EPT

POINTERS, DIRECTORY = 0x6000, 0x7000
ENTRIES = {f"GUEST_PDPTE{n}": DIRECTORY | 1 if n == 0 else 0 for n in range(4)}


def pae(code, **fields):
    """A PAE guest under EPT with an identity map of its first GiB."""
    bench = EptBench()
    bench.engine.write_physical(DIRECTORY, struct.pack("<512Q", *(n << 21 | 0x87 for n in range(512))))
    bench.engine.write_physical(POINTERS, struct.pack("<4Q", DIRECTORY | 1, 0, 0, 0))
    bench.run(code, base=PAE_EPT, bits=32, **({"GUEST_CR3": POINTERS} | ENTRIES | fields))
    return bench


def test_entry_takes_the_pdptes_from_the_vmcs_and_exit_saves_them():
    bench = pae("mov eax, [0x20000]\nvmcall", GUEST_CR3=0x45000, GUEST_PDPTE3=0x46001)
    assert bench.reason == R.VMCALL
    assert [bench[F[f"GUEST_PDPTE{n}"]] for n in (0, 3)] == [DIRECTORY | 1, 0x46001]


def test_mov_to_cr3_loads_them_from_memory():
    bench = pae(f"mov eax, {POINTERS:#x}\nmov cr3, eax\nvmcall", GUEST_CR3=0x45000, GUEST_PDPTE3=0x46001)
    assert bench.reason == R.VMCALL
    assert [bench[F[f"GUEST_PDPTE{n}"]] for n in (0, 3)] == [DIRECTORY | 1, 0]


@pytest.mark.parametrize("rights", [0, 4, 5])
def test_the_load_is_a_read_without_a_linear_address(rights):
    bench = EptBench()
    bench.engine.write_physical(DIRECTORY, struct.pack("<512Q", *(n << 21 | 0x87 for n in range(512))))
    bench.engine.write_physical(TARGET + 0x40, struct.pack("<4Q", DIRECTORY | 1, 0, 0, 0))
    bench.entry(PD + 8, TARGET | rights | LARGE | WB if rights else 0)
    fields = {"GUEST_CR3": POINTERS} | ENTRIES
    reason = bench.run(f"mov eax, {TARGET + 0x40:#x}\nmov cr3, eax\nvmcall", base=PAE_EPT, bits=32, **fields)
    if rights & 1:
        assert reason == R.VMCALL
        return
    assert reason == R.EPT_VIOLATION
    assert (bench.qualification & 0x1FF, bench[F.GUEST_PHYSICAL_ADDRESS]) == (1 | rights << 3, TARGET + 0x40)
    assert bench[F.GUEST_CR3] == POINTERS


def test_bad_pdptes_in_memory_fault():
    bench = EptBench()
    bench.engine.write_physical(DIRECTORY, struct.pack("<512Q", *(n << 21 | 0x87 for n in range(512))))
    bench.engine.write_physical(0x8000, struct.pack("<4Q", DIRECTORY | 1, 0, 0x46007, 0))
    code = "mov eax, 0x8000\nmov cr3, eax\nvmcall"
    assert bench.run(code, base=PAE_EPT, bits=32, GUEST_CR3=POINTERS, EXCEPTION_BITMAP=1 << 13, **ENTRIES) == R.EXCEPTION_OR_NMI
    assert bench[F.GUEST_CR3] == POINTERS
