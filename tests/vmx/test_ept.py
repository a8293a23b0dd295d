"""EPT: translation, violations, misconfigurations, accessed and dirty flags, invalidation, EPTP switching (Vol. 3C §29.3)."""

import struct

import pytest

from tests.vmx.vmx_bench import GUEST, NO_EXIT, VmxBench
from tests.vmx.witness import (
    LONG,
    PAE,
    REAL_MODE,
    PrimaryProcessorBased,
    SecondaryProcessorBased,
    changed,
    having,
)
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField as F

PML4, PDPT, PD, PT, OTHER = 0x100000, 0x101000, 0x102000, 0x103000, 0x110000
EPTP = PML4 | 0x1E
FLAGS = 0x40
READ, WRITE, EXECUTE, LARGE, WB = 1, 2, 4, 0x80, 6 << 3
ALL = READ | WRITE | EXECUTE
TARGET = 0x200000
"""Guest-physical page that the tests translate in special ways."""
PRESENT, DIRTY, ACCESSED = 7, 0x200, 0x100


class EptBench(VmxBench):
    """A bench whose guests run under EPT: 2 MiB identity-mapped by small pages, the 2 MiB at TARGET as the test says."""

    def __init__(self):
        super().__init__()
        self.identity(PML4)

    def identity(self, root):
        """EPT tables at `root` and the three pages behind it."""
        write = self.engine.write_physical
        write(root, struct.pack("<Q", root + 0x1000 | ALL))
        write(root + 0x1000, struct.pack("<Q", root + 0x2000 | ALL))
        write(root + 0x2000, struct.pack("<2Q", root + 0x3000 | ALL, TARGET | ALL | LARGE | WB))
        write(root + 0x3000, b"".join(struct.pack("<Q", n << 12 | ALL | WB) for n in range(512)))

    def entry(self, address, value=None):
        """Read or write an EPT entry."""
        if value is not None:
            self.engine.write_physical(address, struct.pack("<Q", value))
        return int.from_bytes(self.engine.read_physical(address, 8), "little")

    def run(self, code, *controls, base=LONG, bits=64, **fields):
        """Launch under EPT; gives the exit reason."""
        changes = {F.EPTP: EPTP, **{F[name]: value for name, value in fields.items()}}
        self.guest(code, changed(having(base, SecondaryProcessorBased.enable_ept, *controls), changes), bits)
        self.launch()
        assert self.in_host
        return self.reason


@pytest.fixture
def bench():
    return EptBench()


LOAD = f"mov rbx, {TARGET:#x}\nmov rax, [rbx]\nvmcall"
STORE = f"mov rbx, {TARGET:#x}\nmov [rbx], rax\nvmcall"
FETCH = f"mov rbx, {TARGET:#x}\njmp rbx"


def test_identity(bench):
    bench.engine.write_physical(TARGET, struct.pack("<Q", 0x1234_5678))
    assert bench.run(LOAD) == R.VMCALL
    assert bench.state.gpr[0] == 0x1234_5678


@pytest.mark.parametrize("size", ["4K", "2M", "1G"])
def test_translation_at_every_page_size(bench, size):
    bench.engine.write_physical(0x300008, struct.pack("<Q", 0xABCD))
    if size == "4K":
        bench.entry(PD + 8, OTHER | ALL)
        bench.entry(OTHER + 0x100 * 8, 0x300000 | ALL | WB)
        linear = TARGET + 0x100008
    elif size == "2M":
        bench.entry(PD + 8 * 2, TARGET | ALL | LARGE | WB)
        linear = 0x500008
    else:
        bench.entry(PDPT + 8, ALL | LARGE | WB)
        bench.engine.write_physical(0x2008, struct.pack("<Q", 1 << 30 | 0x87))
        linear = (1 << 30) + 0x300008
    code = f"mov rbx, {linear:#x}\nmov rax, [rbx]\nvmcall"
    assert bench.run(code) == R.VMCALL
    assert bench.state.gpr[0] == 0xABCD


