"""VMREAD and VMWRITE (Vol. 3C §31.3): fields by encoding, and the record of who wrote them."""

from __future__ import annotations

from vmxon.arch.msr_vmx import VmxMisc
from vmxon.isa.operands import Operand
from vmxon.isa.record import Record
from vmxon.isa.table import Form, instruction
from vmxon.microcode import inline, load, microcode, store, u8, u16, u32, u64
from vmxon.microcode.layout import member_offset
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.time import ticks
from vmxon.vmx.controls import SecondaryProcessorBased
from vmxon.vmx.errors import InstructionError
from vmxon.vmx.exit import instruction_exit, non_root
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import Kind, VmcsField, Width
from vmxon.vmx.instruction_information import VmcsAccessInformation
from vmxon.vmx.instructions import require_operation, require_privilege
from vmxon.vmx.operands import memory_information, register_information, register_number
from vmxon.vmx.physical import read_physical
from vmxon.vmx.regions import activate
from vmxon.vmx.results import fail_invalid, fail_valid, succeed
from vmxon.vmx.rules.view import MISC
from vmxon.vmx.state import NO_VMCS, VmcsCache, has_vmcs, read_field

ENCODING_BITS = 0x6C7F
"""Bits that an encoding in the table can have: width, kind, the low six bits of the index, high half."""
HIGH = 1
FIELDS = member_offset(VmcsCache, "fields")
WRITER_RIP = member_offset(VmcsCache, "writer_rip")
WRITER_NUMBER = member_offset(VmcsCache, "writer_number")
NOWHERE = 0
BITMAP_FIELDS = 1 << 15
"""How many encodings the VMREAD and VMWRITE bitmaps cover."""


@microcode
def field_place(cpu: Cpu, encoding: u64) -> u64:
    """Offset of a field among its kind in the cache, plus 8; 0 for an encoding that the processor does not have."""
    if encoding & ~u64(ENCODING_BITS) != 0:
        return u64(NOWHERE)
    if encoding & HIGH != 0 and encoding >> 13 & 3 != Width.W64:
        return u64(NOWHERE)
    index = (encoding >> 13 & 3) << 8 | (encoding >> 10 & 3) << 6 | encoding >> 1 & 63
    return u64(load(u16, cpu.vmx_memory + index * 2)) * 8


@microcode
def width_mask(encoding: u64) -> u64:
    """All ones of what an encoding reads or writes."""
    width = encoding >> 13 & 3
    if width == Width.W16:
        return u64(0xFFFF)
    if width == Width.W32:
        return u64(0xFFFF_FFFF)
    return ~u64(0)


@microcode
def field_value(vmcs: u64, place: u64, encoding: u64) -> u64:
    """What VMREAD gives of the VMCS whose cache is at `vmcs`."""
    value = load(u64, vmcs + FIELDS - 8 + place)
    return value >> 32 if encoding & HIGH != 0 else value


@microcode
def set_field(cpu: Cpu, vmcs: u64, place: u64, encoding: u64, value: u64) -> None:
    """What VMWRITE does: replace the field or its high half, keep the other half in 32-bit mode, note the writer."""
    pointer = vmcs + FIELDS - 8 + place
    new = value & width_mask(encoding)
    if encoding & HIGH != 0:
        new = (load(u64, pointer) & 0xFFFF_FFFF) | value << 32
    store(u64, pointer, new)
    store(u64, vmcs + WRITER_RIP - 8 + place, cpu.rip)
    store(u64, vmcs + WRITER_NUMBER - 8 + place, ticks(cpu))


@microcode
def access_exits(cpu: Cpu, bitmap: VmcsField, name: u64) -> bool:
    """Without VMCS shadowing every access exits, with it those whose bit is 1 (Vol. 3C §25.6.15 “VMCS Shadowing Bitmap Addresses”)."""
    if cpu.vmx_secondary & SecondaryProcessorBased.vmcs_shadowing.mask == 0 or name >= BITMAP_FIELDS:
        return True
    return read_physical(cpu, u8, read_field(cpu, bitmap) + (name >> 3)) >> (u8(name) & 7) & 1 != 0


