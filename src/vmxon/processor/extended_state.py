"""The 512-byte image of FXSAVE and FXRSTOR, which XSAVE shares (Vol. 1 §10.5.1 “FXSAVE Area”)."""

from __future__ import annotations

from vmxon.microcode import inline, load, microcode, store, u8, u16, u32, u64
from vmxon.processor.exceptions import general_protection
from vmxon.processor.simd import CR4_OSFXSR, MXCSR_MASK
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.x87.environment import (
    FIXED_CONTROL,
    OPCODE_MASK,
    WRITABLE_CONTROL,
    load_registers,
    load_status,
    status_word,
    store_registers,
)

FXSAVE_BYTES = 512
MXCSR_OFFSET, MXCSR_MASK_OFFSET, REGISTERS_OFFSET, XMM_OFFSET = 24, 28, 32, 160
REGISTER_STRIDE = 16


@inline
def saved_xmm(cpu: Cpu) -> int:
    """How many XMM registers the image holds, as u64: eight outside 64-bit mode."""
    return u64(16) if cpu.code_size == 2 else u64(8)


@microcode
def store_fxsave_image(cpu: Cpu, pointer: u64, wide: bool) -> None:
    """Write the image; `wide` pointers have 64 bits and no selectors."""
    store_x87_image(cpu, pointer, wide)
    store(u32, pointer + MXCSR_OFFSET, cpu.mxcsr)
    store(u32, pointer + MXCSR_MASK_OFFSET, u32(MXCSR_MASK))
    # Without CR4.OSFXSR the XMM registers need not be saved; processors may leave them out (Vol. 2A “FXSAVE”).
    if cpu.cr4 & CR4_OSFXSR != 0:
        store_xmm(cpu, pointer + XMM_OFFSET, saved_xmm(cpu))


@microcode
def store_x87_image(cpu: Cpu, pointer: u64, wide: bool) -> None:
    """Write the x87 part: control, status, abridged tags, opcode, pointers, registers in stack order."""
    store(u16, pointer, cpu.x87_control)
    store(u16, pointer + 2, status_word(cpu))
    store(u16, pointer + 4, cpu.x87_tag & 0xFF)
    store(u16, pointer + 6, cpu.x87_opcode & OPCODE_MASK)
    if wide:
        store(u64, pointer + 8, cpu.x87_ip)
        store(u64, pointer + 16, cpu.x87_dp)
    else:
        store(u64, pointer + 8, (cpu.x87_ip & 0xFFFF_FFFF) | (u64(cpu.x87_cs) << 32))
        store(u64, pointer + 16, (cpu.x87_dp & 0xFFFF_FFFF) | (u64(cpu.x87_ds) << 32))
    store_registers(cpu, pointer + REGISTERS_OFFSET, REGISTER_STRIDE)
    # The upper six bytes of each register's place are reserved; processors write zeros.
    index = u64(0)
    while index != 8:
        place = pointer + REGISTERS_OFFSET + index * REGISTER_STRIDE
        store(u64, place + 8, load(u64, place + 8) & 0xFFFF)
        index = index + 1


@microcode
def load_fxsave_image(cpu: Cpu, pointer: u64, wide: bool) -> None:
    """Read the image; #GP(0) before any change where MXCSR has reserved bits."""
    mxcsr = load(u32, pointer + MXCSR_OFFSET)
    if cpu.cr4 & CR4_OSFXSR != 0:
        if mxcsr & ~u32(MXCSR_MASK) != 0:
            general_protection(cpu, 0)
        cpu.mxcsr = mxcsr
        load_xmm(cpu, pointer + XMM_OFFSET, saved_xmm(cpu))
    load_x87_image(cpu, pointer, wide)


@microcode
def load_x87_image(cpu: Cpu, pointer: u64, wide: bool) -> None:
    """Read the x87 part."""
    cpu.x87_control = (load(u16, pointer) & WRITABLE_CONTROL) | FIXED_CONTROL
    load_status(cpu, u32(load(u16, pointer + 2)))
    cpu.x87_tag = u16(load(u8, pointer + 4))
    cpu.x87_opcode = load(u16, pointer + 6) & OPCODE_MASK
    instruction = load(u64, pointer + 8)
    data = load(u64, pointer + 16)
    if wide:
        cpu.x87_ip = instruction
        cpu.x87_dp = data
        cpu.x87_cs = u16(0)
        cpu.x87_ds = u16(0)
    else:
        cpu.x87_ip = instruction & 0xFFFF_FFFF
        cpu.x87_cs = u16(instruction >> 32)
        cpu.x87_dp = data & 0xFFFF_FFFF
        cpu.x87_ds = u16(data >> 32)
    load_registers(cpu, pointer + REGISTERS_OFFSET, REGISTER_STRIDE)


@microcode
def store_xmm(cpu: Cpu, pointer: u64, count: u64) -> None:
    """Write the first `count` XMM registers."""
    index = u64(0)
    while index != count * 2:
        store(u64, pointer + (index << 3), cpu.xmm[index])
        index = index + 1


@microcode
def load_xmm(cpu: Cpu, pointer: u64, count: u64) -> None:
    """Read the first `count` XMM registers."""
    index = u64(0)
    while index != count * 2:
        cpu.xmm[index] = load(u64, pointer + (index << 3))
        index = index + 1
