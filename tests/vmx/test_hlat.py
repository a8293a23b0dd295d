"""HLAT paging, EPT paging-write control, guest-paging verification, EPT of five levels (Vol. 3A §4.5.1, Vol. 3C §29.3.3.2)."""

import struct

import pytest

from tests.vmx.test_ept import ALL, EPTP, FLAGS, PML4, PT, READ, TARGET, WB, WRITE, EptBench
from tests.vmx.vmx_bench import GUEST
from tests.vmx.witness import TertiaryProcessorBased
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField as F

T = TertiaryProcessorBased
HLAT, TABLES = 0x80000, (0x80000, 0x81000, 0x82000, 0x83000)
"""Guest-physical addresses of the hypervisor's own tables."""
PLAIN, GUARDED = 0x60000, 0x61000
"""What the guest's tables and the hypervisor's map at LINEAR."""
LINEAR, GUEST_TABLE = 0x400000, 0x50000
RESTART, PRESENT = 1 << 11, 1
BIT_57, BIT_58 = 1 << 57, 1 << 58


@pytest.fixture
def bench():
    """The guest maps LINEAR to PLAIN, HLAT paging the low 2 MiB to themselves and LINEAR to GUARDED."""
    bench = EptBench()
    write = bench.engine.write_physical
    write(PLAIN, struct.pack("<Q", 1))
    write(GUARDED, struct.pack("<Q", 2))
    write(0x3010, struct.pack("<Q", GUEST_TABLE | 7))
    write(GUEST_TABLE, struct.pack("<Q", PLAIN | 0x67))
    write(TABLES[0], struct.pack("<Q", TABLES[1] | 7))
    write(TABLES[1], struct.pack("<Q", TABLES[2] | 7))
    write(TABLES[2], struct.pack("<3Q", 0x87, 0, TABLES[3] | 7))
    write(TABLES[3], struct.pack("<Q", GUARDED | 7))
    return bench


def load(bench, *controls, **fields):
    """The exit reason of a guest that loads from LINEAR under HLAT."""
    fields = {"HLATP": HLAT, "EXCEPTION_BITMAP": 1 << 14, **fields}
    return bench.run(f"mov rax, [{LINEAR:#x}]\nvmcall", T.enable_hlat, *controls, **fields)


def test_the_hypervisors_tables_translate(bench):
    assert load(bench) == R.VMCALL
    assert bench.state.gpr[0] == 2
    assert bench.quad(TABLES[3]) == GUARDED | 0x27


def test_without_the_control_the_guests_do(bench):
    assert bench.run(f"mov rax, [{LINEAR:#x}]\nvmcall", HLATP=HLAT) == R.VMCALL
    assert bench.state.gpr[0] == 1


@pytest.mark.parametrize("level", range(4))
def test_the_restart_bit_leads_back_to_ordinary_paging(bench, level):
    place = TABLES[level] + (16 if level == 2 else 0)
    bench.engine.write_physical(place, struct.pack("<Q", bench.quad(place) | RESTART))
    assert load(bench) == R.VMCALL
    assert bench.state.gpr[0] == 1


@pytest.mark.parametrize("prefix", [1, 16, 52])
def test_only_addresses_with_the_prefix_are_translated(bench, prefix):
    bench.engine.write_physical(HLAT, bytes(8))
    assert load(bench, HLAT_PREFIX_SIZE=prefix) == R.VMCALL
    assert bench.state.gpr[0] == 1


def test_high_addresses_have_the_prefix(bench):
    bench.engine.write_physical(0x1FF8, struct.pack("<Q", bench.quad(0x1000)))
    bench.engine.write_physical(HLAT + 0xFF8, struct.pack("<Q", TABLES[1] | 7))
    high = LINEAR | 0xFFFF_FF80_0000_0000
    assert bench.run(f"mov rbx, {high:#x}\nmov rax, [rbx]\nvmcall", T.enable_hlat, HLATP=HLAT, HLAT_PREFIX_SIZE=25) == R.VMCALL
    assert bench.state.gpr[0] == 2


@pytest.mark.parametrize(
    ("entry", "code"),
    [(0, 0x80), (GUARDED | 7 | 1 << 51, 0x89), (GUARDED | 7, None)],
)
def test_what_hlat_does_not_translate_faults_with_bit_7(bench, entry, code):
    bench.engine.write_physical(TABLES[3], struct.pack("<Q", entry))
    reason = load(bench)
    if code is None:
        assert reason == R.VMCALL
    else:
        assert (reason, bench[F.VM_EXIT_INTERRUPTION_ERROR_CODE], bench.qualification) == (R.EXCEPTION_OR_NMI, code, LINEAR)


def test_a_fault_after_the_restart_is_an_ordinary_one(bench):
    bench.engine.write_physical(TABLES[3], struct.pack("<Q", PRESENT | RESTART))
    bench.engine.write_physical(GUEST_TABLE, bytes(8))
    assert load(bench) == R.EXCEPTION_OR_NMI
    assert bench[F.VM_EXIT_INTERRUPTION_ERROR_CODE] == 0


def test_rights_that_hlat_denies(bench):
    bench.engine.write_physical(TABLES[3], struct.pack("<Q", GUARDED | 5))
    fields = {"HLATP": HLAT, "EXCEPTION_BITMAP": 1 << 14, "GUEST_CR0": 0x8001_0031}
    assert bench.run(f"mov [{LINEAR:#x}], rax", T.enable_hlat, **fields) == R.EXCEPTION_OR_NMI
    assert bench[F.VM_EXIT_INTERRUPTION_ERROR_CODE] == 3


# Paging-write access and verification

