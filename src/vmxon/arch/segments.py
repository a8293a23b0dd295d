"""Selectors, descriptors and access rights (Vol. 3A §3.4 “Logical and Linear Addresses”)."""

from enum import IntEnum

from vmxon.arch.bits import Bits, Word, choice, field, flag


class SystemType(IntEnum):
    """Type of a descriptor whose S bit is 0, outside IA-32e mode (Vol. 3A Table 3-2); 64-bit mode uses 2, 9, 11–15."""

    AVAILABLE_TSS_16 = 1
    LDT = 2
    BUSY_TSS_16 = 3
    CALL_GATE_16 = 4
    TASK_GATE = 5
    INTERRUPT_GATE_16 = 6
    TRAP_GATE_16 = 7
    AVAILABLE_TSS = 9
    BUSY_TSS = 11
    CALL_GATE = 12
    INTERRUPT_GATE = 14
    TRAP_GATE = 15


class SegmentType(Word, width=4):
    """Type of a code or data segment (S bit 1): four flags whose middle two depend on `code` (Vol. 3A Table 3-1)."""

    accessed = flag(0, "loaded since the bit was cleared")
    writable_or_readable = flag(1, "data: writable; code: readable")
    expand_down_or_conforming = flag(2, "data: expands down; code: conforming")
    code = flag(3, "executable")


class Selector(Word, width=16):
    """A segment selector (Vol. 3A §3.4.2 “Segment Selectors”)."""

    rpl = field(1, 0, "requested privilege level")
    ti = flag(2, "the LDT instead of the GDT")
    index = field(15, 3, "number of the 8-byte entry")


class Descriptor(Word, width=64):
    """A segment descriptor (Vol. 3A §3.4.5 “Segment Descriptors”); `base` and `limit` join the scattered parts."""

    limit_low = field(15, 0, "limit bits 15:0")
    base_low = field(39, 16, "base bits 23:0")
    type = field(43, 40, "`SegmentType` or, with S = 0, `SystemType`")
    s = flag(44, "code or data, not system")
    dpl = field(46, 45, "descriptor privilege level")
    p = flag(47, "present")
    limit_high = field(51, 48, "limit bits 19:16")
    avl = flag(52, "free for system software")
    l = flag(53, "64-bit code")  # noqa: E741  the SDM's name
    db = flag(54, "default size 32 bits; stack: ESP")
    g = flag(55, "limit counts 4-KiB units")
    base_high = field(63, 56, "base bits 31:24")

    @property
    def base(self) -> int:
        """Linear address of the first byte; system descriptors of IA-32e mode hold bits 63:32 in 8 more bytes."""
        return self.base_low | self.base_high << 24

    @property
    def limit(self) -> int:
        """Offset of the last byte."""
        units = self.limit_low | self.limit_high << 16
        return units << 12 | 0xFFF if self.g else units


class Gate(Word, width=64):
    """The low 8 bytes of a gate descriptor (Vol. 3A §6.11 “IDT Descriptors”, §5.8.3 “Call Gates”)."""

    offset_low = field(15, 0, "offset bits 15:0")
    selector = choice(31, 16, Selector, "code segment, or TSS of a task gate")
    count = field(36, 32, "call gate: parameters to copy; interrupt gate of IA-32e mode: stack number in bits 2:0")
    type = field(43, 40, "`SystemType`")
    s = flag(44, "always 0")
    dpl = field(46, 45, "descriptor privilege level")
    p = flag(47, "present")
    offset_high = field(63, 48, "offset bits 31:16")

    @property
    def offset(self) -> int:
        """Bits 31:0 of the entry point; IA-32e mode has 32 more in the next 8 bytes."""
        return self.offset_low | self.offset_high << 16


class AccessRights(Word, width=32):
    """Access rights as the VMCS holds them (Vol. 3C Table 25-2 “Format of Access Rights”)."""

    type = field(3, 0, "`SegmentType` or, with S = 0, `SystemType`")
    s = flag(4, "code or data, not system")
    dpl = field(6, 5, "descriptor privilege level")
    p = flag(7, "present")
    avl = flag(12, "free for system software")
    l = flag(13, "64-bit code (CS only)")  # noqa: E741  the SDM's name
    db = flag(14, "default size 32 bits; stack: ESP")
    g = flag(15, "limit counts 4-KiB units")
    unusable = flag(16, "the register holds no segment")


def _rights_of_descriptor() -> tuple[tuple[Bits[object], Bits[object]], ...]:
    shared = ("type", "s", "dpl", "p", "avl", "l", "db", "g")
    return tuple((Descriptor.layout[name], AccessRights.layout[name]) for name in shared)


DESCRIPTOR_TO_ACCESS_RIGHTS = _rights_of_descriptor()
"""Pairs (place in a descriptor, place in the access rights) of the bits that both have."""


def access_rights(descriptor: Descriptor) -> AccessRights:
    """The access rights that loading `descriptor` gives; the distance is 40 bits for all but the limit's nibble."""
    return AccessRights(sum(there.put(here.get(descriptor)) for here, there in DESCRIPTOR_TO_ACCESS_RIGHTS))
