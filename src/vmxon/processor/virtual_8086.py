"""Virtual-8086 mode extensions: CR4.VME gives tasks with IOPL below 3 an interrupt flag of their own (Vol. 3A §20.3).

VIF stands in for IF, and INT n goes straight to the 8086 program's handler where the bitmap of the TSS says so.
"""

from __future__ import annotations

from vmxon.arch.control import Cr4
from vmxon.arch.flags import Rflags
from vmxon.microcode import inline, load, microcode, store, u8, u16, u32, u64
from vmxon.processor.descriptors import set_real_segment
from vmxon.processor.exceptions import general_protection
from vmxon.processor.flags import read_rflags
from vmxon.processor.inner_stack import stack_frame
from vmxon.processor.memory import readable, readable_system
from vmxon.processor.segmentation import SegmentRules, refresh_privilege
from vmxon.processor.stack import set_stack_pointer
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.state import Segment

RSP = 4
MAP_BASE = 0x66
"""Place in the TSS of the offset of the I/O permission bitmap; the redirection bitmap is the 32 bytes before that one."""
REDIRECTION_BYTES = 32
IF, VIF, VIP = Rflags.if_.mask, Rflags.vif.mask, Rflags.vip.mask
TF, RF, IOPL = Rflags.tf.mask, Rflags.rf.mask, Rflags.iopl.mask


@inline
def lacks_iopl(cpu: Cpu) -> bool:
    """Virtual-8086 mode with IOPL below 3: PUSHF, POPF, CLI, STI, INT n and IRET are sensitive."""
    return cpu.segment_rules == SegmentRules.VIRTUAL_8086 and cpu.rflags_other & IOPL != IOPL


@inline
def need_extensions(cpu: Cpu, bits: int) -> None:
    """For a sensitive instruction of `bits` (static): #GP(0) unless CR4.VME and 16 bits."""
    if bits != 16 or cpu.cr4 & Cr4.vme.mask == 0:
        general_protection(cpu, 0)


@microcode
def virtual_flags(cpu: Cpu) -> u64:
    """The flags that the program sees: VIF in the place of IF, IOPL 3."""
    flags = read_rflags(cpu) | IOPL
    return flags | IF if cpu.rflags_other & VIF != 0 else flags & ~u64(IF)


@microcode
def check_virtual_flags(cpu: Cpu, image: u64) -> None:
    """POPF and IRET: the monitor wants to know (#GP(0)) of TF, and of IF while an interrupt is pending for the program."""
    if image & TF != 0 or (image & IF != 0 and cpu.rflags_other & VIP != 0):
        general_protection(cpu, 0)


@inline
def set_virtual_interrupt_flag(cpu: Cpu, image: int) -> None:
    """VIF := IF of the image."""
    cpu.rflags_other = (cpu.rflags_other & ~u64(VIF)) | (image & IF) << (Rflags.vif.low - Rflags.if_.low)


@microcode
def is_redirected(cpu: Cpu, vector: u64) -> bool:
    """INT n under CR4.VME: the bit of `vector` in the redirection bitmap is 0; #GP(0) beyond the limit of the TSS."""
    if cpu.segment_rules != SegmentRules.VIRTUAL_8086 or cpu.cr4 & Cr4.vme.mask == 0:
        return False
    base = cpu.segments[Segment.TR].base
    limit = u64(cpu.segments[Segment.TR].limit)
    if limit < MAP_BASE + 1:
        general_protection(cpu, 0)
    place = u64(load(u16, readable_system(cpu, base + MAP_BASE, 2))) - REDIRECTION_BYTES + (vector >> 3)
    if place > limit:
        general_protection(cpu, 0)
    return (load(u8, readable_system(cpu, base + place, 1)) >> (u8(vector) & 7)) & 1 == 0


@microcode
def enter_8086_handler(cpu: Cpu, vector: u64) -> None:
    """Through the program's own vector table at linear address 0, as on an 8086."""
    entry = load(u32, readable(cpu, vector * 4, 4))
    frame = stack_frame(cpu, u16, u64(6))
    own = cpu.rflags_other & IOPL == IOPL
    if entry & 0xFFFF > cpu.segments[Segment.CS].limit:
        general_protection(cpu, 0)
    store(u16, frame, u16(cpu.next_rip))
    store(u16, frame + 2, cpu.segments[Segment.CS].selector)
    store(u16, frame + 4, u16(read_rflags(cpu)) if own else u16(virtual_flags(cpu)))
    set_stack_pointer(cpu, cpu.gpr[RSP] - 6)
    cleared = u64(TF | RF | IF) if own else u64(TF | RF | VIF)
    cpu.rflags_other = cpu.rflags_other & ~cleared
    set_real_segment(cpu, u64(Segment.CS), u64(entry >> 16))
    cpu.next_rip = u64(entry & 0xFFFF)
    refresh_privilege(cpu)
