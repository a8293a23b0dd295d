"""Rules on guest segment and descriptor-table registers (Vol. 3C §27.3.1.2, §27.3.1.3)."""

from __future__ import annotations

from vmxon.arch.control import Cr4
from vmxon.microcode import inline
from vmxon.vmx.fields import VmcsField as Field
from vmxon.vmx.rules.book import Area, rule
from vmxon.vmx.rules.sections import GUEST_SEGMENTS, GUEST_TABLES
from vmxon.vmx.rules.terms import (
    CS,
    DATA,
    DS,
    ES,
    FS,
    GS,
    LDTR,
    SIX,
    SS,
    TR,
    Register,
    Single,
    code_64,
    long_guest,
    privilege,
    real_mode,
    segment_type,
    singles,
    unrestricted,
    usable,
    virtual_8086,
)
from vmxon.vmx.rules.view import EntryView

GUEST = Area.GUEST_STATE
FLAGS = Field.GUEST_RFLAGS
ENTRY = Field.VM_ENTRY_CONTROLS
SECONDARY = Field.SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS
CODE_SEGMENT, READABLE, ACCESSED = 8, 2, 1
S, P, G, DB, L = 1 << 4, 1 << 7, 1 << 15, 1 << 14, 1 << 13
RESERVED_LOW, RESERVED_HIGH = 0xF00, 0xFFFE_0000
V86_LIMIT, V86_RIGHTS = 0xFFFF, 0xF3
LDT, BUSY_TSS_16, BUSY_TSS = 2, 3, 11


@inline
def judged(entry: EntryView, which: Register) -> bool:
    """Outside virtual-8086 mode: CS always, the others where usable."""
    return not virtual_8086(entry) and (which is CS or usable(entry, which))


@inline
def byte_granular(entry: EntryView, which: Register) -> bool:
    """A limit whose low 12 bits are not all ones goes with G = 0."""
    return entry.field(which.limit) & 0xFFF == 0xFFF or entry.field(which.rights) & G == 0


@inline
def page_granular(entry: EntryView, which: Register) -> bool:
    """A limit of 1 MiB or more goes with G = 1."""
    return entry.field(which.limit) >> 20 == 0 or entry.field(which.rights) & G != 0


@rule("guest.tr.ti", GUEST, GUEST_SEGMENTS, ("27.3.1.2#1",), (TR.selector,))
def tr_is_in_the_gdt(entry: EntryView) -> bool:
    """The guest's TR selector refers to the GDT: bit 2 (TI) is 0."""
    return entry.field(TR.selector) & 4 == 0


@rule("guest.ldtr.ti", GUEST, GUEST_SEGMENTS, ("27.3.1.2#2",), (LDTR.selector, LDTR.rights))
def ldtr_is_in_the_gdt(entry: EntryView) -> bool:
    """The guest's LDTR selector, where LDTR is usable, refers to the GDT: bit 2 (TI) is 0."""
    return not usable(entry, LDTR) or entry.field(LDTR.selector) & 4 == 0


@rule("guest.ss.rpl", GUEST, GUEST_SEGMENTS, ("27.3.1.2#3",), (SS.selector, CS.selector, FLAGS, SECONDARY))
def ss_and_cs_have_one_privilege(entry: EntryView) -> bool:
    """The RPLs of the guest's SS and CS selectors are equal (unless virtual-8086 mode or unrestricted guest)."""
    same = (entry.field(SS.selector) ^ entry.field(CS.selector)) & 3 == 0
    return virtual_8086(entry) or unrestricted(entry) or same


@rule("guest.{}.v86_base", GUEST, GUEST_SEGMENTS, ("27.3.1.2#4",), ("base", "selector", FLAGS), each=SIX)
def v86_base_is_selector(entry: EntryView, which: Register) -> bool:
    """In virtual-8086 mode the base of {} is 16 times its selector."""
    return not virtual_8086(entry) or entry.field(which.base) == entry.field(which.selector) << 4


