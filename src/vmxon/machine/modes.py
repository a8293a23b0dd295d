"""Processor states that something other than the guest sets up: after RESET, and as boot protocols hand over."""

from __future__ import annotations

from vmxon.arch.control import CR0_RESET, DR6_RESET, DR7_RESET, Cr0, Cr4, Efer
from vmxon.arch.segments import AccessRights, SegmentType
from vmxon.processor.state import ProcessorState, Segment

PAT_RESET = 0x0007_0406_0007_0406
BIG, LONG, PRESENT, CODE_OR_DATA = (getattr(AccessRights, name).mask for name in ("db", "l", "p", "s"))
GRANULAR = AccessRights.g.mask
DATA = PRESENT | CODE_OR_DATA | SegmentType.writable_or_readable.mask | SegmentType.accessed.mask
CODE = DATA | SegmentType.code.mask
DATA_SEGMENTS = (Segment.ES, Segment.SS, Segment.DS, Segment.FS, Segment.GS)
BUSY_TSS, LDT = PRESENT | 11, PRESENT | 2
ALL_ONES = (1 << 64) - 1


def set_segment(state: ProcessorState, segment: Segment, selector: int, base: int, limit: int, rights: int) -> None:
    """Load one segment register with its hidden part; `refresh_mode` must follow."""
    register = state.segments[segment]
    register.selector, register.base, register.limit, register.rights = selector, base, limit, rights


def reset(state: ProcessorState, signature: int) -> None:
    """The state after RESET (Vol. 3A Table 10-1 “IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT”)."""
    for number in range(17):
        state.gpr[number] = 0
    state.gpr[2] = signature
    state.rip = 0xFFF0
    state.flag_result, state.flag_auxiliary, state.rflags_other = 0x100, 1 << 8, 2
    state.cr0, state.cr2, state.cr3, state.cr4, state.cr8, state.efer = CR0_RESET, 0, 0, 0, 0, 0
    for number in range(6):
        state.dr[number] = 0
    state.dr[6], state.dr[7] = DR6_RESET, DR7_RESET
    set_segment(state, Segment.CS, 0xF000, 0xFFFF_0000, 0xFFFF, CODE)
    for segment in DATA_SEGMENTS:
        set_segment(state, segment, 0, 0, 0xFFFF, DATA)
    set_segment(state, Segment.LDTR, 0, 0, 0xFFFF, LDT)
    set_segment(state, Segment.TR, 0, 0, 0xFFFF, BUSY_TSS)
    for segment in (Segment.FLAT_DATA, Segment.FLAT_STACK):
        register = state.segments[segment]
        register.limit, register.rights, register.read_span, register.write_span = 0xFFFF_FFFF, DATA, ALL_ONES, ALL_ONES
    state.gdt_base = state.idt_base = 0
    state.gdt_limit = state.idt_limit = 0xFFFF
    state.pat = PAT_RESET
    state.pkru, state.xcr0, state.random = 0, 1, 0
    state.x87_control, state.x87_status, state.x87_tag = 0x40, 0, 0xFF
    state.mxcsr = 0x1F80
    state.activity = state.interruptibility = 0
    state.pending_debug = 0
    state.vmcs_pointer = state.vmxon_pointer = ALL_ONES


def enter_flat_32(state: ProcessorState, entry: int) -> None:
    """Protected mode, flat 32-bit segments, no paging, interrupts off: what Multiboot §3.2 “Machine state” promises."""
    state.cr0 = Cr0.pe.mask | Cr0.et.mask
    state.cr4 = state.efer = 0
    set_segment(state, Segment.CS, 0x08, 0, 0xFFFF_FFFF, CODE | BIG | GRANULAR)
    for segment in DATA_SEGMENTS:
        set_segment(state, segment, 0x10, 0, 0xFFFF_FFFF, DATA | BIG | GRANULAR)
    state.rip = entry


def enter_real(state: ProcessorState, segment: int, offset: int) -> None:
    """Real mode at `segment`:`offset`."""
    state.cr0 = Cr0.et.mask
    set_segment(state, Segment.CS, segment, segment << 4, 0xFFFF, CODE)
    state.rip = offset


def enter_long(state: ProcessorState, entry: int, tables: int) -> None:
    """64-bit mode with paging through the PML4 table at `tables`."""
    state.cr0 = Cr0.pe.mask | Cr0.pg.mask | Cr0.et.mask | Cr0.ne.mask | Cr0.wp.mask
    state.cr4 = Cr4.pae.mask
    state.efer = Efer.lme.mask | Efer.lma.mask
    state.cr3 = tables
    set_segment(state, Segment.CS, 0x08, 0, 0xFFFF_FFFF, CODE | LONG | GRANULAR)
    for segment in DATA_SEGMENTS:
        set_segment(state, segment, 0x10, 0, 0xFFFF_FFFF, DATA | BIG | GRANULAR)
    state.rip = entry
