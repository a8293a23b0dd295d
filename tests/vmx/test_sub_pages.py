"""Sub-page write permissions (Vol. 3C §29.3.4): which writes to a read-only page the permission table lets through."""

import struct

import pytest

from tests.vmx.test_ept import ALL, DIRTY, EPTP, EXECUTE, FLAGS, OTHER, PD, READ, TARGET, WB, WRITE, EptBench
from tests.vmx.vmx_bench import GDT, GUEST, IDT
from tests.vmx.witness import SecondaryProcessorBased
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField as F

SPP = 1 << 61
CONTROL = SecondaryProcessorBased.sub_page_write_permissions
ROOT, LEVEL3, LEVEL2, LEVEL1 = 0x1E0000, 0x1E1000, 0x1E2000, 0x1E3000
MISS = 1 << 11


class SubPageBench(EptBench):
    """TARGET is a read-only 4-KiB page with sub-page permissions."""

    def __init__(self, permissions: int = 0) -> None:
        super().__init__()
        self.entry(PD + 8, OTHER | ALL)
        self.entry(OTHER, TARGET | READ | EXECUTE | WB | SPP)
        self.entry(ROOT, LEVEL3 | 1)
        self.entry(LEVEL3, LEVEL2 | 1)
        self.entry(LEVEL2 + 8, LEVEL1 | 1)
        self.entry(LEVEL1, permissions)

    def write(self, offset: int, *controls: object, size: str = "byte", **fields: int) -> int:
        """A guest that writes at an offset of TARGET; gives the exit reason."""
        code = f"mov rbx, {TARGET + offset:#x}\nmov {size} ptr [rbx], 0x55\nvmcall"
        return self.run(code, *(controls or (CONTROL,)), SPPTP=ROOT, **fields)


@pytest.mark.parametrize("number", [0, 1, 15, 16, 31])
@pytest.mark.parametrize("place", [0, 127])
def test_each_128_bytes_have_their_bit(number, place):
    bench = SubPageBench(1 << 2 * number)
    assert bench.write(128 * number + place) == R.VMCALL
    assert bench.engine.read_physical(TARGET + 128 * number + place, 1) == b"\x55"
    other = SubPageBench(~(1 << 2 * number) & 0x5555_5555_5555_5555)
    assert other.write(128 * number + place) == R.EPT_VIOLATION
    assert other.qualification & 0x3F == WRITE | (READ | EXECUTE) << 3
    assert other.engine.read_physical(TARGET + 128 * number + place, 1) == b"\x00"


def test_permission_for_one_write_is_none_for_the_page():
    bench = SubPageBench(1)
    code = f"mov rbx, {TARGET:#x}\nmov byte ptr [rbx], 1\nmov byte ptr [rbx + 128], 2\nvmcall"
    assert bench.run(code, CONTROL, SPPTP=ROOT) == R.EPT_VIOLATION
    assert bench[F.GUEST_PHYSICAL_ADDRESS] == TARGET + 128
    assert bench.engine.read_physical(TARGET, 1) == b"\x01"


def test_a_write_across_two_sub_pages_is_not_eligible():
    assert SubPageBench(5).write(126, size="dword") == R.EPT_VIOLATION
    assert SubPageBench(5).write(124, size="dword") == R.VMCALL


@pytest.mark.parametrize(
    ("place", "value", "qualification"),
    [
        (ROOT, 0, MISS),
        (LEVEL3, LEVEL2, MISS),
        (LEVEL2 + 8, 0, MISS),
        (ROOT, LEVEL3 | 3, 0),
        (LEVEL3, LEVEL2 | 1 | 1 << 46, 0),
        (LEVEL2 + 8, LEVEL1 | 1 | 1 << 63, 0),
        (LEVEL1, 2, 0),
        (LEVEL1, 1 << 63, 0),
    ],
)
def test_misses_and_misconfigurations(place, value, qualification):
    bench = SubPageBench(1)
    bench.entry(place, value)
    assert bench.write(8) == R.SPP_EVENT
    assert bench.qualification == qualification
    assert (bench[F.GUEST_PHYSICAL_ADDRESS], bench[F.GUEST_LINEAR_ADDRESS], bench[F.GUEST_RIP]) == (TARGET + 8, TARGET + 8, GUEST + 7)


@pytest.mark.parametrize("control", [False, True])
@pytest.mark.parametrize("marked", [False, True])
def test_without_control_or_bit_61_the_tables_do_not_count(control, marked):
    bench = SubPageBench(1)
    bench.entry(OTHER, TARGET | READ | EXECUTE | WB | (SPP if marked else 0))
    expected = R.VMCALL if control and marked else R.EPT_VIOLATION
    assert bench.write(0, CONTROL if control else SecondaryProcessorBased.enable_ept) == expected


def test_writable_pages_and_large_pages_ask_no_table():
    bench = SubPageBench(0)
    bench.entry(OTHER, TARGET | ALL | WB | SPP)
    assert bench.write(0) == R.VMCALL
    large = SubPageBench(1)
    large.entry(PD + 8, TARGET | READ | 0x80 | WB | SPP)
    assert large.write(0) == R.EPT_VIOLATION


def test_an_allowed_write_makes_the_page_dirty():
    bench = SubPageBench(1)
    assert bench.write(0, EPTP=EPTP | FLAGS) == R.VMCALL
    assert bench.entry(OTHER) & DIRTY


def test_a_miss_during_event_delivery_reports_the_event():
    bench = SubPageBench(0)
    bench.install_tables()
    bench.entry(LEVEL2 + 8, 0)
    tables = {"GUEST_GDTR_BASE": GDT, "GUEST_GDTR_LIMIT": 23, "GUEST_IDTR_BASE": IDT, "GUEST_IDTR_LIMIT": 0xFFF}
    assert bench.run("int 0x30", CONTROL, SPPTP=ROOT, GUEST_RSP=TARGET + 0x800, **tables) == R.SPP_EVENT
    assert bench[F.IDT_VECTORING_INFORMATION] == 0x8000_0430


def test_updates_of_guest_paging_entries_are_not_eligible():
    bench = EptBench()
    bench.engine.write_physical(0x1000, struct.pack("<Q", 0x2000 | 7))
    bench.entry(0x103000 + 8, 0x1000 | READ | EXECUTE | WB | SPP)
    assert bench.run("vmcall", CONTROL, SPPTP=ROOT) == R.EPT_VIOLATION