@rule("guest.{}.base_canonical", GUEST, GUEST_SEGMENTS, ("27.3.1.2#5",), ("base",), each=(TR, FS, GS))
def base_is_canonical(entry: EntryView, which: Register) -> bool:
    """The base of {} is a canonical address, even where the register is unusable."""
    return entry.canonical(entry.field(which.base))


@rule("guest.ldtr.base_canonical", GUEST, GUEST_SEGMENTS, ("27.3.1.2#6",), (LDTR.base, LDTR.rights))
def ldtr_base_is_canonical(entry: EntryView) -> bool:
    """The base of LDTR, where LDTR is usable, is a canonical address."""
    return not usable(entry, LDTR) or entry.canonical(entry.field(LDTR.base))


@rule("guest.cs.base_width", GUEST, GUEST_SEGMENTS, ("27.3.1.2#7",), (CS.base,))
def cs_base_is_32_bit(entry: EntryView) -> bool:
    """The base of CS lies below 4 GiB."""
    return entry.field(CS.base) >> 32 == 0


@rule("guest.{}.base_width", GUEST, GUEST_SEGMENTS, ("27.3.1.2#8",), ("base", "rights"), each=(SS, DS, ES))
def base_is_32_bit(entry: EntryView, which: Register) -> bool:
    """The base of {}, where it is usable, lies below 4 GiB."""
    return not usable(entry, which) or entry.field(which.base) >> 32 == 0


@rule("guest.{}.v86_limit", GUEST, GUEST_SEGMENTS, ("27.3.1.2#9",), ("limit", FLAGS), each=SIX)
def v86_limit_is_64k(entry: EntryView, which: Register) -> bool:
    """In virtual-8086 mode the limit of {} is FFFFH."""
    return not virtual_8086(entry) or entry.field(which.limit) == V86_LIMIT


@rule("guest.{}.v86_rights", GUEST, GUEST_SEGMENTS, ("27.3.1.2#10",), ("rights", FLAGS), each=SIX)
def v86_rights_are_fixed(entry: EntryView, which: Register) -> bool:
    """In virtual-8086 mode the access rights of {} are F3H."""
    return not virtual_8086(entry) or entry.field(which.rights) == V86_RIGHTS


@rule("guest.cs.type", GUEST, GUEST_SEGMENTS, ("27.3.1.2#11",), (CS.rights, FLAGS, SECONDARY))
def cs_is_accessed_code(entry: EntryView) -> bool:
    """CS is an accessed code segment: type 9, 11, 13 or 15."""
    code = entry.field(CS.rights) & (CODE_SEGMENT | ACCESSED) == CODE_SEGMENT | ACCESSED
    return virtual_8086(entry) or unrestricted(entry) or code


@rule("guest.cs.type_unrestricted", GUEST, GUEST_SEGMENTS, ("27.3.1.2#12",), (CS.rights, FLAGS, SECONDARY))
def cs_is_code_or_real_mode_data(entry: EntryView) -> bool:
    """CS of an unrestricted guest is an accessed code segment (type 9, 11, 13, 15) or writable data (type 3)."""
    code = entry.field(CS.rights) & (CODE_SEGMENT | ACCESSED) == CODE_SEGMENT | ACCESSED
    return virtual_8086(entry) or not unrestricted(entry) or code or segment_type(entry, CS) == 3


@rule("guest.ss.type", GUEST, GUEST_SEGMENTS, ("27.3.1.2#13",), (SS.rights, FLAGS))
def ss_is_writable_data(entry: EntryView) -> bool:
    """SS, where it is usable, is accessed writable data: type 3 or 7."""
    return not judged(entry, SS) or segment_type(entry, SS) == 3 or segment_type(entry, SS) == 7


