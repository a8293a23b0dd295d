"""Why an entry failed, and what a field, control, MSR, exit reason, error or rule means; needs the rule book, never the engine."""

from vmxon.explain.failure import Explanation, Failure, FieldState, Resolver, explain_entry
from vmxon.explain.hints import Entry, EptWrite, Event, Exit, Hint, Invept, entry_of, exit_of, find_hints
from vmxon.explain.record import EntryRecord, Findings, Writer, examine, model_capabilities, record_of_cache

__all__ = [
    "Entry",
    "EntryRecord",
    "EptWrite",
    "Event",
    "Exit",
    "Explanation",
    "Failure",
    "FieldState",
    "Findings",
    "Hint",
    "Invept",
    "Resolver",
    "Writer",
    "entry_of",
    "examine",
    "exit_of",
    "explain_entry",
    "find_hints",
    "model_capabilities",
    "record_of_cache",
]
