"""Protected mode without VMX: segments, gates, privilege, tasks, virtual-8086 mode and paging, by their faults."""

from __future__ import annotations

from tests.guests.program import Program

FREE = 0x38
"""The first selector that programs may fill."""


class ProtectedProgram(Program):
    """A 32-bit program at CPL 0."""

    kernel = ("protected.s",)
    pointer, accumulator, stack_pointer, source = "dword", "eax", "esp", "esi"

    def describe(self, selector: int, descriptor: int) -> None:
        """Put a descriptor into the GDT."""
        low, high = descriptor & 0xFFFF_FFFF, descriptor >> 32
        self.code(f"mov dword ptr [gdt + {selector:#x}], {low:#x}\nmov dword ptr [gdt + {selector + 4:#x}], {high:#x}")

    def user(self, label: str, text: str, flags: int = 2, *expressions: str) -> None:
        """The outcome of code at CPL 3 that ends with INT 0x80 where nothing faults."""
        name = self.fresh("user")
        enter = f"push 0x23\nmov ecx, offset guest_stack_top\npush ecx\npush {flags:#x}\npush 0x1B\nmov ecx, offset {name}\npush ecx\n"
        load = "mov eax, 0x23\nmov ds, eax\nmov es, eax\n"
        self.attempt(label, f"{enter}iretd\n{name}:\n{load}{text}\nint 0x80", "[fault_cs]", *expressions)

    def virtual_8086(self, label: str, text: str, flags: int = 0x23002, *expressions: str) -> None:
        """The outcome of code in virtual-8086 mode that ends with INT 0x80."""
        start, go = self.fresh("virtual"), self.fresh("go")
        copy = f"mov esi, offset {start}\nmov edi, 0x2000\nmov ecx, 64\nrep movsb\n"
        frame = "push 0\npush 0\npush 0\npush 0\npush 0\npush 0x7000\n" + f"push {flags:#x}\npush 0\npush 0x2000\n"
        body = f"{copy}{frame}jmp {go}\n.code16\n{start}:\n{text}\nint 0x80\n.code32\n{go}:\niretd"
        self.attempt(label, body, "[fault_cs]", "[fault_rip]", "[fault_flags]", *expressions)


def descriptor(base: int, limit: int, rights: int) -> int:
    """Eight bytes; `rights` is the access byte, with flags (G, D/B, L, AVL) in bits 15:12."""
    return (
        limit & 0xFFFF
        | (base & 0xFF_FFFF) << 16
        | (rights & 0xFF) << 40
        | (limit >> 16 & 0xF) << 48
        | (rights >> 12) << 52
        | (base >> 24) << 56
    )


def program() -> ProtectedProgram:
    p = ProtectedProgram()
    _segments(p)
    _limits(p)
    _privilege(p)
    _gates(p)
    _interrupts(p)
    _tasks(p)
    _virtual_8086(p)
    _paging(p)
    return p


SEGMENTS = (
    ("data", 0xC093), ("data, read-only", 0xC091), ("data, expand-down", 0xC097), ("data, not accessed", 0xC092),
    ("data, not present", 0xC013),
    ("data, DPL 3", 0xC0F3), ("code", 0xC09B), ("code, execute-only", 0xC099), ("code, conforming", 0xC09F), ("code, not present", 0xC01B),
    ("code, DPL 3", 0xC0FB), ("TSS", 0x0089), ("busy TSS", 0x008B), ("LDT", 0x0082), ("call gate", 0x008C), ("system type 0", 0x0080),
)  # fmt: skip


