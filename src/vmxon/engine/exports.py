"""Out-of-line functions that Python calls directly, by name."""

from __future__ import annotations

from collections.abc import Callable

from vmxon.engine.blocks import flush_blocks
from vmxon.engine.decoder import decode
from vmxon.microcode import microcode, u64
from vmxon.processor.code_pages import invalidate_code
from vmxon.processor.flags import read_rflags, write_rflags
from vmxon.processor.interrupts import deliver
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


EXPORTS: tuple[Callable[..., object], ...] = (
    invalidate_range,
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
