"""The state of one logical processor: one block of memory, read by Python and by compiled microcode alike."""

from __future__ import annotations

from enum import IntEnum

from vmxon.microcode.layout import State, array, scalar, structs
from vmxon.microcode.types import u8, u16, u32, u64


class Segment(IntEnum):
    """Index of a segment register; the order of the instruction encoding, then LDTR and TR."""

    ES, CS, SS, DS, FS, GS, LDTR, TR = range(8)
    FLAT_DATA = 8
    """What DS, ES and CS are in 64-bit mode: base 0, no limit."""
    FLAT_STACK = 9
    """What SS is in 64-bit mode."""


WINDOW_PAGES = 96
"""Pages from 640 KiB to 1 MiB."""


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


class FaultKind(IntEnum):
    """Why an instruction was abandoned."""

    NONE = 0
    EXCEPTION = 1
    """Deliver fault_vector / fault_error."""
    ABANDON = 2
    """The state was replaced as a whole (VM exit, task switch): go on at cpu.rip."""
    ALONE = 3
    """Run this instruction again as a block of its own (MMIO write, page-crossing write, store into code)."""
    HOST = 4
    """Python must act (device read, missing instruction) before the instruction runs again."""
    SECOND_STAGE = 5
    """A second-stage translation refused the access: the VMX slot turns it into a VM exit."""


class HostRequest(IntEnum):
    """What native code asks of Python when it returns."""

    NONE = 0
    BUDGET = 1
    """The instruction budget is spent (an event of virtual time is due)."""
    PORT_READ = 2
    PORT_WRITE = 3
    MEMORY_READ = 4
    MEMORY_WRITE = 5
    HALT = 6
    """HLT, MWAIT or another inactive state with nothing pending."""
    ACKNOWLEDGE = 7
    """An external interrupt is about to be taken: the vector is wanted."""
    TRIPLE_FAULT = 8
    MISSING = 9
    """A defined instruction that vmxon does not implement."""
    BREAK = 10
    """A breakpoint of the debugger."""
    ROOT = 11
    """A VM exit landed on the host RIP that belongs to Python."""
    MSR_READ = 12
    MSR_WRITE = 13
    ENTRY_FAILED = 14
    """A VM entry failed by a rule (cpu.vmx_broken_rule); only where cpu.vmx_notify asks for it, as for the next three."""
    VM_ENTERED = 15
    """A VM entry succeeded; request_value is 1 where it was VMRESUME."""
    VM_EXITED = 16
    INVEPT = 17
    GROUP = 18
    """The handlers of an instruction's group are not loaded yet; the engine answers this itself."""


GUEST_MAPPINGS = 128
"""Places for guest-physical mappings, see processor/guest_physical.py; a power of two."""


class CodeSize(IntEnum):
    """Default operand and address size of the running code."""

    BITS16, BITS32, BITS64 = range(3)


