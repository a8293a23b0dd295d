"""Delivery of exceptions and software interrupts: gates, frames, privilege, nested faults, shutdown."""

from __future__ import annotations

import struct

import pytest

from tests.harness import CODE, assemble
from tests.processor.system_bench import (
    BP,
    CODE0,
    CODE1,
    CODE3,
    CODE_TYPE,
    CONFORMING,
    DATA0,
    DATA1,
    DATA3,
    DB,
    DE,
    DF,
    FINE,
    FREE,
    GP,
    HANDLERS,
    IDT,
    IOPL3,
    IST_STACK,
    NP,
    OF,
    PF,
    READ_WRITE,
    RING_STACKS,
    SHUTDOWN,
    SS,
    TS,
    TSS,
    UD,
    VM,
    Outcome,
    SystemBench,
    descriptor,
    fault,
    gate,
)
from vmxon.arch.exceptions import DOUBLE_FAULT_PAIRS, Severity
from vmxon.arch.segments import SystemType
from vmxon.processor.state import Segment

IF, TF, NT, RF = 1 << 9, 1 << 8, 1 << 14, 1 << 16
INT = 0x70


def test_real_mode_pushes_three_words_and_no_error_code() -> None:
    bench = SystemBench(16)
    bench.state.rflags_other |= IF | 1 << 18
    assert bench.run("int 0x70") == fault(INT, None)
    assert [bench.pushed(n) for n in range(3)] == [2, CODE >> 4, IF | 2]
    assert bench.state.gpr[4] == 0x8000 - 6
    assert bench.state.rflags_other & (IF | TF | 1 << 18) == 0
    assert SystemBench(16).run("mov bx, 0xffff\nmov ax, [bx]", 2) == fault(GP, None)


def test_real_mode_table_limit() -> None:
    bench = SystemBench(16)
    bench.state.idt_limit = 4 * INT + 2
    assert bench.run("int 0x70") == fault(GP, None)


@pytest.mark.parametrize("mode", [32, 33, 64])
@pytest.mark.parametrize("cpl", [0, 3])
def test_frame_of_a_fault(mode: int, cpl: int) -> None:
    bench = SystemBench(mode, cpl)
    bench.state.rflags_other |= IF
    stack = bench.state.gpr[4]
    assert bench.run("ud2") == fault(UD, None)
    frame = [CODE, (CODE0, 0, 0, CODE3)[cpl], IF | RF | 2]
    if cpl == 3 or mode != 32:
        frame += [stack, (DATA0, 0, 0, DATA3)[cpl]]
    assert [bench.pushed(n) for n in range(len(frame))] == frame
    top = RING_STACKS[0] if cpl == 3 else stack
    assert bench.state.gpr[4] == top - len(frame) * (4 if mode == 32 else 8)
    assert bench.state.cpl == 0
    assert bench.state.rflags_other & (IF | RF | NT | TF) == 0


def test_error_code_lies_on_top() -> None:
    bench = SystemBench(64, 3)
    assert bench.run("hlt") == fault(GP)
    assert [bench.pushed(n) for n in range(3)] == [0, CODE, CODE3]
    assert bench.state.gpr[4] == RING_STACKS[0] - 48


def test_64_bit_frames_are_aligned() -> None:
    bench = SystemBench(64)
    bench.state.gpr[4] = 0x37FF7
    assert bench.run("ud2") == fault(UD, None)
    assert bench.state.gpr[4] == 0x37FF0 - 40
    assert bench.pushed(3) == 0x37FF7


@pytest.mark.parametrize(
    ("instruction", "vector", "length", "flags"),
    [("int 0x70", INT, 2, 0), ("int3", BP, 1, 0), (b"\xce", OF, 1, 0), (b"\xf1", DB, 1, 0)],
)
def test_software_events_return_behind_the_instruction(instruction: str | bytes, vector: int, length: int, flags: int) -> None:
    bench = SystemBench(32)
    bench.processor.rflags = 0x802  # OF for INTO
    assert bench.run(instruction) == fault(vector, None)
    assert (bench.pushed(0), bench.pushed(2)) == (CODE + length, 0x802 | flags)


