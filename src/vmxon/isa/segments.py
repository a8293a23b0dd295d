"""Segment registers as operands: MOV, PUSH, POP, far-pointer loads, and the bases of FS and GS."""

from __future__ import annotations

from vmxon.arch.control import Cr4
from vmxon.isa.operands import FormVariant, Operand
from vmxon.isa.record import Record
from vmxon.isa.table import Form, instruction
from vmxon.microcode import inline, load, store, u16, u64
from vmxon.processor.descriptors import load_data_segment
from vmxon.processor.events import MOV_SS, start_shadow
from vmxon.processor.exceptions import general_protection, undefined_opcode
from vmxon.processor.memory import readable
from vmxon.processor.segmentation import loadable
from vmxon.processor.stack import move_stack, stack_read, stack_slot
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.state import Segment

STACKED = (("06", "07", Segment.ES), ("16", "17", Segment.SS), ("1E", "1F", Segment.DS))
STACKED_0F = (("0F A0", "0F A1", Segment.FS), ("0F A8", "0F A9", Segment.GS))


@inline
def shadow_after_load(cpu: Cpu, segment: int) -> None:
    """A load of SS inhibits interrupts for one instruction, but not twice in a row (Vol. 3A §6.8.3)."""
    if segment == Segment.SS:
        if cpu.interruptibility & MOV_SS == 0:
            start_shadow(cpu, MOV_SS)


