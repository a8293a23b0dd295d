"""Areas E, G and H together: exits while an event is delivered, NMI unblocking, full logs, and exceptions that EPT raises."""

from __future__ import annotations

from tests.guests.ept import EPT, EPTP, EPTP_ACCESSED, REPAIR, TARGET, EptProgram, entry
from tests.guests.events import EVENT
from tests.guests.vmx_program import PIN, SECONDARY, Value
from vmxon.vmx.fields import VmcsField as F

PML, VE = 1 << 17, 1 << 18
STACK = "mov esp, offset aligned + 0x100\n"
READ_ONLY, NOT_THERE = entry(f"{TARGET + 0x35:#x}"), entry("0")
INFORMATION = "scratch + 0x3000"
AREA = ((0, -1), (4, -1), (8, -0xE01), (16, -1), (24, -1), (32, -1))
"""Words of the information area; bits 11:9 of the qualification are advanced information, which not all processors have."""
LOG = "scratch + 0x2000"
VIRTUAL_NMIS = 0x28


def program() -> EptProgram:
    p = EptProgram()
    _in_flight(p)
    _faults(p)
    _unblocking(p)
    _log(p)
    _virtualization_exceptions(p)
    return p


def _in_flight(p: EptProgram) -> None:
    """The stack of the handler, its gate or its descriptor is not to be had."""
    rows: tuple[tuple[str, str, dict[F, Value]], ...] = (
        ("INT n", STACK + "int 0x41", {}),
        ("INT3", STACK + "int3", {}),
        ("INT1", STACK + ".byte 0xF1", {}),
        ("UD2", STACK + "ud2", {}),
        ("a page fault", STACK + "mov eax, [0x7FFF0000]", {}),
        ("a general protection with its code", STACK + "mov eax, 0x1234\nmov ds, eax", {}),
        ("a single step", STACK + "pushfq\nnop", {F.GUEST_RFLAGS: 0x102}),
        ("an injected interrupt", "nop", {EVENT: 0x80000041, F.GUEST_RFLAGS: 0x202, F.GUEST_RSP: "mov edx, offset aligned + 0x100"}),
        ("an injected NMI", "nop", {EVENT: 0x80000202, F.GUEST_RSP: "mov edx, offset aligned + 0x100"}),
        ("an injected #UD", "nop", {EVENT: 0x80000306, F.GUEST_RSP: "mov edx, offset aligned + 0x100"}),
        ("an injected INT n", "nop",
         {EVENT: 0x80000441, F.VM_ENTRY_INSTRUCTION_LENGTH: 2, F.GUEST_RSP: "mov edx, offset aligned + 0x100"}),
        ("an injected NMI in HLT", "nop",
         {EVENT: 0x80000202, F.GUEST_ACTIVITY_STATE: 1, F.GUEST_RSP: "mov edx, offset aligned + 0x100"}),
        ("an injected #UD behind STI", "nop",
         {EVENT: 0x80000306, F.GUEST_INTERRUPTIBILITY_STATE: 1, F.GUEST_RFLAGS: 0x202, F.GUEST_RSP: "mov edx, offset aligned + 0x100"}),
    )  # fmt: skip
    for label, code, fields in rows:
        for what, setup in (("read-only", READ_ONLY), ("not there", NOT_THERE)):
            p.guest(f"stack {what}: {label}", code + "\nvmcall", EPTP | fields, controls={SECONDARY: EPT}, setup=p.built() + setup)
            p.show_fields("   state", F.GUEST_INTERRUPTIBILITY_STATE, F.GUEST_ACTIVITY_STATE, F.GUEST_PENDING_DEBUG_EXCEPTIONS)
            p.show_fields("   RFLAGS", F.GUEST_RFLAGS)
    table: dict[F, Value] = {F.GUEST_IDTR_BASE: "mov edx, offset aligned"}
    p.guest("IDT not there: UD2", "ud2", EPTP | table, controls={SECONDARY: EPT}, setup=p.built() + NOT_THERE)
    p.guest("IDT misconfigured: INT n", "int 0x41", EPTP | table, controls={SECONDARY: EPT}, setup=p.built() + entry(f"{TARGET + 2:#x}"))


