"""The XSAVE area: x87, SSE and PKRU state in standard and compacted form (Vol. 1 ch. 13 “Managing State Using the XSAVE Feature Set”)."""

from __future__ import annotations

from vmxon.arch.control import Xcr0
from vmxon.arch.cpuid import XSAVE_HEADER_END
from vmxon.microcode import inline, load, microcode, select, store, u16, u32, u64
from vmxon.processor.exceptions import general_protection
from vmxon.processor.extended_state import (
    FXSAVE_BYTES,
    MXCSR_MASK_OFFSET,
    MXCSR_OFFSET,
    XMM_OFFSET,
    load_x87_image,
    load_xmm,
    saved_xmm,
    store_x87_image,
    store_xmm,
)
from vmxon.processor.simd import MXCSR_INITIAL, MXCSR_MASK
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.tlb import select_space
from vmxon.processor.x87.environment import INITIAL_CONTROL, initialize

X87, SSE, PKRU = Xcr0.x87.mask, Xcr0.sse.mask, Xcr0.pkru.mask
PRESENT, COMPACTION, RESERVED = FXSAVE_BYTES, FXSAVE_BYTES + 8, FXSAVE_BYTES + 16
"""Fields of the header: XSTATE_BV, XCOMP_BV, and 48 bytes that must be 0."""
COMPACTED = 1 << 63


@microcode
def x87_in_use(cpu: Cpu) -> bool:
    """The x87 is not as FNINIT and a cleared stack leave it."""
    words = u32(cpu.x87_control) ^ INITIAL_CONTROL | u32(cpu.x87_status) | cpu.x87_top | u32(cpu.x87_tag) | u32(cpu.x87_opcode)
    pointers = cpu.x87_ip | cpu.x87_dp | u64(cpu.x87_cs | cpu.x87_ds)
    index = u64(0)
    while index != 8:
        pointers = pointers | cpu.x87_significand[index] | u64(cpu.x87_exponent[index])
        index = index + 1
    return (words != 0) | (pointers != 0)


@microcode
def components_in_use(cpu: Cpu) -> u64:
    """XINUSE: the components that are not in their initial configuration (Vol. 1 §13.6)."""
    found = u64(0)
    index = u64(0)
    while index != saved_xmm(cpu) * 2:
        found = found | cpu.xmm[index]
        index = index + 1
    result = u64(X87) if x87_in_use(cpu) else u64(0)
    result = result | (u64(SSE) if found != 0 else u64(0))
    return result | (u64(PKRU) if cpu.pkru != 0 else u64(0))


@microcode
def store_components(cpu: Cpu, pointer: u64, pkru: u64, components: u64, wide: bool) -> None:
    """Write these components, MXCSR aside; `pkru` is the host address of the place of PKRU."""
    if components & X87 != 0:
        store_x87_image(cpu, pointer, wide)
    if components & SSE != 0:
        store_xmm(cpu, pointer + XMM_OFFSET, saved_xmm(cpu))
    if components & PKRU != 0:
        store(u64, pkru, cpu.pkru)


@inline
def store_mxcsr(cpu: Cpu, pointer: int) -> None:
    """Write MXCSR and its mask."""
    store(u32, pointer + MXCSR_OFFSET, cpu.mxcsr)
    store(u32, pointer + MXCSR_MASK_OFFSET, u32(MXCSR_MASK))


@microcode
def save_standard(cpu: Cpu, pointer: u64, pkru: u64, requested: u64, optimizes: bool, wide: bool) -> None:
    """XSAVE; XSAVEOPT leaves out what is in its initial configuration (Vol. 1 §13.7, §13.9)."""
    used = components_in_use(cpu)
    if requested & SSE != 0:
        store_mxcsr(cpu, pointer)
    store_components(cpu, pointer, pkru, requested & used if optimizes else requested, wide)
    store(u64, pointer + PRESENT, load(u64, pointer + PRESENT) & ~requested | requested & used)


@microcode
def save_compacted(cpu: Cpu, pointer: u64, pkru: u64, requested: u64, wide: bool) -> None:
    """XSAVEC and XSAVES (Vol. 1 §13.10, §13.11)."""
    used = components_in_use(cpu)
    if cpu.mxcsr != MXCSR_INITIAL:
        used = used | SSE
    saved = requested & used
    if saved & SSE != 0:
        store_mxcsr(cpu, pointer)
    store_components(cpu, pointer, pkru, saved, wide)
    store(u64, pointer + PRESENT, saved)
    store(u64, pointer + COMPACTION, requested | COMPACTED)
    offset = u64(RESERVED)
    while offset != XSAVE_HEADER_END:
        store(u64, pointer + offset, u64(0))
        offset = offset + 8


@microcode
def check_header(cpu: Cpu, pointer: u64, available: u64, demands_compaction: bool) -> None:
    """#GP(0) where the header says what XRSTOR or XRSTORS does not allow (Vol. 1 §13.8, §13.12)."""
    present = load(u64, pointer + PRESENT)
    compaction = load(u64, pointer + COMPACTION)
    compacted = compaction & COMPACTED != 0
    others = u64(0)
    offset = u64(RESERVED)
    # The standard form reserves only the first eight of these bytes.
    end = select(compacted, u64(XSAVE_HEADER_END), u64(RESERVED + 8))
    while offset != end:
        others = others | load(u64, pointer + offset)
        offset = offset + 8
    bad = others != 0
    if compacted:
        bad = bad | (compaction & ~COMPACTED & ~available != 0) | (present & ~compaction != 0)
    else:
        bad = bad | (compaction != 0) | (present & ~available != 0) | demands_compaction
    if bad:
        general_protection(cpu, 0)


@microcode
def restore(cpu: Cpu, pointer: u64, pkru: u64, requested: u64, wide: bool) -> None:
    """XRSTOR and XRSTORS, the header being good; components that the area lacks are initialized."""
    present = load(u64, pointer + PRESENT)
    compacted = load(u64, pointer + COMPACTION) & COMPACTED != 0
    loaded = present & requested
    if requested & SSE != 0:
        mxcsr = u32(MXCSR_INITIAL)
        if (not compacted) | (loaded & SSE != 0):
            mxcsr = load(u32, pointer + MXCSR_OFFSET)
        if mxcsr & ~u32(MXCSR_MASK) != 0:
            general_protection(cpu, 0)
        cpu.mxcsr = mxcsr
        restore_sse(cpu, pointer, loaded & SSE != 0)
    if loaded & X87 != 0:
        load_x87_image(cpu, pointer, wide)
    elif requested & X87 != 0:
        initialize(cpu)
        index = u64(0)
        while index != 8:
            cpu.x87_significand[index] = u64(0)
            cpu.x87_exponent[index] = u16(0)
            index = index + 1
    if requested & PKRU != 0:
        cpu.pkru = u64(load(u32, pkru)) if loaded & PKRU != 0 else u64(0)
        select_space(cpu)


@microcode
def restore_sse(cpu: Cpu, pointer: u64, present: bool) -> None:
    """XMM registers from the area, or zeros."""
    if present:
        load_xmm(cpu, pointer + XMM_OFFSET, saved_xmm(cpu))
        return
    index = u64(0)
    while index != saved_xmm(cpu) * 2:
        cpu.xmm[index] = u64(0)
        index = index + 1