@rule("guest.{}.accessed", GUEST, GUEST_SEGMENTS, ("27.3.1.2#14",), ("rights", FLAGS), each=DATA)
def data_is_accessed(entry: EntryView, which: Register) -> bool:
    """The type of {}, where it is usable, has the accessed bit."""
    return not judged(entry, which) or entry.field(which.rights) & ACCESSED != 0


@rule("guest.{}.readable", GUEST, GUEST_SEGMENTS, ("27.3.1.2#15",), ("rights", FLAGS), each=DATA)
def code_in_data_register_is_readable(entry: EntryView, which: Register) -> bool:
    """{}, where it is usable and holds a code segment, holds a readable one."""
    return not judged(entry, which) or entry.field(which.rights) & (CODE_SEGMENT | READABLE) != CODE_SEGMENT


@rule("guest.{}.s", GUEST, GUEST_SEGMENTS, ("27.3.1.2#16",), ("rights", FLAGS), each=SIX)
def segment_is_not_system(entry: EntryView, which: Register) -> bool:
    """{} has S = 1 in its access rights: a code or data segment."""
    return not judged(entry, which) or entry.field(which.rights) & S != 0


@inline
def real_mode_code(entry: EntryView) -> bool:
    """CS is a data segment, as only an unrestricted guest may have it."""
    return not virtual_8086(entry) and segment_type(entry, CS) == 3


@rule("guest.cs.dpl_real_mode", GUEST, GUEST_SEGMENTS, ("27.3.1.2#17",), (CS.rights, FLAGS))
def data_cs_has_privilege_0(entry: EntryView) -> bool:
    """The DPL of CS is 0 where CS is writable data (type 3)."""
    return not real_mode_code(entry) or privilege(entry, CS) == 0


@rule("guest.cs.dpl_nonconforming", GUEST, GUEST_SEGMENTS, ("27.3.1.2#18",), (CS.rights, SS.rights, FLAGS))
def nonconforming_cs_has_the_privilege_of_ss(entry: EntryView) -> bool:
    """The DPL of a non-conforming CS (type 9 or 11) equals that of SS."""
    nonconforming = entry.field(CS.rights) & 0xD == 9
    return virtual_8086(entry) or not nonconforming or privilege(entry, CS) == privilege(entry, SS)


@rule("guest.cs.dpl_conforming", GUEST, GUEST_SEGMENTS, ("27.3.1.2#19",), (CS.rights, SS.rights, FLAGS))
def conforming_cs_is_at_least_as_privileged(entry: EntryView) -> bool:
    """The DPL of a conforming CS (type 13 or 15) is not above that of SS."""
    conforming = entry.field(CS.rights) & 0xD == 13
    return virtual_8086(entry) or not conforming or privilege(entry, CS) <= privilege(entry, SS)


@rule("guest.ss.dpl", GUEST, GUEST_SEGMENTS, ("27.3.1.2#20",), (SS.rights, SS.selector, FLAGS, SECONDARY))
def ss_privilege_is_its_rpl(entry: EntryView) -> bool:
    """The DPL of SS equals the RPL of its selector, even where SS is unusable."""
    same = privilege(entry, SS) == entry.field(SS.selector) & 3
    return virtual_8086(entry) or unrestricted(entry) or same


@rule("guest.ss.dpl_data_cs", GUEST, GUEST_SEGMENTS, ("27.3.1.2#21",), (SS.rights, CS.rights, FLAGS))
def ss_has_privilege_0_under_data_cs(entry: EntryView) -> bool:
    """The DPL of SS is 0 where CS is writable data (type 3)."""
    return not real_mode_code(entry) or privilege(entry, SS) == 0


@rule("guest.ss.dpl_real_mode", GUEST, GUEST_SEGMENTS, ("27.3.1.2#22",), (SS.rights, Field.GUEST_CR0, FLAGS))
def ss_has_privilege_0_in_real_mode(entry: EntryView) -> bool:
    """The DPL of SS is 0 where GUEST_CR0.PE is 0."""
    return virtual_8086(entry) or not real_mode(entry) or privilege(entry, SS) == 0