CODE = f"mov rax, [{LINEAR:#x}]\nvmcall"


def protect(bench, page, entry):
    """Change the EPT entry of a low page."""
    bench.entry(PT + 8 * (page >> 12), page | entry | WB)


def test_page_walks_may_not_write_a_write_protected_table(bench):
    bench.engine.write_physical(GUEST_TABLE, struct.pack("<Q", PLAIN | 7))
    protect(bench, GUEST_TABLE, READ)
    assert bench.run(CODE, T.ept_paging_write) == R.EPT_VIOLATION
    assert bench.qualification & 0x1BF == READ | WRITE | READ << 3 | 0x80


@pytest.mark.parametrize("flags", [0, FLAGS])
def test_with_paging_write_access_they_may(bench, flags):
    bench.engine.write_physical(GUEST_TABLE, struct.pack("<Q", PLAIN | 7))
    protect(bench, GUEST_TABLE, READ | BIT_58)
    assert bench.run(CODE, T.ept_paging_write, EPTP=EPTP | flags) == R.VMCALL
    assert bench.quad(GUEST_TABLE) == PLAIN | 0x27
    assert bench.entry(PT + 8 * (GUEST_TABLE >> 12)) & 0x300 == (0x300 if flags else 0)


def test_without_the_control_the_bit_is_ignored(bench):
    bench.engine.write_physical(GUEST_TABLE, struct.pack("<Q", PLAIN | 7))
    protect(bench, GUEST_TABLE, READ | BIT_58)
    assert bench.run(CODE) == R.EPT_VIOLATION


def test_stores_of_the_guest_need_ordinary_write_access(bench):
    protect(bench, GUEST_TABLE, READ | BIT_58)
    assert bench.run(f"mov [{GUEST_TABLE:#x}], rax", T.ept_paging_write) == R.EPT_VIOLATION
    assert bench.qualification & 0x1BF == WRITE | READ << 3 | 0x180


TABLE_PAGES = (0x1000, 0x2000, 0x3000, GUEST_TABLE)


@pytest.mark.parametrize("lacking", [*TABLE_PAGES, None])
def test_a_verified_page_is_reached_through_marked_tables_only(bench, lacking):
    protect(bench, PLAIN, ALL | BIT_57)
    for page in TABLE_PAGES:
        if page != lacking:
            protect(bench, page, ALL | BIT_58)
    reason = bench.run(CODE, T.guest_paging_verification)
    if lacking is None:
        assert (reason, bench.state.gpr[0]) == (R.VMCALL, 1)
    else:
        assert reason == R.EPT_VIOLATION
        assert bench.qualification & 1 << 15
        assert bench.qualification & 0x1BF == READ | ALL << 3 | 0x180
        assert (bench[F.GUEST_PHYSICAL_ADDRESS], bench[F.GUEST_LINEAR_ADDRESS], bench[F.GUEST_RIP]) == (PLAIN, LINEAR, GUEST)


def test_verification_holds_for_each_linear_address(bench):
    """The page is reached through marked tables first, which is cached, and then by another way."""
    protect(bench, PLAIN, ALL | BIT_57)
    for page in TABLE_PAGES:
        protect(bench, page, ALL | BIT_58)
    bench.engine.write_physical(0x3018, struct.pack("<Q", 0x51000 | 7))
    bench.engine.write_physical(0x51000, struct.pack("<Q", PLAIN | 0x67))
    code = f"mov rax, [{LINEAR:#x}]\nmov rbx, [0x600000]\nvmcall"
    assert bench.run(code, T.guest_paging_verification) == R.EPT_VIOLATION
    assert (bench.qualification >> 15 & 1, bench[F.GUEST_LINEAR_ADDRESS], bench.state.gpr[0]) == (1, 0x600000, 1)


def test_without_verification_the_bit_is_ignored(bench):
    protect(bench, PLAIN, ALL | BIT_57)
    assert bench.run(CODE) == R.VMCALL


# Five levels

PML5 = 0x1A0000


def five_levels(bench, entry=PML4 | ALL):
    bench.entry(PML5, entry)
    return bench.run(f"mov rax, [{TARGET:#x}]\nvmcall", EPTP=PML5 | 4 << 3 | 6)


def test_ept_of_five_levels_translates(bench):
    bench.engine.write_physical(TARGET, struct.pack("<Q", 0x77))
    assert five_levels(bench) == R.VMCALL
    assert bench.state.gpr[0] == 0x77


@pytest.mark.parametrize("entry", [PML4 | ALL | 0x80, PML4 | ALL | 8, PML4 | WRITE, PML4 | ALL | 1 << 47])
def test_misconfigurations_at_the_fifth_level(bench, entry):
    assert five_levels(bench, entry) == R.EPT_MISCONFIGURATION
    assert bench[F.GUEST_PHYSICAL_ADDRESS] == 0x1000


def test_violations_at_the_fifth_level(bench):
    assert five_levels(bench, 0) == R.EPT_VIOLATION
    assert bench.qualification & 0x1BF == READ | 0x80


def test_the_fifth_level_takes_part_in_permissions(bench):
    bench.entry(PML5, PML4 | READ | WRITE)
    assert bench.run("vmcall", EPTP=PML5 | 4 << 3 | 6) == R.EPT_VIOLATION
    assert bench.qualification & 0x1BF == 4 | (READ | WRITE) << 3 | 0x180


def test_the_fifth_level_has_an_accessed_flag(bench):
    bench.entry(PML5, PML4 | ALL)
    assert bench.run("vmcall", EPTP=PML5 | 4 << 3 | 6 | FLAGS) == R.VMCALL
    assert bench.entry(PML5) == PML4 | ALL | 0x100
