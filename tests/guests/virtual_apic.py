"""Area H: APIC virtualization (Vol. 3C ch. 30): the TPR shadow, the APIC-access page, x2APIC MSRs, virtual interrupts and their EOI."""

from __future__ import annotations

from tests.guests.events import EventProgram
from tests.guests.exits import CR8_LOAD, CR8_STORE, MSR_BITMAP, MSR_BITMAPS
from tests.guests.vmx_program import PIN, PRIMARY, SECONDARY, Value, VmxProgram
from vmxon.vmx.fields import VmcsField as F

TPR_SHADOW, EXTERNAL = 1 << 21, 1
ACCESSES, X2APIC, REGISTERS, DELIVERY = 1 << 0, 1 << 4, 1 << 8, 1 << 9
PAGE, ACCESS = "scratch + 0x1000", "aligned"
"""The virtual-APIC page, and the page whose accesses are virtualized."""
PAGES: dict[F, Value] = {F.VIRTUAL_APIC_ADDRESS: f"mov edx, offset {PAGE}", F.APIC_ACCESS_ADDRESS: f"mov edx, offset {ACCESS}"}
CLEARED: dict[F, Value] = {F.TPR_THRESHOLD: 0, F.GUEST_INTERRUPT_STATUS: 0, F.EOI_EXIT_BITMAP_1: 0}
VECTOR = 0x61

CLEAN = f"""
    mov edi, offset {PAGE}
    xor eax, eax
    mov ecx, 0x400
    rep stosd
    mov edi, offset bitmaps + 0x2000
    mov ecx, 0x400
    rep stosd
"""
"""A virtual-APIC page of zeros; MSR bitmaps that let everything through."""


def held(*places: int) -> str:
    """Print 32 bits of the virtual-APIC page."""
    return "".join(f"mov eax, [{PAGE} + {place:#x}]\ncall print_hex\n" for place in places) + "call new_line\n"


def with_pages(
    p: VmxProgram,
    label: str,
    code: str,
    secondary: int,
    fields: dict[F, Value] | None = None,
    *,
    setup: str = "",
    primary: int = 0,
    pins: int = 0,
) -> None:
    """A guest with a TPR shadow; interrupt delivery needs “external-interrupt exiting”."""
    controls = {PRIMARY: TPR_SHADOW | MSR_BITMAPS | primary, SECONDARY: secondary, PIN: pins | (EXTERNAL if secondary & DELIVERY else 0)}
    p.guest(label, code + "\nvmcall", PAGES | MSR_BITMAP | CLEARED | (fields or {}), controls=controls, setup=CLEAN + setup)


def program() -> EventProgram:
    p = EventProgram()
    _shadow(p)
    _reads(p)
    _writes(p)
    _msrs(p)
    _interrupts(p)
    return p


def _shadow(p: VmxProgram) -> None:
    """MOV to and from CR8, and the threshold."""
    read = "mov rax, cr8\ncall print_hex\ncall new_line\n"
    with_pages(p, "CR8 reads the shadow", read, 0, setup=f"mov dword ptr [{PAGE} + 0x80], 0x75\n")
    with_pages(p, "CR8 writes the shadow", "mov ecx, 9\nmov cr8, rcx\n" + held(0x80), 0, setup=f"mov dword ptr [{PAGE} + 0x80], -1\n")
    with_pages(p, "CR8 with a reserved bit", "mov ecx, 16\nmov cr8, rcx\n", 0, {F.EXCEPTION_BITMAP: 1 << 13})
    with_pages(p, "CR8 exiting comes first", "mov ecx, 16\nmov cr8, rcx\nmov rdx, cr8\n", 0, primary=CR8_LOAD | CR8_STORE)
    for value in (4, 3, 2):
        setup = f"mov dword ptr [{PAGE} + 0x80], 0x40\n"
        with_pages(p, f"threshold 3, CR8 from 4 to {value}", f"mov ecx, {value}\nmov cr8, rcx\nnop", 0, {F.TPR_THRESHOLD: 3}, setup=setup)
    with_pages(p, "threshold above the TPR at entry, no APIC accesses", "nop", 0, {F.TPR_THRESHOLD: 3})
    with_pages(p, "threshold above the TPR at entry", "nop", ACCESSES, {F.TPR_THRESHOLD: 3})
    with_pages(p, "threshold at entry with IF clear and STI", "nop", ACCESSES, {F.TPR_THRESHOLD: 3, F.GUEST_RFLAGS: 2})
    with_pages(p, "threshold at entry comes before the trap", "nop", ACCESSES,
               {F.TPR_THRESHOLD: 3, F.GUEST_PENDING_DEBUG_EXCEPTIONS: 0x4000, F.EXCEPTION_BITMAP: 2})  # fmt: skip
    p.show_fields("   pending", F.GUEST_PENDING_DEBUG_EXCEPTIONS)
    with_pages(p, "threshold at entry wakes a halted guest", "nop", ACCESSES, {F.TPR_THRESHOLD: 3, F.GUEST_ACTIVITY_STATE: 1})
    p.show_fields("   activity", F.GUEST_ACTIVITY_STATE)
    with_pages(p, "threshold with reserved bits", "nop", ACCESSES, {F.TPR_THRESHOLD: 0x13})


