"""Area E: extended page tables: violations with their qualification, misconfigurations, accessed and dirty bits, large pages."""

from __future__ import annotations

from tests.guests.exits import guarded
from tests.guests.vmx_program import SECONDARY, VmxProgram
from vmxon.vmx.fields import VmcsField as F

EPT = 1 << 1
TARGET = 0x80_0000
"""`aligned` of zeros.s: the page directory entry of these 2 MiB can point to ept_table, whose first entries are varied."""
BUILD = f"""
    mov edi, offset ept_directory
    mov eax, 0xB7
    mov ecx, 512
fill_directory_NUMBER:
    mov [rdi], rax
    add rax, 0x200000
    add edi, 8
    dec ecx
    jnz fill_directory_NUMBER
    mov edi, offset ept_table
    mov eax, {TARGET:#x} + 0x37
    mov ecx, 512
fill_table_NUMBER:
    mov [rdi], rax
    add rax, 0x1000
    add edi, 8
    dec ecx
    jnz fill_table_NUMBER
    mov eax, offset ept_directory + 7
    mov [ept_pdpt], rax
    mov eax, offset ept_pdpt + 7
    mov [ept_pml4], rax
    mov eax, offset ept_table + 7
    mov [ept_directory + 8 * {TARGET >> 21}], rax
    mov eax, 1
    mov edx, offset ept_pml4 + 0x1E
    mov [scratch], rdx
    mov qword ptr [scratch + 8], 0
    mov eax, 2
    invept rax, [scratch]
"""
EPTP = {F.EPTP: "mov edx, offset ept_pml4 + 0x1E"}
EPTP_ACCESSED = {F.EPTP: "mov edx, offset ept_pml4 + 0x5E"}
REPAIR = (
    f"mov dword ptr [ept_table], {TARGET:#x} + 0x37\nmov dword ptr [ept_table + 4], 0\nmov edx, 1\ninvept rdx, [scratch]\nmov eax, 1\nret"
)
READ, WRITE, FETCH, MODIFY = (
    "mov al, [aligned + 0x123]",
    "mov [aligned + 0x123], eax",
    "mov eax, offset aligned + 0x200\ncall rax",
    "inc dword ptr [aligned + 0x10]",
)
ACROSS = "mov eax, [aligned + 0xFFE]"


def entry(value: str) -> str:
    """Put a value into the first entry of ept_table."""
    return f"mov rax, {value}\nmov [ept_table], rax\n"


class EptProgram(VmxProgram):
    """A program whose guests have EPT."""

    def built(self) -> str:
        """Assembly that fills the extended page tables anew."""
        return BUILD.replace("NUMBER", self.fresh("ept"))

    def with_ept(self, label: str, code: str, setup: str = "", *, accessed: bool = False, hook: str = "") -> None:
        self.guest(
            label,
            code + "\nvmcall",
            EPTP_ACCESSED if accessed else EPTP,
            controls={SECONDARY: EPT},
            setup=self.built() + setup,
            hook=hook,
        )


def program() -> EptProgram:
    p = EptProgram()
    p.code("mov byte ptr [aligned + 0x200], 0xC3\nmov byte ptr [aligned + 0x1200], 0xC3")
    p.with_ept("identity", READ)
    _violations(p)
    _misconfigurations(p)
    _walks(p)
    _accessed(p)
    _invalidation(p)
    return p


def _violations(p: EptProgram) -> None:
    for rights in range(8):
        if rights in {2, 6}:
            continue  # misconfigured
        bits = f"{TARGET + 0x30 + rights:#x}" if rights else "0"
        for name, code in (("read", READ), ("write", WRITE), ("fetch", FETCH), ("read and write", MODIFY)):
            p.with_ept(f"{name} under rights {rights}", code, entry(bits), hook=REPAIR)
    p.with_ept("read across two pages, the second without rights", ACROSS, "mov qword ptr [ept_table + 8], 0")
    p.with_ept(
        "the directory has no right to write", WRITE, f"mov eax, offset ept_table + 5\nmov [ept_directory + {8 * (TARGET >> 21)}], rax"
    )
    p.with_ept("the directory's entry is not there", READ, f"mov qword ptr [ept_directory + {8 * (TARGET >> 21)}], 0")
    p.with_ept(
        "a large page without the right to write", WRITE, f"mov eax, {TARGET + 0xB5:#x}\nmov [ept_directory + {8 * (TARGET >> 21)}], rax"
    )
    p.with_ept(
        "a large page without the right to execute", FETCH, f"mov eax, {TARGET + 0xB3:#x}\nmov [ept_directory + {8 * (TARGET >> 21)}], rax"
    )
    p.with_ept("no PDPT entry for an address that paging maps elsewhere", "mov rax, cr3\nmov al, [rax]", "mov qword ptr [ept_pdpt], 0")
    for name, code in (
        ("push", "mov esp, offset aligned + 0x200\npush rax"),
        ("movs, the destination", "mov esi, offset pml4\nmov edi, offset aligned + 8\nmov ecx, 4\nrep movsb"),
        ("sgdt", "sgdt [aligned + 4]"),
        ("xchg", "xchg [aligned + 4], eax"),
        ("cmpxchg that does not match", "mov eax, 1\nlock cmpxchg [aligned + 4], ecx"),
        ("fxsave", "fxsave [aligned]"),
        ("prefetch and clflush only need nothing or a read", "prefetcht0 [aligned]\nclflush [aligned]"),
    ):
        p.with_ept(f"read-only page: {name}", code, entry(f"{TARGET + 0x31:#x}"), hook=REPAIR)


