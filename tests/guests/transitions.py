"""Areas D and G again: MSR lists, external interrupts from a real controller, task switches, SYSCALL and SYSENTER."""

from __future__ import annotations

from tests.guests.events import EventProgram
from tests.guests.exits import MSR_BITMAP, MSR_BITMAPS
from tests.guests.modes import FLAT_32, unrestricted
from tests.guests.protected import descriptor
from tests.guests.vmx_program import EXIT, PIN, PRIMARY, Value, VmxProgram
from vmxon.vmx.fields import VmcsField as F

PAT, EFER, STAR, LSTAR, FMASK, FS_BASE, GS_BASE, KERNEL_GS = (
    0x277, 0xC0000080, 0xC0000081, 0xC0000082, 0xC0000084, 0xC0000100, 0xC0000101, 0xC0000102,
)  # fmt: skip
SYSENTER_CS, SYSENTER_ESP, SYSENTER_EIP, DEBUGCTL, X2APIC_ID, SMM_MONITOR, UPDATE_TRIGGER = 0x174, 0x175, 0x176, 0x1D9, 0x802, 0x9B, 0x79
LOADED, STORED, RESTORED = 0, 0x400, 0x800
"""Places of the three lists behind msr_areas."""
COUNT = {LOADED: F.VM_ENTRY_MSR_LOAD_COUNT, STORED: F.VM_EXIT_MSR_STORE_COUNT, RESTORED: F.VM_EXIT_MSR_LOAD_COUNT}
ADDRESS = {LOADED: F.VM_ENTRY_MSR_LOAD_ADDRESS, STORED: F.VM_EXIT_MSR_STORE_ADDRESS, RESTORED: F.VM_EXIT_MSR_LOAD_ADDRESS}
EXTERNAL, TIMER, ACKNOWLEDGE = 1, 1 << 6, 1 << 15
TIMER_VECTOR = 0x50


def program() -> EventProgram:
    p = EventProgram()
    _lists(p)
    _interrupts(p)
    _tasks(p)
    _fast_calls(p)
    return p


def write_msr(index: int, value: int | str) -> str:
    """WRMSR of a number or a symbol."""
    load = f"mov rdx, {value:#x}" if isinstance(value, int) else f"mov edx, offset {value}"
    return f"mov ecx, {index:#x}\n{load}\nmov eax, edx\nshr rdx, 32\nwrmsr\n"


def print_msrs(*indices: int) -> str:
    """Guest or host code that prints MSRs on one line."""
    return "".join(f"mov ecx, {i:#x}\nrdmsr\nshl rdx, 32\nor rax, rdx\ncall print_hex\n" for i in indices) + "call new_line\n"


def msr_list(place: int, *entries: tuple[int, int]) -> str:
    """Fill a list of MSRs."""
    rows = (f"mov rax, {v:#x}\nmov [msr_areas + {place + 16 * n + 8 * k}], rax" for n, e in enumerate(entries) for k, v in enumerate(e))
    return "\n".join(rows) + "\n"


def lists(*places: tuple[int, int]) -> dict[F, Value]:
    """Fields for lists of so many entries each."""
    fields: dict[F, Value] = {}
    for place, count in places:
        fields |= {COUNT[place]: count, ADDRESS[place]: f"mov edx, offset msr_areas + {place}"}
    return fields