FILL = "".join(f"mov dword ptr [{PAGE} + {place:#x}], {0xA000 + place:#x}\n" for place in (0x20, 0x30, 0x80, 0xD0, 0x110, 0x210, 0x390))


def _reads(p: VmxProgram) -> None:
    for place in (0x20, 0x30, 0x80, 0xA0, 0xD0, 0x110, 0x210, 0x390, 0x3F0):
        read = f"mov eax, [{ACCESS} + {place:#x}]\ncall print_hex\ncall new_line\n"
        with_pages(p, f"read of {place:#x}", read, ACCESSES, setup=FILL)
        with_pages(p, f"read of {place:#x}, registers", read, ACCESSES | REGISTERS, setup=FILL)
    rows = (
        ("two bytes of the TPR", f"mov ax, [{ACCESS} + 0x80]"),
        ("the TPR's second half, registers", f"movzx eax, word ptr [{ACCESS} + 0x82]"),
        ("eight bytes", f"mov rax, [{ACCESS} + 0x80]"),
        ("bytes 4 to 7 of a register", f"mov eax, [{ACCESS} + 0x84]"),
        ("from the stack", f"mov esp, offset {ACCESS} + 0x80\npop rax"),
        ("test", f"test dword ptr [{ACCESS} + 0x80], 4"),
    )
    for label, code in rows:
        with_pages(p, f"read: {label}", code, ACCESSES | (REGISTERS if "registers" in label else 0), setup=FILL)
    p.guest("a read without a TPR shadow", f"mov eax, [{ACCESS} + 0x80]\nvmcall", PAGES, controls={SECONDARY: ACCESSES})


def _writes(p: VmxProgram) -> None:
    for place in (0x20, 0x80, 0xB0, 0xD0, 0x280, 0x300, 0x310, 0x380, 0x390):
        write = f"mov dword ptr [{ACCESS} + {place:#x}], 0x12345678\nnop\n{held(place)}"
        with_pages(p, f"write of {place:#x}", write, ACCESSES)
        with_pages(p, f"write of {place:#x}, registers", write, ACCESSES | REGISTERS)
    rows = (
        ("a byte of the TPR", f"mov byte ptr [{ACCESS} + 0x80], 0x30\n{held(0x80)}", 0),
        ("and", f"and dword ptr [{ACCESS} + 0x80], 0xF0\n{held(0x80)}", 0),
        ("xchg", f"mov ecx, 0x50\nxchg [{ACCESS} + 0x80], ecx\n{held(0x80)}", 0),
        ("movs", f"mov esi, offset {PAGE} + 0xF00\nmov edi, offset {ACCESS} + 0x80\nmovsd\n{held(0x80)}", 0),
        ("push", f"mov esp, offset {ACCESS} + 0x88\npush rax\n", 0),
        ("threshold", f"mov dword ptr [{ACCESS} + 0x80], 0x20\nnop\n", 3),
    )
    for label, code, threshold in rows:
        setup = f"mov dword ptr [{PAGE} + 0x80], 0x75\n"
        with_pages(p, f"write: {label}", code, ACCESSES, {F.TPR_THRESHOLD: threshold}, setup=setup)
    p.guest("a write without a TPR shadow", f"mov [{ACCESS} + 0x80], eax\nvmcall", PAGES, controls={SECONDARY: ACCESSES})
    with_pages(p, "the event's frame is on the page", f"mov esp, offset {ACCESS} + 0x100\nint 0x41", ACCESSES)
    with_pages(p, "an injected event's frame is on the page", "nop", ACCESSES, {
        F.VM_ENTRY_INTERRUPTION_INFORMATION: 0x80000030, F.GUEST_RFLAGS: 0x202, F.GUEST_RSP: f"mov edx, offset {ACCESS} + 0x100",
    })  # fmt: skip


def _msrs(p: VmxProgram) -> None:
    read = "mov ecx, {:#x}\nrdmsr\ncall print_hex\nmov eax, edx\ncall print_hex\ncall new_line\n"
    write = "mov ecx, {:#x}\nmov eax, {:#x}\nxor edx, edx\nwrmsr\nnop\n"
    fault: dict[F, Value] = {F.EXCEPTION_BITMAP: 1 << 13}
    for register in (0x02, 0x08, 0x11, 0x21, 0x3F):
        for more in (0, REGISTERS):
            label = f"rdmsr of {0x800 + register:#x}" + (", registers" if more else "")
            with_pages(p, label, read.format(0x800 + register), X2APIC | more, fault, setup=FILL)
    for register, value, more in (
        (0x08, 0x35, 0), (0x08, 0x135, 0), (0x0B, 0, 0), (0x0B, 0, DELIVERY), (0x0B, 1, DELIVERY), (0x3F, VECTOR, DELIVERY),
        (0x3F, 0x0F, DELIVERY), (0x3F, 0x1FF, DELIVERY), (0x38, 5, REGISTERS),
    ):  # fmt: skip
        label = f"wrmsr of {0x800 + register:#x}, {value:#x}" + (", delivery" if more & DELIVERY else "")
        place = register << 4
        setup = f"mov dword ptr [{PAGE} + {place + 4:#x}], -1\n"
        with_pages(p, label, write.format(0x800 + register, value) + held(place, place + 4), X2APIC | more, fault, setup=setup)


