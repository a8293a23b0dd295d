"""Faults of an instruction against its VM exit (Vol. 3C §26.1.1 “Relative Priority of Faults and VM Exits”)."""

import struct

import pytest

from tests.vmx.vmx_bench import TSS, VmxBench
from tests.vmx.witness import LONG, PROTECTED, PrimaryProcessorBased, SecondaryProcessorBased, changed
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField as F

P, S = PrimaryProcessorBased, SecondaryProcessorBased
UD, GP, PF, DB = (R.EXCEPTION_OR_NMI, 6), (R.EXCEPTION_OR_NMI, 13), (R.EXCEPTION_OR_NMI, 14), (R.EXCEPTION_OR_NMI, 1)
USER = {"GUEST_CS_ACCESS_RIGHTS": 0xA0FB, "GUEST_SS_ACCESS_RIGHTS": 0xC0F3, "GUEST_CS_SELECTOR": 0x0B, "GUEST_SS_SELECTOR": 0x13}
EXITS = (
    *(P.hlt_exiting, P.invlpg_exiting, P.rdpmc_exiting, P.rdtsc_exiting, P.mov_dr_exiting, P.cr3_load_exiting, P.cr3_store_exiting),
    *(P.cr8_load_exiting, P.cr8_store_exiting, P.pause_exiting, P.unconditional_io_exiting),
    *(S.descriptor_table_exiting, S.wbinvd_exiting),
)
TSD, DE, PCE, UMIP = 1 << 2, 1 << 3, 1 << 8, 1 << 11
CR4 = LONG[F.GUEST_CR4]


def outcome(code, *controls, base=LONG, bits=64, **fields):
    """The first exit of a guest all of whose exceptions exit."""
    bench = VmxBench()
    bench.state.gpr[3] = 0x20000
    return bench.exit_of(code, *controls, base=base, bits=bits, EXCEPTION_BITMAP=0xFFFF_FFFF, **fields)


@pytest.mark.parametrize(
    ("code", "expected", "cr4"),
    [
        *(
            (code, GP, 0)
            for code in ("hlt", "rdmsr", "wrmsr", "invd", "wbinvd", "invlpg [rbx]", "clts", "lmsw ax", "lgdt [rbx]", "lidt [rbx]")
        ),
        *((code, GP, 0) for code in ("lldt ax", "ltr ax", "mov rax, cr0", "mov cr3, rax", "mov rax, cr3", "mov cr8, rax", "mov rax, cr8")),
        (b"\x0f\x22\xe8", UD, 0),
        ("mov rax, dr0", (R.MOV_DR, 0), 0),
        (b"\x0f\x21\xe0", (R.MOV_DR, 0), DE),
        ("rdpmc", GP, 0),
        ("rdpmc", (R.RDPMC, 0), PCE),
        ("rdtsc", (R.RDTSC, 0), 0),
        ("rdtsc", GP, TSD),
        ("rdtscp", UD, TSD),
        ("invpcid rax, [rbx]", UD, 0),
        ("sgdt [rbx]", (R.GDTR_OR_IDTR, 0), 0),
        ("sidt [rbx]", GP, UMIP),
        ("sldt eax", (R.LDTR_OR_TR, 0), 0),
        ("str eax", GP, UMIP),
        ("smsw eax", GP, UMIP),
        ("cpuid", (R.CPUID, 0), 0),
        ("pause", (R.PAUSE, 0), 0),
        ("vmcall", (R.VMCALL, 0), 0),
        ("vmxoff", (R.VMXOFF, 0), 0),
        ("vmread rax, rbx", (R.VMREAD, 0), 0),
        ("vmptrld [rbx]", (R.VMPTRLD, 0), 0),
        ("vmxon [rbx]", (R.VMXON, 0), 0),
        ("invept rax, [rbx]", (R.INVEPT, 0), 0),
        ("vmfunc", UD, 0),
        ("getsec", UD, 0),
        ("rsm", UD, 0),
    ],
)
def test_above_level_0(code, expected, cr4):
    code = {"vmfunc": b"\x0f\x01\xd4", "getsec": b"\x0f\x37", "rsm": b"\x0f\xaa"}.get(code, code)
    assert outcome(code, *EXITS, GUEST_CR4=CR4 | cr4, **USER) == expected


def test_instructions_that_the_guest_has_and_may_not_use():
    assert outcome("invpcid rax, [rbx]", S.enable_invpcid, P.invlpg_exiting, **USER) == GP
    assert outcome("rdtscp", S.enable_rdtscp, P.rdtsc_exiting, GUEST_CR4=CR4 | TSD, **USER) == GP