@inline
def fred(entry: EntryView) -> bool:
    """The guest will use FRED."""
    return entry.field(Field.GUEST_CR4) & Cr4.fred.mask != 0


@rule("guest.fred.ss_dpl", GUEST, GUEST_SEGMENTS, ("27.3.1.2#23",), (Field.GUEST_CR4, SS.rights))
def fred_has_two_privileges(entry: EntryView) -> bool:
    """Under FRED the DPL of SS is 0 or 3."""
    return not fred(entry) or privilege(entry, SS) == 0 or privilege(entry, SS) == 3


@rule("guest.fred.cs_l", GUEST, GUEST_SEGMENTS, ("27.3.1.2#24",), (Field.GUEST_CR4, SS.rights, CS.rights))
def fred_supervisor_is_64_bit(entry: EntryView) -> bool:
    """Under FRED, CS.L is 1 at privilege 0."""
    return not fred(entry) or privilege(entry, SS) != 0 or entry.field(CS.rights) & L != 0


@rule("guest.fred.iopl", GUEST, GUEST_SEGMENTS, ("27.3.1.2#25",), (Field.GUEST_CR4, SS.rights, FLAGS))
def fred_user_has_no_iopl(entry: EntryView) -> bool:
    """Under FRED, IOPL is 0 at privilege 3."""
    return not fred(entry) or privilege(entry, SS) != 3 or entry.field(FLAGS) & 0x3000 == 0


@rule(
    "guest.fred.sti",
    GUEST,
    GUEST_SEGMENTS,
    ("27.3.1.2#26",),
    (Field.GUEST_CR4, SS.rights, Field.GUEST_INTERRUPTIBILITY_STATE),
)
def fred_user_has_no_sti_blocking(entry: EntryView) -> bool:
    """Under FRED, blocking by STI is not indicated at privilege 3."""
    return not fred(entry) or privilege(entry, SS) != 3 or entry.field(Field.GUEST_INTERRUPTIBILITY_STATE) & 1 == 0


@rule("guest.{}.dpl", GUEST, GUEST_SEGMENTS, ("27.3.1.2#27",), ("rights", "selector", FLAGS, SECONDARY), each=DATA)
def data_privilege_covers_rpl(entry: EntryView, which: Register) -> bool:
    """The DPL of {}, where it holds data or non-conforming code, is not below the RPL of its selector."""
    bound = judged(entry, which) and not unrestricted(entry) and segment_type(entry, which) <= 11
    return not bound or privilege(entry, which) >= entry.field(which.selector) & 3


@rule("guest.{}.present", GUEST, GUEST_SEGMENTS, ("27.3.1.2#28",), ("rights", FLAGS), each=SIX)
def segment_is_present(entry: EntryView, which: Register) -> bool:
    """{} has P = 1 in its access rights."""
    return not judged(entry, which) or entry.field(which.rights) & P != 0


@rule("guest.{}.reserved_low", GUEST, GUEST_SEGMENTS, ("27.3.1.2#29",), ("rights", FLAGS), each=SIX)
def rights_bits_11_8_are_zero(entry: EntryView, which: Register) -> bool:
    """Bits 11:8 of the access rights of {} are 0."""
    return not judged(entry, which) or entry.field(which.rights) & RESERVED_LOW == 0


@rule("guest.cs.d_with_l", GUEST, GUEST_SEGMENTS, ("27.3.1.2#30",), (CS.rights, ENTRY, FLAGS))
def long_code_has_no_d(entry: EntryView) -> bool:
    """CS.D/B is 0 where CS.L is 1 under “IA-32e mode guest”."""
    return virtual_8086(entry) or not code_64(entry) or entry.field(CS.rights) & DB == 0


