"""The state of one logical processor: one block of memory, read by Python and by compiled microcode alike."""

from __future__ import annotations

from enum import IntEnum

from vmxon.microcode.layout import array, scalar
from vmxon.microcode.types import u8, u16, u32, u64
from vmxon.processor.architectural_state import ArchitecturalState


class Segment(IntEnum):
    """Index of a segment register; the order of the instruction encoding, then LDTR and TR."""

    ES, CS, SS, DS, FS, GS, LDTR, TR = range(8)
    FLAT_DATA = 8
    """What DS, ES and CS are in 64-bit mode: base 0, no limit."""
    FLAT_STACK = 9
    """What SS is in 64-bit mode."""


WINDOW_PAGES = 96
"""Pages from 640 KiB to 1 MiB."""


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
    """Python must act (device read, handlers not compiled yet) before the instruction runs again."""
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
    NUMERIC_ERROR = 19
    """An unmasked x87 exception with CR0.NE = 0: FERR#."""
    COUNTER_OVERFLOW = 20
    """A performance-monitoring counter asks for its interrupt."""
    NOTIFY = 21
    """Send the vector request_address to the APIC request_value, for IPI virtualization."""


GUEST_MAPPINGS = 128
"""Places for guest-physical mappings, see processor/guest_physical.py; a power of two."""


class CodeSize(IntEnum):
    """Default operand and address size of the running code."""

    BITS16, BITS32, BITS64 = range(3)


class ProcessorState(ArchitecturalState):
    """Everything that an instruction may read or write, guest memory aside."""

    resident = True

    # Model facts that microcode reads.
    physical_width = scalar(u8)
    linear_width = scalar(u8)
    """Bits of linear addresses that the processor has at most; `linear_bits` are those of the present paging mode."""
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
    stream_left = scalar(u64)
    """Reads of `stream_size` bytes from `stream_port` that what lies at `stream_next` (a host address) answers."""
    stream_port = scalar(u64)
    stream_size = scalar(u64)
    stream_next = scalar(u64)
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
    """The generator behind `TlbPolicy.RANDOM`."""
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
    """The same for the tertiary controls."""
    hlat_pointer = scalar(u64)
    """HLATP | 1 of a guest under “enable HLAT”; 0 otherwise."""
    hlat_prefix = scalar(u64)
    """How many bits from the top are 1 in linear addresses that HLAT paging translates; 0 for every address."""
    paging_unverified = scalar(u8)
    """1 where the page walk used a paging structure without EPT's paging-write access."""
    vmx_guest_deadline = scalar(u64)
    """TSC, before offset and scaling, at which the guest's own APIC timer expires; 0 while it does not run."""
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