def _faults(p: EptProgram) -> None:
    """A page fault while another event is delivered: its address, its code, and what the bitmap makes of it."""
    unmapped: dict[F, Value] = {F.GUEST_RSP: 0x7FFF_0100}
    for label, code, fields in (
        ("INT n", "int 0x41", {}),
        ("UD2", "ud2", {}),
        ("an injected NMI", "nop", {EVENT: 0x80000202}),
        ("an injected interrupt", "nop", {EVENT: 0x80000041, F.GUEST_RFLAGS: 0x202}),
        ("an injected #GP", "nop", {EVENT: 0x80000B0D, F.VM_ENTRY_EXCEPTION_ERROR_CODE: 0x50}),
    ):
        p.guest(f"stack not mapped, #PF exits: {label}", code, unmapped | fields | {F.EXCEPTION_BITMAP: 1 << 14})
        p.show_fields("   state", F.GUEST_INTERRUPTIBILITY_STATE, F.GUEST_RFLAGS)
        p.guest(f"stack not mapped, #DF exits: {label}", code, unmapped | fields | {F.EXCEPTION_BITMAP: 1 << 8})
        p.show("   CR2", "cr2")
    page = "mov qword ptr [page_directory + 8 * 100], 0\nmov rax, cr3\nmov cr3, rax\n"
    p.guest("a frame across two pages, the lower not mapped", page + "mov esp, 0xCA00010\nint 0x41", {F.EXCEPTION_BITMAP: 1 << 14})
    p.code("mov qword ptr [page_directory + 8 * 100], 0xC800083")


def _unblocking(p: EptProgram) -> None:
    """IRET ends NMI blocking, and then a memory access of it exits."""
    for pins, name in ((VIRTUAL_NMIS, "virtual NMIs"), (0, "no NMI exiting")):
        for blocking in (8, 0):
            fields: dict[F, Value] = {F.GUEST_INTERRUPTIBILITY_STATE: blocking}
            p.guest(f"IRET from a page that is not there, {name}, blocking {blocking}", STACK + "iretq", EPTP | fields,
                    controls={SECONDARY: EPT, PIN: pins}, setup=p.built() + NOT_THERE)  # fmt: skip
            p.show_fields("   interruptibility", F.GUEST_INTERRUPTIBILITY_STATE)
            p.guest(f"IRET from a page that is not mapped, {name}, blocking {blocking}", "mov esp, 0x7FFF0000\niretq",
                    fields | {F.EXCEPTION_BITMAP: 1 << 14}, controls={PIN: pins})  # fmt: skip
            p.show_fields("   interruptibility", F.GUEST_INTERRUPTIBILITY_STATE)


def _log(p: EptProgram) -> None:
    """Page-modification logging (Vol. 3C §29.3.6)."""
    log: dict[F, Value] = {F.PML_ADDRESS: f"mov edx, offset {LOG}"}
    clear = f"mov edi, offset {LOG}\nxor eax, eax\nmov ecx, 0x400\nrep stosd\n"
    writes = "mov [aligned], eax\nmov [aligned + 0x1000], eax\nmov [aligned], eax\n"
    clean = entry(f"{TARGET + 0x137:#x}") + f"mov rax, {TARGET + 0x1137:#x}\nmov [ept_table + 8], rax\n"
    for label, code, index in (
        ("two pages", writes, 511),
        ("one entry left", writes, 0),
        ("full", writes, 0xFFFF),
        ("a read when full", "mov eax, [aligned]", 0x8000),
        ("one page", "mov [aligned + 0x123], al", 3),
        ("an event's frame when full", STACK + "int 0x41", 0xFFFF),
    ):
        p.guest(f"log: {label}", code + "\nvmcall", EPTP_ACCESSED | log | {F.GUEST_PML_INDEX: index}, controls={SECONDARY: EPT | PML},
                setup=p.built() + clear + warm_walks(p) + clean)  # fmt: skip
        p.show_fields("   index", F.GUEST_PML_INDEX)
    p.guest("log: without accessed and dirty flags", "vmcall", EPTP | log, controls={SECONDARY: EPT | PML}, setup=p.built())
    p.guest("log: not aligned", "vmcall", EPTP_ACCESSED | {F.PML_ADDRESS: 0x1008}, controls={SECONDARY: EPT | PML}, setup=p.built())