def _lists(p: VmxProgram) -> None:
    """Vol. 3C §27.4 “Loading MSRs”, §28.4 “Saving MSRs”, §28.6 “Loading MSRs”."""
    values = (
        (STAR, 0x1B000800001234),
        (LSTAR, 0xFFFF800000001000),
        (FMASK, 0x47700),
        (KERNEL_GS, 0x7FFF12345678),
        (PAT, 0x0007040600070405),
    )
    back = ((STAR, 0x1), (LSTAR, 0x2), (FMASK, 0x3), (KERNEL_GS, 0xFFFFFFFF80000000), (PAT, 0x0007040600070406))
    names = tuple(index for index, _ in values)
    setup = msr_list(LOADED, *values) + msr_list(STORED, *((i, 0x5555) for i in names)) + msr_list(RESTORED, *back)
    p.guest(
        "three lists",
        print_msrs(*names) + write_msr(KERNEL_GS, 0x1234567) + "vmcall",
        MSR_BITMAP | lists((LOADED, 5), (STORED, 5), (RESTORED, 5)),
        controls={PRIMARY: MSR_BITMAPS},
        setup=setup,
    )
    p.show("stored", *(f"[msr_areas + {STORED + 16 * n + 8}]" for n in range(5)))
    p.say("of the host:")
    p.code(print_msrs(*names))
    p.guest("the last of two entries for one MSR counts", print_msrs(KERNEL_GS) + "vmcall",
            MSR_BITMAP | lists((LOADED, 2)), controls={PRIMARY: MSR_BITMAPS},
            setup=msr_list(LOADED, (KERNEL_GS, 1), (KERNEL_GS, 2)))  # fmt: skip
    p.guest("a list of none", "vmcall", lists((LOADED, 0)), setup=msr_list(LOADED, (FS_BASE, 1)))
    rows = (
        ("IA32_FS_BASE", FS_BASE, 1),
        ("IA32_GS_BASE", GS_BASE, 1),
        ("an x2APIC register", X2APIC_ID, 1),
        ("IA32_SMM_MONITOR_CTL", SMM_MONITOR, 0),
        ("IA32_BIOS_UPDT_TRIG", UPDATE_TRIGGER, 0),
        ("an MSR that does not exist", 0x12345, 0),
        ("an MSR of negative address", 0xFFFFFFFF, 0),
        ("a reserved part that is not 0", KERNEL_GS | 1 << 32, 0),
        ("IA32_LSTAR not canonical", LSTAR, 0x800000000000),
        ("IA32_KERNEL_GS_BASE not canonical", KERNEL_GS, 0x800000000000),
        ("IA32_SYSENTER_EIP not canonical", SYSENTER_EIP, 0x800000000000),
        ("IA32_FMASK with high bits", FMASK, 1 << 32),
        ("IA32_EFER with a reserved bit", EFER, 0x502),
        ("IA32_EFER without LME", EFER, 0x400),
        ("IA32_PAT of type 2", PAT, 0x2),
        ("IA32_VMX_BASIC is read-only", 0x480, 0),
        ("IA32_EFER as it is", EFER, 0xD00),
        ("IA32_SYSENTER_CS", SYSENTER_CS, 0x8),
    )
    for label, index, value in rows:
        p.guest(f"entry list: {label}", "vmcall", lists((LOADED, 1)), setup=msr_list(LOADED, (index, value)))
    p.code(write_msr(FMASK, 3))
    p.guest("the third entry is wrong, and the exit list is loaded nevertheless", "vmcall",
            lists((LOADED, 4), (STORED, 1), (RESTORED, 1)),
            setup=msr_list(LOADED, (KERNEL_GS, 7), (STAR, 8), (GS_BASE, 9), (FMASK, 10))
            + msr_list(STORED, (KERNEL_GS, 0x7777)) + msr_list(RESTORED, (LSTAR, 11)))  # fmt: skip
    p.say("star, kernel_gs_base, lstar, fmask, what was stored:")
    p.code(f"mov rax, [msr_areas + {STORED + 8}]\ncall print_hex\n" + print_msrs(STAR, KERNEL_GS, LSTAR, FMASK))
    p.guest("guest state that is wrong comes before the list", "vmcall", {F.GUEST_RFLAGS: 0} | lists((LOADED, 1)),
            setup=msr_list(LOADED, (FS_BASE, 1)))  # fmt: skip


CONTROLLER = "".join(
    f"mov al, {value:#x}\nout {port:#x}, al\n"
    for port, value in ((0x20, 0x11), (0x21, TIMER_VECTOR), (0x21, 4), (0x21, 1), (0xA0, 0x11),
                        (0xA1, 0x58), (0xA1, 2), (0xA1, 1), (0x21, 0xFE), (0xA1, 0xFF))
)  # fmt: skip
SHOT = "mov al, 0x30\nout 0x43, al\nmov al, 0xE8\nout 0x40, al\nmov al, 3\nout 0x40, al\n"
"""One interrupt of the timer in 0.8 ms."""
END_OF_INTERRUPT = "mov al, 0x20\nout 0x20, al\n"


