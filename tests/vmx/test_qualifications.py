"""Exit qualifications and instruction information."""

import pytest

from vmxon.arch.bits import Word
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.instruction_information import (
    INSTRUCTION_INFORMATION,
    AddressSize,
    DescriptorTableInformation,
    DescriptorTableInstruction,
    InvalidationInformation,
    MemoryInformation,
    RandomInformation,
    SegmentRegisterInformation,
    StringIoInformation,
    VmcsAccessInformation,
)
from vmxon.vmx.qualifications import (
    QUALIFICATIONS,
    ApicAccessQualification,
    CrAccessQualification,
    CrAccessType,
    DebugQualification,
    EptViolationQualification,
    IoQualification,
    MovDrQualification,
    TaskSwitchQualification,
    TaskSwitchSource,
)


def test_mov_to_cr3_from_rbx() -> None:
    word = CrAccessQualification(0x303)
    assert (word.number, word.access, word.register) == (3, CrAccessType.MOV_TO_CR, 3)


def test_lmsw_from_memory() -> None:
    word = CrAccessQualification(0x0011_0070)
    assert (word.access, word.lmsw_memory, word.lmsw_source) == (CrAccessType.LMSW, True, 0x11)


def test_rep_outsb() -> None:
    word = IoQualification(0x3F8_0030)
    assert (word.port, word.size_minus_one, word.input, word.string, word.rep) == (0x3F8, 0, False, True, True)


def test_ept_violation_on_a_write_to_a_read_only_page() -> None:
    word = EptViolationQualification(0x18A)
    assert (word.write, word.readable, word.writable) == (True, True, False)
    assert (word.linear_valid, word.translated) == (True, True)


def test_other_qualifications() -> None:
    assert TaskSwitchQualification(0x8000_0028).source is TaskSwitchSource.JMP
    assert MovDrQualification(0x717).number == 7
    assert MovDrQualification(0x717).from_dr
    assert ApicAccessQualification(0x10B0).offset == 0xB0
    assert DebugQualification(0x4000).bs


@pytest.mark.parametrize(
    ("word", "mask"),
    [
        (StringIoInformation, 0x0003_8380),
        (MemoryInformation, 0x0FFF_8383),
        (InvalidationInformation, 0xFFFF_8383),
        (DescriptorTableInformation, 0x3FFF_8B83),
        (SegmentRegisterInformation, 0x3FFF_87FB),
        (RandomInformation, 0x0000_1878),
        (VmcsAccessInformation, 0xFFFF_87FB),
    ],
)
def test_defined_bits_of_the_instruction_information(word: type[Word], mask: int) -> None:
    assert word.layout.named == mask


def test_vmread_to_memory() -> None:
    word = VmcsAccessInformation(0x3183_8103)
    assert (word.is_register, word.encoding_register, word.scale) == (False, 3, 3)
    assert (word.address_size, word.segment, word.index, word.base) == (AddressSize.A64, 7, 0, 3)


def test_lidt() -> None:
    assert DescriptorTableInformation(3 << 28).instruction is DescriptorTableInstruction.LIDT


def test_every_reason_with_details_reads_them_with_a_word_of_the_fields_width() -> None:
    assert {word.layout.width for word in QUALIFICATIONS.values()} == {64}
    assert {word.layout.width for word in INSTRUCTION_INFORMATION.values()} == {32}
    assert ExitReason.CPUID not in QUALIFICATIONS
