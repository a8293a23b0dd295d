"""Guests that exit: the reason, qualification and the other words of each exit, and what the guest's state was."""

import struct

import pytest

from tests.vmx.vmx_bench import GUEST, HOST, NO_EXIT, VmxBench
from tests.vmx.witness import (
    LONG,
    PROTECTED,
    Entry,
    PinBased,
    PrimaryExit,
    PrimaryProcessorBased,
    SecondaryProcessorBased,
    changed,
    having,
)
from vmxon.processor.state import HostRequest
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField as F
from vmxon.vmx.preemption import expiry_tick

P, S = PrimaryProcessorBased, SecondaryProcessorBased
OSXSAVE = changed(LONG, {F.GUEST_CR4: 0x4_2020})


@pytest.fixture
def bench():
    return VmxBench()


def run(bench, code, base=LONG, *controls, bits=64, **fields):
    """Launch a guest and let it run to its first exit; gives the basic exit reason."""
    changes = {F[name]: value for name, value in fields.items()}
    bench.guest(code, changed(having(base, *controls), changes), bits)
    bench.launch()
    assert bench.in_host, f"no exit; RIP {bench.state.rip:#x}"
    return bench.reason


# Unconditional exits and resuming


def test_cpuid_exits_and_the_guest_goes_on_after_it(bench):
    assert run(bench, "mov eax, 1\ncpuid\nmov ebx, 0x77\nvmcall") == R.CPUID
    assert bench.state.rip == HOST + 1
    assert (bench[F.GUEST_RIP], bench[F.VM_EXIT_INSTRUCTION_LENGTH], bench.qualification) == (GUEST + 5, 2, 0)
    assert bench.state.gpr[0] == 1
    bench[F.GUEST_RIP] += 2
    bench.launch("vmresume")
    assert (bench.reason, bench.state.gpr[3], bench[F.VM_EXIT_INSTRUCTION_LENGTH]) == (R.VMCALL, 0x77, 3)


def test_launched_vmcs_must_be_resumed(bench):
    run(bench, "vmcall")
    bench.launch("vmlaunch", 1)
    assert bench[F.VM_INSTRUCTION_ERROR] == 4


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("invd", R.INVD),
        ("xor ecx, ecx\nvmxoff", R.VMXOFF),
        ("vmlaunch", R.VMLAUNCH),
        ("vmresume", R.VMRESUME),
        ("vmread rax, rcx", R.VMREAD),
        ("vmwrite rcx, rax", R.VMWRITE),
        ("vmclear [rbx]", R.VMCLEAR),
        ("vmptrld [rbx]", R.VMPTRLD),
        ("vmptrst [rbx]", R.VMPTRST),
        ("vmxon [rbx]", R.VMXON),
        ("invept rcx, [rbx]", R.INVEPT),
        ("invvpid rcx, [rbx]", R.INVVPID),
    ],
)
def test_unconditional_exits(bench, code, reason):
    assert run(bench, code) == reason


@pytest.mark.parametrize(
    ("code", "control", "reason"),
    [
        ("hlt", P.hlt_exiting, R.HLT),
        ("invlpg [rbx]", P.invlpg_exiting, R.INVLPG),
        ("rdpmc", P.rdpmc_exiting, R.RDPMC),
        ("rdtsc", P.rdtsc_exiting, R.RDTSC),
        ("pause", P.pause_exiting, R.PAUSE),
        ("mov rax, dr7", P.mov_dr_exiting, R.MOV_DR),
        ("mov rax, cr3", P.cr3_store_exiting, R.CR_ACCESS),
        ("mov cr3, rax", P.cr3_load_exiting, R.CR_ACCESS),
        ("mov rax, cr8", P.cr8_store_exiting, R.CR_ACCESS),
        ("mov cr8, rax", P.cr8_load_exiting, R.CR_ACCESS),
        ("wbinvd", S.wbinvd_exiting, R.WBINVD),
        ("sgdt [rbx]", S.descriptor_table_exiting, R.GDTR_OR_IDTR),
        ("sldt eax", S.descriptor_table_exiting, R.LDTR_OR_TR),
        ("in al, 0x71", P.unconditional_io_exiting, R.IO_INSTRUCTION),
        ("rdrand eax", S.rdrand_exiting, R.RDRAND),
        ("rdseed eax", S.rdseed_exiting, R.RDSEED),
    ],
)
def test_controls_decide_which_instructions_exit(bench, code, control, reason):
    bench.state.gpr[0] = 0x1000
    bench.state.gpr[3] = 0x20000
    assert run(bench, code, LONG, control) == reason
    assert bench[F.GUEST_RIP] == GUEST


def test_rdtscp_needs_its_enable_and_exits_with_rdtsc(bench):
    assert run(bench, "rdtscp", LONG, EXCEPTION_BITMAP=1 << 6) == R.EXCEPTION_OR_NMI
    assert run(VmxBench(), "rdtscp", LONG, S.enable_rdtscp, P.rdtsc_exiting) == R.RDTSCP


