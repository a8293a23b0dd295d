"""The part of a processor's state that RESET clears: its registers, and what is under way or pending."""

from __future__ import annotations

from vmxon.microcode.layout import State, array, scalar, structs
from vmxon.microcode.types import u8, u16, u32, u64


class SegmentState(State):
    """A segment register with its hidden part (Vol. 3A §3.4.3 “Segment Registers”)."""

    base = scalar(u64)
    limit = scalar(u32)
    """In bytes, granularity applied."""
    rights = scalar(u32)
    """Access rights in VMX format: type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15, unusable 16."""
    read_first = scalar(u64)
    """Lowest offset that a data read may touch; derived from limit and type by `refresh_segment`."""
    read_span = scalar(u64)
    """Highest offset minus `read_first`; an access of n bytes at o is good if o - first <= span and o+n-1 - first <= span."""
    write_first = scalar(u64)
    write_span = scalar(u64)
    selector = scalar(u16)
    read_allowed = scalar(u8)
    write_allowed = scalar(u8)
    padding = scalar(u32)


class ArchitecturalState(State):
    """Registers, pending events, the latch for what Python answers, MSRs, x87 and SSE."""

    # General-purpose registers; index 16 always reads zero (an absent base or index register).
    gpr = array(u64, 17)
    rip = scalar(u64)
    """Start of the running instruction in `system` flow and between instructions; EIP/IP zero-extended."""
    next_rip = scalar(u64)
    """Where a `system` instruction goes on unless it changes this."""

    # Lazy status flags, see processor/flags.py.
    flag_result = scalar(u64)
    flag_auxiliary = scalar(u64)
    rflags_other = scalar(u64)
    """RFLAGS without CF, PF, AF, ZF, SF, OF (those bits are zero here); bit 1 is set."""

    segments = structs(SegmentState, 10)
    gdt_base = scalar(u64)
    idt_base = scalar(u64)
    gdt_limit = scalar(u32)
    idt_limit = scalar(u32)

    cr0 = scalar(u64)
    cr2 = scalar(u64)
    cr3 = scalar(u64)
    cr4 = scalar(u64)
    cr8 = scalar(u64)
    efer = scalar(u64)
    dr = array(u64, 8)
    """DR0–DR3, unused, unused, DR6, DR7."""
    pdpte = array(u64, 4)
    """PAE page-directory-pointer registers (Vol. 3A §4.4.1 “PDPTE Registers”)."""

    cpl = scalar(u8)
    code_size = scalar(u8)
    """CodeSize of CS."""
    linear_bits = scalar(u8)
    """Bits of linear addresses in use: 57 with 5-level paging, else 48."""
    long_mode = scalar(u8)
    """1 where EFER.LMA = 1."""
    stack_shift = scalar(u8)
    """64 minus the width of the stack pointer: 0, 32 or 48."""
    interruptibility = scalar(u8)
    """Bits as in the VMCS: 0 STI, 1 MOV SS, 2 SMI, 3 NMI blocking."""
    activity = scalar(u8)
    """As in the VMCS: 0 active, 1 HLT, 2 shutdown, 3 wait-for-SIPI."""
    single_step = scalar(u8)
    """1 where RFLAGS.TF (or the monitor trap flag) wants a stop after each instruction."""
    alone = scalar(u8)
    """1 while one instruction runs as a block of its own."""
    segment_rules = scalar(u8)
    """What selectors and hidden parts mean: `SegmentRules` of processor/segmentation.py."""

    # How an instruction was abandoned.
    fault_kind = scalar(u32)
    fault_vector = scalar(u32)
    fault_error = scalar(u32)
    fault_has_error = scalar(u8)
    fault_soft = scalar(u8)
    """Interruption type of the event being delivered, as in VM-exit interruption information: 0 external, 2 NMI, 3 hardware
    exception, 4 software interrupt, 5 privileged software exception (INT1), 6 software exception (INT3, INTO)."""
    fault_length = scalar(u8)
    """Instruction length of a software event."""
    fault_address = scalar(u64)
    """Linear address of a page fault."""
    fault_qualification = scalar(u64)
    """Second-stage violation: exit qualification so far; debug exception: DR6 bits to be."""
    fault_physical = scalar(u64)
    """Guest-physical address of a second-stage violation."""

    # Event being delivered (IDT vectoring), for nested faults and VM exits.
    delivering = scalar(u8)
    delivering_soft = scalar(u8)
    delivering_length = scalar(u8)
    delivering_has_error = scalar(u8)
    delivering_vector = scalar(u32)
    delivering_error = scalar(u32)
    shutdown_faults = array(u64, 6)
    """The three faults of a triple fault: vector << 32 | error, and RIP, for each."""

    # Pending asynchronous events.
    interrupt_line = scalar(u8)
    """1 while the interrupt controller asserts INTR."""
    nmi_pending = scalar(u8)
    init_pending = scalar(u8)
    acknowledged = scalar(u8)
    """1 when acknowledged_vector holds the answer to HostRequest.ACKNOWLEDGE."""
    acknowledged_vector = scalar(u8)
    attention = scalar(u8)
    """1 where the dispatcher must look for events before the next block."""
    code_breakpoints = scalar(u8)
    """Which of DR0–DR3 are armed on execution, on data, on ports; see processor/breakpoints.py."""
    data_breakpoints = scalar(u8)
    port_breakpoints = scalar(u8)
    breakpoints_met = scalar(u64)
    """Data breakpoints that the instruction running alone has met so far."""
    pending_debug = scalar(u64)
    """Pending debug exceptions, as in the VMCS."""
    deferred = scalar(u8)
    """1 where the exception below waits for delivery at cpu.rip: it came up after its instruction had replaced the state."""
    deferred_has_error = scalar(u8)
    deferred_vector = scalar(u32)
    deferred_error = scalar(u32)
    deferred_address = scalar(u64)
    event_stage = scalar(u8)
    """Which place in the order of events `intercept_windows` is asked about, see processor/events.py."""
    step_armed = scalar(u8)
    """1 where RFLAGS.TF was 1 when the instruction at tick `step_ticks` began: its end is a single-step trap."""
    step_operation = scalar(u8)
    """cpu.vmx_operation at that time: a VM exit or entry in between ends the matter."""
    branched = scalar(u8)
    """1 where the instruction that ran alone last was a taken branch, which is what a single-step trap waits for under BTF."""
    step_ticks = scalar(u64)
    shadow_ticks = scalar(u64)
    """The tick after STI, MOV SS or POP SS: the shadow lasts as long as no further instruction has retired."""
    resume_ticks = scalar(u64)
    """The same for RFLAGS.RF after IRET or a task switch."""

    # Time: `ticks` = retired instructions + skipped idle time.
    instructions = scalar(u64)
    """Retired up to the start of the present budget."""
    budget = scalar(u64)
    """Instructions still allowed, signed; blocks subtract their length when they are entered."""
    budget_held = scalar(u64)
    """What is set aside while an instruction runs alone."""
    budget_granted = scalar(u64)
    """The budget at the start: retired now = instructions + granted - budget."""
    idle_ticks = scalar(u64)
    tsc_adjust = scalar(u64)
    """Added to the ticks by IA32_TSC and IA32_TSC_ADJUST writes."""
    tsc_multiplier = scalar(u64)
    """TSC counts for each tick, 48 fraction bits."""

    # Requests to Python, and the latch of what Python answered.
    request = scalar(u32)
    request_size = scalar(u32)
    request_address = scalar(u64)
    request_value = scalar(u64)
    latch_valid = scalar(u32)
    """1 when the latch answers the read of request_address."""
    latch_size = scalar(u32)
    latch_address = scalar(u64)
    latch_value = scalar(u64)

    memory_latch_count = scalar(u64)
    """Answered device reads of the running instruction."""
    memory_latch_address = array(u64, 80)
    memory_latch_value = array(u64, 80)

    # MSRs.
    star = scalar(u64)
    lstar = scalar(u64)
    cstar = scalar(u64)
    fmask = scalar(u64)
    kernel_gs_base = scalar(u64)
    tsc_aux = scalar(u64)
    sysenter_cs = scalar(u64)
    sysenter_esp = scalar(u64)
    sysenter_eip = scalar(u64)
    pat = scalar(u64)
    apic_base = scalar(u64)
    apic_page = scalar(u64)
    """Physical address of the APIC page; all ones where there is none (disabled, x2APIC mode, no APIC)."""
    apic_mode = scalar(u8)
    """`ApicMode` of arch/apic.py."""
    feature_control = scalar(u64)
    misc_enable = scalar(u64)
    debugctl = scalar(u64)
    mtrr_def_type = scalar(u64)
    mtrr_fixed = array(u64, 11)
    mtrr_base = array(u64, 8)
    mtrr_mask = array(u64, 8)
    mcg_status = scalar(u64)
    bios_sign_id = scalar(u64)
    spec_ctrl = scalar(u64)
    xss = scalar(u64)
    umwait_control = scalar(u64)
    """IA32_UMWAIT_CONTROL."""
    monitor_armed = scalar(u8)
    """1 from UMONITOR to UMWAIT."""
    pkru = scalar(u64)
    """Rights of the protection keys of user pages; bits 31:0."""
    pkrs = scalar(u64)
    """IA32_PKRS, the same for supervisor pages."""
    counters = array(u64, 7)
    """Performance-monitoring counters, general ones first; up to date at `counter_mark`, see processor/counters.py."""
    counter_select = array(u64, 4)
    counter_fixed_control = scalar(u64)
    counter_global_control = scalar(u64)
    counter_global_status = scalar(u64)
    counter_mark = scalar(u64)
    """Retired instructions when the counters were brought up to date."""
    counter_deadline = scalar(u64)
    """Retired instructions at the first overflow; all ones where no counter runs."""
    counters_at = array(u64, 2)
    """One bit for each counter that counts at CPL 0, and at CPL 1 to 3."""
    counters_running = scalar(u64)
    """One bit for each counter that counts at the present privilege."""
    counters_used = scalar(u8)
    """1 where a counter counts at some privilege."""
    counter_interrupt = scalar(u8)
    """1 where an overflow waits to be signalled to the APIC."""
    xcr0 = scalar(u64)
    random = scalar(u64)
    """How far the generator of RDRAND has come."""
    tsc_deadline = scalar(u64)
    msr_cells = array(u64, 64)
    """MSRs without a member of their own, placed by processor/msr_storage.py."""
    msr_absent = array(u64, 4)
    """One bit for each row of `msr_storage.ROWS`: the model lacks that MSR."""

    # x87 and SSE.
    x87_control = scalar(u16)
    x87_status = scalar(u16)
    """TOP is kept in x87_top."""
    x87_tag = scalar(u16)
    """One bit for each physical register: 1 = not empty."""
    x87_opcode = scalar(u16)
    x87_ip = scalar(u64)
    x87_dp = scalar(u64)
    x87_cs = scalar(u16)
    x87_ds = scalar(u16)
    x87_top = scalar(u32)
    x87_significand = array(u64, 8)
    """Physical registers R0–R7, explicit integer bit included."""
    x87_exponent = array(u16, 8)
    """Sign in bit 15, biased exponent in 14:0."""
    x87_reported = scalar(u8)
    """1 where Python was told of the exception that is pending (HostRequest.NUMERIC_ERROR)."""
    mxcsr = scalar(u32)
    mxcsr_padding = scalar(u32)
    xmm = array(u64, 32)
    """XMM0–XMM15: low and high half of each."""
