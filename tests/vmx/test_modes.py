"""Hosts and guests in other modes than 64-bit, and controls that no model offers yet but the microcode implements."""

import struct

import pytest

from tests.vmx.vmx_bench import GDT, GUEST, HANDLERS, IDT, TSS, VmxBench
from tests.vmx.witness import (
    LONG,
    SHORT_HOST,
    VIRTUAL_8086,
    PinBased,
    PrimaryProcessorBased,
    SecondaryProcessorBased,
    changed,
    having,
)
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField as F

LEGACY, PAE_POINTERS, PAE_DIRECTORY = 0x5000, 0x6000, 0x7000


def legacy_tables(bench):
    """Identity maps for 32-bit paging (4-MiB pages) and PAE paging (2-MiB pages, first GiB)."""
    write = bench.engine.write_physical
    write(LEGACY, struct.pack("<1024I", *(n << 22 | 0x87 for n in range(1024))))
    write(PAE_POINTERS, struct.pack("<4Q", PAE_DIRECTORY | 1, 0, 0, 0))
    write(PAE_DIRECTORY, struct.pack("<512Q", *(n << 21 | 0x87 for n in range(512))))


def short_host(pae):
    """A 32-bit host with a VMCS."""
    bench = VmxBench(32, current=False)
    legacy_tables(bench)
    state = bench.state
    state.cr3, state.cr4 = (PAE_POINTERS, 0x2020) if pae else (LEGACY, 0x2010)
    if pae:
        state.pdpte[0] = PAE_DIRECTORY | 1
    state.cr0 |= 1 << 31
    bench.processor.refresh()
    bench.steps("vmxon [0x20000]", "vmclear [0x20008]", "vmptrld [0x20008]")
    return bench


@pytest.mark.parametrize("pae", [False, True])
def test_short_host(pae):
    bench = short_host(pae)
    roots = {F.HOST_CR3: bench.state.cr3, F.HOST_CR4: bench.state.cr4, F.GUEST_CR3: bench.state.cr3, F.GUEST_CR4: bench.state.cr4}
    bench.guest("mov ebx, 0x1234\ncpuid\nnop\nvmcall", changed(SHORT_HOST, roots), 32)
    bench.state.pdpte[0] = PAE_DIRECTORY | 1
    bench.launch()
    assert (bench.in_host, bench.reason, bench.state.gpr[3]) == (True, R.CPUID, 0x1234)
    assert (bench.state.segments[1].rights, bench.state.efer & 0x500) == (0xC09B, 0)
    bench[F.GUEST_RIP] += 2
    bench.launch("vmresume")
    assert bench.reason == R.VMCALL


def test_bad_pdptes_of_the_host_are_a_vmx_abort():
    bench = short_host(True)
    roots = {F.HOST_CR3: PAE_POINTERS, F.HOST_CR4: 0x2020, F.GUEST_CR3: PAE_POINTERS, F.GUEST_CR4: 0x2020}
    bench.guest("nop\nvmcall", changed(SHORT_HOST, roots), 32)
    bench.launch(count=2)
    bench.engine.write_physical(PAE_POINTERS, struct.pack("<Q", PAE_DIRECTORY | 7))
    bench.processor.run(10)
    assert bench.state.vmx_abort == 2


def test_virtual_8086_guest():
    bench = VmxBench()
    legacy_tables(bench)
    segments = {F[f"GUEST_{name}_SELECTOR"]: 0x1000 for name in ("SS", "DS", "ES", "FS", "GS")}
    bases = {F[f"GUEST_{name}_BASE"]: 0x10000 for name in ("SS", "DS", "ES", "FS", "GS")}
    place = {F.GUEST_CS_SELECTOR: GUEST >> 4, F.GUEST_CS_BASE: GUEST, F.GUEST_RIP: 0, F.GUEST_RSP: 0x8000}
    paging = {F.GUEST_CR3: LEGACY, F.GUEST_CR4: 0x2010}
    bench.guest("mov ax, 0x2000\nmov ds, ax\nmov bx, [0]\npush bx\nvmcall", changed(VIRTUAL_8086, segments, bases, place, paging), 16)
    bench.launch()
    assert (bench.reason, bench.state.gpr[3] & 0xFFFF) == (R.VMCALL, 0x0000)
    assert (bench[F.GUEST_DS_BASE], bench[F.GUEST_RFLAGS] & 1 << 17, bench[F.GUEST_RSP]) == (0x20000, 1 << 17, 0x7FFE)


