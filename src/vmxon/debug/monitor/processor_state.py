"""`info registers`, `info tlb`, `info mem`, `info vmx`: what the processor holds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from vmxon.debug.address_space import (
    ACCESSED,
    CACHE_DISABLE,
    DIRTY,
    GLOBAL,
    LARGE,
    NO_EXECUTE,
    USER,
    WRITABLE,
    WRITE_THROUGH,
    AddressSpace,
    Page,
)
from vmxon.debug.registers import GENERAL, tag_word
from vmxon.machine.processor import Processor
from vmxon.processor.state import ProcessorState, Segment
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.state import NO_VMCS, Operation, active_vmcss, field_values

FLAG_LETTERS = ((11, "O"), (7, "S"), (6, "Z"), (4, "A"), (2, "P"), (0, "C"))
SEGMENTS = (Segment.ES, Segment.CS, Segment.SS, Segment.DS, Segment.FS, Segment.GS)
ORDER = (0, 3, 1, 2, 6, 7, 5, 4, *range(8, 16))
"""RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP, R8 to R15, by the numbers that instructions encode."""
MOST_ROWS = 65536
"""Rows listed: a table that contains itself has millions of pages."""
OPERATIONS = {
    Operation.OUTSIDE: "outside VMX operation",
    Operation.ROOT: "in VMX root operation",
    Operation.NON_ROOT: "in VMX non-root operation",
}


def registers(processor: Processor) -> str:
    """All registers, in QEMU's arrangement."""
    return "\n".join(_registers(processor)) + "\n"


def _registers(processor: Processor) -> Iterator[str]:
    state = processor.state
    wide = bool(state.long_mode)
    digits, count = (16, 16) if wide else (8, 8)
    names = [name.upper() if wide else f"E{name[1:].upper()}" for name in GENERAL]
    cells = [f"{names[n]:<3}={state.gpr[n] & ((1 << 4 * digits) - 1):0{digits}x}" for n in ORDER[:count]]
    yield from (" ".join(cells[start : start + 4]) for start in range(0, count, 4))
    flags = processor.rflags
    letters = "".join(letter if flags >> bit & 1 else "-" for bit, letter in ((10, "D"), *FLAG_LETTERS))
    pointer, name = f"{state.rip & ((1 << 4 * digits) - 1):0{digits}x}", ("RIP", "RFL") if wide else ("EIP", "EFL")
    yield (
        f"{name[0]}={pointer} {name[1]}={flags:08x} [{letters}] CPL={state.cpl} II={state.interruptibility & 3} A20={_a20(state)} "
        f"SMM=0 HLT={int(state.activity == 1)}"
    )
    for segment in (*SEGMENTS, Segment.LDTR, Segment.TR):
        register = state.segments[segment]
        title = {Segment.LDTR: "LDT", Segment.TR: "TR"}.get(segment, segment.name)
        yield f"{title:<3}={register.selector:04x} {register.base:0{digits}x} {register.limit:08x} {register.rights:08x}"
    yield f"GDT=     {state.gdt_base:0{digits}x} {state.gdt_limit:08x}"
    yield f"IDT=     {state.idt_base:0{digits}x} {state.idt_limit:08x}"
    yield f"CR0={state.cr0:08x} CR2={state.cr2:0{digits}x} CR3={state.cr3:0{digits}x} CR4={state.cr4:08x}"
    yield " ".join(f"DR{n}={state.dr[n]:016x}" for n in range(4))
    yield f"DR6={state.dr[6]:016x} DR7={state.dr[7]:016x}"
    yield f"EFER={state.efer:016x}"
    status = state.x87_status & ~0x3800 | state.x87_top << 11
    yield f"FCW={state.x87_control:04x} FSW={status:04x} [ST={state.x87_top}] FTW={tag_word(state):04x} MXCSR={state.mxcsr:08x}"
    for first in range(0, 8, 2):
        yield " ".join(f"FPR{n}={state.x87_significand[n]:016x} {state.x87_exponent[n]:04x}" for n in (first, first + 1))
    for first in range(0, count, 2):
        yield " ".join(f"XMM{n:02}={state.xmm[2 * n + 1]:016x}{state.xmm[2 * n]:016x}" for n in (first, first + 1))


def _a20(state: ProcessorState) -> int:
    """Whether address line 20 is let through."""
    return state.address_lines >> 20 & 1


def tlb(processor: Processor) -> str:
    """Every page of the present address space, from its tables."""
    letters = (
        (NO_EXECUTE, "X"), (GLOBAL, "G"), (LARGE, "P"), (DIRTY, "D"), (ACCESSED, "A"), (CACHE_DISABLE, "C"), (WRITE_THROUGH, "T"),
        (USER, "U"), (WRITABLE, "W"),
    )  # fmt: skip

    def row(page: Page) -> str:
        marks = "".join(letter if page.entry & bit and not (letter == "P" and page.size == 4096) else "-" for bit, letter in letters)
        return f"{page.linear:016x}: {page.physical:016x} {marks}\n"

    return _whole(processor, (row(page) for page in AddressSpace(processor).pages()))


def memory(processor: Processor) -> str:
    """Ranges of linear addresses with equal rights."""
    return _whole(processor, (f"{first:016x}-{end:016x} {end - first:016x} {rights}\n" for first, end, rights in _ranges(processor)))


def _ranges(processor: Processor) -> Iterator[tuple[int, int, str]]:
    first = end = 0
    rights = ""
    for page in AddressSpace(processor).pages():
        letters = ("u" if page.rights & USER else "-") + "r" + ("w" if page.rights & WRITABLE else "-")
        if page.linear != end or letters != rights:
            if rights:
                yield first, end, rights
            first, rights = page.linear, letters
        end = page.linear + page.size
    if rights:
        yield first, end, rights


def _whole(processor: Processor, rows: Iterator[str]) -> str:
    """The rows, as many as make sense."""
    if not AddressSpace(processor).paged:
        return "PG disabled\n"
    shown = list(islice(rows, MOST_ROWS + 1))
    if len(shown) > MOST_ROWS:
        shown[-1] = f"and more: only the first {MOST_ROWS} are listed\n"
    return "".join(shown)


def vmx(processor: Processor) -> str:
    """VMX operation, the active VMCSs, and the fields of the current one that are not 0."""
    state = processor.state
    lines = [f"The processor is {OPERATIONS[Operation(state.vmx_operation)]}."]
    if state.vmx_operation == Operation.OUTSIDE:
        return f"{lines[0]}\n"
    lines.append(f"VMXON region {state.vmxon_pointer:#018x}")
    active = active_vmcss(processor.engine.vmx_memory)
    for region, cache in sorted(active.items()):
        current = ", current" if region == state.vmcs_pointer else ""
        lines.append(f"VMCS {region:#018x}: {'launched' if cache.launched else 'clear'}{current}")
    if state.vmcs_pointer == NO_VMCS:
        lines.append("There is no current VMCS.")
    elif state.vmcs_pointer in active:
        values = field_values(active[state.vmcs_pointer])
        lines += [f"  {VmcsField(field).name:<40} {value:#x}" for field, value in values.items() if value]
    return "\n".join(lines) + "\n"