@pytest.mark.parametrize(
    ("code", "controls", "fields", "expected"),
    [
        ("mov ecx, 0x4000\nrdmsr", (), {}, (R.RDMSR, 0)),
        ("mov ecx, 0x4000\nwrmsr", (), {}, (R.WRMSR, 0)),
        ("mov ecx, 99\nrdpmc", (P.rdpmc_exiting,), {}, (R.RDPMC, 0)),
        ("mov eax, 1\nmov cr0, rax", (), {"CR0_GUEST_HOST_MASK": 1 << 31, "CR0_READ_SHADOW": 1 << 31}, (R.CR_ACCESS, 0)),
        ("mov eax, 0x80000000\nmov cr0, rax", (), {"CR0_GUEST_HOST_MASK": 1 << 5, "CR0_READ_SHADOW": 1 << 5}, (R.CR_ACCESS, 0)),
        ("mov eax, 1\nmov cr0, rax", (), {}, GP),
        ("mov rax, -1\nmov cr4, rax", (), {"CR4_GUEST_HOST_MASK": 1 << 13}, (R.CR_ACCESS, 0)),
        ("mov rax, -1\nmov cr4, rax", (), {}, GP),
        ("mov rax, -1\nmov cr3, rax", (P.cr3_load_exiting,), {}, (R.CR_ACCESS, 0)),
        ("mov rax, -1\nmov cr3, rax", (), {}, GP),
        ("mov rax, -1\nmov cr8, rax", (P.cr8_load_exiting,), {}, (R.CR_ACCESS, 0)),
        ("mov rax, -1\nmov cr8, rax", (), {}, GP),
        (b"\x0f\x23\xe0", (P.mov_dr_exiting,), {"GUEST_CR4": CR4 | DE}, (R.MOV_DR, 0)),
        (b"\x0f\x23\xe0", (), {"GUEST_CR4": CR4 | DE}, UD),
        ("lmsw [rax]", (), {"CR0_GUEST_HOST_MASK": 0xF}, PF),
        ("lgdt [rax]", (S.descriptor_table_exiting,), {}, (R.GDTR_OR_IDTR, 0)),
        ("lgdt [rax]", (), {}, PF),
        ("lldt [rax]", (S.descriptor_table_exiting,), {}, (R.LDTR_OR_TR, 0)),
        ("vmptrld [rax]", (), {}, (R.VMPTRLD, 0)),
        ("invlpg [rax]", (P.invlpg_exiting,), {}, (R.INVLPG, 0)),
        ("mov rsi, rax\noutsb", (P.unconditional_io_exiting,), {}, (R.IO_INSTRUCTION, 0)),
    ],
)
def test_at_level_0(code, controls, fields, expected):
    bench = VmxBench()
    bench.state.gpr[0] = 0x7FFF_0000_0000
    assert bench.exit_of(code, *controls, EXCEPTION_BITMAP=0xFFFF_FFFF, **fields) == expected


def test_mov_dr_exits_before_general_detect():
    assert outcome("mov rax, dr0", P.mov_dr_exiting, GUEST_DR7=0x2400) == (R.MOV_DR, 0)


PORT = "mov dx, 0x60\n"
BEYOND = 0x9_0000


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        ("insb", {"GUEST_ES_ACCESS_RIGHTS": 0x1_0000}),
        ("outsb", {"GUEST_DS_ACCESS_RIGHTS": 0x1_0000}),
        ("insb", {"GUEST_ES_LIMIT": 0xFFF, "GUEST_ES_ACCESS_RIGHTS": 0x4093}),
        ("outsd", {"GUEST_DS_LIMIT": 0xFFF, "GUEST_DS_ACCESS_RIGHTS": 0x4093}),
        ("outs dx, dword ptr fs:[esi]", {"GUEST_FS_LIMIT": 0xFFF, "GUEST_FS_ACCESS_RIGHTS": 0x4093, "GUEST_FS_BASE": 0x10}),
    ],
)
@pytest.mark.parametrize("exits", [True, False])
def test_string_io_exits_before_the_faults_of_its_segment(code, fields, exits):
    bench = VmxBench()
    bench.engine.write_physical(0x5000, struct.pack("<1024I", *(n << 22 | 0x83 for n in range(1024))))
    bench.state.gpr[6] = bench.state.gpr[7] = BEYOND
    controls = (P.unconditional_io_exiting,) if exits else ()
    paging = {"GUEST_CR3": 0x5000, "GUEST_CR4": 0x2010, "EXCEPTION_BITMAP": 0xFFFF_FFFF}
    assert bench.exit_of(PORT + code, *controls, base=PROTECTED, bits=32, **paging, **fields) == ((R.IO_INSTRUCTION, 0) if exits else GP)
    if exits and "GUEST_DS_ACCESS_RIGHTS" not in fields and "GUEST_ES_ACCESS_RIGHTS" not in fields:
        assert bench[F.GUEST_LINEAR_ADDRESS] == BEYOND + fields.get("GUEST_FS_BASE", 0)


@pytest.mark.parametrize(("bit", "expected"), [(0, (R.IO_INSTRUCTION, 0)), (1, GP)])
@pytest.mark.parametrize("code", ["in al, 0x21", "mov edx, 0x21\nmov esi, 0x20000\noutsb"])
def test_the_permission_bitmap_comes_before_the_exit(bit, expected, code):
    bench = VmxBench()
    bench.install_tables()
    bench.engine.write_physical(TSS + 0x66, struct.pack("<H", 0x68))
    bench.engine.write_physical(TSS + 0x68, bytes(4) + bytes([bit << 1]) + bytes(8))
    fields = changed({}, {F.GUEST_TR_BASE: TSS, F.GUEST_TR_LIMIT: 0x80})
    names = {field.name: value for field, value in fields.items()}
    assert bench.exit_of(code, P.unconditional_io_exiting, EXCEPTION_BITMAP=0xFFFF_FFFF, **names, **USER) == expected


@pytest.mark.parametrize(("operand", "memory", "address"), [("[rbx + 8]", 1, 0x20008), ("ax", 0, None)])
def test_lmsw_reports_its_operand(operand, memory, address):
    bench = VmxBench()
    bench.state.gpr[0], bench.state.gpr[3] = 0xBEEF, 0x20000
    bench.engine.write_physical(0x20008, b"\xef\xbe")
    assert bench.exit_of(f"lmsw {operand}", CR0_GUEST_HOST_MASK=0xF) == (R.CR_ACCESS, 0)
    assert bench.qualification == 0xBEEF << 16 | 3 << 4 | memory << 6
    assert address is None or bench[F.GUEST_LINEAR_ADDRESS] == address