def test_into_without_overflow_goes_on() -> None:
    assert SystemBench(32).run(b"\xce") == FINE


@pytest.mark.parametrize("kind", [SystemType.INTERRUPT_GATE, SystemType.TRAP_GATE])
@pytest.mark.parametrize("mode", [32, 64])
def test_only_interrupt_gates_clear_if(kind: int, mode: int) -> None:
    bench = SystemBench(mode)
    bench.state.rflags_other |= IF
    bench.put_gate(INT, gate(CODE0, HANDLERS + 16 * INT, kind))
    assert bench.run("int 0x70") == fault(INT, None)
    assert bool(bench.state.rflags_other & IF) == (kind == SystemType.TRAP_GATE)


@pytest.mark.parametrize("kind", [SystemType.INTERRUPT_GATE_16, SystemType.TRAP_GATE_16])
@pytest.mark.parametrize("cpl", [0, 3])
def test_16_bit_gates_push_words(kind: int, cpl: int) -> None:
    bench = SystemBench(32, cpl)
    bench.put_descriptor(FREE, descriptor(HANDLERS, 0xFFFF, CODE_TYPE, 0, flags=4))
    bench.put_gate(UD, gate(FREE, 16 * UD, kind))
    stack = bench.state.gpr[4]
    bench.run("ud2")
    assert (bench.selectors[1], bench.state.rip) == (FREE, 16 * UD)
    frame = [CODE & 0xFFFF, (CODE0, 0, 0, CODE3)[cpl], 2] + ([stack & 0xFFFF, DATA3] if cpl else [])
    assert [bench.stacked(n, 2) for n in range(len(frame))] == frame


# gate kind, gate DPL, present, CPL, instruction, outcome
PRIVILEGE = [
    (SystemType.INTERRUPT_GATE, 0, True, 3, "int 0x70", fault(GP, INT << 3 | 2)),
    (SystemType.INTERRUPT_GATE, 3, True, 3, "int 0x70", fault(INT, None)),
    (SystemType.INTERRUPT_GATE, 0, True, 0, "int 0x70", fault(INT, None)),
    (SystemType.INTERRUPT_GATE, 1, True, 1, "int 0x70", fault(INT, None)),
    (SystemType.INTERRUPT_GATE, 3, False, 3, "int 0x70", fault(NP, INT << 3 | 2)),
    (SystemType.INTERRUPT_GATE, 0, False, 3, "int 0x70", fault(GP, INT << 3 | 2)),
    (SystemType.CALL_GATE, 3, True, 0, "int 0x70", fault(GP, INT << 3 | 2)),
    (SystemType.AVAILABLE_TSS, 3, True, 0, "int 0x70", fault(GP, INT << 3 | 2)),
    (READ_WRITE, 3, True, 0, "int 0x70", fault(GP, INT << 3 | 2)),
]


@pytest.mark.parametrize("mode", [32, 64])
@pytest.mark.parametrize(("kind", "dpl", "present", "cpl", "instruction", "expected"), PRIVILEGE)
def test_gate_checks(mode: int, kind: int, dpl: int, present: bool, cpl: int, instruction: str, expected: Outcome) -> None:
    bench = SystemBench(mode, cpl)
    bench.put_gate(INT, gate(CODE0, HANDLERS + 16 * INT, kind, dpl, present))
    assert bench.run(instruction) == expected


@pytest.mark.parametrize(("instruction", "vector"), [(b"\xcc", BP), (b"\xcd\x03", BP), (b"\xce", OF), (b"\xf1", DB), (b"\x0f\x0b", UD)])
def test_which_events_check_the_dpl_of_the_gate(instruction: bytes, vector: int) -> None:
    bench = SystemBench(32, 3)
    bench.processor.rflags = 0x802
    checked = instruction not in (b"\xf1", b"\x0f\x0b")
    assert bench.run(instruction) == (fault(GP, vector << 3 | 2) if checked else fault(vector, None))