@pytest.mark.parametrize(
    ("code", "access"),
    [(LOAD, READ), (STORE, WRITE), (FETCH, EXECUTE), (LOAD.replace("mov rax, [rbx]", "inc qword ptr [rbx]"), READ | WRITE)],
)
@pytest.mark.parametrize("allowed", [0, READ, READ | WRITE, READ | EXECUTE, EXECUTE, ALL])
def test_violations(bench, code, access, allowed):
    bench.engine.write_physical(TARGET, b"\x0f\x01\xc1")
    bench.entry(PD + 8, TARGET | allowed | LARGE | WB)
    reason = bench.run(code)
    if access & ~allowed:
        assert reason == R.EPT_VIOLATION
        assert bench.qualification & 0x3F == access | allowed << 3
        assert bench.qualification & 0x180 == 0x180
        assert (bench[F.GUEST_PHYSICAL_ADDRESS], bench[F.GUEST_LINEAR_ADDRESS]) == (TARGET, TARGET)
        assert bench[F.GUEST_RFLAGS] & 1 << 16
        assert bench[F.GUEST_RIP] == (TARGET if access == EXECUTE else GUEST + 7)
    else:
        assert reason == R.VMCALL


def test_violation_of_a_paging_entry(bench):
    bench.entry(PT + 1 * 8, 0)
    assert bench.run("vmcall") == R.EPT_VIOLATION
    assert bench.qualification & 0x1BF == READ | 0x80
    assert bench[F.GUEST_PHYSICAL_ADDRESS] == 0x1000


def test_violation_of_a_load_of_the_pdptes_has_no_linear_address(bench):
    bench.engine.write_physical(0x45000, struct.pack("<Q", 0x46001))
    bench.engine.write_physical(0x46000, struct.pack("<Q", 0x83))
    bench.entry(PD + 8, 0)
    fields = {"GUEST_CR3": 0x45000, "GUEST_PDPTE0": 0x46001}
    assert bench.run("mov eax, 0x200000\nmov cr3, eax", base=PAE, bits=32, **fields) == R.EPT_VIOLATION
    assert (bench.qualification, bench[F.GUEST_PHYSICAL_ADDRESS]) == (READ, TARGET)


def guest_entry(bench, linear, bits):
    """Change bits 1, 2 and 63 of the paging entry that maps a linear address; gives what a violation says of it."""
    table, shift, entry = bench.state.cr3, 39, 0
    while shift:
        place = table + (linear >> shift & 511) * 8
        entry = bench.quad(place)
        if entry & LARGE or shift == 12:
            break
        table, shift = entry & 0x000F_FFFF_FFFF_F000, shift - 9
    bench.engine.write_physical(place, struct.pack("<Q", entry & ~6 & ~(1 << 63) | bits))
    return bits >> 2 & 1 | (bits >> 1 & 1) << 1 | (bits >> 63) << 2


@pytest.mark.parametrize("bits", [0, 2, 4, 6, 1 << 63, 6 | 1 << 63])
@pytest.mark.parametrize("capable", [False, True])
def test_violations_tell_what_the_guests_entries_allow(bench, bits, capable):
    capabilities = bench.state.vmx_capability
    capabilities[12] = capabilities[12] & ~(1 << 22) | capable << 22
    said = guest_entry(bench, TARGET, bits)
    bench.entry(PD + 8, 0)
    assert bench.run(LOAD, GUEST_IA32_EFER=0xD00, VM_ENTRY_CONTROLS=LONG[F.VM_ENTRY_CONTROLS] | 1 << 15) == R.EPT_VIOLATION
    assert bench.qualification >> 7 & 31 == 3 | (said if capable else 0) << 2


def test_violation_is_handled_and_the_access_repeated(bench):
    bench.entry(PD + 8, 0)
    assert bench.run(LOAD) == R.EPT_VIOLATION
    bench.entry(PD + 8, TARGET | ALL | LARGE | WB)
    bench.engine.write_physical(TARGET, struct.pack("<Q", 99))
    bench[F.EXIT_REASON] = NO_EXIT
    bench.launch("vmresume")
    assert (bench.reason, bench.state.gpr[0]) == (R.VMCALL, 99)


