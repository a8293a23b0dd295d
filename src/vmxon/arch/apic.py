"""The registers of the local APIC, as the APIC page and the x2APIC MSRs show them (Vol. 3A ch. 11)."""

from __future__ import annotations

from enum import IntEnum

from vmxon.arch.bits import Word, choice, field, flag

X2APIC_FIRST, X2APIC_LAST = 0x800, 0x8FF
"""The MSRs of x2APIC mode; MSR 800H + n is the register at offset 16 n of the APIC page."""
DEFAULT_BASE = 0xFEE0_0000
WORD = 0xFFFF_FFFF
LVT_ENTRY = 0xFF | 1 << 16
PIN = LVT_ENTRY | 7 << 8 | 1 << 13 | 1 << 15


class ApicMode(IntEnum):
    """What bits 11 and 10 of IA32_APIC_BASE select (Vol. 3A §11.12.5 “x2APIC State Transitions”)."""

    DISABLED, XAPIC, X2APIC = range(3)


class DeliveryMode(IntEnum):
    """How a message or a pin reaches the processor."""

    FIXED, LOWEST, SMI, RESERVED, NMI, INIT, STARTUP, EXTINT = range(8)


class Shorthand(IntEnum):
    """Destinations that need no address."""

    NONE, SELF, ALL, OTHERS = range(4)


class ApicRegister(IntEnum):
    """A register by its number: offset in the APIC page / 16; with access in each mode and what software may set."""

    access: str
    """r, w: in xAPIC mode."""
    x2access: str
    """r, w: in x2APIC mode."""
    writable: int
    """Bits that a write may set; in x2APIC mode #GP(0) for others, but for the read-only ones."""
    read_only: int

    def __new__(cls, number: int, access: str, x2access: str, writable: int, read_only: int = 0) -> ApicRegister:
        member = int.__new__(cls, number)
        member._value_ = number
        member.access, member.x2access, member.writable, member.read_only = access, x2access, writable, read_only
        return member

    ID = 0x02, "r", "r", 0
    VERSION = 0x03, "r", "r", 0
    TASK_PRIORITY = 0x08, "rw", "rw", 0xFF
    ARBITRATION_PRIORITY = 0x09, "r", "", 0
    PROCESSOR_PRIORITY = 0x0A, "r", "r", 0
    END_OF_INTERRUPT = 0x0B, "w", "w", 0
    REMOTE_READ = 0x0C, "r", "", 0
    LOGICAL_DESTINATION = 0x0D, "rw", "r", 0xFF00_0000
    DESTINATION_FORMAT = 0x0E, "rw", "", 0xF000_0000
    SPURIOUS_VECTOR = 0x0F, "rw", "rw", 0x13FF
    IN_SERVICE = 0x10, "r", "r", 0
    TRIGGER_MODE = 0x18, "r", "r", 0
    REQUESTS = 0x20, "r", "r", 0
    ERROR_STATUS = 0x28, "rw", "rw", 0
    COMMAND = 0x30, "rw", "rw", 0x000C_CFFF | WORD << 32, 1 << 12
    COMMAND_HIGH = 0x31, "rw", "", 0xFF00_0000
    LVT_TIMER = 0x32, "rw", "rw", LVT_ENTRY | 3 << 17, 1 << 12
    LVT_THERMAL = 0x33, "rw", "rw", LVT_ENTRY | 7 << 8, 1 << 12
    LVT_PERFORMANCE = 0x34, "rw", "rw", LVT_ENTRY | 7 << 8, 1 << 12
    LVT_LINT0 = 0x35, "rw", "rw", PIN, 1 << 12 | 1 << 14
    LVT_LINT1 = 0x36, "rw", "rw", PIN, 1 << 12 | 1 << 14
    LVT_ERROR = 0x37, "rw", "rw", LVT_ENTRY, 1 << 12
    INITIAL_COUNT = 0x38, "rw", "rw", WORD
    CURRENT_COUNT = 0x39, "r", "r", 0
    DIVIDE_CONFIGURATION = 0x3E, "rw", "rw", 0b1011
    SELF_IPI = 0x3F, "", "w", 0xFF


VECTOR_WORDS = 8
"""ISR, TMR and IRR take eight registers each, 32 vectors in one."""
ARRAYS = (ApicRegister.IN_SERVICE, ApicRegister.TRIGGER_MODE, ApicRegister.REQUESTS)
VECTOR_REGISTERS = frozenset(array + word for array in ARRAYS for word in range(VECTOR_WORDS))
X2APIC_READABLE = VECTOR_REGISTERS | {row for row in ApicRegister if "r" in row.x2access}
"""Numbers of the registers that RDMSR reads."""


class Lvt(Word, width=32):
    """An entry of the local vector table (Vol. 3A §11.5.1 “Local Vector Table”)."""

    vector = field(7, 0, "vector of the interrupt")
    delivery = choice(10, 8, DeliveryMode, "how it reaches the processor")
    pending = flag(12, "sent and not yet accepted; read-only")
    active_low = flag(13, "LINT pins: the pin is active low")
    remote_request = flag(14, "a level-triggered interrupt waits for its EOI; read-only")
    level_triggered = flag(15, "LINT pins: the level requests")
    masked = flag(16, "nothing is sent")
    timer_mode = field(18, 17, "timer: 0 one-shot, 1 periodic, 2 TSC-deadline")


class SpuriousVector(Word, width=32):
    """Spurious-interrupt vector register (Vol. 3A §11.9 “Spurious Interrupt”)."""

    vector = field(7, 0, "vector where the request vanished before its acknowledge cycle")
    enabled = flag(8, "software enables the APIC")
    no_focus = flag(9, "focus-processor checking off; without effect")
    no_broadcast = flag(12, "an EOI is not broadcast to I/O APICs")


class InterruptCommand(Word, width=64):
    """The interrupt command register: writing its low half sends (Vol. 3A §11.6.1 “Interrupt Command Register (ICR)”)."""

    vector = field(7, 0, "vector of the interrupt")
    delivery = choice(10, 8, DeliveryMode, "what is sent")
    logical = flag(11, "the destination is logical")
    pending = flag(12, "not yet accepted; never seen, and 0 in x2APIC mode")
    assert_level = flag(14, "0 only for the INIT level de-assert")
    level_triggered = flag(15, "INIT only")
    shorthand = choice(19, 18, Shorthand, "a destination without address")
    destination = field(63, 32, "x2APIC mode: 32 bits; xAPIC mode: bits 63:56")


class ErrorStatus(Word, width=32):
    """Errors since the last write of the register (Vol. 3A §11.5.3 “Error Handling”)."""

    redirectable = flag(4, "a lowest-priority message could not be sent")
    send_vector = flag(5, "a message with a vector below 16 was to be sent")
    receive_vector = flag(6, "an interrupt with a vector below 16 arrived")
    register = flag(7, "access to a register that does not exist, xAPIC mode only")
