"""The history of guests on the bare machine: hints for a guest hypervisor in assembly, and EPT tables that change."""

from __future__ import annotations

import struct

import pytest

from tests.guests.ept import READ, REPAIR, EptProgram
from tests.guests.vmx_program import VmxProgram
from vmxon.explain import Hint
from vmxon.machine.configuration import PcConfiguration
from vmxon.machine.guest_history import EptTree, GuestHistory
from vmxon.machine.loader import load_multiboot
from vmxon.machine.pc import Limits, Pc
from vmxon.vmx.fields import VmcsField as F

MEMORY = 16 << 20


def run(program: VmxProgram, *, hints: bool = True) -> tuple[dict[str, Hint], bytes, int]:
    """Hints by name, what the program printed, and how many instructions ran."""
    output, told = bytearray(), []
    image = load_multiboot(program.build(), "program", MEMORY)
    pc = Pc(PcConfiguration(memory_size=MEMORY, kernel=image), serial=(output.append,), debug_console=output.append)
    if hints:
        history = GuestHistory(pc.processor, told.append)
        pc.record_guests(history)
    pc.run(Limits(instructions=10_000_000))
    if hints:
        assert history.hints() == tuple(told)
    return {hint.name: hint for hint in told}, bytes(output), pc.processor.instructions


def with_ept(code: str, setup: str = "", hook: str = "", *programs: EptProgram) -> EptProgram:
    program = programs[0] if programs else EptProgram()
    program.with_ept("guest", code, setup, hook=hook)
    return program


def test_an_ept_violation_that_comes_again() -> None:
    hints, output, _ = run(with_ept(READ, "mov qword ptr [ept_table], 0", "mov eax, 1\nret"))
    assert output.count(b"exit 30") >= 3
    assert list(hints) == ["ept-violation-loop"]
    assert "3 exits in a row for a read of guest-physical 0x800123" in hints["ept-violation-loop"].evidence


@pytest.mark.parametrize("invept", [False, True])
def test_a_mapping_that_is_cached(invept: bool) -> None:
    flush = "mov edx, 2\ninvept rdx, [scratch]\n" if invept else ""
    hook = f"mov dword ptr [ept_table], 0x800031\nmov dword ptr [ept_table + 8], 0x801037\n{flush}mov eax, 1\nret"
    hints, _, _ = run(with_ept(f"{READ}\nmov al, [aligned + 0x1000]", "mov qword ptr [ept_table + 8], 0", hook))
    assert list(hints) == ([] if invept else ["stale-mapping"])
    if not invept:
        assert "the entry for guest-physical 0x800000 went from 0x800037 to 0x800031" in hints["stale-mapping"].evidence


def test_an_instruction_that_is_not_stepped_over() -> None:
    hints, output, _ = run(with_ept("cpuid", "and byte ptr [exit_details + 10], 0x3F", "mov eax, 1\nret"))
    assert output.count(b"exit a") >= 2
    assert list(hints) == ["stuck-instruction"]
    assert hints["stuck-instruction"].title == "RIP was not advanced past CPUID"


def test_registers_that_are_lost() -> None:
    hook = f"mov qword ptr [guest_registers + 24], 0x99\n{REPAIR}"
    hints, _, _ = run(with_ept(READ, "mov qword ptr [ept_table], 0", hook))
    assert list(hints) == ["lost-registers"]
    assert "the guest went on with RBX 0x3333 → 0x99" in hints["lost-registers"].evidence


def test_an_event_that_is_lost() -> None:
    program = EptProgram()
    fields = {F.GUEST_IDTR_BASE: "mov edx, offset aligned", F.VM_ENTRY_INTERRUPTION_INFORMATION: 0x8000_0202}
    program.with_ept("guest", "nop", "mov qword ptr [ept_table], 0\n" + "".join(_write(*row) for row in fields.items()), hook=REPAIR)
    hints, _, _ = run(program)
    assert list(hints) == ["lost-event"]
    assert "came while the processor delivered: nmi, vector 2" in hints["lost-event"].evidence


def _write(field: F, value: int | str) -> str:
    load = value if isinstance(value, str) else f"mov edx, {value:#x}"
    return f"{load}\nmov eax, {int(field):#x}\nvmwrite rax, rdx\n"


def test_looking_for_hints_changes_nothing() -> None:
    program = with_ept(READ, "mov qword ptr [ept_table], 0", REPAIR)
    with_ept("cpuid\nmov ebx, 1\ncpuid", "", "", program)
    hints, output, instructions = run(program)
    assert hints == {}
    assert run(program, hints=False)[1:] == (output, instructions)


class Tables:
    """EPT tables as a program writes them: page n is at n * 4096."""

    def __init__(self) -> None:
        self.pages = {n: bytearray(4096) for n in range(8)}
        self.put(1, 0, 0x2007)
        self.put(2, 1, 0x3007)
        self.put(3, 2, 0x4007)
        self.put(4, 5, 0x9037)

    def put(self, page: int, entry: int, value: int) -> None:
        struct.pack_into("<Q", self.pages[page], 8 * entry, value)

    def read(self, address: int, size: int) -> bytes:
        return bytes(self.pages[address >> 12][:size]) if address >> 12 in self.pages else b"\xff" * size


LEAF = 1 << 30 | 2 << 21 | 5 << 12


def test_a_tree_tells_which_entries_changed() -> None:
    tables = Tables()
    tree = EptTree(tables.read, 0x1000)
    assert list(tree.changes()) == []
    tables.put(4, 5, 0x9031)
    assert list(tree.changes()) == [(LEAF, 4096, 0x9037, 0x9031)]
    assert list(tree.changes()) == []


def test_accessed_and_dirty_flags_are_the_processors_writes() -> None:
    tables = Tables()
    tree = EptTree(tables.read, 0x1000)
    tables.put(4, 5, 0x9337)
    assert list(tree.changes()) == []


def test_tables_that_come_and_go_are_followed() -> None:
    tables = Tables()
    tree = EptTree(tables.read, 0x1000)
    tables.put(3, 3, 0x5007)
    assert list(tree.changes()) == [(1 << 30 | 3 << 21, 2 << 20, 0, 0x5007)]
    tables.put(5, 0, 0xA037)
    assert list(tree.changes()) == [(1 << 30 | 3 << 21, 4096, 0, 0xA037)]
    tables.put(3, 3, 0)
    assert list(tree.changes()) == [(1 << 30 | 3 << 21, 2 << 20, 0x5007, 0)]
    tables.put(5, 0, 0x1234)
    assert list(tree.changes()) == [], "the frame is no table any more"


def test_a_tree_that_refers_to_itself_ends() -> None:
    tables = Tables()
    for page in range(1, 5):
        for entry in range(512):
            tables.put(page, entry, 0x1007 + 0x1000 * (entry % 4))
    tree = EptTree(tables.read, 0x1000)
    tables.put(4, 7, 0)
    assert list(tree.changes())