def _interrupts(p: EventProgram) -> None:
    """What RVI, SVI, TPR and IF make of a virtual interrupt; its handler prints the vector and ends it."""
    state = (F.GUEST_INTERRUPT_STATUS,)
    requested = f"mov dword ptr [{PAGE} + 0x230], {1 << (VECTOR & 31):#x}\n"
    on: dict[F, Value] = {F.GUEST_RFLAGS: 0x202}
    rows: tuple[tuple[str, str, dict[F, Value], str], ...] = (
        ("at entry", "nop", on | {F.GUEST_INTERRUPT_STATUS: VECTOR}, requested),
        ("with IF clear", "nop", {F.GUEST_INTERRUPT_STATUS: VECTOR}, requested),
        ("IF set by STI", "sti\nnop\nnop", {F.GUEST_INTERRUPT_STATUS: VECTOR}, requested),
        ("STI blocking", "nop\nnop", on | {F.GUEST_INTERRUPT_STATUS: VECTOR, F.GUEST_INTERRUPTIBILITY_STATE: 1}, requested),
        ("a TPR of its class", "nop", on | {F.GUEST_INTERRUPT_STATUS: VECTOR}, requested + f"mov dword ptr [{PAGE} + 0x80], 0x60\n"),
        ("a TPR below", "nop", on | {F.GUEST_INTERRUPT_STATUS: VECTOR}, requested + f"mov dword ptr [{PAGE} + 0x80], 0x5F\n"),
        ("another in service", "nop", on | {F.GUEST_INTERRUPT_STATUS: 0x7000 | VECTOR}, requested),
        ("one of a lower class in service", "nop", on | {F.GUEST_INTERRUPT_STATUS: 0x5000 | VECTOR}, requested),
        ("a lower TPR lets it through", "xor ecx, ecx\nmov cr8, rcx\nnop", on | {F.GUEST_INTERRUPT_STATUS: VECTOR},
         requested + f"mov dword ptr [{PAGE} + 0x80], 0x70\n"),
        ("RVI without a request", "nop", on | {F.GUEST_INTERRUPT_STATUS: VECTOR}, ""),
        ("EOI", f"mov dword ptr [{ACCESS} + 0xB0], 0\nnop\n{held(0x120, 0x130, 0xA0)}", {F.GUEST_INTERRUPT_STATUS: 0x6100},
         f"mov dword ptr [{PAGE} + 0x130], 2\nmov dword ptr [{PAGE} + 0x120], 0x20\n"),
        ("EOI that exits", f"mov dword ptr [{ACCESS} + 0xB0], 0\nnop\n", {F.GUEST_INTERRUPT_STATUS: 0x6100, F.EOI_EXIT_BITMAP_1: 1 << 0x21},
         f"mov dword ptr [{PAGE} + 0x130], 2\n"),
        ("EOI in front of a request", f"mov dword ptr [{ACCESS} + 0xB0], 0\nnop\n", on | {F.GUEST_INTERRUPT_STATUS: 0x7000 | VECTOR},
         requested + f"mov dword ptr [{PAGE} + 0x130], 0x10000\n"),
        ("self-IPI by the command register", f"mov dword ptr [{ACCESS} + 0x300], {0x40000 | VECTOR:#x}\nnop", on, ""),
        ("a command of another shorthand", f"mov dword ptr [{ACCESS} + 0x300], {0x80000 | VECTOR:#x}\nnop", on, ""),
        ("a command that is not fixed", f"mov dword ptr [{ACCESS} + 0x300], {0x40400 | VECTOR:#x}\nnop", on, ""),
        ("a command with a low vector", f"mov dword ptr [{ACCESS} + 0x300], 0x4000F\nnop", on, ""),
    )  # fmt: skip
    for label, code, fields, setup in rows:
        caught = p.fresh("caught")
        resume = f"mov qword ptr [resume_rip], offset {caught}\nmov qword ptr [resume_rsp], offset guest_stack_top\n"
        handler = f"vmcall\n{caught}:\nmov rax, [fault_vector]\ncall print_hex\n{held(0x80, 0xA0, 0x130, 0x230)}"
        with_pages(p, f"virtual interrupt, {label}", f"{code}\n{handler}", ACCESSES | DELIVERY, fields, setup=resume + setup)
        p.code("mov qword ptr [resume_rip], 0")
        p.show_fields("   RVI, SVI", *state)