@microcode
def accessed_vmcs(cpu: Cpu) -> u64:
    """The cache of the VMCS that VMREAD and VMWRITE mean: the current one, in a guest its shadow; 0 where there is none."""
    if non_root(cpu):
        shadow = read_field(cpu, VmcsField.VMCS_LINK_POINTER)
        if shadow == NO_VMCS:
            return u64(0)
        return activate(cpu, shadow)
    if not has_vmcs(cpu):
        return u64(0)
    return cpu.vmcs


@inline
def access_information(record: Record, other: Operand, other_offset: int, encoding_offset: int) -> int:
    """Instruction information of VMREAD and VMWRITE; `other` is the operand that may be in memory."""
    information = register_number(encoding_offset) << VmcsAccessInformation.encoding_register.low
    if other.is_memory:
        return information | memory_information(record)
    return information | register_information(other_offset)


@inline
def exit_of_access(cpu: Cpu, reason: ExitReason, record: Record, other: Operand, offset: int, encoding: int, name: int) -> None:
    """A guest's VMREAD or VMWRITE of the field `name` exits, unless VMCS shadowing lets it through."""
    bitmap = VmcsField.VMREAD_BITMAP_ADDRESS if reason is ExitReason.VMREAD else VmcsField.VMWRITE_BITMAP_ADDRESS
    if non_root(cpu) and access_exits(cpu, bitmap, name):
        information = access_information(record, other, offset, encoding)
        qualification = record.displacement if other.is_memory else u64(0)
        instruction_exit(cpu, u32(reason), qualification, information)


@instruction(
    "VMREAD",
    Form("NP 0F 78 /r", "r/m64, r64", modes="64"),
    Form("NP 0F 78 /r", "r/m32, r32", modes="16 32"),
    flow="system",
    feature="vmx",
)
def vmread(cpu: Cpu, target: Operand, encoding: Operand, record: Record) -> None:
    """target := the field of the current VMCS that `encoding` names (Vol. 3C “VMREAD—Read Field from VMCS”)."""
    require_operation(cpu)
    name = u64(encoding.read())
    exit_of_access(cpu, ExitReason.VMREAD, record, target, record.destination, record.source, name)
    require_privilege(cpu)
    vmcs = accessed_vmcs(cpu)
    if vmcs == 0:
        fail_invalid(cpu)
    else:
        place = field_place(cpu, name)
        if place == NOWHERE:
            fail_valid(cpu, InstructionError.UNSUPPORTED_FIELD)
        else:
            target.write(target.kind(field_value(vmcs, place, name)))
            succeed(cpu)


@instruction(
    "VMWRITE",
    Form("NP 0F 79 /r", "r64, r/m64", modes="64"),
    Form("NP 0F 79 /r", "r32, r/m32", modes="16 32"),
    flow="system",
    feature="vmx",
)
def vmwrite(cpu: Cpu, encoding: Operand, source: Operand, record: Record) -> None:
    """The field of the current VMCS that `encoding` names := source (Vol. 3C “VMWRITE—Write Field to VMCS”)."""
    require_operation(cpu)
    name = u64(encoding.read())
    exit_of_access(cpu, ExitReason.VMWRITE, record, source, record.source, record.destination, name)
    require_privilege(cpu)
    vmcs = accessed_vmcs(cpu)
    if vmcs == 0:
        fail_invalid(cpu)
    else:
        write(cpu, vmcs, name, u64(source.read()))


@microcode
def write(cpu: Cpu, vmcs: u64, name: u64, value: u64) -> None:
    """VMWRITE to the VMCS whose cache is at `vmcs`."""
    place = field_place(cpu, name)
    read_only = name >> 10 & 3 == Kind.EXIT_INFORMATION
    if place == NOWHERE:
        fail_valid(cpu, InstructionError.UNSUPPORTED_FIELD)
    elif read_only and cpu.vmx_capability[MISC - 0x480] & VmxMisc.writes_any_field.mask == 0:
        fail_valid(cpu, InstructionError.VMWRITE_READ_ONLY)
    else:
        set_field(cpu, vmcs, place, name, value)
        succeed(cpu)
