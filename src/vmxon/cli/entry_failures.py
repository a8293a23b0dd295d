"""VM entries that fail on the bare machine, explained while the guest hypervisor runs: what hardware answers with one number."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from vmxon.errors import ImageError

if TYPE_CHECKING:
    from vmxon.machine.pc import Pc

HEADING = "vmxon: VM entry failed at RIP"
"""How an explanation begins; the guest goes on behind it."""
EXPLAINED = 10
"""Entries explained in one run; a guest that retries for ever must not fill the terminal."""


def explain_failures(pc: Pc, kernel: Path | None, stream: TextIO) -> None:
    """Have every failed VM entry explained on `stream`, with the places in `kernel`, if there is one, that wrote the fields."""
    seen: set[int] = set()

    def explain() -> None:
        from vmxon.explain.failure import explain_entry
        from vmxon.explain.record import record_of_cache
        from vmxon.explain.symbols import Symbols
        from vmxon.vmx.state import active_vmcss

        state = pc.state
        rule = state.vmx_broken_rule
        cache = active_vmcss(pc.processor.engine.vmx_memory).get(state.vmcs_pointer)
        if cache is None or rule in seen or len(seen) >= EXPLAINED:
            return
        seen.add(rule)
        resolver = None
        if kernel is not None:
            with suppress(ImageError):
                resolver = Symbols.of_file(str(kernel))
        record = record_of_cache(
            cache,
            pc.processor.model,
            efer=state.efer,
            pointer=state.vmcs_pointer,
            read_quad=lambda address: int.from_bytes(pc.processor.engine.read_physical(address, 8), "little"),
        )
        stream.write(f"\n{HEADING} {state.rip:#x}\n")
        explain_entry(record, resolver).document().write(stream)
        stream.flush()

    pc.on_entry_failure(explain)