def _segments(p: ProtectedProgram) -> None:
    for label, rights in SEGMENTS:
        p.describe(FREE, descriptor(0, 0 if "expand-down" in label else 0xFFFFF, rights))
        for load in ("ds", "ss"):
            p.attempt(f"{label}: load {load}", f"mov eax, {FREE}\nmov {load}, eax", "[gdt + 0x3C]")
            p.code("mov eax, 0x10\nmov ds, eax\nmov ss, eax")
        p.attempt(f"{label}: RPL 3", f"mov eax, {FREE + 3}\nmov es, eax")
        p.attempt(f"{label}: lldt", f"mov eax, {FREE}\nlldt ax")
        p.code("xor eax, eax\nlldt ax")
        if "busy" not in label and label != "TSS":
            p.attempt(f"{label}: ltr", f"mov eax, {FREE}\nltr ax")
        p.attempt(f"{label}: lar", f"xor ebx, ebx\nmov eax, {FREE}\nlar ebx, eax\nsetz al\nmovzx eax, al\nand ebx, 0xF0FF00", "ebx", "eax")
        p.attempt(f"{label}: lsl", f"xor ebx, ebx\nmov eax, {FREE}\nlsl ebx, eax\nsetz al\nmovzx eax, al", "ebx", "eax")
        p.attempt(f"{label}: verr, verw", f"mov eax, {FREE}\nverr ax\nsetz bl\nverw ax\nsetz bh\nmovzx ebx, bx", "ebx")
        for name, go in (("far jump", f"ljmp {FREE}, offset GO"), ("far return", f"push {FREE}\nmov ecx, offset GO\npush ecx\nretf")):
            if not label.startswith(("code", "TSS")):
                p.attempt(f"{label}: {name}", go.replace("GO", "stop"))
    p.attempt("selector beyond the GDT", "mov eax, 0x1008\nmov ds, eax")
    p.attempt("selector of an LDT that there is not", "mov eax, 0xC\nmov ds, eax")
    p.attempt("null in SS", "xor eax, eax\nmov ss, eax")
    p.attempt("null in DS, then used", "xor eax, eax\nmov ds, eax\nmov al, ds:[scratch]")
    p.attempt("mov cs", ".byte 0x8E, 0xC8")
    p.attempt("far jump to null", "ljmp 0, offset stop")


def _limits(p: ProtectedProgram) -> None:
    for label, rights, limit in (
        ("up", 0x4093, 0x1FFF),
        ("down", 0x4097, 0x1FFF),
        ("down, 16 bits", 0x0097, 0x1FFF),
        ("pages", 0xC093, 1),
        ("pages, down", 0xC097, 1),
    ):
        p.describe(FREE, descriptor(0, limit, rights))
        for address in (0x1FFC, 0x1FFD, 0x1FFF, 0x2000, 0xFFFC, 0xFFFD, 0x10000):
            p.attempt(f"{label}: {address:#x}", f"mov eax, {FREE}\nmov es, eax\nmov eax, es:[{address:#x}]")
    p.describe(FREE, descriptor(0, 0xFFF, 0x40F3))
    load = f"mov eax, {FREE + 3}\nmov ss, eax\n"
    p.user("stack limit", f"{load}mov esp, 0x1004\npush eax")
    p.user("stack limit by ebp", f"{load}mov ebp, 0x1000\nmov al, [ebp]")
    p.user("enter beyond the stack", f"{load}mov esp, 4\nenter 0x100, 4")
    p.user("pusha beyond the stack", f"{load}mov esp, 8\npushad")
    p.user("call beyond the stack", f"{load}mov esp, 2\ncall over_gate_target")


PRIVILEGED = (
    "cli",
    "sti",
    "hlt",
    "lgdt [gdt_register]",
    "lmsw ax",
    "clts",
    "invlpg [0]",
    "mov eax, cr0",
    "mov dr7, eax",
    "rdmsr",
    "wbinvd",
    "lldt ax",
    "ltr ax",
)
FREE_FOR_ALL = ("smsw eax", "sgdt [scratch]", "sldt eax", "str eax", "cpuid", "rdtsc", "pushfd", "popfd", "nop")


def _privilege(p: ProtectedProgram) -> None:
    for text in (*PRIVILEGED, *FREE_FOR_ALL, "in al, 0x70", "out 0x80, al", "int 3", "into", "int 0x81", "ud2"):
        p.user(f"CPL 3: {text}", text)
    p.user("CPL 3, IOPL 3: cli, in", "cli\nin al, 0x71\nsti", 0x3002)
    p.user("CPL 3: popf changes neither IF nor IOPL", "push 0x3202\npopfd", 2, "[fault_flags]")
    p.user("CPL 3: load a DPL 0 segment", "mov eax, 0x10\nmov es, eax")
    p.user("CPL 3: load a DPL 0 stack", "mov eax, 0x20\nmov ss, eax")
    p.user("CPL 3: far jump to DPL 0", "ljmp 0x8, offset stop")
    p.user("CPL 3: far return to DPL 0", "push 0x8\nmov ecx, offset stop\npush ecx\nretf")
    p.user("CPL 3: iret to DPL 0", "push 2\npush 0x8\nmov ecx, offset stop\npush ecx\niretd")
    p.code("mov word ptr [gdt + 0x28], 0x78\nand byte ptr [gdt + 0x2D], 0xFD\nmov eax, 0x28\nltr ax")
    p.code(
        "mov dword ptr [tss + 0x68], 0xFFFFFFFF\nmov dword ptr [tss + 0x6C], 0xFFFFFFFF\n"
        "mov dword ptr [tss + 0x70], 0xFFFFFFFF\nmov dword ptr [tss + 0x74], 0xFFFEFFFF"
    )
    p.user("I/O bitmap: port 0x70 is free", "in al, 0x70")
    p.user("I/O bitmap: port 0x71 is not", "in al, 0x71")
    p.user("I/O bitmap: two bytes from 0x70", "in ax, 0x70")
    p.user("I/O bitmap: beyond the TSS", "mov dx, 0x1000\nin al, dx")