class ProcessorState(State):
    """Everything that an instruction may read or write, guest memory aside."""

    resident = True

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
    pkru = scalar(u64)
    """Rights of the protection keys of user pages; bits 31:0."""
    pkrs = scalar(u64)
    """IA32_PKRS, the same for supervisor pages."""
    xcr0 = scalar(u64)
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
    mxcsr = scalar(u32)
    mxcsr_padding = scalar(u32)
    xmm = array(u64, 32)
    """XMM0–XMM15: low and high half of each."""

    # Model facts that microcode reads.
    physical_width = scalar(u8)
    linear_width = scalar(u8)
    gigabyte_pages = scalar(u8)
    """1 where the model has 1-GiB pages."""
    physical_reserved = scalar(u64)
    """Bits at and above MAXPHYADDR, bit 51 downward."""
    cr4_allowed = scalar(u64)
    efer_allowed = scalar(u64)
    features = array(u64, 4)
    """Which instruction features exist; bit numbers by `engine`."""
    cpuid_table = scalar(u64)
    """Host address of the CPUID rows: leaf, subleaf, eax, ebx, ecx, edx as u32 each."""
    cpuid_count = scalar(u64)

    # Guest memory.
    memory = scalar(u64)
    """Host address of the store, see processor/memory_map.py."""
    low_memory = scalar(u64)
    """Bytes of RAM below the hole that ends at 4 GiB."""
    high_memory = scalar(u64)
    """Bytes of RAM from 4 GiB on."""
    rom_size = scalar(u64)
    """Bytes of the firmware's ROM, which ends at 4 GiB."""
    windows = array(u64, WINDOW_PAGES)
    """For each page from 640 KiB to 1 MiB its place | what may be done there."""
    address_lines = scalar(u64)
    """All ones, or without bit 20 where A20 is held low."""
    memory_pages = scalar(u64)
    """Host address of the table of pages: for each 4 KiB of the store a u64 head of its code blocks and a u64 of code lines."""
    bounce_base = scalar(u64)
    """Host address of the bounce buffers for accesses that cross pages or go to devices."""
    bounce_size = scalar(u64)
    bounce_next = scalar(u64)
    store_count = scalar(u32)
    """Pending stores that run after the instruction, see processor/memory.py."""
    store_done = scalar(u32)
    store_size = array(u32, 80)
    store_target = array(u64, 80)
    """Guest-physical address of each."""
    store_source = array(u64, 80)
    """Host address of the bytes."""

    # Address-space numbers of the software TLB, see processor/tlb.py.
    tag_current = scalar(u64)
    """Low 12 bits of TLB tags for ordinary accesses at this privilege."""
    tag_system = scalar(u64)
    """The same for implicit supervisor accesses."""
    tlb_address = scalar(u64)
    """Host address of the TLB entries, see processor/tlb.py."""
    tag_key = scalar(u64)
    tag_base = scalar(u64)
    """First number of the four of the present (VPID, EPT root, PCID)."""
    tag_next = scalar(u64)
    context = scalar(u64)
    """Key of the jump cache: address-space number and code size."""
    context_base = scalar(u64)
    context_limit = scalar(u64)
    """Base and limit of CS that the jump cache is for, outside 64-bit mode."""
    linear_mask = scalar(u64)
    """All ones in 64-bit mode, else 32 ones."""
    large_regions = scalar(u64)
    """Bloom filter of 2-MiB regions that large pages map; all ones after a 1-GiB page."""
    jump_generation = scalar(u64)
    tag_keys = array(u64, 64)
    tag_values = array(u64, 64)
    tag_vpids = array(u64, 64)
    tag_rights = array(u64, 64)
    """The protection-key rights under which each was filled: PKRU, and IA32_PKRS in the high half."""
    tag_rights_now = scalar(u64)
    """The same for the present space."""
    tag_global = array(u64, 32)
    """One bit for each TLB entry: it is of a global page."""
    tag_victim = scalar(u64)
    tag_count = scalar(u64)
    """How many of the tables' places were ever used since they were cleared; the others are free."""
    tlb_policy = scalar(u64)
    """`TlbPolicy`."""
    tlb_random = scalar(u64)
    """The generator behind `TlbPolicy.RANDOM`; never 0."""
    guest_pages = array(u64, GUEST_MAPPINGS)
    guest_roots = array(u64, GUEST_MAPPINGS)
    guest_mappings = array(u64, GUEST_MAPPINGS)

    # Engine.
    jump_cache = scalar(u64)
    block_table = scalar(u64)
    block_arena = scalar(u64)
    block_next = scalar(u64)
    block_end = scalar(u64)
    exit_record = scalar(u64)
    """The record at which the block was left."""
    link_slot = scalar(u64)
    """Where the dispatcher may link the next block; 0 for none."""
    decode_tables = scalar(u64)
    functions = scalar(u64)
    """Host address of the table of out-of-line functions."""
    crossing_record = scalar(u64)
    """Host address of two records for instructions that are decoded each time they run."""
    alone_record = scalar(u64)
    """Host address of two records for an instruction that runs alone."""
    located = scalar(u64)
    """What the dispatcher found."""
    python_code = scalar(u64)
    """Host address of 16 bytes that are the next instruction; 0 to fetch from memory."""
    python_rip = scalar(u64)
    """RIP of a program written in Python: native code stops there (HostRequest.ROOT). A value that is not canonical where there is none."""
    run_alone = scalar(u64)
    """1 where the dispatcher must run the next instruction alone."""
    stale_handler = scalar(u64)
    """Host address of the handler that a dropped block starts with."""
    stop_handler = scalar(u64)
    """Host address of the handler that ends a block which has no branch."""
    handlers = scalar(u64)
    """Host address of the table of handlers."""

    # The debugger's, which the guest can neither see nor change: processor/debugger.py.
    debugger_breakpoints = array(u64, 64)
    """Linear addresses of breakpoints."""
    debugger_breakpoint_count = scalar(u64)
    debugger_offsets = array(u64, 64)
    """One bit for each offset within a page at which a block may only begin."""
    debugger_passed = scalar(u64)
    """The tick at which execution goes on over a breakpoint that stopped it."""
    debugger_watch_first = array(u64, 16)
    """Linear addresses of the first and last byte of each watchpoint."""
    debugger_watch_last = array(u64, 16)
    debugger_watch_kinds = array(u64, 16)
    """Accesses that it watches: 1 reads, 2 writes, as in processor/paging.py."""
    debugger_watch_count = scalar(u64)
    debugger_watch_met = scalar(u64)
    """One bit for each watchpoint that the instruction just completed has met."""

    # VMX: see vmx/state fields below; the current VMCS lives in a host-side cache.
    vmx_operation = scalar(u8)
    """0 outside, 1 VMX root operation, 2 VMX non-root operation."""
    second_stage = scalar(u8)
    """1 where guest-physical addresses go through EPT."""
    vmxon_pointer = scalar(u64)
    vmcs_pointer = scalar(u64)
    """Guest-physical address of the current VMCS; all ones for none."""
    vmcs = scalar(u64)
    """Host address of the cached fields of the current VMCS."""
    vpid = scalar(u64)
    ept_pointer = scalar(u64)
    vmx_memory = scalar(u64)
    """Host address of the block that vmx/state.py lays out: the table of field encodings and the cached VMCSs."""
    vmx_clock = scalar(u64)
    """Counts VMPTRLDs, to know the least recently loaded VMCS."""
    vmx_capability = array(u64, 20)
    """The VMX capability MSRs 480H–493H, as the processor model has them."""
    vmx_capability_exists = scalar(u64)
    """Bit n: MSR 480H + n exists."""
    vmx_secondary = scalar(u64)
    """Secondary processor-based controls in force: 0 outside non-root operation or where they are not activated."""
    vmx_tertiary = scalar(u64)
    vmx_timer_deadline = scalar(u64)
    """TSC, before offset and scaling, at which the preemption timer expires; all ones while it does not run."""
    vmx_shutdown = scalar(u8)
    """1 after a VMX abort; the processor stays in shutdown."""
    vmx_monitor_trap = scalar(u8)
    """1 where a VM exit due to the monitor trap flag is due at the next instruction boundary."""
    vmx_monitor_armed = scalar(u8)
    """In non-root operation under “monitor trap flag”: 1 from VM entry on, 2 while the next instruction runs."""
    vmx_iret = scalar(u8)
    """1 from an IRET that ended NMI blocking until it completes: exits report “NMI unblocking due to IRET”."""
    vmx_notify = scalar(u32)
    """What Python wants to hear of: bit 0 entries that fail, bit 1 entries, exits and INVEPT."""
    vmx_broken_rule = scalar(u32)
    """Number of the entry rule that the last VM entry broke, counted from 1 over the rule book; 0 for none."""
    vmx_abort = scalar(u32)
    """VMX-abort indicator of the last VMX abort (Vol. 3C §28.7 “VMX Aborts”); 0 for none."""
    vmx_pause_first = scalar(u64)
    """TSC of the first PAUSE of the loop that PAUSE-loop exiting watches."""
    vmx_pause_last = scalar(u64)
    vmx_monitor_ticks = scalar(u64)
    """Tick and RIP at the start of the instruction that ends in the exit of the monitor trap flag."""
    vmx_monitor_rip = scalar(u64)
    virtual_apic_interrupt = scalar(u8)
    """1 where a pending virtual interrupt was recognized (Vol. 3C §30.2.1 “Evaluation of Pending Virtual Interrupts”)."""
    virtual_apic_written = scalar(u8)
    """1 where the instruction that just ended wrote the virtual-APIC page through the APIC-access page."""
    virtual_apic_offset = scalar(u16)
    """Offset of that write."""
    virtual_apic_exit = scalar(u16)
    """Exit reason of the trap-like VM exit that is due at the next instruction boundary; 0 for none."""
    virtual_apic_qualification = scalar(u16)
    apic_access_page = scalar(u64)
    """Host-physical page whose accesses are APIC accesses; all ones where that is not in force."""
