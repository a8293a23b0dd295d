"""Hints for the mistakes that hardware passes over in silence, found in the history of entries and exits.

Each finder is a function of the history alone; `find_hints` runs them all. Fields are those of the VMCS at the moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from vmxon.arch.sdm import Sdm
from vmxon.explain.decode import BRIEF, member
from vmxon.explain.document import Document, Json, Line, Shown, Style, listed
from vmxon.vmx.ept_entries import EptEntry, EptPage
from vmxon.vmx.events import EntryInterruption, EventType, IdtVectoring
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.qualifications import CrAccessQualification, CrAccessType, IoQualification, MovDrQualification

PAGE = 4096
ENOUGH = 3
"""How often the same exit must come before it counts as a loop."""
REGISTERS = ("RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", *(f"R{n}" for n in range(8, 16)))
RAX, RCX, RDX, RBX, RSP, _, RSI, RDI = range(8)


@dataclass(frozen=True, slots=True)
class Exit:
    """A VM exit."""

    reason: R
    rip: int
    qualification: int = 0
    guest_physical: int = 0
    idt_vectoring: int = 0
    registers: tuple[int, ...] = ()
    """RAX, RCX, RDX, RBX, RSP, … of the guest, in the order of their numbers."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A VM entry that succeeded."""

    rip: int
    injected: int = 0
    """VM-entry interruption information."""
    registers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class EptWrite:
    """The hypervisor changed an EPT entry that maps `size` bytes from `guest_physical`."""

    guest_physical: int
    before: int
    after: int
    size: int = PAGE


@dataclass(frozen=True, slots=True)
class Invept:
    """INVEPT of the EPTP in use, or of all."""


Event = Exit | Entry | EptWrite | Invept


def exit_of(fields: Mapping[VmcsField, int], registers: Sequence[int] = ()) -> Exit | None:
    """The exit that a VMCS describes, right after it; None where the reason has no name."""
    reason = member(R, fields.get(VmcsField.EXIT_REASON, 0) & 0xFFFF)
    if reason is None:
        return None
    return Exit(
        reason,
        fields.get(VmcsField.GUEST_RIP, 0),
        fields.get(VmcsField.EXIT_QUALIFICATION, 0),
        fields.get(VmcsField.GUEST_PHYSICAL_ADDRESS, 0),
        fields.get(VmcsField.IDT_VECTORING_INFORMATION, 0),
        tuple(registers),
    )


def entry_of(fields: Mapping[VmcsField, int], registers: Sequence[int] = ()) -> Entry:
    """The entry that a VMCS is about to make, right before it."""
    injected = fields.get(VmcsField.VM_ENTRY_INTERRUPTION_INFORMATION, 0)
    return Entry(fields.get(VmcsField.GUEST_RIP, 0), injected, tuple(registers))


@dataclass(frozen=True, slots=True)
class Hint(Shown):
    """A likely mistake."""

    name: str
    title: str
    evidence: str
    """What in the history shows it."""
    cause: str
    action: str
    source: Sdm
    position: int
    """Index of the event at which it shows."""

    def document(self) -> Document:
        lines = (
            Line(self.evidence, 1),
            Line(f"Why: {self.cause}.", 1),
            Line(f"What to do: {self.action}.", 1, Style.GOOD),
            Line(str(self.source), 1, Style.QUIET),
        )
        return Document(f"Hint: {self.title}", lines)

    def to_json(self) -> dict[str, Json]:
        """Plain data, ready for `json.dumps`."""
        return {
            "hint": self.name,
            "title": self.title,
            "evidence": self.evidence,
            "cause": self.cause,
            "action": self.action,
            "source": str(self.source),
            "position": self.position,
        }


def _pairs(history: Sequence[Event]) -> Iterator[tuple[int, Exit, Entry]]:
    """Each exit with the entry after it; the index is that of the entry."""
    last: Exit | None = None
    for position, event in enumerate(history):
        if isinstance(event, Exit):
            last = event
        elif isinstance(event, Entry) and last is not None:
            yield position, last, event
            last = None


# The same EPT violation again and again

ACCESS = 0b111