@rule("guest.{}.granularity_bytes", GUEST, GUEST_SEGMENTS, ("27.3.1.2#31",), ("limit", "rights", FLAGS), each=SIX)
def short_limit_counts_bytes(entry: EntryView, which: Register) -> bool:
    """G is 0 in the access rights of {} where a bit of its limit in 11:0 is 0."""
    return not judged(entry, which) or byte_granular(entry, which)


@rule("guest.{}.granularity_pages", GUEST, GUEST_SEGMENTS, ("27.3.1.2#32",), ("limit", "rights", FLAGS), each=SIX)
def long_limit_counts_pages(entry: EntryView, which: Register) -> bool:
    """G is 1 in the access rights of {} where a bit of its limit in 31:20 is 1."""
    return not judged(entry, which) or page_granular(entry, which)


@rule("guest.{}.reserved_high", GUEST, GUEST_SEGMENTS, ("27.3.1.2#33",), ("rights", FLAGS), each=SIX)
def rights_bits_31_17_are_zero(entry: EntryView, which: Register) -> bool:
    """Bits 31:17 of the access rights of {} are 0."""
    return not judged(entry, which) or entry.field(which.rights) & RESERVED_HIGH == 0


@rule("guest.tr.type", GUEST, GUEST_SEGMENTS, ("27.3.1.2#34",), (TR.rights, ENTRY))
def tr_is_busy(entry: EntryView) -> bool:
    """TR is a busy TSS: type 11, or 3 (16-bit) outside “IA-32e mode guest”."""
    kind = segment_type(entry, TR)
    return long_guest(entry) or kind == BUSY_TSS or kind == BUSY_TSS_16


@rule("guest.tr.type_long", GUEST, GUEST_SEGMENTS, ("27.3.1.2#35",), (TR.rights, ENTRY))
def tr_is_busy_64_bit(entry: EntryView) -> bool:
    """TR is a busy 64-bit TSS, type 11, under “IA-32e mode guest”."""
    return not long_guest(entry) or segment_type(entry, TR) == BUSY_TSS


@rule("guest.tr.s", GUEST, GUEST_SEGMENTS, ("27.3.1.2#36",), (TR.rights,))
def tr_is_system(entry: EntryView) -> bool:
    """TR has S = 0 in its access rights."""
    return entry.field(TR.rights) & S == 0


@rule("guest.tr.present", GUEST, GUEST_SEGMENTS, ("27.3.1.2#37",), (TR.rights,))
def tr_is_present(entry: EntryView) -> bool:
    """TR has P = 1 in its access rights."""
    return entry.field(TR.rights) & P != 0


@rule("guest.tr.reserved_low", GUEST, GUEST_SEGMENTS, ("27.3.1.2#38",), (TR.rights,))
def tr_bits_11_8_are_zero(entry: EntryView) -> bool:
    """Bits 11:8 of the access rights of TR are 0."""
    return entry.field(TR.rights) & RESERVED_LOW == 0


@rule("guest.tr.granularity_bytes", GUEST, GUEST_SEGMENTS, ("27.3.1.2#39",), (TR.limit, TR.rights))
def tr_short_limit_counts_bytes(entry: EntryView) -> bool:
    """G is 0 in the access rights of TR where a bit of its limit in 11:0 is 0."""
    return byte_granular(entry, TR)


@rule("guest.tr.granularity_pages", GUEST, GUEST_SEGMENTS, ("27.3.1.2#40",), (TR.limit, TR.rights))
def tr_long_limit_counts_pages(entry: EntryView) -> bool:
    """G is 1 in the access rights of TR where a bit of its limit in 31:20 is 1."""
    return page_granular(entry, TR)


@rule("guest.tr.usable", GUEST, GUEST_SEGMENTS, ("27.3.1.2#41",), (TR.rights,))
def tr_is_usable(entry: EntryView) -> bool:
    """TR is usable: bit 16 of its access rights is 0. There is no guest without a TSS."""
    return usable(entry, TR)


