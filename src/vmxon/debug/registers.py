"""The registers that a debugger sees, in the order and under the names of gdb's i386 features, then the system's own.

Writing goes only where nothing else depends on the register: a selector, CR0, CR4, CR8 or EFER is read-only here, because its hidden
parts and the mode would have to follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vmxon.machine.processor import Processor
from vmxon.processor.state import CodeSize, ProcessorState, Segment

Reader = Callable[[Processor], int]
Writer = Callable[[Processor, int], None]

CORE, SSE, SEGMENTS = "org.gnu.gdb.i386.core", "org.gnu.gdb.i386.sse", "org.gnu.gdb.i386.segments"
SYSTEM = "org.vmxon.system"
"""Features of the target description: three of gdb's, and ours for what an operating system's author wants to see."""
GENERAL = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", *(f"r{number}" for number in range(8, 16)))
"""By the number that instructions encode."""
GDB_ORDER = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", *GENERAL[8:])
LOW_32 = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Register:
    """A register by name: its width, how gdb shows it, and how to reach it."""

    name: str
    bits: int
    kind: str
    """A type that gdb knows, or one of the target description's own."""
    feature: str
    read: Reader
    write: Writer | None = None
    group: str = ""


def _member(name: str) -> tuple[Reader, Writer]:
    """A scalar of the state."""
    return lambda processor: int(getattr(processor.state, name)), lambda processor, value: setattr(processor.state, name, value)


def _general(name: str) -> Register:
    number = GENERAL.index(name)

    def write(processor: Processor, value: int) -> None:
        processor.state.gpr[number] = value

    kind = "data_ptr" if name in {"rsp", "rbp"} else "int64"
    return Register(name, 64, kind, CORE, lambda processor: processor.state.gpr[number], write)


def _code_base(state: ProcessorState) -> int:
    """What CS adds to an instruction pointer."""
    return 0 if state.code_size == CodeSize.BITS64 else state.segments[Segment.CS].base


def linear_rip(processor: Processor) -> int:
    """The linear address of the next instruction: gdb knows no segments, and compares its program counter with breakpoints."""
    state = processor.state
    base = _code_base(state)
    return state.rip + base & LOW_32 if base else state.rip


def write_rip(processor: Processor, value: int) -> None:
    """Go on at a linear address; what a half-done instruction has read from devices is forgotten."""
    state = processor.state
    base = _code_base(state)
    state.rip = value - base & LOW_32 if base else value
    state.latch_valid = state.memory_latch_count = state.run_alone = 0
    state.attention = 1


def _write_flags(processor: Processor, value: int) -> None:
    processor.rflags = value
    processor.state.attention = 1


def _selector(segment: Segment) -> Register:
    return Register(segment.name.lower(), 32, "int32", CORE, lambda processor: processor.state.segments[segment].selector)


def _stack_register(number: int) -> Register:
    """ST(number): significand and exponent of the physical register that TOP makes it."""

    def read(processor: Processor) -> int:
        state = processor.state
        place = (state.x87_top + number) & 7
        return state.x87_exponent[place] << 64 | state.x87_significand[place]

    def write(processor: Processor, value: int) -> None:
        state = processor.state
        place = (state.x87_top + number) & 7
        state.x87_significand[place], state.x87_exponent[place] = value & (1 << 64) - 1, value >> 64

    return Register(f"st{number}", 80, "i387_ext", CORE, read, write)


def tag_word(state: ProcessorState) -> int:
    """The x87 tag word: two bits for each physical register (Vol. 1 §8.1.7 “x87 FPU Tag Word”)."""
    tags = 0
    for place in range(8):
        exponent, significand = state.x87_exponent[place] & 0x7FFF, state.x87_significand[place]
        if not state.x87_tag >> place & 1:
            tag = 3
        elif exponent == 0 and significand == 0:
            tag = 1
        else:
            tag = 0 if 0 < exponent < 0x7FFF and significand >> 63 else 2
        tags |= tag << 2 * place
    return tags


def _x87(name: str, read: Callable[[ProcessorState], int]) -> Register:
    return Register(name, 32, "int", CORE, lambda processor: read(processor.state), group="float")


def _vector(number: int) -> Register:
    def read(processor: Processor) -> int:
        return processor.state.xmm[2 * number + 1] << 64 | processor.state.xmm[2 * number]

    def write(processor: Processor, value: int) -> None:
        processor.state.xmm[2 * number], processor.state.xmm[2 * number + 1] = value & (1 << 64) - 1, value >> 64

    return Register(f"xmm{number}", 128, "vec128", SSE, read, write)


def _base(segment: Segment) -> Register:
    """FS or GS base, whose change reaches the engine's derived words by a refresh."""

    def write(processor: Processor, value: int) -> None:
        processor.state.segments[segment].base = value
        processor.refresh()

    return Register(f"{segment.name.lower()}_base", 64, "int64", SEGMENTS, lambda processor: processor.state.segments[segment].base, write)


def _system(name: str, kind: str = "int64", member: str | None = None, *, writable: bool = False) -> Register:
    read, write = _member(member or name)
    return Register(name, 64, kind, SYSTEM, read, write if writable else None, group="system")


def _debug(number: int) -> Register:
    return Register(f"dr{number}", 64, "int64", SYSTEM, lambda processor: processor.state.dr[number], group="system")


REGISTERS: tuple[Register, ...] = (
    *map(_general, GDB_ORDER),
    Register("rip", 64, "code_ptr", CORE, linear_rip, write_rip),
    Register("eflags", 32, "i386_eflags", CORE, lambda processor: processor.rflags & LOW_32, _write_flags),
    *map(_selector, (Segment.CS, Segment.SS, Segment.DS, Segment.ES, Segment.FS, Segment.GS)),
    *map(_stack_register, range(8)),
    _x87("fctrl", lambda state: state.x87_control),
    _x87("fstat", lambda state: state.x87_status & ~0x3800 | state.x87_top << 11),
    _x87("ftag", tag_word),
    _x87("fiseg", lambda state: state.x87_cs),
    _x87("fioff", lambda state: state.x87_ip & LOW_32),
    _x87("foseg", lambda state: state.x87_ds),
    _x87("fooff", lambda state: state.x87_dp & LOW_32),
    _x87("fop", lambda state: state.x87_opcode),
    *map(_vector, range(16)),
    Register("mxcsr", 32, "i386_mxcsr", SSE, *_member("mxcsr"), group="vector"),
    _base(Segment.FS),
    _base(Segment.GS),
    _system("k_gs_base", "int64", "kernel_gs_base", writable=True),
    _system("cr0", "cr0_flags"),
    _system("cr2", writable=True),
    _system("cr3"),
    _system("cr4", "cr4_flags"),
    _system("cr8"),
    _system("efer", "efer_flags"),
    *map(_debug, (0, 1, 2, 3, 6, 7)),
    Register("gdtr_base", 64, "data_ptr", SYSTEM, _member("gdt_base")[0], group="system"),
    Register("idtr_base", 64, "data_ptr", SYSTEM, _member("idt_base")[0], group="system"),
    Register("tr", 32, "int32", SYSTEM, lambda processor: processor.state.segments[Segment.TR].selector, group="system"),
    Register("ldtr", 32, "int32", SYSTEM, lambda processor: processor.state.segments[Segment.LDTR].selector, group="system"),
)
"""In the order of gdb's register numbers."""

BY_NAME = {register.name: register for register in REGISTERS}
