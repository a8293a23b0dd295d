"""Exit qualification, length and instruction information of instructions with operands (Vol. 3C Tables 28-8 to 28-14)."""

import struct
from dataclasses import dataclass

import pytest

from tests.vmx.vmx_bench import GUEST, VmxBench
from tests.vmx.witness import LONG, PROTECTED, PrimaryProcessorBased, SecondaryProcessorBased
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField as F

RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 = range(9)
ES, CS, SS, DS, FS, GS = range(6)
LEGACY = 0x5000
CONTROLS = (
    SecondaryProcessorBased.descriptor_table_exiting,
    SecondaryProcessorBased.enable_invpcid,
    PrimaryProcessorBased.invlpg_exiting,
    PrimaryProcessorBased.unconditional_io_exiting,
)


@dataclass(frozen=True)
class Memory:
    """A memory operand as the field describes it."""

    size: int
    segment: int = DS
    base: int | None = None
    index: int | None = None
    scale: int = 0

    def matches(self, word):
        base, index = word >> 23 & 15, word >> 18 & 15
        return (
            (word >> 7 & 7, word >> 10 & 1, word >> 15 & 7) == (self.size, 0, self.segment)
            and (word >> 27 & 1, word >> 22 & 1) == (self.base is None, self.index is None)
            and (self.base is None or base == self.base)
            and (self.index is None or (index, word & 3) == (self.index, self.scale))
        )


def run(code, bits):
    bench = VmxBench()
    bench.engine.write_physical(LEGACY, struct.pack("<1024I", *(n << 22 | 0x87 for n in range(1024))))
    paging = {} if bits == 64 else {"GUEST_CR3": LEGACY, "GUEST_CR4": 0x2010}
    reason = bench.exit_of(code, *CONTROLS, base=LONG if bits == 64 else PROTECTED, bits=bits, **paging)[0]
    return bench, reason


def signed(value):
    return value & (1 << 64) - 1


@pytest.mark.parametrize(
    ("bits", "operand", "memory", "displacement"),
    [
        (64, "[rax]", Memory(2, base=RAX), 0),
        (64, "[rbx - 8]", Memory(2, base=RBX), signed(-8)),
        (64, "[rbp + 0x12345678]", Memory(2, SS, base=RBP), 0x12345678),
        (64, "[rsp + 0x10]", Memory(2, SS, base=RSP), 0x10),
        (64, "[r8 + r9 * 8 - 0x80000000]", Memory(2, base=R8, index=9, scale=3), signed(-0x80000000)),
        (64, "[r12]", Memory(2, base=12), 0),
        (64, "[r13 + 1]", Memory(2, base=13), 1),
        (64, "[rsi * 2 + 0x1000]", Memory(2, index=RSI, scale=1), 0x1000),
        (64, "[rax + rcx]", Memory(2, base=RAX, index=RCX), 0),
        (64, "fs:[rdx]", Memory(2, FS, base=RDX), 0),
        (64, "gs:[0x40]", Memory(2, GS), 0x40),
        (64, "[0x20000]", Memory(2), 0x20000),
        (64, "[ecx + edi * 4 + 3]", Memory(1, base=RCX, index=RDI, scale=2), 3),
        (32, "[eax]", Memory(1, base=RAX), 0),
        (32, "[ebp + 4]", Memory(1, SS, base=RBP), 4),
        (32, "[esp + 4]", Memory(1, SS, base=RSP), 4),
        (32, "[esi * 4]", Memory(1, index=RSI, scale=2), 0),
        (32, "es:[ecx + edx * 2]", Memory(1, ES, base=RCX, index=RDX, scale=1), 0),
        (32, "cs:[0x20000]", Memory(1, CS), 0x20000),
        (32, "[bx + si + 5]", Memory(0, base=RBX, index=RSI), 5),
        (32, "[bp + di]", Memory(0, SS, base=RBP, index=RDI), 0),
        (32, "[di]", Memory(0, base=RDI), 0),
    ],
)
@pytest.mark.parametrize(("mnemonic", "reason"), [("vmptrld", R.VMPTRLD), ("vmptrst", R.VMPTRST), ("sgdt", R.GDTR_OR_IDTR)])
def test_memory_operands(bits, operand, memory, displacement, mnemonic, reason):
    bench, seen = run(f"{mnemonic} {operand}\nend: nop", bits)
    assert seen == reason
    word = bench[F.VM_EXIT_INSTRUCTION_INFORMATION]
    assert memory.matches(word), hex(word)
    # Bits beyond the address size are undefined.
    width = (16, 32, 64)[memory.size]
    assert (bench.qualification ^ displacement) & (1 << width) - 1 == 0
    assert bench[F.VM_EXIT_INSTRUCTION_LENGTH] == bench.engine.read_physical(GUEST, 16).rindex(b"\x90")


def test_rip_relative_operands_are_reported_as_addresses():
    bench, reason = run("vmclear [rip + 0x1000]\nnop", 64)
    assert reason == R.VMCLEAR
    assert bench.qualification == GUEST + bench[F.VM_EXIT_INSTRUCTION_LENGTH] + 0x1000
    assert Memory(2).matches(bench[F.VM_EXIT_INSTRUCTION_INFORMATION])


