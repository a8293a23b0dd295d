"""The rule book of VM entry: importing this package completes it, in the order of the manual."""

# isort: off  (the order of import is the order of the book)
from vmxon.vmx.rules import entry_controls as _entry_controls
from vmxon.vmx.rules import execution as _execution
from vmxon.vmx.rules import exit_controls as _exit_controls
from vmxon.vmx.rules import guest_registers as _guest_registers
from vmxon.vmx.rules import guest_segments as _guest_segments
from vmxon.vmx.rules import guest_state as _guest_state
from vmxon.vmx.rules import host as _host

# isort: on
from vmxon.vmx.rules.book import RULES, Area, EntryRule, broken_rules, first_broken, rules_of
from vmxon.vmx.rules.view import EntryView, Snapshot

CHAPTERS = (_execution, _exit_controls, _entry_controls, _host, _guest_registers, _guest_segments, _guest_state)

__all__ = ["RULES", "Area", "EntryRule", "EntryView", "Snapshot", "broken_rules", "first_broken", "rules_of"]