def test_privileged_instructions_in_virtual_8086_mode_fault_before_they_exit():
    bench = VmxBench()
    legacy_tables(bench)
    place = {F.GUEST_CS_SELECTOR: GUEST >> 4, F.GUEST_CS_BASE: GUEST, F.GUEST_RIP: 0, F.EXCEPTION_BITMAP: 1 << 13}
    paging = {F.GUEST_CR3: LEGACY, F.GUEST_CR4: 0x2010}
    segments = {F[f"GUEST_{name}_SELECTOR"]: 0x10 for name in ("SS", "DS", "ES", "FS", "GS")}
    bench.guest("hlt", changed(having(VIRTUAL_8086, PrimaryProcessorBased.hlt_exiting), segments, place, paging), 16)
    bench.launch()
    assert (bench.reason, bench[F.VM_EXIT_INTERRUPTION_INFORMATION]) == (R.EXCEPTION_OR_NMI, 0x8000_0B0D)


@pytest.mark.parametrize("iopl", [0, 3])
@pytest.mark.parametrize(("redirected", "pushed"), [(True, {0: 0x2_3202, 3: 0x2_3002}), (False, {0: 0x2_0002, 3: 0x2_3002})])
def test_software_interrupts_injected_into_virtual_8086_mode(iopl, redirected, pushed):
    """CR4.VME sends them to the program's own handler, whatever IOPL is, or through the IDT (Vol. 3C §27.6.1.1)."""
    bench = VmxBench()
    legacy_tables(bench)
    bench.install_tables()
    write = bench.engine.write_physical
    flags, vif = 0x2_0002 | iopl << 12, 1 << 19
    write(4 * 0x21, struct.pack("<HH", 0x10, GUEST >> 4))
    write(TSS, struct.pack("<3I", 0, 0x37000, 0x10))
    write(TSS + 0x66, struct.pack("<H", 0x88))
    write(TSS + 0x68, bytes(4) + bytes([0 if redirected else 2]) + bytes(0x40))
    write(GDT, struct.pack("<3Q", 0, 0x00CF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF))
    gate = HANDLERS & 0xFFFF | 0x08 << 16 | 0xEE00 << 32 | HANDLERS >> 16 << 48
    write(IDT + 8 * 0x21, struct.pack("<Q", gate))
    write(HANDLERS, b"\x0f\x01\xc1")
    segments = {F[f"GUEST_{name}_SELECTOR"]: 0x10 for name in ("DS", "ES", "FS", "GS")}
    stack = {F.GUEST_SS_SELECTOR: 0x2000, F.GUEST_SS_BASE: 0x20000, F.GUEST_RSP: 0x8000}
    place = {F.GUEST_CS_SELECTOR: GUEST >> 4, F.GUEST_CS_BASE: GUEST, F.GUEST_RIP: 0, F.GUEST_RFLAGS: flags | vif}
    tables = {F.GUEST_CR3: LEGACY, F.GUEST_CR4: 0x2011, F.GUEST_GDTR_BASE: GDT, F.GUEST_IDTR_BASE: IDT}
    task = {F.GUEST_TR_BASE: TSS, F.GUEST_TR_LIMIT: 0x100}
    event = {F.VM_ENTRY_INTERRUPTION_INFORMATION: 0x8000_0421, F.VM_ENTRY_INSTRUCTION_LENGTH: 2}
    bench.guest(b"\x90" * 16 + b"\x0f\x01\xc1", changed(VIRTUAL_8086, segments, stack, place, tables, task, event), 16)
    bench.launch()
    assert bench.reason == R.VMCALL
    if redirected:
        ip, cs, image = struct.unpack("<3H", bench.engine.read_physical(0x20000 + 0x8000 - 6, 6))
        assert (bench[F.GUEST_RIP], ip, cs, image) == (0x10, 2, GUEST >> 4, pushed[iopl] & 0xFFFF)
    else:
        eip, cs, image = struct.unpack("<3I", bench.engine.read_physical(bench[F.GUEST_RSP], 12))
        assert (bench[F.GUEST_RIP], eip, cs, image) == (HANDLERS, 2, GUEST >> 4, pushed[iopl] | vif)