def _waited(p: VmxProgram) -> str:
    """The timer's interrupt is pending, with IF = 0."""
    name = p.fresh("until_requested")
    return f"{SHOT}{name}:\nmov al, 0x0A\nout 0x20, al\nin al, 0x20\ntest al, 1\njz {name}\n"


def _controller_state(p: VmxProgram) -> None:
    p.code("mov al, 0x0A\nout 0x20, al\nin al, 0x20\nmovzx ebx, al\nand ebx, 1\nmov al, 0x0B\nout 0x20, al\nin al, 0x20\nmovzx ecx, al")
    p.show("   requested, in service", "rbx", "rcx")


def _interrupts(p: EventProgram) -> None:
    """Vol. 3C §26.2 “Other Causes of VM Exits”: external interrupts, with and without acknowledgement."""
    p.code(CONTROLLER)
    on: dict[F, Value] = {F.GUEST_RFLAGS: 0x202}
    rows: tuple[tuple[str, str, dict[F, Value], bool], ...] = (
        ("a loop", "LOOP:\njmp LOOP\nvmcall", on, False),
        ("a loop with IF clear", "LOOP:\njmp LOOP\nvmcall", {}, False),
        ("HLT", "hlt\nvmcall", on, False),
        ("HLT with IF clear", "hlt\nvmcall", {}, False),
        ("activity state HLT", "vmcall", on | {F.GUEST_ACTIVITY_STATE: 1}, False),
        ("pending before entry", "nop\nvmcall", on, True),
        ("pending before entry, IF clear", "nop\nvmcall", {}, True),
        ("pending before entry, activity state HLT", "nop\nvmcall", on | {F.GUEST_ACTIVITY_STATE: 1}, True),
    )
    for label, code, fields, pending in rows:
        for acknowledge in (True, False):
            body = code.replace("LOOP", p.fresh("again"))
            masked = F.GUEST_RFLAGS not in fields
            controls = {PIN: EXTERNAL | (TIMER if masked else 0), EXIT: ACKNOWLEDGE if acknowledge else 0}
            limit: dict[F, Value] = {F.VMX_PREEMPTION_TIMER_VALUE: 0x400000} if masked else {}
            name = f"external interrupt{', acknowledged' if acknowledge else ''}: {label}"
            p.guest(name, body, fields | limit, controls=controls, setup=_waited(p) if pending else SHOT)
            p.show_fields("   activity", F.GUEST_ACTIVITY_STATE)
            _controller_state(p)
            if not acknowledge:
                p.attempt(f"the host takes it, {label}", "sti\nnop\nnop\ncli")
            p.code(END_OF_INTERRUPT)
    for label, code, fields, pending in rows:
        if F.GUEST_RFLAGS in fields:
            body = code.replace("LOOP", p.fresh("again"))
            p.deliver(f"no exiting: {label}", fields, body, _waited(p) if pending else SHOT)
            p.code(END_OF_INTERRUPT)
    p.guest("no exiting, IF clear: the guest does not see it", "nop\nnop\nvmcall", setup=_waited(p))
    p.attempt("the host takes it behind the exit", "sti\nnop\nnop\ncli")
    p.code(END_OF_INTERRUPT + "mov al, 0xFF\nout 0x21, al")


TABLE, VECTORS, OLD_TASK, NEW_TASK = 0x100, 0x200, 0x1000, 0x1100
"""Behind scratch: the GDT, the IDT and the task-state segments of guests that switch tasks."""