@pytest.mark.parametrize(
    ("place", "entry"),
    [
        (PD + 8, TARGET | WRITE | LARGE | WB),
        (PD + 8, TARGET | WRITE | EXECUTE | LARGE | WB),
        (PD + 8, TARGET | ALL | LARGE | 2 << 3),
        (PD + 8, TARGET | ALL | LARGE | 3 << 3),
        (PD + 8, TARGET | ALL | LARGE | 7 << 3),
        (PD + 8, TARGET | 1 << 12 | ALL | LARGE | WB),
        (PD + 8, TARGET | 1 << 13 | ALL | LARGE | WB),
        (PD + 8, 1 << 46 | ALL | LARGE | WB),
        (PD + 8, OTHER | ALL | 1 << 3),
        (PML4, PDPT | ALL | LARGE),
        (PML4, PDPT | ALL | 1 << 6),
        (PDPT, PD | ALL | 1 << 4),
        (PDPT, 1 << 29 | ALL | LARGE | WB),
    ],
)
def test_misconfigurations(bench, place, entry):
    bench.entry(place, entry)
    assert bench.run(LOAD) == R.EPT_MISCONFIGURATION
    assert bench.qualification == 0


def test_execute_only_needs_its_capability(bench):
    bench.state.vmx_capability[12] &= ~1
    bench.entry(PD + 8, TARGET | EXECUTE | LARGE | WB)
    assert bench.run(LOAD) == R.EPT_MISCONFIGURATION


def test_accessed_and_dirty_flags(bench):
    code = f"mov rbx, {TARGET:#x}\nmov rax, [rbx]\nvmcall\nmov [rbx], rax\nvmcall"
    assert bench.run(code, EPTP=EPTP | FLAGS) == R.VMCALL
    assert bench.entry(PML4) & ACCESSED
    assert bench.entry(PD + 8) & (ACCESSED | DIRTY) == ACCESSED
    bench[F.GUEST_RIP] += 3
    bench.launch("vmresume")
    assert bench.entry(PD + 8) & (ACCESSED | DIRTY) == ACCESSED | DIRTY


def test_without_the_flags_entries_stay_as_they_are(bench):
    bench.run(STORE)
    assert not bench.entry(PD + 8) & (ACCESSED | DIRTY)


def test_walks_count_as_writes_under_accessed_and_dirty_flags(bench):
    bench.entry(PT + 8, 0x1000 | READ | EXECUTE | WB)
    assert bench.run("vmcall", EPTP=EPTP | FLAGS) == R.EPT_VIOLATION
    assert bench.qualification & 0x1BF == READ | WRITE | (READ | EXECUTE) << 3 | 0x80
    plain = EptBench()
    plain.engine.write_physical(0x1000, struct.pack("<Q", 0x2000 | 7 | 0x20))
    plain.entry(PT + 8, 0x1000 | READ | EXECUTE | WB)
    assert plain.run("vmcall") == R.VMCALL


def test_setting_the_guests_accessed_bit_needs_write_permission(bench):
    bench.engine.write_physical(0x1000, struct.pack("<Q", 0x2000 | 7))
    bench.entry(PT + 8, 0x1000 | READ | EXECUTE | WB)
    assert bench.run("vmcall") == R.EPT_VIOLATION
    assert bench.qualification & 7 in (WRITE, READ | WRITE)


def test_delivery_that_violates_reports_idt_vectoring(bench):
    bench.install_tables()
    bench.entry(PD + 8, 0)
    tables = {"GUEST_GDTR_BASE": 0x18000, "GUEST_GDTR_LIMIT": 23, "GUEST_IDTR_BASE": TARGET, "GUEST_IDTR_LIMIT": 0xFFF}
    assert bench.run("int 0x30", **tables) == R.EPT_VIOLATION
    assert bench[F.IDT_VECTORING_INFORMATION] == 0x8000_0430
    assert (bench[F.GUEST_PHYSICAL_ADDRESS], bench[F.VM_EXIT_INSTRUCTION_LENGTH]) == (TARGET + 0x300, 2)