@pytest.mark.parametrize(
    ("code", "enabled"), [("rdpid rax", S.enable_rdtscp), ("xsaves [rbx]", S.enable_xsaves), ("xrstors [rbx]", S.enable_xsaves)]
)
def test_instructions_that_a_control_enables(code, enabled):
    for controls, expected in (((), R.EXCEPTION_OR_NMI), ((enabled,), R.VMCALL)):
        bench = VmxBench()
        bench.state.xcr0, bench.state.gpr[3] = 3, 0x20000
        bench.engine.write_physical(0x20208, (3 | 1 << 63).to_bytes(8, "little"))
        found = run(bench, code + "\nvmcall", OSXSAVE, *controls, EXCEPTION_BITMAP=1 << 6)
        assert found == expected


@pytest.mark.parametrize(
    ("code", "reason", "enabled", "asked", "bitmap", "exits"),
    [
        ("xsaves [rbx + 64]", R.XSAVES, 1 << 11, 1 << 11, 1 << 11, True),
        ("xrstors [rbx + 64]", R.XRSTORS, 1 << 11, 1 << 11, 1 << 11, True),
        ("xsaves [rbx + 64]", R.XSAVES, 1 << 11, 1 << 11, 1 << 12, False),
        ("xsaves [rbx + 64]", R.XSAVES, 1 << 11, 3, 1 << 11, False),
        ("xsaves [rbx + 64]", R.XSAVES, 0, 1 << 11, 1 << 11, False),
    ],
)
def test_the_xss_exiting_bitmap(bench, code, reason, enabled, asked, bitmap, exits):
    bench.state.xcr0, bench.state.xss = 3, enabled
    bench.state.gpr[0], bench.state.gpr[2], bench.state.gpr[3] = asked, 0, 0x20000
    found = run(bench, code + "\nvmcall", OSXSAVE, S.enable_xsaves, XSS_EXITING_BITMAP=bitmap)
    assert found == (reason if exits else R.VMCALL)
    if exits:
        information = bench[F.VM_EXIT_INSTRUCTION_INFORMATION]
        assert (information >> 7 & 7, information >> 22 & 1, information >> 23 & 15) == (2, 1, 3)


def test_xsetbv_exits_always(bench):
    assert run(bench, "xsetbv", OSXSAVE) == R.XSETBV


@pytest.mark.parametrize(
    ("code", "register", "size"), [("rdrand ax", 0, 0), ("rdrand r9d", 9, 1), ("rdseed r15", 15, 2), ("rdseed ebx", 3, 1)]
)
def test_instruction_information_of_random_numbers(bench, code, register, size):
    run(bench, code, LONG, S.rdrand_exiting, S.rdseed_exiting)
    information = bench[F.VM_EXIT_INSTRUCTION_INFORMATION]
    assert (information >> 3 & 15, information >> 11 & 3) == (register, size)


def test_instruction_information_of_memory_operands(bench):
    run(bench, "vmptrld [rbx + rsi*4 - 0x20]")
    information = bench[F.VM_EXIT_INSTRUCTION_INFORMATION]
    assert bench.qualification == (1 << 64) - 0x20
    assert (information & 3, information >> 7 & 7, information >> 15 & 7) == (2, 2, 3)
    assert (information >> 18 & 15, information >> 22 & 1, information >> 23 & 15, information >> 27 & 1) == (6, 0, 3, 0)


def test_instruction_information_of_register_operands(bench):
    run(bench, "vmwrite r9, rdx")
    information = bench[F.VM_EXIT_INSTRUCTION_INFORMATION]
    assert (information >> 3 & 15, information >> 10 & 1, information >> 28) == (2, 1, 9)


# I/O and MSRs


def bitmap(bench, *bits, at=0x44000):
    """A bitmap page with these bits set."""
    page = bytearray(8192)
    for bit in bits:
        page[bit >> 3] |= 1 << (bit & 7)
    bench.engine.write_physical(at, bytes(page))


IO = {"IO_BITMAP_A_ADDRESS": 0x44000, "IO_BITMAP_B_ADDRESS": 0x45000}


def test_io_bitmaps_let_ports_through(bench):
    bitmap(bench, 0x71, 0x9000)
    bench.guest("in al, 0x70\nmov dx, 0x9000\nout dx, ax", changed(having(LONG, P.use_io_bitmaps), {F[n]: v for n, v in IO.items()}))
    assert bench.launch() is HostRequest.PORT_READ
    state = bench.state
    state.latch_valid, state.latch_address, state.latch_size, state.latch_value = 1, 0x70, 1, 5
    bench.processor.run(100)
    assert bench.in_host
    assert (bench.reason, bench.qualification) == (R.IO_INSTRUCTION, 0x9000 << 16 | 1)


def test_io_access_that_touches_a_marked_port_exits(bench):
    bitmap(bench, 0x71)
    assert run(bench, "in eax, 0x6E", LONG, P.use_io_bitmaps, **IO) == R.IO_INSTRUCTION
    assert bench.qualification == 0x6E << 16 | 1 << 6 | 1 << 3 | 3


def test_string_io_reports_address_and_segment(bench):
    bench.state.gpr[6], bench.state.gpr[1], bench.state.gpr[2] = 0x20040, 3, 0x70
    assert run(bench, "rep outsb", LONG, P.unconditional_io_exiting) == R.IO_INSTRUCTION
    assert bench.qualification == 0x70 << 16 | 1 << 5 | 1 << 4
    assert bench[F.GUEST_LINEAR_ADDRESS] == 0x20040
    information = bench[F.VM_EXIT_INSTRUCTION_INFORMATION]
    assert (information >> 7 & 7, information >> 15 & 7) == (2, 3)