@pytest.mark.parametrize("mode", [32, 64])
def test_vector_beyond_the_limit(mode: int) -> None:
    bench = SystemBench(mode)
    bench.state.idt_limit = (INT + 1) * (16 if mode == 64 else 8) - 2
    assert bench.run("int 0x70") == fault(GP, INT << 3 | 2)


def test_64_bit_mode_knows_no_16_bit_and_no_task_gates() -> None:
    for kind in (SystemType.INTERRUPT_GATE_16, SystemType.TRAP_GATE_16, SystemType.TASK_GATE):
        bench = SystemBench(64)
        bench.put_gate(INT, gate(CODE0, HANDLERS + 16 * INT, kind))
        assert bench.run("int 0x70") == fault(GP, INT << 3 | 2)


# the handler's code segment: selector, descriptor, CPL, error of #GP or #NP (EXT 0: INT n)
HANDLER_SEGMENTS = [
    (0, None, 0, GP, 0),
    (0x100, None, 0, GP, 0x100),
    (FREE, descriptor(0, 0xFFFFF, READ_WRITE, 0, flags=0xC), 0, GP, FREE),
    (FREE, descriptor(0, 0xFFFFF, CODE_TYPE, 3, flags=0xC), 0, GP, FREE),
    (FREE, descriptor(0, 0xFFFFF, CODE_TYPE, 0, False, 0xC), 0, NP, FREE),
    (FREE, descriptor(0, 0xFFF, CODE_TYPE, 0, flags=4), 0, GP, 0),
]


@pytest.mark.parametrize(("selector", "value", "cpl", "vector", "code"), HANDLER_SEGMENTS)
def test_bad_handler_segments(selector: int, value: int | None, cpl: int, vector: int, code: int) -> None:
    bench = SystemBench(32, cpl)
    if value is not None:
        bench.put_descriptor(FREE, value)
    bench.put_gate(INT, gate(selector, HANDLERS + 16 * INT))
    assert bench.run("int 0x70") == fault(vector, code)
    # The same from an exception has EXT.
    bench = SystemBench(32, cpl)
    if value is not None:
        bench.put_descriptor(FREE, value)
    bench.put_gate(UD, gate(selector, HANDLERS + 16 * UD))
    assert bench.run("ud2") == fault(vector, code | 1)


@pytest.mark.parametrize("flags", [0xC, 0xE, 0x8])
def test_64_bit_handlers_need_64_bit_code(flags: int) -> None:
    bench = SystemBench(64)
    bench.put_descriptor(FREE, descriptor(0, 0xFFFFF, CODE_TYPE, 0, flags=flags))
    bench.put_gate(INT, gate(FREE, HANDLERS + 16 * INT))
    assert bench.run("int 0x70") == fault(GP, FREE)


def test_handler_must_be_canonical() -> None:
    bench = SystemBench(64)
    bench.engine.write_physical(IDT + 16 * INT + 8, struct.pack("<Q", 0x8000))
    assert bench.run("int 0x70") == fault(GP)


@pytest.mark.parametrize("mode", [32, 64])
def test_conforming_handler_keeps_the_level(mode: int) -> None:
    bench = SystemBench(mode, 3)
    bench.put_descriptor(FREE, descriptor(0, 0xFFFFF, CONFORMING, 0, flags=0xA if mode == 64 else 0xC))
    bench.put_gate(INT, gate(FREE, HANDLERS + 16 * INT, dpl=3))
    stack = bench.state.gpr[4]
    # HLT at level 3 faults: the handler was reached, at its own level.
    assert bench.run("int 0x70") == fault(GP)
    assert bench.pushed(1) == HANDLERS + 16 * INT
    assert bench.pushed(2) == FREE | 3
    assert bench.pushed(4) == stack - (40 if mode == 64 else 12)