@instruction("MOV from Sreg", Form("8C /r", "rm, Sreg"), flow="system")
def mov_from_segment(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := selector, zero-extended to the operand size (Vol. 2B “MOV—Move”)."""
    if source.number() & 7 > Segment.GS:
        undefined_opcode(cpu)
    destination.write(destination.kind(cpu.segments[u64(source.number() & 7)].selector))


@instruction("MOV m, Sreg", Form("8C /r", "m16, Sreg"), flow="system")
def mov_segment_to_memory(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """The 16 bits of the selector, whatever the operand size (Vol. 2B “MOV—Move”)."""
    if source.number() & 7 > Segment.GS:
        undefined_opcode(cpu)
    destination.write(cpu.segments[u64(source.number() & 7)].selector)


@instruction("MOV to Sreg", Form("8E /r", "Sreg, r/m16"), flow="system")
def mov_to_segment(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """Load a segment register; CS is not one of them (Vol. 2B “MOV—Move”)."""
    segment = u64(destination.number() & 7)
    if segment == Segment.CS or segment > Segment.GS:
        undefined_opcode(cpu)
    load_data_segment(cpu, segment, u64(source.read()))
    if segment == Segment.SS and cpu.interruptibility & MOV_SS == 0:
        start_shadow(cpu, MOV_SS)


@inline
def push_segment(cpu: Cpu, form: FormVariant, segment: int) -> None:
    """Push a selector at the operand size; only its 16 bits are written (Vol. 2B “PUSH”, note on 32-bit pushes)."""
    slot = stack_slot(cpu, form.kind, u64(-form.kind.bytes))
    if form.kind.bits == 64:
        store(u64, slot, u64(cpu.segments[segment].selector))
    else:
        store(u16, slot, cpu.segments[segment].selector)
    move_stack(cpu, u64(-form.kind.bytes))


@inline
def pop_segment(cpu: Cpu, form: FormVariant, segment: int) -> None:
    """Pop a selector and load the register; rSP moves only if that succeeds."""
    selector = u64(u16(stack_read(cpu, form.kind, u64(0))))
    if segment == Segment.SS:
        # A new SS may be narrower or wider, but the pop is the old one's.
        shift = cpu.stack_shift
        top = cpu.gpr[4]
        load_data_segment(cpu, u64(segment), selector)
        moved = ((top + form.kind.bytes) << shift) >> shift
        cpu.gpr[4] = moved | (top & ~(~u64(0) >> shift))
    else:
        load_data_segment(cpu, u64(segment), selector)
        move_stack(cpu, u64(form.kind.bytes))
    shadow_after_load(cpu, segment)


@instruction("PUSH CS", Form("0E", modes="16 32"), flow="system")
def push_cs(cpu: Cpu, form: FormVariant) -> None:
    """Push CS (Vol. 2B “PUSH”)."""
    push_segment(cpu, form, Segment.CS)


for _push, _pop, _segment in (*STACKED, *STACKED_0F):
    _modes = "16 32" if (_push, _pop, _segment) in STACKED else "16 32 64"

    @instruction(f"PUSH {_segment.name}", Form(_push, modes=_modes, default64=True), flow="system")
    def push_(cpu: Cpu, form: FormVariant, segment: int = _segment) -> None:
        """Push the selector (Vol. 2B “PUSH”)."""
        push_segment(cpu, form, segment)

    @instruction(f"POP {_segment.name}", Form(_pop, modes=_modes, default64=True), flow="system")
    def pop_(cpu: Cpu, form: FormVariant, segment: int = _segment) -> None:
        """Pop the selector and load the register (Vol. 2B “POP”)."""
        pop_segment(cpu, form, segment)


for _opcode, _segment, _modes in (
    ("C4", Segment.ES, "16 32"),
    ("C5", Segment.DS, "16 32"),
    ("0F B2", Segment.SS, "16 32 64"),
    ("0F B4", Segment.FS, "16 32 64"),
    ("0F B5", Segment.GS, "16 32 64"),
):

    @instruction(f"L{_segment.name}", Form(f"{_opcode} /r", "r, m", modes=_modes), flow="system")
    def load_far(
        cpu: Cpu,
        destination: Operand,
        pointer: Operand,
        form: FormVariant,
        record: Record,
        segment: int = _segment,
    ) -> None:
        """destination := offset, segment register := selector of a far pointer (Vol. 2A “LDS/LES/LFS/LGS/LSS”)."""
        size = form.kind.bytes + 2
        place = readable(cpu, pointer.linear(size), size, record.segment)
        offset = load(form.kind, place)
        load_data_segment(cpu, u64(segment), u64(load(u16, place + form.kind.bytes)))
        destination.write(offset)
        shadow_after_load(cpu, segment)


@inline
def need_fsgsbase(cpu: Cpu) -> None:
    """#UD unless CR4.FSGSBASE allows these instructions."""
    if cpu.cr4 & Cr4.fsgsbase.mask == 0:
        undefined_opcode(cpu)


for _digit, _segment in ((0, Segment.FS), (1, Segment.GS)):

    @instruction(
        f"RD{_segment.name}BASE",
        Form(f"F3 0F AE /{_digit}", "rm", modes="64", size="w"),
        flow="system",
        feature="fsgsbase",
    )
    def read_base(cpu: Cpu, destination: Operand, segment: int = _segment) -> None:
        """destination := base of FS or GS (Vol. 2B “RDFSBASE/RDGSBASE”)."""
        need_fsgsbase(cpu)
        destination.write(destination.kind(cpu.segments[segment].base))

    @instruction(
        f"WR{_segment.name}BASE",
        Form(f"F3 0F AE /{_digit + 2}", "rm", modes="64", size="w"),
        flow="system",
        feature="fsgsbase",
    )
    def write_base(cpu: Cpu, source: Operand, segment: int = _segment) -> None:
        """Base of FS or GS := source, zero-extended, canonical (Vol. 2D “WRFSBASE/WRGSBASE”)."""
        need_fsgsbase(cpu)
        value = u64(source.read())
        if not loadable(cpu, value):
            general_protection(cpu, 0)
        cpu.segments[segment].base = value


@instruction("SWAPGS", Form("0F 01 F8", modes="64"), flow="system", cpl0=True)
def swapgs(cpu: Cpu) -> None:
    """Exchange the base of GS with IA32_KERNEL_GS_BASE (Vol. 2B “SWAPGS—Swap GS Base Register”)."""
    base = cpu.segments[Segment.GS].base
    cpu.segments[Segment.GS].base = cpu.kernel_gs_base
    cpu.kernel_gs_base = base