def _misconfigurations(p: EptProgram) -> None:
    rows = (
        ("write-only", f"{TARGET + 0x32:#x}"),
        ("write and execute", f"{TARGET + 0x36:#x}"),
        ("memory type 2", f"{TARGET + 0x17:#x}"),
        ("memory type 3", f"{TARGET + 0x1F:#x}"),
        ("memory type 7", f"{TARGET + 0x3F:#x}"),
        ("address beyond the width", f"{TARGET + (1 << 50) + 0x37:#x}"),
        ("reserved bits without rights are ignored", f"{TARGET + (1 << 50):#x}"),
        ("memory type 0", f"{TARGET + 0x07:#x}"),
        ("ignored bits 11:8 and 58:52", f"{TARGET + 0x37 + 0xE00 + (0x3F << 52):#x}"),
    )
    for label, value in rows:
        p.with_ept(f"misconfiguration: {label}", READ, entry(value))
    directory = f"[ept_directory + {8 * (TARGET >> 21)}]"
    p.with_ept("misconfiguration: reserved bit 3 of a directory entry", READ, f"mov eax, offset ept_table + 0xF\nmov {directory}, rax")
    p.with_ept("misconfiguration: a large page that is not aligned", READ, f"mov eax, {TARGET + 0x20B7:#x}\nmov {directory}, rax")
    p.with_ept("misconfiguration: reserved bit 7 of the PML4 entry", READ, "mov eax, offset ept_pdpt + 0x87\nmov [ept_pml4], rax")


def _walks(p: EptProgram) -> None:
    """Guest paging structures behind EPT: the linear address is valid and bit 8 tells a walk from a final access."""
    map_there = (
        "mov qword ptr [page_directory + 8 * 100], 0x800000 + 0x1003\n"
        "mov qword ptr [aligned + 0x1000], 0x900000 + 0x3\nmov rax, cr3\nmov cr3, rax\n"
    )
    guest = "mov al, [0xC800004]"
    p.with_ept("a page table without rights", guest, map_there + "mov qword ptr [ept_table + 8], 0")
    p.with_ept("a page table that is read-only, for its accessed bit", guest, map_there + "and qword ptr [ept_table + 8], ~2")
    p.with_ept(
        "a page table with its accessed bit, read-only",
        guest,
        map_there + "or byte ptr [aligned + 0x1000], 0x20\nand qword ptr [ept_table + 8], ~2",
    )
    p.with_ept(
        "the dirty bit of a page table that is read-only",
        "mov [0xC800004], al",
        map_there + "or byte ptr [aligned + 0x1000], 0x20\nand qword ptr [ept_table + 8], ~2",
    )
    p.with_ept("a guest page fault comes before the violation", guarded("mov al, [0xC801000]"), map_there)
    p.with_ept("execute-only page table", guest, map_there + "mov eax, 0x801034\nmov [ept_table + 8], rax")


def _accessed(p: EptProgram) -> None:
    show = (
        f"mov rax, [ept_table]\ncall print_hex\nmov rax, [ept_directory + {8 * (TARGET >> 21)}]\nand eax, 0x3FF\n"
        f"call print_hex\nmov rax, [ept_pml4]\nand eax, 0x3FF\ncall print_hex\ncall new_line"
    )
    for name, code in (("read", READ), ("write", WRITE), ("fetch", FETCH)):
        p.with_ept(f"accessed and dirty after a {name}", f"{code}\n{show}", accessed=True)
        p.with_ept(f"accessed and dirty stay clear without EPTP bit 6: {name}", f"{code}\n{show}")
    p.with_ept(
        "accessed and dirty of a large page",
        f"mov [aligned + 0x5000], al\nmov rax, [ept_directory + {8 * (TARGET >> 21)}]\ncall print_hex\ncall new_line",
        f"mov eax, {TARGET + 0xB7:#x}\nmov [ept_directory + {8 * (TARGET >> 21)}], rax",
        accessed=True,
    )


def _invalidation(p: EptProgram) -> None:
    """Only what every processor must do: after INVEPT the new translation counts."""
    swap = f"mov eax, {TARGET + 0x1037:#x}\nmov [ept_table], rax\nmov edx, TYPE\ninvept rdx, [scratch]\nmov eax, 1\nret"
    values = "mov dword ptr [aligned + 8], 0x1111\nmov dword ptr [aligned + 0x1008], 0x2222\n"
    exit_between = (
        "mov eax, [aligned + 8]\ncall print_hex\nmov [aligned + 0x2000], al\nmov eax, [aligned + 8]\ncall print_hex\ncall new_line"
    )
    for kind in (1, 2):
        p.with_ept(
            f"after INVEPT {kind} the new page is seen",
            exit_between,
            values + f"and qword ptr [ept_table + 16], ~2\nmov qword ptr [scratch + 16], {kind}",
            hook=f"or qword ptr [ept_table + 16], 2\n{swap.replace('TYPE', str(kind))}",
        )