def repeated_violation(history: Sequence[Event]) -> Iterator[Hint]:
    """The same EPT violation, without progress."""
    same: tuple[int, int, int] | None = None
    count, written = 0, False
    for position, event in enumerate(history):
        if isinstance(event, EptWrite) and same and event.guest_physical <= same[1] * PAGE < event.guest_physical + event.size:
            written = True
        if not isinstance(event, Exit):
            continue
        now = (event.rip, event.guest_physical // PAGE, event.qualification & ACCESS) if event.reason is R.EPT_VIOLATION else None
        count = count + 1 if now == same and now is not None else int(now is not None)
        written = written and now == same
        same = now
        if count == ENOUGH:
            yield _violation_hint(event, position, written)


def _violation_hint(event: Exit, position: int, written: bool) -> Hint:
    allowed = event.qualification >> 3 & ACCESS
    wanted = listed([name for bit, name in enumerate(("read", "write", "fetch")) if event.qualification >> bit & 1])
    where = f"guest-physical {event.guest_physical:#x} at RIP {event.rip:#x}"
    if written:
        cause = "the EPT entry was changed, but it still does not allow the access, or a cached one is in use"
    elif allowed:
        cause = "the entry exists but lacks the permission, and nothing changed it between the exits"
    else:
        cause = "nothing was mapped between the exits, or another address was: an offset, a wrong EPTP, a page of another guest"
    return Hint(
        "ept-violation-loop",
        "the same EPT violation comes again without progress",
        f"{ENOUGH} exits in a row for a {wanted or 'access'} of {where}, qualification {event.qualification:#x}",
        cause,
        "map the page of GUEST_PHYSICAL_ADDRESS with all permissions that bits 2:0 of the qualification ask for, then INVEPT",
        Sdm("3C", "29.3.3.2", "EPT Violations"),
        position,
    )


# Events that got lost

DONE_BY_SOFTWARE = {R.TRIPLE_FAULT, R.TASK_SWITCH}
BY_INSTRUCTION = {EventType.SOFTWARE_INTERRUPT, EventType.PRIVILEGED_SOFTWARE_EXCEPTION, EventType.SOFTWARE_EXCEPTION}


def lost_event(history: Sequence[Event]) -> Iterator[Hint]:
    """An exit interrupted the delivery of an event, and the next entry does not inject it again."""
    for position, exit_, entry in _pairs(history):
        vectoring = IdtVectoring(exit_.idt_vectoring & 0xFFFF_FFFF)
        if not vectoring.valid or exit_.reason in DONE_BY_SOFTWARE or EntryInterruption(entry.injected & 0xFFFF_FFFF).valid:
            continue
        if vectoring.type in BY_INSTRUCTION and entry.rip == exit_.rip:
            continue  # the guest executes INT again
        what = BRIEF[VmcsField.IDT_VECTORING_INFORMATION](int(vectoring))
        again = " A fault may come again by itself; an interrupt does not." if vectoring.type is EventType.HARDWARE_EXCEPTION else ""
        yield Hint(
            "lost-event",
            "an event was lost: its delivery caused the exit, and it was not injected again",
            f"exit {int(exit_.reason)} ({exit_.reason.title}) at RIP {exit_.rip:#x} came while the processor delivered: {what}.{again}",
            "the processor keeps the event in the IDT-vectoring information and nowhere else",
            "copy IDT-vectoring information (bit 12 cleared), error code and instruction length to the VM-entry fields before resuming",
            Sdm("3C", "25.9.3", "Information for VM Exits That Occur During Event Delivery"),
            position,
        )


# RIP that stays

INSTRUCTIONS = {
    *(R.CPUID, R.GETSEC, R.HLT, R.INVD, R.INVLPG, R.RDPMC, R.RDTSC, R.VMCALL, R.CR_ACCESS, R.MOV_DR, R.IO_INSTRUCTION, R.RDMSR),
    *(R.WRMSR, R.MWAIT, R.MONITOR, R.PAUSE, R.GDTR_OR_IDTR, R.LDTR_OR_TR, R.RDTSCP, R.WBINVD, R.XSETBV, R.RDRAND, R.RDSEED),
    *(R.VMCLEAR, R.VMLAUNCH, R.VMPTRLD, R.VMPTRST, R.VMREAD, R.VMRESUME, R.VMWRITE, R.VMXOFF, R.VMXON, R.INVEPT, R.INVVPID, R.INVPCID),
}
"""Exits before an instruction that the hypervisor carries out in its place."""


def stuck_instruction(history: Sequence[Event]) -> Iterator[Hint]:
    """RIP was not advanced past an instruction that exited, so it exits again."""
    before: tuple[Exit, Entry] | None = None
    reported: set[int] = set()
    for position, exit_, entry in _pairs([*history, Entry(rip=-1)]):
        if (
            before is not None
            and exit_.rip not in reported
            and _stays(*before)
            and (exit_.reason, exit_.rip) == (before[0].reason, before[0].rip)
        ):
            reported.add(exit_.rip)
            name = exit_.reason.title
            yield Hint(
                "stuck-instruction",
                f"RIP was not advanced past {name}",
                f"{name} at RIP {exit_.rip:#x} exited, the guest was entered at the same RIP, and it exited again",
                "the exit comes before the instruction: GUEST_RIP still points at it",
                "add the VM-exit instruction length to GUEST_RIP, and clear blocking by STI and MOV SS in the interruptibility state",
                Sdm("3C", "28.3.3", "Saving RIP, RSP, RFLAGS, and SSP"),
                position - 1,
            )
        before = exit_, entry


def _stays(exit_: Exit, entry: Entry) -> bool:
    return exit_.reason in INSTRUCTIONS and entry.rip == exit_.rip and not entry.injected >> 31 & 1


# Registers that changed

RESULTS: dict[R, tuple[int, ...]] = {
    R.CPUID: (RAX, RCX, RDX, RBX),
    R.RDMSR: (RAX, RDX),
    R.RDTSC: (RAX, RDX),
    R.RDPMC: (RAX, RDX),
    R.RDTSCP: (RAX, RCX, RDX),
    R.VMCALL: (RAX, RCX, RDX, RBX, RSI, RDI, *range(8, 12)),
}
"""Registers that carrying out the instruction writes."""
NO_INSTRUCTION = {
    *(R.EXTERNAL_INTERRUPT, R.INTERRUPT_WINDOW, R.NMI_WINDOW, R.PREEMPTION_TIMER, R.MONITOR_TRAP_FLAG, R.EXCEPTION_OR_NMI, R.PML_FULL),
    *(R.HLT, R.WRMSR, R.INVLPG, R.WBINVD, R.INVD, R.PAUSE, R.MONITOR, R.XSETBV),
}
"""Exits after which no register may differ."""


def _results(exit_: Exit) -> tuple[int, ...] | None:
    """Numbers of the registers that may change at this exit; None where it cannot be told."""
    raw = exit_.qualification & (1 << 64) - 1
    match exit_.reason:
        case R.CR_ACCESS:
            access = CrAccessQualification(raw)
            return (access.register,) if access.access is CrAccessType.MOV_FROM_CR else ()
        case R.MOV_DR:
            move = MovDrQualification(raw)
            return (move.register,) if move.from_dr else ()
        case R.IO_INSTRUCTION:
            io = IoQualification(raw)
            return (RCX, RSI, RDI) if io.string else (RAX,) if io.input else ()
        case reason if reason in NO_INSTRUCTION:
            return ()
        case reason:
            return RESULTS.get(reason)


def lost_registers(history: Sequence[Event]) -> Iterator[Hint]:
    """General-purpose registers differ at the entry although nothing wrote them."""
    for position, exit_, entry in _pairs(history):
        allowed = _results(exit_)
        if exit_.reason is R.EPT_VIOLATION and entry.rip == exit_.rip:
            allowed = ()
        if allowed is None:
            continue
        values = enumerate(zip(exit_.registers, entry.registers, strict=False))
        changed = [(n, was, now) for n, (was, now) in values if was != now and n != RSP and n not in allowed]
        if not changed:
            continue
        shown = ", ".join(f"{REGISTERS[n]} {was:#x} → {now:#x}" for n, was, now in changed[:4])
        yield Hint(
            "lost-registers",
            "general-purpose registers of the guest were not saved",
            f"after exit {int(exit_.reason)} ({exit_.reason.title}) at RIP {exit_.rip:#x} the guest went on with {shown}"
            + (f" and {len(changed) - 4} more" if len(changed) > 4 else ""),
            "VM exits and entries switch RSP, RIP and RFLAGS; the other general-purpose registers hold what the hypervisor left in them",
            "save all fifteen at the exit, before any other code runs, and load them right before VMRESUME",
            Sdm("3C", "28.3", "Saving Guest State"),
            position,
        )


# Mappings that are older than the EPT

UNCACHED = EptEntry.accessed.mask | EptPage.dirty.mask
PERMISSIONS = EptEntry.read.mask | EptEntry.write.mask | EptEntry.execute.mask | EptEntry.user_execute.mask


def stale_mapping(history: Sequence[Event]) -> Iterator[Hint]:
    """A present EPT entry lost a permission or its address, and the guest was entered without INVEPT."""
    waiting: list[EptWrite] = []
    for position, event in enumerate(history):
        if isinstance(event, EptWrite) and _narrows(event.before, event.after):
            waiting.append(event)
        elif isinstance(event, Invept):
            waiting = []
        elif isinstance(event, Entry) and waiting:
            write, waiting = waiting[-1], []
            yield Hint(
                "stale-mapping",
                "an EPT entry was changed and INVEPT is missing",
                f"the entry for guest-physical {write.guest_physical:#x} went from {write.before:#x} to {write.after:#x}, "
                f"and the guest was entered at RIP {event.rip:#x}",
                "the processor may go on using the translation that it cached before the change, on this machine and on others",
                "INVEPT type 1 with the EPTP (on every processor that ran the guest) after a present entry loses a permission or moves",
                Sdm("3C", "29.4.3.4", "Guidelines for Use of the INVEPT Instruction"),
                position,
            )


def _narrows(before: int, after: int) -> bool:
    """What was cached may say more than the new entry: it was present, and a permission went or anything but flags changed."""
    present = before & PERMISSIONS != 0
    return present and (before & PERMISSIONS & ~after != 0 or (before ^ after) & ~(PERMISSIONS | UNCACHED) != 0)


FINDERS: tuple[Callable[[Sequence[Event]], Iterator[Hint]], ...] = (
    stuck_instruction,
    repeated_violation,
    lost_event,
    lost_registers,
    stale_mapping,
)


def find_hints(history: Sequence[Event]) -> list[Hint]:
    """Every hint, in the order in which they show in the history."""
    return sorted((hint for finder in FINDERS for hint in finder(history)), key=lambda hint: hint.position)