def _tasks(p: VmxProgram) -> None:
    """Vol. 3C §26.4.2 “Treatment of Task Switches”."""
    table = {0x08: descriptor(0, 0xFFFFF, 0xC09B), 0x10: descriptor(0, 0xFFFFF, 0xC093), 0x28: 0x0000850000200000,
             0x30: descriptor(0, 0x66, 0x0089), 0x38: descriptor(0, 0x67, 0x0009), 0x40: descriptor(0, 0x2B, 0x0081)}  # fmt: skip
    setup = f"mov edi, offset scratch\nxor eax, eax\nmov ecx, 0x1400\nrep stosb\n{_described(table)}"
    for selector, place, rights in ((0x18, OLD_TASK, 0x8B), (0x20, NEW_TASK, 0x89)):
        at = f"scratch + {TABLE + selector}"
        setup += f"mov eax, offset scratch + {place}\nmov word ptr [{at}], 0x67\nmov [{at} + 2], ax\nshr eax, 16\nmov [{at} + 4], al\n"
        setup += f"mov byte ptr [{at} + 5], {rights:#x}\nmov [{at} + 7], ah\n"
    setup += f"mov word ptr [scratch + {OLD_TASK}], 0x20\n"
    for vector in (6, 13, 0x41):
        gate = 0x0000850000200000 if vector != 13 else 0
        setup += f"mov rax, {gate:#x}\nmov [scratch + {VECTORS + 8 * vector}], rax\n"
    fields: dict[F, Value] = FLAT_32 | {
        F.GUEST_GDTR_BASE: f"mov edx, offset scratch + {TABLE}", F.GUEST_GDTR_LIMIT: 0x47,
        F.GUEST_IDTR_BASE: f"mov edx, offset scratch + {VECTORS}", F.GUEST_IDTR_LIMIT: 0x7FF,
        F.GUEST_TR_BASE: f"mov edx, offset scratch + {OLD_TASK}", F.GUEST_TR_SELECTOR: 0x18, F.EXCEPTION_BITMAP: 0x3C00,
    }  # fmt: skip
    back = f"mov byte ptr [scratch + {TABLE + 0x25}], 0x8B\npushfd\nor dword ptr [esp], 0x4000\npopfd\niretd"
    rows: tuple[tuple[str, str, dict[F, Value]], ...] = (
        ("jmp", "nop\nljmp 0x20, 0", {}),
        ("call", "lcall 0x20, 0", {}),
        ("call through a task gate", "lcall 0x28, 0", {}),
        ("jmp through memory", "push 0x20\npush 0\nljmp fword ptr [esp]", {}),
        ("iret", back, {}),
        ("iret to a task that is not busy", back.partition("\n")[2], {}),
        ("int n", "int 0x41", {}),
        ("an exception", "ud2", {}),
        ("an injected exception", "nop", {F.VM_ENTRY_INTERRUPTION_INFORMATION: 0x80000306}),
        ("an injected interrupt", "nop", {F.VM_ENTRY_INTERRUPTION_INFORMATION: 0x80000041, F.GUEST_RFLAGS: 0x202}),
        ("an injected INT n", "nop", {F.VM_ENTRY_INTERRUPTION_INFORMATION: 0x80000441, F.VM_ENTRY_INSTRUCTION_LENGTH: 2}),
        ("to itself: busy", "ljmp 0x18, 0", {}),
        ("a selector with RPL 3: #GP", "lcall 0x23, 0", {}),
        ("a segment that is not there", "lcall 0x38, 0", {}),
        ("a limit that is too small", "ljmp 0x30, 0", {}),
        ("16 bits", "ljmp 0x40, 0", {}),
        ("beyond the GDT", "ljmp 0x48, 0", {}),
    )
    for label, code, more in rows:
        unrestricted(p, f"task switch: {label}", f"{code}\nvmcall", fields | more, 32, setup)
        if label in {"jmp", "call", "call through a task gate", "jmp through memory", "iret", "int n", "16 bits"}:
            p.show_fields("   length", F.VM_EXIT_INSTRUCTION_LENGTH)
        p.show("   busy", f"[scratch + {TABLE + 0x20 + 5}]", f"[scratch + {NEW_TASK}]")


def _described(table: dict[int, int]) -> str:
    return "".join(f"mov rax, {value:#x}\nmov [scratch + {TABLE + selector}], rax\n" for selector, value in table.items())


CODE_AND_STACK = (
    F.GUEST_CS_SELECTOR, F.GUEST_CS_BASE, F.GUEST_CS_LIMIT, F.GUEST_CS_ACCESS_RIGHTS,
    F.GUEST_SS_SELECTOR, F.GUEST_SS_BASE, F.GUEST_SS_LIMIT, F.GUEST_SS_ACCESS_RIGHTS, F.GUEST_RFLAGS,
)  # fmt: skip
EVERYBODY = """or byte ptr [pml4], 4
or byte ptr [pdpt], 4
mov edi, offset page_directory
mov ecx, 512
for_everybody:
or byte ptr [rdi], 4
add edi, 8
dec ecx
jnz for_everybody
mov rax, cr3
mov cr3, rax"""
SYSCALL_ON, SYSCALL_OFF = write_msr(EFER, 0xD01), write_msr(EFER, 0xD00)


