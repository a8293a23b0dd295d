"""A guest of the hypervisor that cannot be entered: one line, and below it every rule that its VMCS breaks."""

from __future__ import annotations

from vmxon.errors import GuestStopped
from vmxon.machine.entry_failure import FailedEntry
from vmxon.machine.outcome import Explained, Outcome, broken_rule
from vmxon.machine.root import RootProcessor
from vmxon.vmx.exit_reasons import ExitReason


class EntryStopped(GuestStopped):
    """VM entry failed; `failed` is how the instruction ended, None where it was an exit for a failed entry."""

    def __init__(self, root: RootProcessor, reason: int, failed: Outcome | None = None) -> None:
        rule = root.state.vmx_broken_rule
        if failed is None:
            number = reason & 0xFFFF
            what = f"VM entry failed with exit reason {number}, {ExitReason(number).title}"
            what += f"; broken rule {broken_rule(rule)}" if rule else ""
        else:
            what = failed.line if isinstance(failed, Explained) else str(failed)
        super().__init__(what, where=f"VMCS {root.state.vmcs_pointer:#x}")
        self._entry = FailedEntry(root.processor, root.lines) if rule else None

    @property
    def details(self) -> tuple[str, ...]:
        return () if self._entry is None else tuple(str(self._entry.explanation).splitlines())