def test_iret_that_faults_reports_nmi_unblocking():
    bench = VmxBench()
    virtual = having(LONG, PinBased.nmi_exiting, PinBased.virtual_nmis)
    fields = {F.GUEST_INTERRUPTIBILITY_STATE: 8, F.GUEST_RSP: 0x7FFF_0000_0000, F.EXCEPTION_BITMAP: 1 << 14}
    bench.guest("iretq", changed(virtual, fields))
    bench.launch()
    assert bench.reason == R.EXCEPTION_OR_NMI
    assert bench[F.VM_EXIT_INTERRUPTION_INFORMATION] == 0x8000_1B0E
    assert bench[F.GUEST_INTERRUPTIBILITY_STATE] == 0


def test_tsc_scaling():
    bench = VmxBench()
    controls = having(LONG, PrimaryProcessorBased.use_tsc_offsetting, SecondaryProcessorBased.use_tsc_scaling)
    before = bench.processor.instructions
    bench.guest("rdtsc\nvmcall", changed(controls, {F.TSC_MULTIPLIER: 3 << 47, F.TSC_OFFSET: 1 << 20}))
    bench.launch()
    seen = bench.state.gpr[0] | bench.state.gpr[2] << 32
    assert (before + 1) * 3 // 2 + (1 << 20) <= seen <= (before + 4) * 3 // 2 + (1 << 20)


def test_pause_loop_exiting():
    bench = VmxBench()
    loop = b"\xf3\x90\xeb\xfc"
    fields = having(LONG, SecondaryProcessorBased.pause_loop_exiting)
    bench.guest(loop, changed(fields, {F.PLE_GAP: 10, F.PLE_WINDOW: 100}))
    bench.launch()
    assert (bench.reason, bench[F.GUEST_RIP]) == (R.PAUSE, GUEST)
    # VM entry begins a new loop.
    for _ in range(2):
        before = bench.processor.instructions
        bench.launch("vmresume")
        assert bench.reason == R.PAUSE
        assert bench.processor.instructions - before > 100
    slow = VmxBench()
    slow.guest(loop, changed(fields, {F.PLE_GAP: 1, F.PLE_WINDOW: 100}))
    slow.launch()
    assert not slow.in_host


def test_shadow_vmcs_cannot_be_entered():
    bench = VmxBench()
    bench.engine.write_physical(0x42000, struct.pack("<I", bench.state.vmx_capability[0] & 0x7FFF_FFFF | 1 << 31))
    assert bench.steps("vmptrld [0x20010]") & 0x41 == 0
    assert bench.steps("vmlaunch") & 0x41 == 1


def test_a_guest_that_leaves_long_mode_is_entered_as_it_was_left():
    from tests.vmx.test_ept import EptBench

    bench = EptBench()
    unrestricted = having(LONG, SecondaryProcessorBased.unrestricted_guest)
    # Compatibility mode, from which paging can be turned off.
    bench.run(
        "mov eax, cr0\nbtr eax, 31\nmov cr0, eax\nvmcall",
        base=unrestricted,
        bits=32,
        GUEST_CS_ACCESS_RIGHTS=0xC09B,
    )
    assert bench.reason == R.VMCALL
    assert (bench[F.GUEST_CR0] >> 31, bench[F.VM_ENTRY_CONTROLS] & 0x200) == (0, 0)
    bench.launch("vmresume")
    assert bench.reason == R.VMCALL