@pytest.mark.parametrize(
    ("msr", "instruction", "bit"),
    [
        (0x174, "rdmsr", 0x174),
        (0xC000_0082, "rdmsr", 0x2000 + 0x82),
        (0x174, "wrmsr", 0x4000 + 0x174),
        (0xC000_0082, "wrmsr", 0x6000 + 0x82),
    ],
)
def test_msr_bitmaps(bench, msr, instruction, bit):
    reason = R.RDMSR if instruction == "rdmsr" else R.WRMSR
    bitmap(bench, bit)
    code = f"mov ecx, {msr:#x}\nxor eax, eax\nxor edx, edx\n{instruction}\nvmcall"
    assert run(bench, code, LONG, P.use_msr_bitmaps, MSR_BITMAP_ADDRESS=0x44000) == reason
    other = VmxBench()
    bitmap(other)
    assert run(other, code, LONG, P.use_msr_bitmaps, MSR_BITMAP_ADDRESS=0x44000) == R.VMCALL
    assert run(VmxBench(), code) == reason


def test_msr_outside_the_bitmaps_exits(bench):
    bitmap(bench)
    assert run(bench, "mov ecx, 0x4000\nrdmsr", LONG, P.use_msr_bitmaps, MSR_BITMAP_ADDRESS=0x44000) == R.RDMSR


# Control registers


def test_cr0_mask_and_shadow(bench):
    masked = {"CR0_GUEST_HOST_MASK": 1 << 16 | 1 << 5, "CR0_READ_SHADOW": 1 << 5}
    assert run(bench, "mov rax, cr0\nmov rbx, rax\nor rax, 2\nmov cr0, rax\nor rax, 0x10000\nmov cr0, rax", LONG, **masked) == R.CR_ACCESS
    assert bench.state.gpr[3] == 0x8000_0031
    assert (bench.qualification, bench[F.GUEST_CR0] & 2) == (0, 2)


def test_cr4_mask_hides_vmxe(bench):
    masked = {"CR4_GUEST_HOST_MASK": 1 << 13}
    assert run(bench, "mov rax, cr4\nmov rbx, rax\nor rax, 0x80\nmov cr4, rax\nor rax, 0x2000\nmov cr4, rax", LONG, **masked) == R.CR_ACCESS
    assert bench.state.gpr[3] == 0x20
    assert (bench.qualification, bench[F.GUEST_CR4]) == (4, 0x20A0)


def test_cr3_targets(bench):
    code = "mov eax, 0x1000\nmov cr3, rax\nmov eax, 0x3000\nmov r9, rax\nmov cr3, r9"
    assert run(bench, code, LONG, P.cr3_load_exiting, CR3_TARGET_COUNT=2, CR3_TARGET_VALUE_1=0x1000) == R.CR_ACCESS
    assert (bench.qualification, bench.state.gpr[0]) == (3 | 9 << 8, 0x3000)


def test_clts_and_lmsw(bench):
    owned = {"CR0_GUEST_HOST_MASK": 8, "CR0_READ_SHADOW": 8}
    assert run(bench, "clts", LONG, **owned) == R.CR_ACCESS
    assert bench.qualification == 2 << 4
    quiet = VmxBench()
    assert run(quiet, "clts\nvmcall", LONG, CR0_GUEST_HOST_MASK=8, GUEST_CR0=0x8000_0039) == R.VMCALL
    assert quiet[F.GUEST_CR0] & 8
    assert run(VmxBench(), "mov eax, 3\nlmsw ax", LONG, CR0_GUEST_HOST_MASK=2) == R.CR_ACCESS


# Exceptions


def test_exception_bitmap(bench):
    assert run(bench, "nop\nud2", LONG, EXCEPTION_BITMAP=1 << 6) == R.EXCEPTION_OR_NMI
    assert bench[F.VM_EXIT_INTERRUPTION_INFORMATION] == 0x8000_0306
    assert (bench[F.GUEST_RIP], bench[F.GUEST_RFLAGS] & 1 << 16) == (GUEST + 1, 1 << 16)
    assert bench[F.IDT_VECTORING_INFORMATION] == 0


def test_general_protection_reports_its_error_code(bench):
    assert run(bench, "mov ax, 0x50\nmov ds, ax", LONG, EXCEPTION_BITMAP=1 << 13, GUEST_GDTR_LIMIT=0x17) == R.EXCEPTION_OR_NMI
    assert (bench[F.VM_EXIT_INTERRUPTION_INFORMATION], bench[F.VM_EXIT_INTERRUPTION_ERROR_CODE]) == (0x8000_0B0D, 0x50)


