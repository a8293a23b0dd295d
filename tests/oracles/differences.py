"""Where Debian's Bochs 2.7 is wrong: what it prints, what the SDM says must be printed, and where it says so."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """The rest of a record behind its label, on Bochs and by the SDM."""

    bochs: str
    here: str
    rule: str


TYPE_FIRST = Difference(
    " # e 0 80000000",
    " VMfailValid 1c",
    "Vol. 3C §31.3 “VMX Instructions”, operation of INVEPT and INVVPID: an unsupported type fails before the descriptor is read",
)
ENTERS, REFUSED = "\n  exit 12, length 3, at 0", "\n  exit 80000021, qualification 0, at 0"
PENDING_DEBUG = "Vol. 3C §27.3.1.5 “Checks on Guest Non-Register State”: BS must be as RFLAGS.TF and IA32_DEBUGCTL.BTF say"
WALK_WRITES = "Vol. 3C §29.3.3.2 “EPT Violations”: updates of accessed and dirty flags by the guest's page walk are data writes"
REAL_MODE = "Vol. 3C §28.2.2 “Information for VM Exits Due to Vectored Events”: no exception has an error code in real-address mode"

WHOLE_REGISTER = "Vol. 3C §30.5 “Virtualizing MSR-Based APIC Accesses”: WRMSR stores EDX:EAX, 64 bits, in the virtual-APIC page"

RESUME_FLAG = "Vol. 3C §28.3.3 “Saving RIP, RSP, RFLAGS, and SSP”: RF as the exception would push it, and a fault pushes 1"
POPS = "Vol. 2A “IRET/IRETD/IRETQ—Interrupt Return”, operation: RIP is popped first"
LOG_NEEDED = "Vol. 3C §29.3.6 “Page-Modification Logging”: the index is examined where a flag has to be set"
INDEX = "Vol. 3C §26.5.7.2 “Virtualization-Exception Information”: the EPTP index that VMWRITE has set"
NOT_THERE = "\n  exit 30, qualification {0:x}, physical 8001{1:02x}, linear 8001{1:02x}, at 5\n   interruptibility: 0"
NOT_MAPPED = "\n  exit 0, qualification 7fff00{1:02x}, interruption 8000{0:02x}0e 0, at 5\n   interruptibility: 0"


def _fault_on_stack(vectoring: str, state: int, flags: int) -> str:
    return f"\n  exit 0, qualification 7fff00f8, interruption 80000b0e 2, vectoring {vectoring}, at 0\n   state: {state} {flags:x}"


def _virtualization(qualification: str, place: str, index: int) -> str:
    return f"\n 14 30 ffffffff {qualification} {place} {place} {index}\n  exit 12, length 3, at 8a"


def _in_real_mode(vector: str, place: int) -> Difference:
    first = "\n  exit 0, qualification 0, interruption "
    return Difference(f"{first}80000b{vector} 0, at {place}", f"{first}800003{vector}, at {place}", REAL_MODE)


INACTIVE = "Vol. 3C §28.1 “Architectural State Before a VM Exit”: the processor returns to the active state only behind the exit"
MASKED = "Vol. 3C §26.2 “Other Causes of VM Exits”: under “external-interrupt exiting” an interrupt exits whatever RFLAGS.IF is"


def _of_interrupt(where: int, activity: int, acknowledged: bool) -> str:
    state = "80000050" if acknowledged else "0"
    pending = "0 1" if acknowledged else "1 0"
    return f"\n  exit 1, interruption {state}, at {where}\n   activity: {activity}\n   requested, in service: {pending}"


def _interrupts(acknowledged: bool) -> dict[str, Difference]:
    """External interrupts that find the processor halted, or with interrupts disabled."""
    prefix = "external interrupt, acknowledged: " if acknowledged else "external interrupt: "
    halted = {"HLT": 1, "activity state HLT": 0, "pending before entry, activity state HLT": 0}
    lost = {
        "a loop with IF clear": ("\n  exit 34, at 0\n   activity: 0", 0, 0),
        "HLT with IF clear": ("\n  exit 34, at 1\n   activity: 1", 1, 1),
        "pending before entry, IF clear": ("\n  exit 12, length 3, at 1\n   activity: 0", 0, 0),
    }
    return {
        prefix + label: Difference(_of_interrupt(where, 0, acknowledged), _of_interrupt(where, 1, acknowledged), INACTIVE)
        for label, where in halted.items()
    } | {
        prefix + label: Difference(first + "\n   requested, in service: 1 0", _of_interrupt(where, activity, acknowledged), MASKED)
        for label, (first, where, activity) in lost.items()
    }


RANDOM = "Vol. 3C Table 28-12: bits 6:3 and 12:11 are defined, 0 for an operand of 16 bits; Bochs sets bit 10, and says 32 bits of 16"


def _random(reason: str, *rows: tuple[int, int, int, int]) -> Difference:
    """Each exit by its length, its information on Bochs and here, and its place."""

    def text(column: int) -> str:
        lines = (f"\n  exit {reason}, length {row[0]}, information {row[column]:x}, at {row[3]:x}" for row in rows)
        return "".join(lines) + f"\n  exit 12, length 3, at {rows[-1][3] + rows[-1][0]:x}"

    return Difference(text(1), text(2), RANDOM)


DIFFERENCES: dict[str, dict[str, Difference]] = {
    "exits": {
        "rdrand exits": _random("39", (3, 0xC00, 0x800, 0), (5, 0xC48, 0x48, 3), (4, 0x1460, 0x1060, 8)),
        "rdseed exits": _random("3d", (3, 0xC18, 0x818, 0), (4, 0xC30, 0x30, 3), (4, 0x1478, 0x1078, 7)),
    },
    "vmcs_access": {
        "invept, type unknown and operand not mapped": TYPE_FIRST,
        "invvpid, type unknown and operand not mapped": TYPE_FIRST,
    },
    "entry": {
        "guest, DEBUGCTL: reserved bit": Difference(
            ENTERS,
            REFUSED,
            "Vol. 3C §27.3.1.1 “Checks on Guest Control Registers, Debug Registers, and MSRs”: reserved bits of IA32_DEBUGCTL",
        ),
        "guest, RIP whose bits 63:48 differ": Difference(
            "\n  exit 0, qualification 0, interruption 80000b0d 0, at 100000000000000",
            "\n  exit 80000021, qualification 0, at 100000000000000",
            "Vol. 3C §27.3.1.4 “Checks on Guest RIP, RFLAGS, and SSP”: bits 63:N must be equal in a 64-bit guest",
        ),
        "guest, interruptibility: NMI blocked with an NMI to inject under virtual NMIs": Difference(
            "\n  exit 2, at 0",
            REFUSED,
            "Vol. 3C §27.3.1.5 “Checks on Guest Non-Register State”: no blocking by NMI where one is injected under virtual NMIs",
        ),
        "guest, pending debug: BS without TF behind MOV SS": Difference(ENTERS, REFUSED, PENDING_DEBUG),
        "guest, pending debug: TF behind MOV SS without BS": Difference(ENTERS, REFUSED, PENDING_DEBUG),
    },
    "ept": {
        label: Difference(
            "\n  exit 12, length 3, at 7", "\n  exit 30, qualification aa, physical 801000, linear c800004, at 0", WALK_WRITES
        )
        for label in ("a page table that is read-only, for its accessed bit", "the dirty bit of a page table that is read-only")
    },
    "modes": {
        "real mode: limit": _in_real_mode("0d", 3),
        "real mode: stack limit": _in_real_mode("0c", 3),
        "real mode: #GP by the bitmap": _in_real_mode("0d", 6),
        "virtual-8086: INT n needs IOPL 3": Difference(
            "\n  exit 0, qualification 0, interruption 80000b0d 0, vectoring 80000440, at 0",
            "\n  exit 0, qualification 0, interruption 80000b0d 0, at 0",
            "Vol. 2A “INT n/INTO/INT3/INT1—Call to Interrupt Procedure”: the instruction faults before an event is delivered",
        ),
    },
    "events": {
        "single step over an instruction that exits": Difference(
            "\n  exit a, length 2, at 0\n  exit 0, qualification 4000, interruption 80000301, at 2\n   pending: 0",
            "\n  exit a, length 2, at 0\n  exit 0, qualification 4000, interruption 80000301, at 3\n   pending: 0",
            "Vol. 3C §28.3.4 “Saving Non-Register State”: an instruction that exits before it is executed leaves no single step pending",
        ),
    },
    "transitions": {
        "entry list: IA32_FMASK with high bits": Difference(
            "\n  exit 12, length 3, at 0",
            "\n  exit 80000022, qualification 1, at 0",
            "Vol. 3A §5.8.8 “Fast System Calls in 64-Bit Mode”: bits 63:32 of IA32_FMASK are reserved, so WRMSR would raise #GP",
        ),
        **_interrupts(acknowledged=True),
        **_interrupts(acknowledged=False),
    },
    "delivery": {
        **{
            f"stack not mapped, #PF exits: {event}": Difference(
                _fault_on_stack(vectoring, state, flags), _fault_on_stack(vectoring, state, 0x10000 | flags), RESUME_FLAG
            )
            for event, vectoring, state, flags in (
                ("INT n", "80000441", 0, 2),
                ("an injected NMI", "80000202", 8, 2),
                ("an injected interrupt", "80000041", 0, 0x202),
                ("an injected #GP", "80000b0d 50", 0, 2),
            )
        },
        **{
            f"IRET from a page that is not {where}, {pins}, blocking {blocking}": Difference(
                exit_at.format(unblocked[blocking], 0x10), exit_at.format(unblocked[blocking], 0), POPS
            )
            for where, exit_at, unblocked in (
                ("there", NOT_THERE, {8: 0x1181, 0: 0x181}),
                ("mapped", NOT_MAPPED, {8: 0x1B, 0: 0x0B}),
            )
            for pins in ("virtual NMIs", "no NMI exiting")
            for blocking in (8, 0)
        },
        "log: a read when full": Difference("\n  exit 3e, at 0\n   index: 8000", "\n  exit 12, length 3, at 7\n   index: 8000", LOG_NEEDED),
        "log: an event's frame when full": Difference(
            "\n  exit 3e, at 0\n   index: ffff", "\n  exit 3e, vectoring 80000441, at 5\n   index: ffff", LOG_NEEDED
        ),
        **{
            f"#VE: {access}": Difference(_virtualization(qualification, place, 0), _virtualization(qualification, place, 5), INDEX)
            for access, qualification, place in (
                ("a write", "1aa", "800123"),
                ("a read", "181", "800123"),
                ("a fetch", "19c", "800200"),
            )
        },
    },
    "virtual_apic": {
        "wrmsr of 0x80b, 0x0, delivery": Difference(
            "\n 0 ffffffff\n  exit 12, length 3, at 2c", "\n 0 0\n  exit 12, length 3, at 2c", WHOLE_REGISTER
        ),
        "wrmsr of 0x83f, 0x61, delivery": Difference(
            "\n 0 ffffffff\n  exit 12, length 3, at 2c", "\n 61 0\n  exit 12, length 3, at 2c", WHOLE_REGISTER
        ),
    },
    "advanced": {
        "vmlaunch of a shadow VMCS": Difference(
            " VMfailValid 7",
            " VMfailInvalid",
            "Vol. 3C §27.1 “Basic VM-Entry Checks”: a current VMCS that is a shadow VMCS fails before any control is looked at",
        ),
    },
}
"""By guest program, then by the label of the record."""