def warm_walks(p: EptProgram) -> str:
    """Set accessed and dirty flags of every large page and of the tables beforehand: only the small pages are left to mark."""
    mark = p.fresh("mark")
    return (
        f"mov edi, offset ept_directory\nmov ecx, 512\n{mark}:\nor qword ptr [rdi], 0x300\nadd edi, 8\ndec ecx\njnz {mark}\n"
        f"or qword ptr [ept_pdpt], 0x100\nor qword ptr [ept_pml4], 0x100\nand qword ptr [ept_directory + {8 * (TARGET >> 21)}], -0x201\n"
    )


def _virtualization_exceptions(p: EptProgram) -> None:
    """#VE instead of an EPT violation: the information area, the busy word, and what is never convertible."""
    fields: dict[F, Value] = {F.VIRTUALIZATION_EXCEPTION_INFORMATION_ADDRESS: f"mov edx, offset {INFORMATION}", F.EPTP_INDEX: 5}
    area = (
        "mov qword ptr [resume_rip], 0\nmov rax, [fault_vector]\ncall print_hex\n"
        + "".join(f"mov rax, [{INFORMATION} + {place}]\nand eax, {mask}\ncall print_hex\n" for place, mask in AREA)
        + "call new_line\nvmcall"
    )
    clear = f"mov edi, offset {INFORMATION}\nxor eax, eax\nmov ecx, 10\nrep stosd\n"
    suppressed = entry(f"{(1 << 63) + TARGET + 0x35:#x}")
    rows: tuple[tuple[str, str, str, dict[F, Value]], ...] = (
        ("a write", "mov [aligned + 0x123], al", READ_ONLY, {}),
        ("a read", "mov al, [aligned + 0x123]", NOT_THERE, {}),
        ("a fetch", "mov eax, offset aligned + 0x200\ncall rax", entry(f"{TARGET + 0x33:#x}"), {}),
        ("suppressed by bit 63", "mov [aligned + 0x123], al", suppressed, {}),
        ("suppressed where the entry is not there", "mov al, [aligned]", entry(f"{1 << 63:#x}"), {}),
        ("busy", "mov [aligned + 0x123], al", READ_ONLY + f"mov dword ptr [{INFORMATION} + 4], 1\n", {}),
        ("a misconfiguration", "mov al, [aligned]", entry(f"{TARGET + 2:#x}"), {}),
        ("while an event is delivered", STACK + "int 0x41", READ_ONLY, {}),
        ("in the exception bitmap", "mov [aligned + 0x123], al", READ_ONLY, {F.EXCEPTION_BITMAP: 1 << 20}),
        ("the area is not aligned", "nop", "", {F.VIRTUALIZATION_EXCEPTION_INFORMATION_ADDRESS: 0x1008}),
    )  # fmt: skip
    for label, code, setup, more in rows:
        caught = p.fresh("caught_ve")
        resume = f"mov qword ptr [resume_rip], offset {caught}\nmov qword ptr [resume_rsp], offset guest_stack_top\n"
        p.guest(f"#VE: {label}", f"{code}\nvmcall\n{caught}:\n{area}", EPTP | {F.EXCEPTION_BITMAP: 0} | fields | more,
                controls={SECONDARY: EPT | VE}, setup=p.built() + clear + resume + setup,
                hook=REPAIR if label == "busy" else "")  # fmt: skip
        p.code("mov qword ptr [resume_rip], 0")
