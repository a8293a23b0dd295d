"""Page-modification logging (Vol. 3C §29.3.6)."""

import struct

import pytest

from tests.vmx.test_ept import ACCESSED, ALL, DIRTY, EPTP, FLAGS, LARGE, LOAD, NO_EXIT, PD, STORE, TARGET, WB, EptBench
from tests.vmx.vmx_bench import GDT, GUEST, IDT
from tests.vmx.witness import SecondaryProcessorBased
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField as F

LOG = 0x1E0000
PML = SecondaryProcessorBased.enable_pml
TABLES = {"GUEST_GDTR_BASE": GDT, "GUEST_GDTR_LIMIT": 23, "GUEST_IDTR_BASE": IDT, "GUEST_IDTR_LIMIT": 0xFFF}


class LogBench(EptBench):
    """All of the first 2 MiB is dirty already, and the guest's paging entries are accessed and dirty: only TARGET is logged."""

    def __init__(self) -> None:
        super().__init__()
        for page in range(512):
            self.entry(0x103000 + 8 * page, page << 12 | ALL | WB | ACCESSED | DIRTY)
        for place, table in ((0x100000, 0x101000), (0x101000, 0x102000), (0x102000, 0x103000)):
            self.entry(place, table | ALL | ACCESSED)

    def run_log(self, code: str, index: int = 511, **fields: int) -> int:
        """Launch with a log; gives the exit reason."""
        settings = {"EPTP": EPTP | FLAGS, "PML_ADDRESS": LOG, "GUEST_PML_INDEX": index, **fields}
        return self.run(code, PML, **settings)


@pytest.fixture
def bench():
    return LogBench()


def test_the_first_write_to_a_page_is_logged(bench):
    assert bench.run_log(f"mov rbx, {TARGET + 0x1238:#x}\nmov [rbx], rax\nmov [rbx + 8], rax\nvmcall") == R.VMCALL
    assert bench.quad(LOG + 8 * 511) == TARGET + 0x1000
    assert bench[F.GUEST_PML_INDEX] == 510


def test_reads_and_dirty_pages_are_not_logged(bench):
    assert bench.run_log(LOAD) == R.VMCALL
    assert bench[F.GUEST_PML_INDEX] == 511
    dirty = LogBench()
    dirty.entry(PD + 8, TARGET | ALL | LARGE | WB | DIRTY)
    assert dirty.run_log(STORE) == R.VMCALL
    assert dirty[F.GUEST_PML_INDEX] == 511
    assert dirty.entry(PD + 8) & ACCESSED


def test_the_index_wraps_after_the_last_entry_and_the_next_page_exits(bench):
    assert bench.run_log(STORE, index=0) == R.VMCALL
    assert (bench.quad(LOG), bench[F.GUEST_PML_INDEX]) == (TARGET, 0xFFFF)
    bench.entry(PD + 8, TARGET | ALL | LARGE | WB)
    bench.state.tlb_policy = 1
    bench[F.GUEST_RIP] = GUEST
    bench[F.EXIT_REASON] = NO_EXIT
    bench.launch("vmresume")
    assert bench.reason == R.PML_FULL


@pytest.mark.parametrize("code", [STORE, LOAD])
def test_a_full_log_sets_no_flag_and_the_access_does_not_happen(bench, code):
    bench.engine.write_physical(TARGET, struct.pack("<Q", 7))
    assert bench.run_log(code, index=512) == R.PML_FULL, "an accessed flag is enough"
    assert (bench.qualification, bench[F.GUEST_RIP], bench.entry(PD + 8) & (ACCESSED | DIRTY)) == (0, GUEST + 7, 0)
    assert (bench.quad(TARGET), bench[F.GUEST_PML_INDEX]) == (7, 512)
    assert bench[F.GUEST_RFLAGS] & 1 << 16
    assert bench[F.IDT_VECTORING_INFORMATION] == 0
    bench[F.GUEST_PML_INDEX] = 511
    bench.launch("vmresume")
    assert bench.reason == R.VMCALL


def test_a_full_log_does_not_hide_a_violation(bench):
    bench.entry(PD + 8, TARGET | 1 | LARGE | WB)
    assert bench.run_log(STORE, index=600) == R.EPT_VIOLATION


def test_nothing_to_set_needs_no_room(bench):
    bench.entry(PD + 8, TARGET | ALL | LARGE | WB | ACCESSED | DIRTY)
    assert bench.run_log(STORE, index=0xFFFF) == R.VMCALL


def test_without_accessed_and_dirty_flags_nothing_is_logged(bench):
    assert bench.run_log(STORE, EPTP=EPTP) == R.VMCALL
    assert bench[F.GUEST_PML_INDEX] == 511


def test_a_full_log_during_event_delivery_reports_the_event(bench):
    bench.install_tables()
    assert bench.run_log("int 0x30", index=0xFFFF, GUEST_RSP=TARGET + 0x1000, **TABLES) == R.PML_FULL
    assert bench[F.IDT_VECTORING_INFORMATION] == 0x8000_0430
    assert bench[F.VM_EXIT_INSTRUCTION_LENGTH] == 2


def test_page_walks_are_logged_as_writes(bench):
    bench.entry(0x103000 + 8, 0x1000 | ALL | WB | ACCESSED)
    assert bench.run_log("vmcall") == R.VMCALL
    assert bench.quad(LOG + 8 * 511) == 0x1000
