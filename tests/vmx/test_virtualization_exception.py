"""Virtualization exceptions: which EPT violations become #VE, and what the guest finds (Vol. 3C §26.5.7)."""

import struct

import pytest

from tests.vmx.test_ept import ALL, EPTP, LARGE, LOAD, OTHER, PD, PDPT, STORE, TARGET, WB, EptBench
from tests.vmx.vmx_bench import GDT, GUEST, HANDLERS, IDT
from tests.vmx.witness import PrimaryProcessorBased, SecondaryProcessorBased
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField as F

AREA = 0x1E0000
SUPPRESS = 1 << 63
TABLES = {"GUEST_GDTR_BASE": GDT, "GUEST_GDTR_LIMIT": 23, "GUEST_IDTR_BASE": IDT, "GUEST_IDTR_LIMIT": 0xFFF}
CONTROLS = (SecondaryProcessorBased.ept_violation_ve, PrimaryProcessorBased.hlt_exiting)
HANDLER = HANDLERS + 16 * 20


class VirtualizationBench(EptBench):
    """Guests with handlers for all exceptions, which end in HLT."""

    def __init__(self) -> None:
        super().__init__()
        self.install_tables()
        self.entry(PD + 8, 0)

    def run_ve(self, code: str, *controls: object, **fields: int) -> int:
        """Launch with #VE; gives the exit reason."""
        area = {"VIRTUALIZATION_EXCEPTION_INFORMATION_ADDRESS": AREA}
        return self.run(code, *CONTROLS, *controls, **TABLES, **area, **fields)

    @property
    def area(self) -> tuple[int, ...]:
        """Reason, busy word, qualification, linear address, guest-physical address, EPTP index."""
        return struct.unpack("<IIQQQH", self.engine.read_physical(AREA, 34))


@pytest.fixture
def bench():
    return VirtualizationBench()


def test_the_guest_gets_the_violation(bench):
    assert bench.run_ve(STORE, EPTP_INDEX=0x1234) == R.HLT
    assert bench[F.GUEST_RIP] == HANDLER
    assert bench.area == (R.EPT_VIOLATION, 0xFFFF_FFFF, 0x782, TARGET, TARGET, 0x1234)
    frame = bench.quad(bench[F.GUEST_RSP])
    assert frame == GUEST + 7, "a fault without error code: RIP of the instruction is on top"
    assert bench.quad(bench[F.GUEST_RSP] + 16) & 1 << 16, "RF"


@pytest.mark.parametrize(
    ("place", "entry", "convertible"),
    [
        (PD + 8, 0, True),
        (PD + 8, SUPPRESS, False),
        (PD + 8, TARGET | 1 | LARGE | WB, True),
        (PD + 8, TARGET | 1 | LARGE | WB | SUPPRESS, False),
        (PD + 8, TARGET | ALL | LARGE | WB | SUPPRESS, None),
        (PDPT, 0x102000 | ALL | SUPPRESS, True),
        (PD + 8, OTHER | ALL | SUPPRESS, True),
    ],
)
def test_bit_63_of_the_entry_that_ends_the_walk_suppresses(bench, place, entry, convertible):
    bench.entry(place, entry)
    reason = bench.run_ve(STORE)
    if convertible is None:
        assert reason == R.VMCALL
    else:
        assert reason == (R.HLT if convertible else R.EPT_VIOLATION)


def test_without_the_control_it_exits(bench):
    assert bench.run(STORE, **TABLES) == R.EPT_VIOLATION


@pytest.mark.parametrize("busy", [1, 0x8000_0000, 0xFFFF_FFFF])
def test_a_busy_area_makes_it_exit(bench, busy):
    bench.engine.write_physical(AREA + 4, struct.pack("<I", busy))
    assert bench.run_ve(STORE) == R.EPT_VIOLATION
    assert bench.area[:2] == (0, busy)


def test_the_guest_frees_the_area(bench):
    bench.engine.write_physical(HANDLER, b"\xc7\x04\x25" + struct.pack("<I", AREA + 4) + bytes(4) + b"\xf4")
    assert bench.run_ve(LOAD) == R.HLT
    assert bench.area[1] == 0


def test_the_exception_bitmap_applies(bench):
    assert bench.run_ve(STORE, EXCEPTION_BITMAP=1 << 20) == R.EXCEPTION_OR_NMI
    assert bench[F.VM_EXIT_INTERRUPTION_INFORMATION] == 0x8000_0314
    assert (bench.area[1], bench[F.GUEST_RIP]) == (0xFFFF_FFFF, GUEST + 7)


def test_during_event_delivery_it_exits(bench):
    assert bench.run_ve("int 0x30", GUEST_RSP=TARGET + 0x1000) == R.EPT_VIOLATION
    assert bench[F.IDT_VECTORING_INFORMATION] == 0x8000_0430


def test_misconfigurations_exit(bench):
    bench.entry(PD + 8, TARGET | 2 | LARGE | WB)
    assert bench.run_ve(LOAD) == R.EPT_MISCONFIGURATION


def test_a_violation_of_the_delivery_of_a_virtualization_exception_exits(bench):
    assert bench.run_ve(f"mov rsp, {TARGET + 0x800:#x}\npush rax") == R.EPT_VIOLATION
    assert bench[F.IDT_VECTORING_INFORMATION] == 0x8000_0314
    assert bench.area[1] == 0xFFFF_FFFF


def test_eptp_switching_sets_the_index(bench):
    bench.entry(PD + 8, TARGET | ALL | LARGE | WB)
    bench.identity(0x180000)
    bench.entry(0x182008, 0)
    bench.engine.write_physical(0x1F0000, struct.pack("<4Q", EPTP, 0, 0, 0x180000 | 0x1E))
    code = f"mov ecx, 3\nxor eax, eax\nvmfunc\n{LOAD}"
    functions = {"VM_FUNCTION_CONTROLS": 1, "EPTP_LIST_ADDRESS": 0x1F0000}
    assert bench.run_ve(code, SecondaryProcessorBased.enable_vm_functions, **functions) == R.HLT
    assert (bench.area[5], bench[F.EPTP_INDEX]) == (3, 3)


def test_eptp_switching_sets_the_index_without_the_control_too(bench):
    bench.engine.write_physical(0x1F0000, struct.pack("<2Q", 0, EPTP))
    functions = {"VM_FUNCTION_CONTROLS": 1, "EPTP_LIST_ADDRESS": 0x1F0000, "EPTP_INDEX": 9}
    assert bench.run("mov ecx, 1\nxor eax, eax\nvmfunc\nvmcall", SecondaryProcessorBased.enable_vm_functions, **functions) == R.VMCALL
    assert bench[F.EPTP_INDEX] == 1