def test_injection_that_violates_comes_again(bench):
    bench.install_tables()
    bench.entry(PD + 8, 0)
    tables = {"GUEST_GDTR_BASE": 0x18000, "GUEST_GDTR_LIMIT": 23, "GUEST_IDTR_BASE": 0x19000, "GUEST_IDTR_LIMIT": 0xFFF}
    event = {"VM_ENTRY_INTERRUPTION_INFORMATION": 0x8000_0030, "GUEST_RFLAGS": 0x202, "GUEST_RSP": TARGET + 0x1000}
    assert bench.run("ud2", PrimaryProcessorBased.hlt_exiting, **tables, **event) == R.EPT_VIOLATION
    assert bench[F.IDT_VECTORING_INFORMATION] == 0x8000_0030
    assert bench[F.GUEST_RIP] == GUEST
    bench.entry(PD + 8, TARGET | ALL | LARGE | WB)
    bench[F.VM_ENTRY_INTERRUPTION_INFORMATION] = bench[F.IDT_VECTORING_INFORMATION]
    bench.launch("vmresume")
    assert (bench.reason, bench[F.GUEST_RIP]) == (R.HLT, 0x1A300)


# Unrestricted guests and EPTP switching


def test_real_mode_guest(bench):
    fields = {"GUEST_CS_BASE": GUEST, "GUEST_RIP": 0, "GUEST_CS_SELECTOR": GUEST >> 4}
    code = "mov ax, 0x2000\nmov ds, ax\nmov word ptr [0x10], 0x1234\nmov bx, [0x10]\nvmcall"
    assert bench.run(code, SecondaryProcessorBased.unrestricted_guest, base=REAL_MODE, bits=16, **fields) == R.VMCALL
    assert bench.state.gpr[3] & 0xFFFF == 0x1234
    assert bench.engine.read_physical(0x20010, 2) == b"\x34\x12"
    assert bench[F.GUEST_DS_BASE] == 0x20000


def test_real_mode_guest_switches_to_protected_mode_and_paging(bench):
    fields = {"GUEST_CS_BASE": GUEST, "GUEST_RIP": 0, "GUEST_CS_SELECTOR": GUEST >> 4}
    code = "mov eax, cr0\nor al, 1\nmov cr0, eax\nvmcall"
    assert bench.run(code, SecondaryProcessorBased.unrestricted_guest, base=REAL_MODE, bits=16, **fields) == R.VMCALL
    assert bench[F.GUEST_CR0] == 0x31


def test_eptp_switching(bench):
    bench.identity(0x180000)
    bench.entry(0x182000 + 8, OTHER | ALL)
    bench.entry(OTHER, 0x300000 | ALL | WB)
    bench.engine.write_physical(TARGET, struct.pack("<Q", 1))
    bench.engine.write_physical(0x300000, struct.pack("<Q", 2))
    bench.engine.write_physical(0x1F0000, struct.pack("<3Q", EPTP, 0x180000 | 0x1E, 0x19))
    code = f"mov rbx, {TARGET:#x}\nmov rsi, [rbx]\nmov ecx, 1\nxor eax, eax\nvmfunc\nmov rdi, [rbx]\nmov ecx, 2\nvmfunc"
    functions = {"VM_FUNCTION_CONTROLS": 1, "EPTP_LIST_ADDRESS": 0x1F0000}
    assert bench.run(code, SecondaryProcessorBased.enable_vm_functions, **functions) == R.VMFUNC
    assert (bench.state.gpr[6], bench.state.gpr[7], bench[F.EPTP]) == (1, 2, 0x180000 | 0x1E)


@pytest.mark.parametrize(("registers", "functions", "reason"), [((1, 0), 1, R.VMFUNC), ((0, 512), 1, R.VMFUNC), ((0, 0), 0, R.VMFUNC)])
def test_vm_functions_that_cannot_be_done_exit(bench, registers, functions, reason):
    code = f"mov eax, {registers[0]}\nmov ecx, {registers[1]}\nvmfunc"
    assert (
        bench.run(code, SecondaryProcessorBased.enable_vm_functions, VM_FUNCTION_CONTROLS=functions, EPTP_LIST_ADDRESS=0x1F0000) == reason
    )


@pytest.mark.parametrize("function", [64, 0xFFFF_FFFF])
def test_vm_functions_above_63_are_undefined(bench, function):
    code = f"mov eax, {function}\nvmfunc"
    assert bench.run(code, SecondaryProcessorBased.enable_vm_functions, EXCEPTION_BITMAP=1 << 6) == R.EXCEPTION_OR_NMI
    assert bench[F.VM_EXIT_INTERRUPTION_INFORMATION] == 0x8000_0306
