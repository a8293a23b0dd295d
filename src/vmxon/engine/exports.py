"""Out-of-line functions that Python calls directly, by name."""

from __future__ import annotations

from collections.abc import Callable

from vmxon.engine.blocks import flush_blocks
from vmxon.engine.decoder import decode
from vmxon.microcode import microcode, u64
from vmxon.processor.code_pages import invalidate_code
from vmxon.processor.flags import read_rflags, write_rflags
from vmxon.processor.interrupts import deliver
from vmxon.processor.memory import translate
from vmxon.processor.paging import READ
from vmxon.processor.segmentation import refresh_mode, refresh_segments
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.time import read_tsc
from vmxon.processor.tlb import invalidate_everything
from vmxon.vmx.batch import read_fields, write_fields
from vmxon.vmx.check import first_broken


@microcode
def invalidate_range(cpu: Cpu, first: u64, size: u64) -> None:
    """Bytes from a place on are about to be written from outside the processor: drop decoded code there."""
    at = first
    end = first + size
    while at < end:
        room = u64(0x1000) - (at & 0xFFF)
        part = end - at
        if part > room:
            part = room
        invalidate_code(cpu, at, part)
        at = at + part


@microcode
def translate_read(cpu: Cpu, linear: u64) -> u64:
    """Host-physical page of a linear address for a supervisor read; faults where it has none."""
    return translate(cpu, linear, READ, cpu.tag_system, u64(1))


EXPORTS: tuple[Callable[..., object], ...] = (
    invalidate_range,
    translate_read,
    refresh_mode,
    refresh_segments,
    invalidate_everything,
    flush_blocks,
    read_rflags,
    write_rflags,
    read_tsc,
    deliver,
    decode,
    read_fields,
    write_fields,
    first_broken,
)