@pytest.mark.parametrize(
    ("code", "reason", "shift", "value"),
    [
        ("sgdt [rax]", R.GDTR_OR_IDTR, 28, 0),
        ("sidt [rax]", R.GDTR_OR_IDTR, 28, 1),
        ("lgdt [rax]", R.GDTR_OR_IDTR, 28, 2),
        ("lidt [rax]", R.GDTR_OR_IDTR, 28, 3),
        ("sldt word ptr [rax]", R.LDTR_OR_TR, 28, 0),
        ("str word ptr [rax]", R.LDTR_OR_TR, 28, 1),
        ("lldt word ptr [rax]", R.LDTR_OR_TR, 28, 2),
        ("ltr word ptr [rax]", R.LDTR_OR_TR, 28, 3),
        ("invept r9, [rax]", R.INVEPT, 28, 9),
        ("invvpid rdi, [rax]", R.INVVPID, 28, RDI),
        ("invpcid r15, [rax]", R.INVPCID, 28, 15),
        ("vmread [rax], r10", R.VMREAD, 28, 10),
        ("vmwrite r11, [rax]", R.VMWRITE, 28, 11),
    ],
)
def test_what_stands_beside_the_memory_operand(code, reason, shift, value):
    bench, seen = run(code, 64)
    assert seen == reason
    word = bench[F.VM_EXIT_INSTRUCTION_INFORMATION]
    assert Memory(2, base=RAX).matches(word)
    assert word >> shift & 15 == value


@pytest.mark.parametrize(
    ("code", "reason", "register", "other"),
    [
        ("sldt ecx", R.LDTR_OR_TR, RCX, 0),
        ("str r8d", R.LDTR_OR_TR, R8, 1),
        ("lldt bx", R.LDTR_OR_TR, RBX, 2),
        ("ltr r15w", R.LDTR_OR_TR, 15, 3),
        ("vmread rbx, rsi", R.VMREAD, RBX, RSI),
        ("vmwrite rdi, r12", R.VMWRITE, 12, RDI),
    ],
)
def test_register_operands(code, reason, register, other):
    bench, seen = run(code, 64)
    assert (seen, bench.qualification) == (reason, 0)
    word = bench[F.VM_EXIT_INSTRUCTION_INFORMATION]
    assert (word >> 3 & 15, word >> 10 & 1, word >> 28 & 15) == (register, 1, other)


@pytest.mark.parametrize(("code", "size"), [("sgdt [eax]", 1), (b"\x66\x0f\x01\x00", 0), ("lidt [eax]", 1)])
def test_operand_size_of_table_registers_outside_64_bit_mode(code, size):
    bench, reason = run(code, 32)
    assert (reason, bench[F.VM_EXIT_INSTRUCTION_INFORMATION] >> 11 & 1) == (R.GDTR_OR_IDTR, size)


@pytest.mark.parametrize(
    ("bits", "code", "qualification", "address_size", "segment"),
    [
        (64, "outsb", 0x60_0010, 2, DS),
        (64, "rep outsd", 0x60_0033, 2, DS),
        (64, "insb", 0x60_0018, 2, None),
        (64, b"\x67\x6c", 0x60_0018, 1, None),
        (64, b"\x65\x6e", 0x60_0010, 2, GS),
        (32, "rep insw", 0x60_0039, 1, None),
        (32, b"\x67\x6f", 0x60_0013, 0, DS),
        (32, b"\x2e\x6e", 0x60_0010, 1, CS),
        (64, "in al, dx", 0x60_0008, None, None),
        (64, "in eax, 0x60", 0x60_004B, None, None),
        (64, "out 0x60, ax", 0x60_0041, None, None),
        (64, "out dx, eax", 0x60_0003, None, None),
    ],
)
def test_ports(bits, code, qualification, address_size, segment):
    bench = VmxBench()
    bench.engine.write_physical(LEGACY, struct.pack("<1024I", *(n << 22 | 0x87 for n in range(1024))))
    gpr = bench.state.gpr
    gpr[RCX], gpr[RDX], gpr[RSI], gpr[RDI] = 3, 0x60, 0x20040, 0x20080
    paging = {} if bits == 64 else {"GUEST_CR3": LEGACY, "GUEST_CR4": 0x2010}
    assert bench.exit_of(code, *CONTROLS, base=LONG if bits == 64 else PROTECTED, bits=bits, **paging)[0] == R.IO_INSTRUCTION
    assert bench.qualification == qualification
    word = bench[F.VM_EXIT_INSTRUCTION_INFORMATION]
    if address_size is not None:
        assert word >> 7 & 7 == address_size
        place = 0x20080 if qualification & 8 else 0x20040
        assert bench[F.GUEST_LINEAR_ADDRESS] == (place & 0xFFFF if address_size == 0 else place)
    if segment is not None:
        assert word >> 15 & 7 == segment


@pytest.mark.parametrize("count", [0, 1])
def test_a_repetition_of_none_does_not_exit(count):
    bench = VmxBench()
    bench.state.gpr[RCX], bench.state.gpr[RSI] = count, 0x20000
    assert bench.exit_of("rep outsb\nvmcall", *CONTROLS)[0] == (R.IO_INSTRUCTION if count else R.VMCALL)


@pytest.mark.parametrize(
    ("bits", "code", "linear"),
    [(64, "invlpg [rax + 8]", 0x7FFF_0000_0008), (64, "invlpg fs:[rax]", 0x7FFF_0000_1000), (32, "invlpg [eax + 8]", 0x7000_0008)],
)
def test_invlpg_reports_its_linear_address(bits, code, linear):
    bench = VmxBench()
    bench.engine.write_physical(LEGACY, struct.pack("<1024I", *(n << 22 | 0x87 for n in range(1024))))
    bench.state.gpr[RAX] = 0x7FFF_0000_0000 if bits == 64 else 0x7000_0000
    paging = {"GUEST_FS_BASE": 0x1000} if bits == 64 else {"GUEST_CR3": LEGACY, "GUEST_CR4": 0x2010}
    assert bench.exit_of(code, *CONTROLS, base=LONG if bits == 64 else PROTECTED, bits=bits, **paging)[0] == R.INVLPG
    assert bench.qualification == linear