@pytest.mark.parametrize(
    ("bit", "mask", "match", "exits"), [(1, 0, 0, True), (0, 0, 0, False), (1, 2, 0, False), (0, 2, 0, True), (1, 2, 2, True)]
)
def test_page_fault_mask_and_match(bench, bit, mask, match, exits):
    reason = run(
        bench,
        "mov rax, 0x7fff00000000\nmov [rax], rbx",
        LONG,
        EXCEPTION_BITMAP=bit << 14,
        PAGE_FAULT_ERROR_CODE_MASK=mask,
        PAGE_FAULT_ERROR_CODE_MATCH=match,
        GUEST_IDTR_LIMIT=0,
    )
    assert reason == (R.EXCEPTION_OR_NMI if exits else R.TRIPLE_FAULT)
    if exits:
        assert bench.qualification == 0x7FFF_0000_0000
        assert (bench[F.VM_EXIT_INTERRUPTION_INFORMATION], bench[F.VM_EXIT_INTERRUPTION_ERROR_CODE]) == (0x8000_0B0E, 2)
        assert bench.state.cr2 == 0


def test_breakpoint_reports_its_length(bench):
    assert run(bench, "int3", LONG, EXCEPTION_BITMAP=1 << 3) == R.EXCEPTION_OR_NMI
    assert (bench[F.VM_EXIT_INTERRUPTION_INFORMATION], bench[F.VM_EXIT_INSTRUCTION_LENGTH]) == (0x8000_0603, 1)


def test_triple_fault(bench):
    assert run(bench, "ud2", LONG, GUEST_IDTR_LIMIT=0) == R.TRIPLE_FAULT
    assert bench[F.IDT_VECTORING_INFORMATION] == 0


def test_fault_during_delivery_reports_idt_vectoring(bench):
    assert run(bench, "int 0x80", LONG, EXCEPTION_BITMAP=1 << 13, GUEST_IDTR_LIMIT=0) == R.EXCEPTION_OR_NMI
    assert bench[F.IDT_VECTORING_INFORMATION] == 0x8000_0480
    assert (bench[F.VM_EXIT_INSTRUCTION_LENGTH], bench[F.VM_EXIT_INTERRUPTION_ERROR_CODE]) == (2, 0x80 << 3 | 2)


# Interrupts, NMIs, windows, timer, monitor trap flag


def test_external_interrupt_exits_whatever_if_is(bench):
    bench.guest(b"\xeb\xfe", having(LONG, PinBased.external_interrupt_exiting))
    bench.launch(count=50)
    assert not bench.in_host
    bench.state.interrupt_line = bench.state.attention = 1
    bench.processor.run(50)
    assert (bench.reason, bench[F.VM_EXIT_INTERRUPTION_INFORMATION]) == (R.EXTERNAL_INTERRUPT, 0)


def test_interrupt_that_is_pending_at_entry_exits_at_once(bench):
    bench.state.interrupt_line = 1
    assert run(bench, "nop\nvmcall", LONG, PinBased.external_interrupt_exiting) == R.EXTERNAL_INTERRUPT
    assert bench[F.GUEST_RIP] == GUEST


def test_acknowledge_on_exit(bench):
    bench.state.interrupt_line = 1
    bench.guest(b"\xeb\xfe", having(LONG, PinBased.external_interrupt_exiting, PrimaryExit.acknowledge_interrupt))
    assert bench.launch() is HostRequest.ACKNOWLEDGE
    bench.state.acknowledged, bench.state.acknowledged_vector, bench.state.interrupt_line = 1, 0x31, 0
    bench.state.attention = 1
    bench.processor.run(10)
    assert (bench.reason, bench[F.VM_EXIT_INTERRUPTION_INFORMATION]) == (R.EXTERNAL_INTERRUPT, 0x8000_0031)


def test_nmi_exits_and_blocks_nmis_in_the_host(bench):
    bench.state.nmi_pending, bench.state.interruptibility = 1, 8
    assert run(bench, b"\xeb\xfe", LONG, PinBased.nmi_exiting) == R.EXCEPTION_OR_NMI
    assert bench[F.VM_EXIT_INTERRUPTION_INFORMATION] == 0x8000_0202
    assert bench.state.interruptibility & 8


def test_virtual_nmi_blocking_does_not_block_nmis(bench):
    bench.state.nmi_pending, bench.state.interruptibility = 1, 8
    virtual = (PinBased.nmi_exiting, PinBased.virtual_nmis)
    assert run(bench, b"\xeb\xfe", LONG, *virtual, GUEST_INTERRUPTIBILITY_STATE=8) == R.EXCEPTION_OR_NMI
    assert bench[F.GUEST_INTERRUPTIBILITY_STATE] == 8


def test_interrupt_window(bench):
    assert run(bench, "nop\nsti\nnop\nnop", LONG, P.interrupt_window_exiting) == R.INTERRUPT_WINDOW
    assert bench[F.GUEST_RIP] == GUEST + 3


def test_interrupt_window_wakes_hlt(bench):
    assert run(bench, "hlt", LONG, P.interrupt_window_exiting, GUEST_RFLAGS=0x202) == R.INTERRUPT_WINDOW
    assert run(VmxBench(), "sti\nhlt", LONG, P.interrupt_window_exiting) == R.INTERRUPT_WINDOW


def test_nmi_window(bench):
    controls = (PinBased.nmi_exiting, PinBased.virtual_nmis, P.nmi_window_exiting)
    assert run(bench, b"\xeb\xfe", LONG, *controls) == R.NMI_WINDOW
    blocked = VmxBench()
    blocked.guest(b"\xeb\xfe", changed(having(LONG, *controls), {F.GUEST_INTERRUPTIBILITY_STATE: 8}))
    blocked.launch(count=50)
    assert not blocked.in_host


