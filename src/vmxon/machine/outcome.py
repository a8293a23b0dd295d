"""How an instruction of a program in Python ended: a value, never an exception.

match root.vmlaunch():
    case Exited(reason=ExitReason.CPUID): ...
    case outcome: print(outcome)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from vmxon.arch.exceptions import Vector
from vmxon.machine.entry_failure import FailedEntry
from vmxon.vmx.errors import InstructionError
from vmxon.vmx.exit_reasons import ExitReason, ExitReasonWord
from vmxon.vmx.fields import VmcsField

if TYPE_CHECKING:
    from rich.console import Group

    from vmxon.explain import Explanation

EXIT_FIELDS = (
    VmcsField.EXIT_REASON,
    VmcsField.EXIT_QUALIFICATION,
    VmcsField.VM_EXIT_INSTRUCTION_LENGTH,
    VmcsField.GUEST_RIP,
    VmcsField.GUEST_PHYSICAL_ADDRESS,
    VmcsField.VM_EXIT_INTERRUPTION_INFORMATION,
)
"""What an `Exited` holds, in its order."""


class Explained:
    """An outcome that can be a failed VM entry: below its line it shows why, in a terminal, in rich and in Jupyter."""

    __slots__ = ()
    entry: FailedEntry | None

    @property
    def line(self) -> str:
        """The outcome in one line."""
        raise NotImplementedError

    @property
    def explanation(self) -> Explanation | None:
        """Every broken rule, the values and who wrote them; None where no rule stopped an entry."""
        return None if self.entry is None else self.entry.explanation

    def __str__(self) -> str:
        why = self.explanation
        return self.line if why is None else f"{self.line}\n{why}"

    def __rich__(self) -> Group:
        from rich.console import Group  # noqa: PLC0415 - rich is loaded only where a terminal is drawn on
        from rich.text import Text  # noqa: PLC0415 - as above

        why = self.explanation
        return Group(Text(self.line), *(() if why is None else (why.__rich__(),)))

    def _repr_html_(self) -> str:
        why = self.explanation
        return f"<p>{escape(self.line)}</p>" + ("" if why is None else why._repr_html_())


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The instruction did what it is for; `value` is what it read."""

    instruction: str
    value: int = 0

    succeeded = True

    def __str__(self) -> str:
        return f"{self.instruction}: VMsucceed"


@dataclass(frozen=True, slots=True)
class FailedInvalid:
    """VMfailInvalid: CF is 1; without a current VMCS there is no error number."""

    instruction: str

    succeeded = False

    def __str__(self) -> str:
        return f"{self.instruction}: VMfailInvalid; there is no current VMCS, or the operand is no region for it"


@dataclass(frozen=True, slots=True)
class FailedValid(Explained):
    """VMfailValid: ZF is 1, the error number is in the current VMCS; `rule` is the entry rule that was broken first."""

    instruction: str
    error: InstructionError
    rule: str = ""
    entry: FailedEntry | None = field(default=None, compare=False, repr=False)

    succeeded = False

    @property
    def line(self) -> str:
        why = f"broken rule {self.rule}" if self.rule else self.error.cause
        return f"{self.instruction}: VMfailValid {int(self.error)}, {self.error.meaning}; {why}"


@dataclass(frozen=True, slots=True)
class Faulted:
    """The instruction raised an exception and did nothing else."""

    instruction: str
    vector: Vector
    error_code: int | None

    succeeded = False

    def __str__(self) -> str:
        code = "" if self.error_code is None else f"({self.error_code:#x})"
        return f"{self.instruction}: #{self.vector.name}{code}"


@dataclass(frozen=True, slots=True)
class Exited(Explained):
    """VMLAUNCH or VMRESUME ended in a VM exit: the exit information of the VMCS."""

    instruction: str
    word: ExitReasonWord
    qualification: int
    instruction_length: int
    guest_rip: int
    guest_physical: int
    interruption: int
    rule: str = ""
    """Where VM entry failed: the entry rule that was broken first."""
    entry: FailedEntry | None = field(default=None, compare=False, repr=False)

    succeeded = True

    @property
    def reason(self) -> ExitReason:
        """The basic exit reason."""
        return ExitReason(self.word.basic)

    @property
    def entry_failed(self) -> bool:
        """No instruction of the guest ran."""
        return self.word.entry_failed

    @property
    def line(self) -> str:
        reason = self.reason
        line = f"{self.instruction}: VM exit {int(reason)}, {reason.title}, at RIP {self.guest_rip:#x}"
        if self.qualification:
            line += f", qualification {self.qualification:#x}"
        return f"{line}; broken rule {self.rule}" if self.rule else line


Outcome = Succeeded | FailedInvalid | FailedValid | Faulted | Exited
"""Every way in which an instruction can end."""


def broken_rule(number: int) -> str:
    """Name and meaning of an entry rule by its number in the book; empty for 0."""
    if number == 0:
        return ""
    from vmxon.vmx.rules import RULES  # noqa: PLC0415 - a tenth of a second that only a failed entry needs

    rule = RULES[number - 1]
    return f"{rule.name}: {rule.explanation}"