def test_interrupt_stack_table() -> None:
    for number in range(1, 8):
        bench = SystemBench(64)
        stack = bench.state.gpr[4]
        bench.put_gate(INT, gate(CODE0, HANDLERS + 16 * INT, count=number))
        assert bench.run("int 0x70") == fault(INT, None)
        assert bench.state.gpr[4] == IST_STACK + 0x1000 * (number - 1) - 40
        assert (bench.pushed(3), bench.selectors[2]) == (stack, DATA0)


def test_stack_that_is_not_canonical() -> None:
    bench = SystemBench(64, 3)
    bench.engine.write_physical(TSS + 4, struct.pack("<Q", 0x8000_0000_0000 + 64))
    bench.put_gate(SS, gate(CODE0, HANDLERS + 16 * SS, count=1))
    assert bench.run("ud2") == fault(SS, 1)


@pytest.mark.parametrize("limit", [0x27, 0x0A])
def test_short_wide_task_state(limit: int) -> None:
    bench = SystemBench(64, 0)
    bench.state.segments[Segment.TR].limit = limit
    bench.put_gate(INT, gate(CODE0, HANDLERS + 16 * INT, count=1))
    assert bench.run("int 0x70") == fault(TS, 0x28)


BAD_STACKS = [
    (0, fault(TS, 1)),
    (0x100, fault(TS, 0x101)),
    (DATA1, fault(TS, DATA1 & ~3 | 1)),
    (CODE1, fault(TS, CODE1 & ~3 | 1)),
]


@pytest.mark.parametrize(("selector", "expected"), BAD_STACKS)
def test_bad_inner_stack_of_a_handler(selector: int, expected: Outcome) -> None:
    bench = SystemBench(32, 3)
    bench.engine.write_physical(TSS + 8, struct.pack("<H", selector))
    # #TS itself must reach a good stack: a conforming handler stays on this one.
    bench.put_descriptor(FREE, descriptor(0, 0xFFFFF, CONFORMING, 0, flags=0xC))
    bench.put_gate(TS, gate(FREE, HANDLERS + 16 * TS))
    bench.put_gate(GP, gate(FREE, HANDLERS + 16 * GP))
    bench.engine.write_physical(HANDLERS + 16 * TS, b"\xeb\xfe")
    bench.run("ud2", 2)
    assert bench.state.rip == HANDLERS + 16 * TS
    assert bench.pushed(0) == expected.error


