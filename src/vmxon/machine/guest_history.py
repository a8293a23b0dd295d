"""What the guests of a processor did of late, to find the mistakes that hardware passes over in silence."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from vmxon.machine.processor import Processor
from vmxon.vmx.controls import PrimaryProcessorBased, SecondaryProcessorBased
from vmxon.vmx.ept_entries import EptEntry, EptPage, EptTableEntry
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.state import VmcsCache

if TYPE_CHECKING:
    from vmxon.explain import Entry, Event, Hint

KEPT = 64
"""Events remembered of each VMCS."""
BETWEEN = 8
"""Exits between two searches."""
TOLD = 10
"""Hints told in one run."""
PAGE = 4096
TOP_SHIFT, LOWEST_SHIFT = 39, 12
MOST_WRITES = 16
"""EPT writes remembered from between two looks, those of present entries first."""
MOST_TABLES = 4096
"""EPT tables watched in one tree; one of a guest hypervisor may refer to itself."""
BY_HARDWARE = EptEntry.accessed.mask | EptPage.dirty.mask
PRESENT = EptEntry.read.mask | EptEntry.write.mask | EptEntry.execute.mask
FIELDS = (
    VmcsField.EXIT_REASON,
    VmcsField.GUEST_RIP,
    VmcsField.EXIT_QUALIFICATION,
    VmcsField.GUEST_PHYSICAL_ADDRESS,
    VmcsField.IDT_VECTORING_INFORMATION,
    VmcsField.VM_ENTRY_INTERRUPTION_INFORMATION,
    VmcsField.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS,
    VmcsField.SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS,
    VmcsField.EPTP,
)


class EptTree:
    """A copy of the EPT tables below one root, to see what was written since."""

    def __init__(self, read: Callable[[int, int], bytes], root: int) -> None:
        self.read, self.root = read, root
        self._tables: dict[tuple[int, int], tuple[int, bytes]] = {}
        """The first guest-physical address and the bytes of each table, by its address and level."""
        self._add(root, TOP_SHIFT, 0)

    def _add(self, table: int, shift: int, base: int) -> None:
        if (table, shift) in self._tables or len(self._tables) >= MOST_TABLES:
            return
        data = self.read(table, PAGE)
        self._tables[table, shift] = base, data
        for number, entry in enumerate(struct.unpack("<512Q", data)):
            if _refers(entry, shift):
                self._add(entry & EptTableEntry.table.mask, shift - 9, base | number << shift)

    def changes(self) -> Iterator[tuple[int, int, int, int]]:
        """Guest-physical address, size, entry before and after, of each entry that software changed since the last look."""
        for (table, shift), (base, before) in list(self._tables.items()):
            after = self.read(table, PAGE)
            if after == before:
                continue
            self._tables[table, shift] = base, after
            cut = False
            for number, (old, new) in enumerate(zip(struct.unpack("<512Q", before), struct.unpack("<512Q", after), strict=True)):
                if (old ^ new) & ~BY_HARDWARE:
                    yield base | number << shift, 1 << shift, old, new
                    cut = cut or _refers(old, shift)
                    if _refers(new, shift):
                        self._add(new & EptTableEntry.table.mask, shift - 9, base | number << shift)
            if cut:  # the frames of the tables below may be anything by now
                self._tables.clear()
                self._add(self.root, TOP_SHIFT, 0)
                return


def _refers(entry: int, shift: int) -> bool:
    """The entry refers to another table."""
    return entry & PRESENT != 0 and shift != LOWEST_SHIFT and not entry & EptTableEntry.page_size.mask


class GuestHistory:
    """The last events of each VMCS; `tell` hears of each new hint once."""

    def __init__(self, processor: Processor, tell: Callable[[Hint], None] | None = None) -> None:
        from vmxon import explain  # noqa: PLC0415 - a tenth of a second that only those who ask for hints pay

        self._explain = explain
        self.processor, self.tell = processor, tell
        self.histories: dict[int, deque[Event]] = {}
        """By the address of the VMCS region."""
        self._trees: dict[int, EptTree] = {}
        """By the address of the top table."""
        self._roots: dict[int, int] = {}
        """The top table in use, by the address of the VMCS region."""
        self._found: dict[tuple[str, str], Hint] = {}
        self._exits = 0

    # What happened.
    def next_entry(self, *, first: bool) -> Entry:
        """The entry that the current VMCS is about to make, or has just made; `first` for VMLAUNCH."""
        fields = self._fields()
        if first:
            self.histories.pop(self.processor.state.vmcs_pointer, None)
        self._look_at_tables()
        self._watch(fields)
        return self._explain.entry_of(fields, self._registers())

    def entered(self, entry: Entry) -> None:
        """An entry succeeded."""
        self._events().append(entry)

    def exited(self) -> None:
        """The current VMCS tells of a VM exit; an entry that it ended before the first instruction may be unknown."""
        fields, registers = self._fields(), self._registers()
        exit_ = self._explain.exit_of(fields, registers)
        if exit_ is None:
            return
        events = self._events()
        if events and isinstance(events[-1], self._explain.Exit):
            injected = fields[VmcsField.VM_ENTRY_INTERRUPTION_INFORMATION] | 1 << 31
            events.append(self._explain.Entry(exit_.rip, injected, registers))
        events.append(exit_)
        self._exits += 1
        if self._exits % BETWEEN == 0:
            self.hints()

    def invept(self) -> None:
        """INVEPT was executed."""
        self._look_at_tables()
        for events in self.histories.values():
            events.append(self._explain.Invept())

    # What it means.
    def hints(self) -> tuple[Hint, ...]:
        """All hints found so far, one of each kind."""
        for events in self.histories.values():
            for hint in self._explain.find_hints(tuple(events)):
                if (hint.name, hint.title) not in self._found and len(self._found) < TOLD:
                    self._found[hint.name, hint.title] = hint
                    if self.tell is not None:
                        self.tell(hint)
        return tuple(self._found.values())

    def _fields(self) -> dict[VmcsField, int]:
        state = self.processor.state
        values = VmcsCache(self.processor.engine.vmx_memory, state.vmcs - state.vmx_memory).fields if state.vmcs else None
        return {which: 0 if values is None else values[which.slot] for which in FIELDS}

    def _registers(self) -> tuple[int, ...]:
        gpr = self.processor.state.gpr
        return tuple(gpr[number] for number in range(16))

    def _events(self) -> deque[Event]:
        return self.histories.setdefault(self.processor.state.vmcs_pointer, deque(maxlen=KEPT))

    def _watch(self, fields: dict[VmcsField, int]) -> None:
        """Remember the EPT tables of a guest that has any."""
        primary = fields[VmcsField.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS]
        secondary = fields[VmcsField.SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS]
        if primary & PrimaryProcessorBased.activate_secondary.mask and secondary & SecondaryProcessorBased.enable_ept.mask:
            root = fields[VmcsField.EPTP] & EptTableEntry.table.mask
            self._roots[self.processor.state.vmcs_pointer] = root
            if root not in self._trees:
                self._trees[root] = EptTree(self.processor.engine.read_physical, root)

    def _look_at_tables(self) -> None:
        """Note what was written to EPT tables since the last look."""
        for root, tree in self._trees.items():
            changes = sorted(tree.changes(), key=lambda change: change[2] & PRESENT == 0)[:MOST_WRITES]
            writes = [self._explain.EptWrite(address, before, after, size) for address, size, before, after in changes]
            for pointer, events in self.histories.items():
                if self._roots.get(pointer) == root:
                    events.extend(writes)