def _fast_calls(p: VmxProgram) -> None:
    p.code(EVERYBODY)
    p.attempt("syscall without SCE", "syscall")
    p.attempt("sysret without SCE", "mov ecx, 0\nsysretq")
    p.code(SYSCALL_ON + write_msr(STAR, 0x0008000800000000) + write_msr(FMASK, 0x701) + write_msr(SYSENTER_CS, 0))
    p.attempt("sysenter with a null CS", "sysenter")
    p.attempt("sysexit with a null CS", "sysexitq")
    p.attempt("sysret, RCX not canonical", "mov rcx, 0x800000000000\nsysretq")
    seen = "mov eax, cs\nmov r8, rax\nmov eax, ss\nmov r9, rax\n"
    for label, code in (
        ("syscall", "stc\nstd\nsyscall"),
        ("sysret, then syscall", "mov ecx, offset USER\nmov r11d, 0x3C7FD7 - 0x100\nsysretq\nUSER:\nsyscall"),
        ("sysret of 32 bits, then a fault", "mov ecx, offset USER\nmov r11d, 0x202\nsysret\n.code32\nUSER:\nud2\n.code64"),
    ):
        user, kernel = p.fresh("user"), p.fresh("kernel")
        p.attempt(label, write_msr(LSTAR, kernel) + code.replace("USER", user) + f"\n{kernel}:\n{seen}sub rcx, offset {kernel}\nud2",
                  "r8", "r9", "rcx", "r11", "[fault_cs]", "[fault_flags]")  # fmt: skip
        p.code("cld")
    p.code(write_msr(SYSENTER_CS, 8) + write_msr(SYSENTER_ESP, "guest_stack_top"))
    for label, code in (
        ("sysenter", "stc\nsysenter"),
        ("sysexit, then sysenter", "mov edx, offset USER\nmov ecx, 0x6000\nsysexitq\nUSER:\nsysenter"),
        ("sysexit of 32 bits, then sysenter", "mov edx, offset USER\nmov ecx, 0x6000\nsysexit\n.code32\nUSER:\nsysenter\n.code64"),
        ("sysexit, then sysexit", "mov edx, offset USER\nmov ecx, 0x6000\nsysexitq\nUSER:\nsysexitq"),
        ("sysexit, RCX not canonical", "mov edx, offset USER\nmov rcx, 0x800000000000\nsysexitq\nUSER:\nnop"),
    ):
        user, kernel = p.fresh("user"), p.fresh("kernel")
        p.attempt(label, write_msr(SYSENTER_EIP, kernel) + code.replace("USER", user) + f"\n{kernel}:\n{seen}mov r10, rsp\nud2",
                  "r8", "r9", "r10", "[fault_cs]", "[fault_flags]")  # fmt: skip
    enter: dict[F, Value] = {
        F.GUEST_IA32_SYSENTER_CS: 8, F.GUEST_IA32_SYSENTER_ESP: 0x12340, F.GUEST_RFLAGS: 0xA07,
    }  # fmt: skip
    for label, code in (
        ("syscall", "syscall"), ("sysret", "mov ecx, offset TARGET\nmov r11d, 0xAD7\nsysretq"),
        ("sysret of 32 bits", "mov ecx, offset TARGET\nmov r11d, 2\nsysret"), ("sysenter", "sysenter"),
        ("sysexit", "mov edx, offset TARGET\nmov ecx, 0x6000\nsysexitq"), ("sysexit of 32 bits",
         "mov edx, offset TARGET\nmov ecx, 0x6000\nsysexit"),
    ):  # fmt: skip
        target = p.fresh("target")
        fields = enter | {F.GUEST_IA32_SYSENTER_EIP: f"mov edx, offset {target}"}
        p.guest(
            f"{label}, as the exit saves it",
            code.replace("TARGET", target) + f"\n{target}:\nvmcall",
            fields,
            setup=write_msr(LSTAR, target),
        )
        p.show_fields("   saved", *CODE_AND_STACK, F.GUEST_RSP)
    p.code(SYSCALL_OFF)