@pytest.mark.parametrize("value", [0, 1, 5, 1000])
def test_preemption_timer_stops_at_its_tick(bench, value):
    bench.guest(
        b"\x48\xff\xc0\xeb\xfb",
        changed(having(LONG, PinBased.preemption_timer, PrimaryExit.save_preemption_timer), {F.VMX_PREEMPTION_TIMER_VALUE: value}),
    )
    bench.state.gpr[0] = 0
    before = bench.processor.instructions
    for _ in range(20):
        if bench.reason != NO_EXIT:
            break
        bench.launch(count=50_000) if bench.in_host else bench.processor.run(50_000)
    assert bench.reason == R.PREEMPTION_TIMER
    expected = (((before + 1) >> 5) + value << 5) - (before + 1)
    assert bench.state.gpr[0] in ((max(0, expected) + 1) // 2, max(0, expected) // 2)
    assert bench[F.VMX_PREEMPTION_TIMER_VALUE] == 0


def test_preemption_timer_value_is_saved(bench):
    assert (
        run(bench, "vmcall", LONG, PinBased.preemption_timer, PrimaryExit.save_preemption_timer, VMX_PREEMPTION_TIMER_VALUE=100) == R.VMCALL
    )
    assert 99 <= bench[F.VMX_PREEMPTION_TIMER_VALUE] <= 100


def test_monitor_trap_flag_exits_after_each_instruction(bench):
    assert run(bench, "nop\nnop\nmov eax, 5\nvmcall", LONG, P.monitor_trap_flag) == R.MONITOR_TRAP_FLAG
    places = [bench[F.GUEST_RIP] - GUEST]
    for _ in range(2):
        bench.launch("vmresume")
        assert bench.reason == R.MONITOR_TRAP_FLAG
        places.append(bench[F.GUEST_RIP] - GUEST)
    assert places == [1, 2, 7]
    bench.launch("vmresume")
    assert bench.reason == R.VMCALL


def test_pending_monitor_trap_can_be_injected(bench):
    assert run(bench, "nop", LONG, VM_ENTRY_INTERRUPTION_INFORMATION=0x8000_0700) == R.MONITOR_TRAP_FLAG
    assert bench[F.GUEST_RIP] == GUEST


# Injection


def guest_tables(bench):
    """GDT and IDT of the bench for a guest; gives the fields."""
    bench.install_tables()
    return {"GUEST_GDTR_BASE": 0x18000, "GUEST_GDTR_LIMIT": 23, "GUEST_IDTR_BASE": 0x19000, "GUEST_IDTR_LIMIT": 0xFFF}


@pytest.mark.parametrize(
    ("information", "code", "length", "pushed_rip", "error"),
    [
        (0x8000_0030, 0, 0, GUEST, None),
        (0x8000_0202, 0, 0, GUEST, None),
        (0x8000_0306, 0, 0, GUEST, None),
        (0x8000_0B0D, 0x58, 0, GUEST, 0x58),
        (0x8000_0480, 0, 2, GUEST + 2, None),
        (0x8000_0603, 0, 1, GUEST + 1, None),
        (0x8000_0501, 0, 1, GUEST + 1, None),
    ],
)
def test_injected_events_are_delivered_before_the_first_instruction(bench, information, code, length, pushed_rip, error):
    tables = guest_tables(bench)
    reason = run(
        bench,
        "ud2",
        LONG,
        P.hlt_exiting,
        GUEST_RFLAGS=0x202,
        VM_ENTRY_INTERRUPTION_INFORMATION=information,
        VM_ENTRY_EXCEPTION_ERROR_CODE=code,
        VM_ENTRY_INSTRUCTION_LENGTH=length,
        EXCEPTION_BITMAP=0xFFFF_FFFF,
        **tables,
    )
    assert reason == R.HLT
    assert bench[F.GUEST_RIP] == 0x1A000 + 16 * (information & 0xFF)
    words = struct.unpack("<6Q", bench.engine.read_physical(bench[F.GUEST_RSP], 48))
    if error is not None:
        assert words[0] == error
        words = words[1:]
    assert words[0] == pushed_rip
    assert bench[F.VM_ENTRY_INTERRUPTION_INFORMATION] >> 31 == 0
    assert bool(bench[F.GUEST_INTERRUPTIBILITY_STATE] & 8) == (information & 0xFF == 2)


def test_injection_that_faults_reports_idt_vectoring(bench):
    reason = run(
        bench, "nop", LONG, VM_ENTRY_INTERRUPTION_INFORMATION=0x8000_0030, GUEST_RFLAGS=0x202, GUEST_IDTR_LIMIT=0, EXCEPTION_BITMAP=1 << 13
    )
    assert reason == R.EXCEPTION_OR_NMI
    assert bench[F.IDT_VECTORING_INFORMATION] == 0x8000_0030
    assert bench[F.VM_EXIT_INTERRUPTION_ERROR_CODE] == 0x30 << 3 | 3


# Entry failures and MSR lists


def test_entry_failure_lands_in_the_host_and_names_the_rule(bench):
    from vmxon.vmx.rules import RULES

    assert run(bench, "nop", LONG, GUEST_RFLAGS=0) == 0x8000_0021
    assert (bench.qualification, bench.state.rip) == (0, HOST + 1)
    assert RULES[bench.state.vmx_broken_rule - 1].name == "guest.rflags.bit_1"
    assert bench.vmcs.launched == 0


def test_entry_failure_by_the_link_pointer(bench):
    assert run(bench, "nop", LONG, VMCS_LINK_POINTER=0x48000) == 0x8000_0021
    assert bench.qualification == 4


def area(bench, *entries, at=0x48000):
    """An MSR list."""
    bench.engine.write_physical(at, b"".join(struct.pack("<2Q", *entry) for entry in entries))


@pytest.mark.parametrize(
    "entry", [(0xC000_0100, 0), (0x800, 0), (0x9B, 0), (0x79, 0), (1 << 32 | 0x174, 0), (0x174 + 1, 1 << 47), (0x2000, 0)]
)
def test_refused_msr_fails_the_entry_with_its_number(bench, entry):
    area(bench, (0x174, 0x10), entry)
    assert run(bench, "nop", LONG, VM_ENTRY_MSR_LOAD_COUNT=2, VM_ENTRY_MSR_LOAD_ADDRESS=0x48000) == 0x8000_0022
    assert bench.qualification == 2


def test_msr_lists_switch_msrs(bench):
    area(bench, (0xC000_0082, 0x1111))
    area(bench, (0xC000_0082, 0), (0x10, 0), at=0x48100)
    area(bench, (0xC000_0082, 0x3333), at=0x48200)
    reason = run(
        bench,
        "mov ecx, 0xC0000082\nmov eax, 0x2222\nxor edx, edx\nwrmsr\nvmcall",
        LONG,
        P.use_msr_bitmaps,
        P.use_tsc_offsetting,
        TSC_OFFSET=1 << 40,
        MSR_BITMAP_ADDRESS=0x4C000,
        VM_ENTRY_MSR_LOAD_COUNT=1,
        VM_ENTRY_MSR_LOAD_ADDRESS=0x48000,
        VM_EXIT_MSR_STORE_COUNT=2,
        VM_EXIT_MSR_STORE_ADDRESS=0x48100,
        VM_EXIT_MSR_LOAD_COUNT=1,
        VM_EXIT_MSR_LOAD_ADDRESS=0x48200,
    )
    assert reason == R.VMCALL
    stored = struct.unpack("<4Q", bench.engine.read_physical(0x48100, 32))
    assert stored[1] == 0x2222
    assert stored[3] < 1 << 30
    assert bench.state.lstar == 0x3333


def test_bad_msr_at_exit_is_a_vmx_abort(bench):
    area(bench, (0xC000_0100, 0))
    bench.guest("vmcall", changed(LONG, {F.VM_EXIT_MSR_LOAD_COUNT: 1, F.VM_EXIT_MSR_LOAD_ADDRESS: 0x48000}))
    assert bench.launch() is HostRequest.TRIPLE_FAULT
    assert (bench.state.vmx_abort, bench.state.vmx_shutdown) == (4, 1)
    assert bench.engine.read_physical(0x41004, 4) == struct.pack("<I", 4)


# State


def test_host_state_is_what_the_manual_says(bench):
    run(
        bench,
        "mov eax, 0x10\nmov dr7, rax\nstd\nvmcall",
        LONG,
        HOST_FS_BASE=0x1234,
        HOST_GS_BASE=0x5678,
        HOST_TR_BASE=0x1C000,
        HOST_GDTR_BASE=0x18000,
    )
    state = bench.state
    assert (state.segments[4].base, state.segments[5].base, state.segments[7].base) == (0x1234, 0x5678, 0x1C000)
    assert (state.segments[7].limit, state.segments[7].rights) == (0x67, 0x8B)
    assert (state.gdt_base, state.gdt_limit, state.idt_limit) == (0x18000, 0xFFFF, 0xFFFF)
    assert (state.dr[7], bench.processor.rflags, state.gpr[4]) == (0x400, 2, 0x38000)
    assert bench[F.GUEST_RFLAGS] == 0x402


def test_tsc_offset(bench):
    run(bench, "rdtsc\nvmcall", LONG, P.use_tsc_offsetting, TSC_OFFSET=0x1_0000_0000)
    assert bench.state.gpr[2] == 1


def test_thirty_two_bit_guest_under_a_long_host(bench):
    tables = struct.pack("<1024I", *(n << 22 | 0x83 for n in range(1024)))
    bench.engine.write_physical(0x5000, tables)
    protected = changed(PROTECTED, {F.GUEST_CR3: 0x5000, F.GUEST_CR4: 0x2010})
    assert run(bench, "mov eax, 0x12345678\npush eax\npop ebx\nvmcall", protected, bits=32) == R.VMCALL
    assert bench.state.gpr[3] == 0x1234_5678
    assert not bench[F.VM_ENTRY_CONTROLS] & Entry.ia32e_mode_guest.mask


def test_guests_debug_state_is_switched(bench):
    controls = (Entry.load_debug_controls, PrimaryExit.save_debug_controls)
    run(bench, "mov rbx, dr7\nmov eax, 0x401\nmov dr7, rax\nvmcall", LONG, *controls, GUEST_DR7=0x402)
    assert (bench.state.gpr[3], bench[F.GUEST_DR7]) == (0x402, 0x401)


# Exact words of single exits


@pytest.mark.parametrize(
    ("code", "control", "qualification"),
    [
        ("mov r9, dr7", P.mov_dr_exiting, 7 | 1 << 4 | 9 << 8),
        ("mov dr3, rbx", P.mov_dr_exiting, 3 | 3 << 8),
        ("invlpg [rbx + 0x123]", P.invlpg_exiting, 0x20123),
        ("mov r10, cr3", P.cr3_store_exiting, 3 | 1 << 4 | 10 << 8),
        ("mov r11, cr8", P.cr8_store_exiting, 8 | 1 << 4 | 11 << 8),
        ("out 0x80, eax", P.unconditional_io_exiting, 0x80 << 16 | 1 << 6 | 3),
        ("in ax, dx", P.unconditional_io_exiting, 0x3F8 << 16 | 1 << 3 | 1),
        ("lgdt [rbx - 8]", S.descriptor_table_exiting, (1 << 64) - 8),
        ("str [rbx + 4]", S.descriptor_table_exiting, 4),
    ],
)
def test_qualifications(bench, code, control, qualification):
    bench.state.gpr[3], bench.state.gpr[2] = 0x20000, 0x3F8
    run(bench, code, LONG, control)
    assert bench.qualification == qualification


@pytest.mark.parametrize(
    ("code", "which", "instruction"),
    [
        ("sgdt [rbx]", R.GDTR_OR_IDTR, 0),
        ("sidt [rbx]", R.GDTR_OR_IDTR, 1),
        ("lgdt [rbx]", R.GDTR_OR_IDTR, 2),
        ("lidt [rbx]", R.GDTR_OR_IDTR, 3),
        ("sldt [rbx]", R.LDTR_OR_TR, 0),
        ("str [rbx]", R.LDTR_OR_TR, 1),
        ("lldt [rbx]", R.LDTR_OR_TR, 2),
        ("ltr [rbx]", R.LDTR_OR_TR, 3),
    ],
)
def test_descriptor_table_exits_name_their_instruction(bench, code, which, instruction):
    assert run(bench, code, LONG, S.descriptor_table_exiting) == which
    assert bench[F.VM_EXIT_INSTRUCTION_INFORMATION] >> 28 & 3 == instruction


def test_register_operand_of_ltr(bench):
    assert run(bench, "ltr si", LONG, S.descriptor_table_exiting) == R.LDTR_OR_TR
    information = bench[F.VM_EXIT_INSTRUCTION_INFORMATION]
    assert (information >> 10 & 1, information >> 3 & 15, information >> 28 & 3) == (1, 6, 3)


def test_halted_guest_is_woken_by_an_interrupt_exit(bench):
    bench.guest("hlt", having(LONG, PinBased.external_interrupt_exiting))
    assert bench.launch() is HostRequest.HALT
    bench.state.interrupt_line = bench.state.attention = 1
    bench.processor.run(10)
    assert (bench.reason, bench[F.GUEST_ACTIVITY_STATE], bench[F.GUEST_RIP]) == (R.EXTERNAL_INTERRUPT, 1, GUEST + 1)


def test_preemption_timer_wakes_hlt(bench):
    bench.guest("hlt", changed(having(LONG, PinBased.preemption_timer), {F.VMX_PREEMPTION_TIMER_VALUE: 1000}))
    assert bench.launch() is HostRequest.HALT
    tick = expiry_tick(bench.state)
    assert tick is not None
    bench.state.idle_ticks += tick - bench.processor.instructions
    bench.state.attention = 1
    bench.processor.run(10)
    assert (bench.reason, bench[F.GUEST_ACTIVITY_STATE]) == (R.PREEMPTION_TIMER, 1)


def test_init_exits(bench):
    bench.guest(b"\xeb\xfe", LONG)
    bench.launch(count=10)
    bench.state.init_pending = bench.state.attention = 1
    bench.processor.run(10)
    assert bench.reason == R.INIT_SIGNAL


def test_sti_shadow_is_saved_and_loaded(bench):
    run(bench, "sti\ncpuid")
    assert bench[F.GUEST_INTERRUPTIBILITY_STATE] == 1
    other = VmxBench()
    shadow = {"GUEST_INTERRUPTIBILITY_STATE": 1, "GUEST_RFLAGS": 0x202}
    assert run(other, "nop\nnop\nvmcall", LONG, P.interrupt_window_exiting, **shadow) == R.INTERRUPT_WINDOW
    assert other[F.GUEST_RIP] == GUEST + 1


def test_pending_debug_exceptions_are_delivered_at_entry(bench):
    pending = {"GUEST_PENDING_DEBUG_EXCEPTIONS": 0x4000, "EXCEPTION_BITMAP": 2}
    assert run(bench, "nop", LONG, **pending) == R.EXCEPTION_OR_NMI
    assert (bench[F.VM_EXIT_INTERRUPTION_INFORMATION], bench.qualification, bench[F.GUEST_RIP]) == (0x8000_0301, 0x4000, GUEST)
    disabled = {"GUEST_PENDING_DEBUG_EXCEPTIONS": 1, "EXCEPTION_BITMAP": 2}
    assert run(VmxBench(), "nop\nvmcall", LONG, **disabled) == R.VMCALL


def test_single_step_in_a_guest(bench):
    assert run(bench, "nop\nnop", LONG, GUEST_RFLAGS=0x102, EXCEPTION_BITMAP=2) == R.EXCEPTION_OR_NMI
    assert (bench.qualification, bench[F.GUEST_RIP]) == (0x4000, GUEST + 1)


def test_task_switch_exits(bench):
    tables = struct.pack("<1024I", *(n << 22 | 0x83 for n in range(1024)))
    bench.engine.write_physical(0x5000, tables)
    bench.engine.write_physical(0x18000, struct.pack("<4Q", 0, 0x00CF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF, 0x0000_8901_B000_0067))
    protected = changed(PROTECTED, {F.GUEST_CR3: 0x5000, F.GUEST_CR4: 0x2010, F.GUEST_GDTR_BASE: 0x18000, F.GUEST_GDTR_LIMIT: 31})
    code = b"\xea\x00\x00\x00\x00\x18\x00"
    assert run(bench, code, protected, bits=32) == R.TASK_SWITCH
    assert (bench.qualification, bench[F.VM_EXIT_INSTRUCTION_LENGTH]) == (0x18 | 2 << 30, 7)


def test_vmcall_of_a_user_program_exits(bench):
    user = {"GUEST_CS_ACCESS_RIGHTS": 0xA0FB, "GUEST_SS_ACCESS_RIGHTS": 0xC0F3, "GUEST_CS_SELECTOR": 0x0B, "GUEST_SS_SELECTOR": 0x13}
    assert run(bench, "vmcall", LONG, **user) == R.VMCALL
    assert run(VmxBench(), "vmlaunch", LONG, **user) == R.VMLAUNCH
    assert run(VmxBench(), "hlt", LONG, P.hlt_exiting, EXCEPTION_BITMAP=1 << 13, **user) == R.EXCEPTION_OR_NMI


def test_smsw_sees_the_shadow(bench):
    masked = {"CR0_GUEST_HOST_MASK": 1 << 3, "CR0_READ_SHADOW": 1 << 3}
    assert run(bench, "smsw ax\nvmcall", LONG, **masked) == R.VMCALL
    assert bench.state.gpr[0] & 0xFFFF == 0x39


def test_port_without_exit_goes_to_the_machine(bench):
    bench.guest("out 0x80, al\nvmcall", LONG)
    assert bench.launch() is HostRequest.PORT_WRITE
    assert (bench.state.request_address, bench.state.request_size) == (0x80, 1)
    bench.processor.run(10)
    assert bench.reason == R.VMCALL


def test_guest_interrupts_are_delivered_without_external_interrupt_exiting(bench):
    tables = guest_tables(bench)
    bench.guest(b"\xeb\xfe", changed(having(LONG, P.hlt_exiting), {F.GUEST_RFLAGS: 0x202, **{F[n]: v for n, v in tables.items()}}))
    bench.launch(count=20)
    bench.state.interrupt_line = bench.state.attention = 1
    assert bench.processor.run(10) is HostRequest.ACKNOWLEDGE
    bench.state.acknowledged, bench.state.acknowledged_vector, bench.state.interrupt_line = 1, 0x42, 0
    bench.processor.run(10)
    assert (bench.reason, bench[F.GUEST_RIP]) == (R.HLT, 0x1A000 + 0x420)


def test_two_guests_take_turns(bench):
    run(bench, "mov eax, 1\nvmcall\nmov ebx, 3\nvmcall")
    bench.state.gpr[3] = 0
    bench.state.activity = 0
    bench.engine.write_physical(0x43000, struct.pack("<I", bench.state.vmx_capability[0] & 0x7FFF_FFFF))
    bench.steps("vmclear [0x20018]", "vmptrld [0x20018]")
    bench.guest("mov ecx, 2\nvmcall", at=0x16000, fields=changed(LONG, {F.GUEST_RIP: 0x16000}))
    bench.launch()
    assert (bench.reason, bench.state.gpr[1]) == (R.VMCALL, 2)
    bench.state.activity = 0
    bench.steps("vmptrld [0x20008]")
    bench[F.GUEST_RIP] += 3
    bench.launch("vmresume")
    assert (bench.reason, bench.state.gpr[3]) == (R.VMCALL, 3)


@pytest.mark.parametrize("changes", [{"GUEST_RFLAGS": 0}, {"VM_ENTRY_MSR_LOAD_COUNT": 1, "VM_ENTRY_MSR_LOAD_ADDRESS": 0x48000}])
@pytest.mark.parametrize("blocked", [0, 8])
def test_failed_entry_leaves_nmi_blocking_alone(bench, changes, blocked):
    area(bench, (0x800, 0))
    bench.state.interruptibility = blocked
    virtual = (PinBased.nmi_exiting, PinBased.virtual_nmis)
    assert run(bench, "nop", LONG, *virtual, GUEST_INTERRUPTIBILITY_STATE=8 - blocked, **changes) >> 31
    assert bench.state.interruptibility == blocked