class TestVirtual8086:
    def test_frame_holds_the_data_segments(self) -> None:
        bench = SystemBench(86, 3)
        before = bench.selectors
        assert bench.run("ud2") == fault(UD, None)
        frame = [0, CODE >> 4, VM | RF | 2, 0x8000, before[2], before[0], before[3], before[4], before[5]]
        assert [bench.pushed(n) for n in range(9)] == frame
        assert bench.state.gpr[4] == RING_STACKS[0] - 36
        assert [bench.selectors[n] for n in (0, 3, 4, 5)] == [0, 0, 0, 0]
        assert (bench.state.cpl, bench.state.rflags_other & VM) == (0, 0)

    @pytest.mark.parametrize(
        ("instruction", "iopl", "expected"),
        [
            ("int 0x70", 0, fault(GP)),
            ("int 0x70", IOPL3, fault(INT, None)),
            ("int3", 0, fault(BP, None)),
            ("pushf", 0, fault(GP)),
            ("pushf", IOPL3, FINE),
            ("popf", 0, fault(GP)),
            ("cli", 0, fault(GP)),
            ("sti", 0, fault(GP)),
            ("cli", IOPL3, FINE),
            (b"\xcf", 0, fault(GP)),
            ("hlt", IOPL3, fault(GP)),
            ("mov eax, cr0", IOPL3, fault(GP)),
        ],
    )
    def test_iopl(self, instruction: str | bytes, iopl: int, expected: Outcome) -> None:
        bench = SystemBench(86, 3)
        bench.state.rflags_other |= iopl
        bench.put_gate(INT, gate(CODE0, HANDLERS + 16 * INT, dpl=3))
        bench.put_gate(BP, gate(CODE0, HANDLERS + 16 * BP, dpl=3))
        assert bench.run(instruction) == expected

    @pytest.mark.parametrize("value", [descriptor(0, 0xFFFFF, CODE_TYPE, 1, flags=0xC), descriptor(0, 0xFFFFF, CONFORMING, 0, flags=0xC)])
    def test_handler_must_be_level_0(self, value: int) -> None:
        bench = SystemBench(86, 3)
        bench.put_descriptor(FREE, value)
        bench.put_gate(UD, gate(FREE, HANDLERS + 16 * UD))
        assert bench.run("ud2") == fault(GP, FREE | 1)

    def test_there_and_back(self) -> None:
        bench = SystemBench(86, 3)
        bench.state.rflags_other |= IOPL3
        before, stack = bench.selectors, bench.state.gpr[4]
        bench.put_gate(INT, gate(CODE0, HANDLERS + 16 * INT, dpl=3))
        bench.engine.write_physical(HANDLERS + 16 * INT, b"\xcf")
        assert bench.run("int 0x70", 2) == FINE
        assert (bench.selectors, bench.state.gpr[4], bench.state.rip, bench.state.cpl) == (before, stack, 2, 3)
        assert bench.processor.instructions == 2
        assert bench.state.rflags_other & (VM | IOPL3) == VM | IOPL3


# Nested faults: how to cause the first one, its vector and class.
FIRSTS = {
    "interrupt": ("int 0x70", INT, Severity.BENIGN, 0),
    "breakpoint": ("int3", BP, Severity.BENIGN, 0),
    "undefined": ("ud2", UD, Severity.BENIGN, 1),
    "debug": (b"\xf1", DB, Severity.BENIGN, 1),
    "software 13": ("int 13", GP, Severity.BENIGN, 0),
    "divide": ("xor ecx, ecx\ndiv ecx", DE, Severity.CONTRIBUTORY, 1),
    "protection": ("mov rcx, rbx\nmov cr4, rcx", GP, Severity.CONTRIBUTORY, 1),
    "not present": (f"mov ecx, {FREE}\nmov ds, cx", NP, Severity.CONTRIBUTORY, 1),
    "stack": (f"mov ecx, {FREE}\nmov ss, cx", SS, Severity.CONTRIBUTORY, 1),
    "page": ("mov rcx, rbx\nmov al, [rcx]", PF, Severity.PAGE_FAULT, 1),
}
SECONDS = {"absent gate": Severity.CONTRIBUTORY, "absent stack": Severity.PAGE_FAULT}
UNMAPPED = 0x7000_0000


def break_gate(bench: SystemBench, vector: int, how: str) -> None:
    """Make delivery of `vector` fault: its gate is not present, or its IST stack is not mapped."""
    if how == "absent gate":
        bench.put_gate(vector, gate(CODE0, HANDLERS + 16 * vector, present=False))
    else:
        bench.engine.write_physical(TSS + 36, struct.pack("<Q", UNMAPPED))
        bench.put_gate(vector, gate(CODE0, HANDLERS + 16 * vector, count=1))


def nested(first: str) -> tuple[SystemBench, str | bytes, int]:
    bench = SystemBench(64)
    bench.put_descriptor(FREE, descriptor(0, 0xFFFFF, READ_WRITE, 0, False, 0xC))
    bench.state.gpr[3] = UNMAPPED if first == "page" else 1 << 31
    return bench, FIRSTS[first][0], 1 if isinstance(FIRSTS[first][0], bytes) else FIRSTS[first][0].count("\n") + 1