@rule("guest.tr.reserved_high", GUEST, GUEST_SEGMENTS, ("27.3.1.2#42",), (TR.rights,))
def tr_bits_31_17_are_zero(entry: EntryView) -> bool:
    """Bits 31:17 of the access rights of TR are 0."""
    return entry.field(TR.rights) & RESERVED_HIGH == 0


@rule("guest.ldtr.type", GUEST, GUEST_SEGMENTS, ("27.3.1.2#43",), (LDTR.rights,))
def ldtr_is_an_ldt(entry: EntryView) -> bool:
    """LDTR, where it is usable, has type 2 (LDT)."""
    return not usable(entry, LDTR) or segment_type(entry, LDTR) == LDT


@rule("guest.ldtr.s", GUEST, GUEST_SEGMENTS, ("27.3.1.2#44",), (LDTR.rights,))
def ldtr_is_system(entry: EntryView) -> bool:
    """LDTR, where it is usable, has S = 0."""
    return not usable(entry, LDTR) or entry.field(LDTR.rights) & S == 0


@rule("guest.ldtr.present", GUEST, GUEST_SEGMENTS, ("27.3.1.2#45",), (LDTR.rights,))
def ldtr_is_present(entry: EntryView) -> bool:
    """LDTR, where it is usable, has P = 1."""
    return not usable(entry, LDTR) or entry.field(LDTR.rights) & P != 0


@rule("guest.ldtr.reserved_low", GUEST, GUEST_SEGMENTS, ("27.3.1.2#46",), (LDTR.rights,))
def ldtr_bits_11_8_are_zero(entry: EntryView) -> bool:
    """Bits 11:8 of the access rights of LDTR, where it is usable, are 0."""
    return not usable(entry, LDTR) or entry.field(LDTR.rights) & RESERVED_LOW == 0


@rule("guest.ldtr.granularity_bytes", GUEST, GUEST_SEGMENTS, ("27.3.1.2#47",), (LDTR.limit, LDTR.rights))
def ldtr_short_limit_counts_bytes(entry: EntryView) -> bool:
    """G is 0 in the access rights of LDTR, where it is usable and a bit of its limit in 11:0 is 0."""
    return not usable(entry, LDTR) or byte_granular(entry, LDTR)


@rule("guest.ldtr.granularity_pages", GUEST, GUEST_SEGMENTS, ("27.3.1.2#48",), (LDTR.limit, LDTR.rights))
def ldtr_long_limit_counts_pages(entry: EntryView) -> bool:
    """G is 1 in the access rights of LDTR, where it is usable and a bit of its limit in 31:20 is 1."""
    return not usable(entry, LDTR) or page_granular(entry, LDTR)


@rule("guest.ldtr.reserved_high", GUEST, GUEST_SEGMENTS, ("27.3.1.2#49",), (LDTR.rights,))
def ldtr_bits_31_17_are_zero(entry: EntryView) -> bool:
    """Bits 31:17 of the access rights of LDTR, where it is usable, are 0."""
    return not usable(entry, LDTR) or entry.field(LDTR.rights) & RESERVED_HIGH == 0


TABLE_BASES = singles(Field.GUEST_GDTR_BASE, Field.GUEST_IDTR_BASE)
TABLE_LIMITS = singles(Field.GUEST_GDTR_LIMIT, Field.GUEST_IDTR_LIMIT)


@rule("{}.canonical", GUEST, GUEST_TABLES, ("27.3.1.3#1",), ("field",), each=TABLE_BASES)
def table_base_is_canonical(entry: EntryView, which: Single) -> bool:
    """{} is a canonical address."""
    return entry.canonical(entry.field(which.field))


@rule("{}.width", GUEST, GUEST_TABLES, ("27.3.1.3#2",), ("field",), each=TABLE_LIMITS)
def table_limit_is_16_bit(entry: EntryView, which: Single) -> bool:
    """{} bits 31:16 are 0."""
    return entry.field(which.field) >> 16 == 0
