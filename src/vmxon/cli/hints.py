"""Hints while a guest runs: mistakes of its hypervisor that hardware passes over in silence, each told once."""

from __future__ import annotations

from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from vmxon.explain import Hint
    from vmxon.machine.guest_history import GuestHistory
    from vmxon.machine.processor import Processor


def record_hints(processor: Processor, stream: TextIO) -> GuestHistory:
    """A history of the processor's guests that writes each new hint to `stream`."""
    from vmxon.machine.guest_history import GuestHistory

    def tell(hint: Hint) -> None:
        stream.write("\n")
        hint.document().write(stream)
        stream.flush()

    return GuestHistory(processor, tell)
