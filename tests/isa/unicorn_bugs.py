"""Where Unicorn 2.1 (QEMU 5's translator) differs from Intel's processors: each with the reason, all in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.isa.cases import Case
from tests.isa.outcome import Outcome

DIVIDE_ERROR, STACK_FAULT, GENERAL_PROTECTION, PAGE_FAULT = 0, 12, 13, 14
SEGMENT_FAULTS = (STACK_FAULT, GENERAL_PROTECTION)
LEGACY = (0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3)

VEX = 0xC4
PREFIXED = ("POPCNT", "TZCNT", "LZCNT", "MOVBE", "CRC32", "ADCX", "BSF", "BSR")


@dataclass(frozen=True, slots=True)
class Bytes:
    """A case's code split at the opcode."""

    prefixes: bytes
    rex: int
    opcode: bytes


def split(case: Case) -> Bytes:
    """Legacy prefixes, REX (0 where absent), and the rest."""
    code, at = case.code, 0
    while code[at] in LEGACY:
        at += 1
    rex = code[at] if case.mode == 64 and code[at] & 0xF0 == 0x40 else 0
    return Bytes(code[:at], rex, code[at + (rex != 0) :])


Rule = Callable[[Case, Bytes, Outcome, Outcome], bool]
KNOWN: tuple[tuple[str, Rule], ...] = (
    (
        "neither segment limits nor a canonical check: the access works or finds nothing mapped",
        lambda case, code, ours, theirs: ours.vector in SEGMENT_FAULTS and theirs.vector in (None, DIVIDE_ERROR, PAGE_FAULT),
    ),
    (
        "RET imm16 sign-extends the number of bytes to release",
        lambda case, code, ours, theirs: case.instruction.mnemonic == "RET imm" and code.opcode[2] >= 0x80,
    ),
    (
        "TEST has no /1",
        lambda case, code, ours, theirs: case.form.opcode.startswith(("F6 /1", "F7 /1")),
    ),
    (
        "prefetches with a register operand are #UD",
        lambda case, code, ours, theirs: case.instruction.mnemonic == "PREFETCHh" and code.opcode[2] >= 0xC0,
    ),
    (
        "CLFLUSH does not check its address",
        lambda case, code, ours, theirs: case.instruction.mnemonic == "CLFLUSH" and ours.vector == PAGE_FAULT,
    ),
    (
        "PAUSE with REX.B is not XCHG",
        lambda case, code, ours, theirs: case.instruction.mnemonic == "PAUSE" and code.rex & 1 != 0,
    ),
    (
        "BZHI and BEXTR never keep the top bit",
        lambda case, code, ours, theirs: (
            case.instruction.mnemonic in ("BZHI", "BEXTR")
            and all(a ^ b in (0, 1 << 31, 1 << 63) for a, b in zip(ours.registers, theirs.registers, strict=True))
        ),
    ),
    (
        "a CMPXCHG that fails clears the upper half of its register destination",
        lambda case, code, ours, theirs: (
            case.instruction.mnemonic == "CMPXCHG"
            and all(b in (a, a & 0xFFFFFFFF) for a, b in zip(ours.registers, theirs.registers, strict=True))
        ),
    ),
    (
        "undefined by the manual: SHLD and SHRD of 16 bits by more than 16",
        lambda case, code, ours, theirs: (
            case.instruction.mnemonic in ("SHLD", "SHRD")
            and (case.mode == 16) != (b"\x66" in code.prefixes)
            and (case.registers[1] if case.form.tokens[-1] == "CL" else case.code[-1]) & 31 > 16
        ),
    ),
    (
        "the emulated model lacks CLFLUSHOPT and CLWB",
        lambda case, code, ours, theirs: case.form.opcode.startswith("66 0F AE"),
    ),
    (
        "LAHF and SAHF with REX use SPL instead of AH",
        lambda case, code, ours, theirs: case.instruction.mnemonic in ("LAHF", "SAHF") and code.rex != 0,
    ),
    (
        "REX.R counts as part of /0 in C6 and C7",
        lambda case, code, ours, theirs: code.opcode[0] in (0xC6, 0xC7) and code.rex & 4 != 0,
    ),
    (
        "66H means 16 bits in 16-bit code too, and before REX.W, for rows that other prefixes select",
        lambda case, code, ours, theirs: (case.mode == 16 or b"\x66" in code.prefixes) and case.instruction.mnemonic in PREFIXED,
    ),
    (
        "66 F3 0F 38 F6 is ADCX",
        lambda case, code, ours, theirs: case.instruction.mnemonic == "ADOX" and b"\x66" in code.prefixes,
    ),
    (
        "LOCK NEG sets SF and PF from the old value",
        lambda case, code, ours, theirs: case.instruction.mnemonic == "NEG" and b"\xf0" in code.prefixes,
    ),
    (
        "ENTER writes rBP at the width of the stack, not of the operand",
        lambda case, code, ours, theirs: case.instruction.mnemonic == "ENTER" and b"\x66" in code.prefixes,
    ),
    (
        "PDEP of 32 bits may set bits above them",
        lambda case, code, ours, theirs: (
            case.instruction.mnemonic == "PDEP"
            and all(a in (b, b & 0xFFFFFFFF) for a, b in zip(ours.registers, theirs.registers, strict=True))
        ),
    ),
    (
        "RIP-relative SHLD, SHRD and RORX forget that an immediate follows",
        lambda case, code, ours, theirs: (
            case.mode == 64
            and case.form.opcode.endswith("/r ib")
            and case.instruction.mnemonic in ("SHLD", "SHRD", "RORX")
            and code.opcode[4 if code.opcode[0] == VEX else 2] & 0xC7 == 5
        ),
    ),
    (
        "BEXTR of 32 bits shifts bits in from the upper half",
        lambda case, code, ours, theirs: case.instruction.mnemonic == "BEXTR" and case.mode == 64 and code.opcode[2] < 0x80,
    ),
    (
        "a store that faults on its second page has written to its first",
        lambda case, code, ours, theirs: (
            ours.vector == theirs.vector == PAGE_FAULT and ours.registers == theirs.registers and ours.memory[:-16] == theirs.memory[:-16]
        ),
    ),
    (
        "PUSHA, POPA and ENTER that fault have done a part already",
        lambda case, code, ours, theirs: (
            ours.vector == theirs.vector == PAGE_FAULT and case.instruction.mnemonic in ("PUSHA", "POPA", "ENTER")
        ),
    ),
    (
        "older processors: BSF and BSR of 0 clear the upper half of a 32-bit destination and keep the rest",
        lambda case, code, ours, theirs: (
            case.instruction.mnemonic in ("BSF", "BSR")
            and case.mode == 64
            and all(b in (a, a & 0xFFFFFFFF) for a, b in zip(ours.registers, theirs.registers, strict=True))
        ),
    ),
    (
        "BLSI sets CF for a source of 0, not for any other",
        lambda case, code, ours, theirs: case.instruction.mnemonic == "BLSI",
    ),
)


def known_bug(case: Case, ours: Outcome, theirs: Outcome) -> str | None:
    """The reason why this difference is Unicorn's fault, or None."""
    code = split(case)
    return next((reason for reason, applies in KNOWN if applies(case, code, ours, theirs)), None)