@pytest.mark.parametrize("second", SECONDS)
@pytest.mark.parametrize("first", FIRSTS)
def test_pairs_of_faults(first: str, second: str) -> None:
    bench, code, count = nested(first)
    _, vector, severity, external = FIRSTS[first]
    break_gate(bench, vector, second)
    outcome = bench.run(code, count)
    if (severity, SECONDS[second]) in DOUBLE_FAULT_PAIRS:
        assert outcome == fault(DF)
    elif second == "absent gate":
        assert outcome == fault(NP, vector << 3 | 2 | external)
    else:
        assert outcome == fault(PF, 2)
    if second == "absent stack":
        assert bench.state.cr2 == UNMAPPED - 8
    # Whatever is delivered in the end returns to the instruction that began it; INT n then runs again.
    start = len(assemble(code.split("\n")[0])) if count == 2 and isinstance(code, str) else 0
    assert bench.pushed(0 if outcome.error is None else 1) == CODE + start


@pytest.mark.parametrize("third", SECONDS)
@pytest.mark.parametrize("first", [name for name, row in FIRSTS.items() if row[2] is not Severity.BENIGN])
def test_fault_on_a_double_fault_is_shutdown(first: str, third: str) -> None:
    bench, code, count = nested(first)
    vector = FIRSTS[first][1]
    bench.put_gate(vector, gate(CODE0, HANDLERS + 16 * vector, present=False))
    break_gate(bench, DF, third)
    assert bench.run(code, count) == SHUTDOWN
    faults = list(bench.state.shutdown_faults)
    assert [word >> 32 for word in faults[::2]] == [vector, NP, NP if third == "absent gate" else PF]
    assert faults[2] & 0xFFFFFFFF == vector << 3 | 3
    assert len({faults[1], faults[3], faults[5]}) == 1
    assert bench.state.activity == 2
    # It stays shut down.
    assert bench.go_on(5) == SHUTDOWN


def test_chain_that_never_doubles() -> None:
    """#UD whose gate is absent, #NP on an unmapped stack, then a page fault: each is delivered alone."""
    bench = SystemBench(64)
    break_gate(bench, UD, "absent gate")
    break_gate(bench, NP, "absent stack")
    assert bench.run("ud2") == fault(PF, 2)


@pytest.mark.parametrize(("lower", "upper", "address"), [(True, True, None), (False, True, 0x3F_FFF8), (True, False, 0x40_0008)])
def test_a_frame_across_pages_faults_at_the_first_word_that_is_pushed_there(lower: bool, upper: bool, address: int | None) -> None:
    bench = SystemBench(64)
    bench.engine.write_physical(TSS + 36, struct.pack("<Q", 0x40_0010))
    bench.put_gate(0x41, gate(CODE0, HANDLERS + 16 * 0x41, count=1))
    read = bench.engine.read_physical
    (pointers,) = struct.unpack("<Q", read(bench.state.cr3 & ~0xFFF, 8))
    (directory,) = struct.unpack("<Q", read(pointers & ~0xFFF, 8))
    entries = [0x20_0087 if lower else 0, 0x87 if upper else 0]
    bench.engine.write_physical((directory & ~0xFFF) + 8, struct.pack("<2Q", *entries))
    assert bench.run("int 0x41") == (fault(0x41, None) if address is None else fault(PF, 2))
    assert bench.state.cr2 == (address or 0)


def test_faults_leave_the_interrupted_state_alone() -> None:
    bench = SystemBench(64, 3)
    break_gate(bench, UD, "absent gate")
    break_gate(bench, NP, "absent gate")
    break_gate(bench, DF, "absent gate")
    before = [list(bench.state.gpr), bench.selectors, bench.processor.rflags]
    assert bench.run("ud2") == SHUTDOWN
    assert [list(bench.state.gpr), bench.selectors, bench.processor.rflags] == before
    assert bench.state.rip == CODE