def _gates(p: ProtectedProgram) -> None:
    def gate(selector: int, kind: int, dpl: int, count: int = 0, present: int = 1, target: str = "gate_target") -> None:
        p.code(f"mov eax, offset {target}\nmov [gdt + {FREE:#x}], ax\nmov word ptr [gdt + {FREE + 2:#x}], {selector:#x}")
        p.code(
            f"mov word ptr [gdt + {FREE + 4:#x}], {count | (kind | dpl << 5 | present << 7) << 8:#x}\nshr eax, 16\n"
            f"mov [gdt + {FREE + 6:#x}], ax"
        )

    p.code("jmp over_gate_target\ngate_target:\nmov ebx, cs\nmov ecx, esp\nmov edx, [esp + 8]\nint 0x82\nover_gate_target:")
    call = f".byte 0x9A\n.long 0\n.word {FREE + 3}"
    for label, selector, kind, dpl, count, present in (
        ("call gate", 0x08, 12, 3, 0, 1),
        ("call gate with two parameters", 0x08, 12, 3, 2, 1),
        ("call gate, DPL 0", 0x08, 12, 0, 0, 1),
        ("call gate, not present", 0x08, 12, 3, 0, 0),
        ("call gate to data", 0x10, 12, 3, 0, 1),
        ("call gate to null", 0, 12, 3, 0, 1),
        ("call gate beyond the GDT", 0x1008, 12, 3, 0, 1),
        ("call gate to DPL 3", 0x18, 12, 3, 0, 1),
        ("interrupt gate in the GDT", 0x08, 14, 3, 0, 1),
    ):
        gate(selector, kind, dpl, count, present)
        p.user(label, f"push 0x1111\npush 0x2222\n{call}", 2, "ebx", "edx")
        if kind == 12 and not count:
            p.user(f"{label}: by jump", f".byte 0xEA\n.long 0\n.word {FREE + 3}")
    p.describe(FREE + 8, descriptor(0, 0xFFFFF, 0xC01B))
    gate(FREE + 8, 12, 3)
    p.user("call gate to code that is not present", call)


def _interrupts(p: ProtectedProgram) -> None:
    vector = "idt + 0x90 * 8"
    for label, setup in (
        ("not present", f"mov byte ptr [{vector} + 5], 0x0E"),
        ("type 0", f"mov byte ptr [{vector} + 5], 0x80"),
        ("call gate", f"mov byte ptr [{vector} + 5], 0x8C"),
        ("trap gate", f"mov byte ptr [{vector} + 5], 0x8F"),
        ("16-bit interrupt gate to code below 64 KiB", f"mov byte ptr [{vector} + 5], 0x06"),
        ("selector null", f"mov byte ptr [{vector} + 5], 0x8E\nmov word ptr [{vector} + 2], 0"),
        ("selector of data", f"mov word ptr [{vector} + 2], 0x10"),
        ("selector beyond the GDT", f"mov word ptr [{vector} + 2], 0x1008"),
        ("selector of DPL 3", f"mov word ptr [{vector} + 2], 0x18"),
    ):
        p.code(setup)
        p.attempt(f"INT 0x90, {label}", "int 0x90")
    p.code(f"mov word ptr [{vector} + 2], 0x08\nmov byte ptr [{vector} + 5], 0x8E")
    p.user("INT 0x90 from CPL 3, DPL 0", "int 0x90")
    p.attempt("#DB by TF", "pushfd\nor dword ptr [esp], 0x100\npopfd\nnop\nnop")
    p.attempt("DR6 then", "mov eax, dr6\nand eax, 0xF00F", "eax")
    p.attempt("flags in an interrupt gate", "push 0x7302\npopfd\nint 0x90", "[fault_flags]")


