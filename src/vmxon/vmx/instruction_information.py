"""The VM-exit instruction-information field (Vol. 3C §28.2.5 “Information for VM Exits Due to Instruction Execution”).

General-purpose registers are numbered in the order RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 … R15; segment registers
ES, CS, SS, DS, FS, GS.
"""

from enum import IntEnum

from vmxon.arch.bits import Word, choice, field, flag
from vmxon.vmx.exit_reasons import ExitReason


class AddressSize(IntEnum):
    """Address size of the instruction."""

    A16 = 0
    A32 = 1
    A64 = 2


class DescriptorTableInstruction(IntEnum):
    """Which instruction of exit reason 46 it was."""

    SGDT = 0
    SIDT = 1
    LGDT = 2
    LIDT = 3


class SegmentRegisterInstruction(IntEnum):
    """Which instruction of exit reason 47 it was."""

    SLDT = 0
    STR = 1
    LLDT = 2
    LTR = 3


class StringIoInformation(Word, width=32):
    """INS and OUTS (Table 28-8)."""

    address_size = choice(9, 7, AddressSize, "address size")
    segment = field(17, 15, "segment register; OUTS only")


class MemoryInformation(Word, width=32):
    """A memory operand: VMCLEAR, VMPTRLD, VMPTRST, VMXON, XSAVES, XRSTORS (Table 28-13)."""

    scale = field(1, 0, "the index is multiplied by 2 to this power")
    address_size = choice(9, 7, AddressSize, "address size")
    segment = field(17, 15, "segment register")
    index = field(21, 18, "index register")
    no_index = flag(22, "there is no index register")
    base = field(26, 23, "base register")
    no_base = flag(27, "there is no base register")


class InvalidationInformation(MemoryInformation):
    """INVEPT, INVPCID and INVVPID (Table 28-9)."""

    register = field(31, 28, "register with the type")


class DescriptorTableInformation(MemoryInformation):
    """LGDT, LIDT, SGDT and SIDT (Table 28-10)."""

    operand_32 = flag(11, "operand size 32 bits instead of 16; undefined in 64-bit mode")
    instruction = choice(29, 28, DescriptorTableInstruction, "which one")


class SegmentRegisterInformation(MemoryInformation):
    """LLDT, LTR, SLDT and STR (Table 28-11)."""

    register = field(6, 3, "register operand")
    is_register = flag(10, "the operand is a register, not memory")
    instruction = choice(29, 28, SegmentRegisterInstruction, "which one")


class RandomInformation(Word, width=32):
    """RDRAND, RDSEED, TPAUSE and UMWAIT (Table 28-12)."""

    register = field(6, 3, "operand register")
    operand_size = field(12, 11, "0: 16 bits, 1: 32, 2: 64")


class VmcsAccessInformation(MemoryInformation):
    """VMREAD and VMWRITE (Table 28-14)."""

    register = field(6, 3, "register with the value")
    is_register = flag(10, "the value is in a register, not in memory")
    encoding_register = field(31, 28, "register with the field's encoding")


class LoadIwKeyInformation(Word, width=32):
    """LOADIWKEY (Table 28-15)."""

    first = field(6, 3, "first register operand")
    second = field(31, 28, "second register operand")


INSTRUCTION_INFORMATION: dict[ExitReason, type[Word]] = {
    ExitReason.IO_INSTRUCTION: StringIoInformation,
    ExitReason.VMCLEAR: MemoryInformation,
    ExitReason.VMPTRLD: MemoryInformation,
    ExitReason.VMPTRST: MemoryInformation,
    ExitReason.VMXON: MemoryInformation,
    ExitReason.XSAVES: MemoryInformation,
    ExitReason.XRSTORS: MemoryInformation,
    ExitReason.INVEPT: InvalidationInformation,
    ExitReason.INVPCID: InvalidationInformation,
    ExitReason.INVVPID: InvalidationInformation,
    ExitReason.GDTR_OR_IDTR: DescriptorTableInformation,
    ExitReason.LDTR_OR_TR: SegmentRegisterInformation,
    ExitReason.RDRAND: RandomInformation,
    ExitReason.RDSEED: RandomInformation,
    ExitReason.TPAUSE: RandomInformation,
    ExitReason.UMWAIT: RandomInformation,
    ExitReason.VMREAD: VmcsAccessInformation,
    ExitReason.VMWRITE: VmcsAccessInformation,
    ExitReason.LOADIWKEY: LoadIwKeyInformation,
}
"""How to read the field; for the other reasons it is undefined."""
