"""Why an entry failed, and what a field, control, MSR, exit reason, error or rule means; needs the rule book, never the engine."""

from vmxon.explain.failure import Explanation, Failure, FieldState, Resolver, explain_entry
from vmxon.explain.record import EntryRecord, Findings, Writer, examine, model_capabilities, record_of_cache

__all__ = [
    "EntryRecord",
    "Explanation",
    "Failure",
    "FieldState",
    "Findings",
    "Resolver",
    "Writer",
    "examine",
    "explain_entry",
    "model_capabilities",
    "record_of_cache",
]