def _tasks(p: ProtectedProgram) -> None:
    p.code("jmp over_task\ntask_entry:\nmov ebx, 0x77\npushfd\npop ecx\niretd\nmov ebx, 0x78\niretd\nover_task:")
    reset = (
        "mov dword ptr [other_tss + 0x20], offset task_entry\nmov dword ptr [other_tss + 0x24], 2\n"
        "mov dword ptr [other_tss + 0x38], offset guest_stack_top\n"
        "mov dword ptr [other_tss + 0x48], 0x10\nmov dword ptr [other_tss + 0x4C], 0x08\n"
        "mov dword ptr [other_tss + 0x50], 0x10\nmov dword ptr [other_tss + 0x54], 0x10\n"
        "mov dword ptr [other_tss + 0x58], 0\nmov dword ptr [other_tss + 0x5C], 0\n"
        "mov dword ptr [other_tss + 0x60], 0\nmov dword ptr [other_tss], 0\n"
        "mov byte ptr [gdt + 0x35], 0x89\nmov byte ptr [gdt + 0x2D], 0x8B\nmov eax, 0x28\n"
    )
    call = "lcall 0x30, 0\n"
    p.code(reset)
    p.attempt(
        "call a task and return",
        call,
        "[gdt + 0x2C]",
        "[gdt + 0x34]",
        "[other_tss]",
        "[other_tss + 0x34]",
        "[other_tss + 0x2C]",
        "[other_tss + 0x24]",
    )
    p.show("flags and CR0 behind it", "cr0")
    p.attempt("again, behind the IRET", call, "[other_tss + 0x34]")
    for label, setup in (
        ("busy", "mov byte ptr [gdt + 0x35], 0x8B"),
        ("not present", "mov byte ptr [gdt + 0x35], 0x09"),
        ("limit too small", "mov word ptr [gdt + 0x30], 0x66"),
    ):
        p.code(reset + "mov word ptr [gdt + 0x30], 0x67\n" + setup)
        p.attempt(f"task: {label}", call)
    p.code("mov word ptr [gdt + 0x30], 0x67\n" + reset)
    p.code(f"mov dword ptr [gdt + {FREE:#x}], 0x300000\nmov dword ptr [gdt + {FREE + 4:#x}], 0xE500")
    p.attempt("task gate", f"lcall {FREE}, 0", "[other_tss + 0x34]")
    p.code(reset)
    p.user("task gate from CPL 3", f"lcall {FREE + 3}, 0", 2, "[other_tss + 0x34]")
    p.code(reset)
    p.user("TSS of DPL 0 from CPL 3", "lcall 0x33, 0")
    p.attempt("IRET with NT and no back link", "mov word ptr [tss], 0\npushfd\nor dword ptr [esp], 0x4000\npopfd\niretd")
    p.code("push 2\npopfd")


def _virtual_8086(p: ProtectedProgram) -> None:
    for text in (
        "nop",
        "cli",
        "sti",
        "pushf",
        "int 0x40",
        "int 3",
        "in al, 0x70",
        "hlt",
        "mov eax, cr0",
        "lldt ax",
        "sldt ax",
        "ud2",
        "mov ax, 0x1234\nmov es, ax",
        "mov al, [0xFFFF]\nmov ax, [0xFFFF]",
    ):
        p.virtual_8086(f"virtual-8086, IOPL 3: {text.splitlines()[0]}", text)
        if text in {"cli", "sti", "pushf", "int 0x40", "int 3", "nop"}:
            p.virtual_8086(f"virtual-8086, IOPL 0: {text}", text, 0x20002)


def _paging(p: ProtectedProgram) -> None:
    p.code(
        """mov edi, offset page_directory
        mov eax, 0x87
        mov ecx, 256
    map:
        mov [edi], eax
        add eax, 0x400000
        add edi, 4
        dec ecx
        jnz map
        mov eax, offset page_table + 7
        mov [page_directory + 8], eax
        mov eax, cr4
        or eax, 0x10
        mov cr4, eax
        mov eax, offset page_directory
        mov cr3, eax
        mov eax, cr0
        or eax, 0x80000000
        mov cr0, eax"""
    )
    for entry in range(8):
        p.code(f"mov dword ptr [page_table], 0x800000 + {entry}\nmov eax, cr3\nmov cr3, eax")
        for name, text in (("read", "mov al, [0x800010]"), ("write", "mov [0x800010], al"), ("modify", "inc dword ptr [0x800010]")):
            p.attempt(f"paging {entry}: {name}", text, "[page_table]")
            p.user(f"paging {entry}: {name} at CPL 3", text)
    p.code("mov eax, cr0\nor eax, 0x10000\nmov cr0, eax\nmov dword ptr [page_table], 0x800005\nmov eax, cr3\nmov cr3, eax")
    p.attempt("paging: write under WP", "mov [0x800010], al")
    p.code("mov dword ptr [page_directory + 8], 0x200000 + 0x800087\nmov eax, cr3\nmov cr3, eax")
    p.attempt("paging: reserved bits of a 4 MiB page", "mov al, [0x800010]")
    p.code("mov dword ptr [page_directory + 8], 0\nmov eax, cr3\nmov cr3, eax")
    p.user("paging: no table", "mov al, [0x800010]")
    p.attempt("paging: across two pages", "mov eax, [0x7FFFFE]")
