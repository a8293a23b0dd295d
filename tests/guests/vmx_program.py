"""Guest programs that are hypervisors: VMX instructions with their outcome, and small guests whose exits are logged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tests.guests.program import Program
from vmxon.vmx.fields import VmcsField

Value = int | str
"""A field's value: a number, or assembly that leaves it in RDX."""
PIN, PRIMARY, SECONDARY, EXIT, ENTRY = (
    VmcsField.PIN_BASED_VM_EXECUTION_CONTROLS,
    VmcsField.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS,
    VmcsField.SECONDARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS,
    VmcsField.PRIMARY_VM_EXIT_CONTROLS,
    VmcsField.VM_ENTRY_CONTROLS,
)
CAPABILITY = {PIN: 0x48D, PRIMARY: 0x48E, SECONDARY: 0x48B, EXIT: 0x48F, ENTRY: 0x490}
"""Where what a control field may hold is told."""

DEFAULTS = {PRIMARY: 1 << 31, EXIT: 1 << 9, ENTRY: 1 << 9}
"""What vmx.s wants already: secondary controls, a 64-bit host, a 64-bit guest."""


class VmxProgram(Program):
    """A program in VMX root operation, unless it was told not to switch that on."""

    kernel = ("long.s", "vmx.s")

    def __init__(self, *, switch_on: bool = True) -> None:
        super().__init__()
        if switch_on:
            self.code("call vmx_on")

    def vmx(self, label: str, text: str, *expressions: str) -> None:
        """A line: `label:`, the outcome of a VMX instruction, then each expression in hexadecimal."""
        self.say(f"{label}:")
        self.catch(text)
        self.code("call report_vmx")
        self.print_values(expressions)
        self.end_line()

    def write(self, field: VmcsField | int, value: Value) -> None:
        """VMWRITE without a look at its outcome."""
        self.code(value if isinstance(value, str) else f"mov rdx, {value:#x}")
        self.code(f"mov eax, {int(field):#x}\nvmwrite rax, rdx")

    def flip(self, field: VmcsField, mask: int) -> None:
        """Invert bits of a field of the current VMCS."""
        self.code(f"mov ecx, {int(field):#x}\nvmread rdx, rcx\nmov rax, {mask:#x}\nxor rdx, rax\nvmwrite rcx, rdx")

    def want(self, field: VmcsField, bits: int) -> None:
        """Set control bits as far as the capability MSR allows; the others become their defaults."""
        self.code(f"mov ecx, {CAPABILITY[field]:#x}\nmov edi, {int(field):#x}\nmov ebx, {bits:#x}\ncall write_control")

    def show_fields(self, text: str, *fields: VmcsField) -> None:
        """A line: `text:` and fields of the current VMCS in hexadecimal."""
        self.say(f"{text}:")
        for field in fields:
            self.code(f"mov eax, {int(field):#x}\nvmread rax, rax\ncall print_hex")
        self.end_line()

    def guest(
        self,
        label: str,
        code: str = "vmcall",
        fields: Mapping[VmcsField, Value] | None = None,
        *,
        controls: Mapping[VmcsField, int] | None = None,
        flips: Iterable[tuple[VmcsField, int]] = (),
        setup: str = "",
        hook: str = "",
        bits: int = 64,
    ) -> None:
        """A line `label:`, then one line for each VM exit of a guest that starts in `code`, or the failure of its entry.

        `controls` are wanted bits of control fields, `setup` runs before the entry, `hook` at each exit that is not simply stepped
        over: it finds the basic reason in EAX, and the guest is resumed where it leaves EAX other than 0.
        """
        start, end, hooked = self.fresh("guest"), self.fresh("end"), self.fresh("hook")
        self.say(f"{label}:\\n")
        self.code("call fresh_vmcs")
        for field, wanted in (controls or {}).items():
            self.want(field, wanted | DEFAULTS.get(field, 0))
        self.write(VmcsField.GUEST_RIP, f"mov edx, offset {start}")
        self.code(f"mov [guest_start], rdx\n{setup}")
        for field, value in (fields or {}).items():
            self.write(field, value)
        for field, mask in flips:
            self.flip(field, mask)
        if hook:
            self.code(f"mov qword ptr [exit_hook], offset {hooked}")
        self.code(f"call enter\njmp {end}\n.code{bits}\n{start}:\n{code}\n.code64")
        if hook:
            self.code(f"{hooked}:\n{hook}")
        self.code(f"{end}:")
