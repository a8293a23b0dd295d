"""Area G: injected events, what interrupts them, blocking by STI, MOV SS and NMI, and pending debug exceptions."""

from __future__ import annotations

from tests.guests.exits import guarded
from tests.guests.vmx_program import PIN, VmxProgram
from vmxon.vmx.fields import VmcsField as F

EVENT, CODE, LENGTH = F.VM_ENTRY_INTERRUPTION_INFORMATION, F.VM_ENTRY_EXCEPTION_ERROR_CODE, F.VM_ENTRY_INSTRUCTION_LENGTH
CAUGHT = (
    "caught_NUMBER:\nmov rax, [fault_vector]\ncall print_hex\nmov rax, [fault_code]\ncall print_hex\n"
    "mov rax, [fault_rip]\nsub rax, [guest_start]\ncall print_hex\nmov rax, [fault_flags]\ncall print_hex\n"
    "call new_line\nvmcall"
)


class EventProgram(VmxProgram):
    """A program whose guests survive one exception or interrupt and print it."""

    def deliver(self, label: str, fields: dict[F, int | str], code: str = "nop\nnop\nvmcall", setup: str = "", pins: int = 0) -> None:
        """The injected event arrives, and its vector, error code, RIP and RFLAGS are printed."""
        after = CAUGHT.replace("NUMBER", self.fresh("at"))
        name = after.split(":")[0]
        resume = f"mov qword ptr [resume_rip], offset {name}\nmov qword ptr [resume_rsp], offset guest_stack_top\n{setup}"
        self.guest(label, f"{code}\n{after}", fields, controls={PIN: pins} if pins else None, setup=resume)
        self.code("mov qword ptr [resume_rip], 0")
        self.show_fields("   left in the VMCS", EVENT, F.GUEST_INTERRUPTIBILITY_STATE, F.GUEST_ACTIVITY_STATE)


def program() -> EventProgram:
    p = EventProgram()
    _kinds(p)
    _failing(p)
    _blocking(p)
    _debug(p)
    return p


def _kinds(p: EventProgram) -> None:
    p.deliver("external interrupt 0x40", {EVENT: 0x80000040, F.GUEST_RFLAGS: 0x202})
    p.deliver("external interrupt 0x40 wakes a halted guest", {EVENT: 0x80000040, F.GUEST_RFLAGS: 0x202, F.GUEST_ACTIVITY_STATE: 1})
    p.deliver("NMI", {EVENT: 0x80000202})
    p.deliver("#UD", {EVENT: 0x80000306})
    p.deliver("#GP with code", {EVENT: 0x80000B0D, CODE: 0x1234})
    p.deliver("#PF with code", {EVENT: 0x80000B0E, CODE: 0x7})
    p.deliver("#DF with code", {EVENT: 0x80000B08, CODE: 0})
    p.deliver("#DB", {EVENT: 0x80000301})
    p.deliver("INT 0x41 of two bytes", {EVENT: 0x80000441, LENGTH: 2})
    p.deliver("privileged software exception INT1", {EVENT: 0x80000501, LENGTH: 1})
    p.deliver("#BP of one byte", {EVENT: 0x80000603, LENGTH: 1})
    p.deliver("#OF of one byte", {EVENT: 0x80000604, LENGTH: 1})
    p.deliver("no event", {EVENT: 0x306})


def _failing(p: EventProgram) -> None:
    """The delivery of the injected event itself faults."""
    p.guest(
        "no gate for the interrupt: #GP by the bitmap",
        "nop\nvmcall",
        {EVENT: 0x80000040, F.GUEST_RFLAGS: 0x202, F.GUEST_IDTR_LIMIT: 0x3FF, F.EXCEPTION_BITMAP: 1 << 13},
    )
    p.guest("no gate for INT n", "nop\nvmcall", {EVENT: 0x80000441, LENGTH: 2, F.GUEST_IDTR_LIMIT: 0x3FF, F.EXCEPTION_BITMAP: 1 << 13})
    p.guest("no gate for #BP", "nop\nvmcall", {EVENT: 0x80000603, LENGTH: 1, F.GUEST_IDTR_LIMIT: 0x2F, F.EXCEPTION_BITMAP: 1 << 13})
    p.guest(
        "no gate for #GP: double fault by the bitmap",
        "nop\nvmcall",
        {EVENT: 0x80000B0D, CODE: 0x50, F.GUEST_IDTR_LIMIT: 0x5F, F.EXCEPTION_BITMAP: 1 << 8},
    )
    p.guest("no gates at all: triple fault", "nop\nvmcall", {EVENT: 0x80000B0D, CODE: 0, F.GUEST_IDTR_LIMIT: 0})
    p.guest("#DF without a gate: triple fault at once", "nop\nvmcall", {EVENT: 0x80000B08, CODE: 0, F.GUEST_IDTR_LIMIT: 0x7F})
    p.guest("IDT not mapped", "nop\nvmcall", {EVENT: 0x80000306, F.GUEST_IDTR_BASE: 0x7FFF0000, F.EXCEPTION_BITMAP: 1 << 14})
    p.guest("NMI without a gate", "nop\nvmcall", {EVENT: 0x80000202, F.GUEST_IDTR_LIMIT: 0x1F, F.EXCEPTION_BITMAP: 1 << 13})
    p.guest(
        "the bitmap does not see injected events",
        guarded("nop") + "vmcall",
        {EVENT: 0x80000306, F.EXCEPTION_BITMAP: 1 << 6, F.GUEST_IDTR_LIMIT: 0},
    )


def _blocking(p: EventProgram) -> None:
    p.guest("STI blocking lasts one instruction", "nop\nvmcall", {F.GUEST_INTERRUPTIBILITY_STATE: 1, F.GUEST_RFLAGS: 0x202})
    p.show_fields("   interruptibility", F.GUEST_INTERRUPTIBILITY_STATE)
    p.guest("an exit right behind STI", "sti\ncpuid\nvmcall", {F.GUEST_RFLAGS: 2})
    p.guest("vmcall right behind STI", "sti\nvmcall")
    p.show_fields("   interruptibility", F.GUEST_INTERRUPTIBILITY_STATE)
    p.guest("vmcall right behind MOV SS", "mov eax, 0x10\nmov ss, eax\nvmcall")
    p.show_fields("   interruptibility", F.GUEST_INTERRUPTIBILITY_STATE)
    p.guest("vmcall right behind STI with IF set already", "sti\nvmcall", {F.GUEST_RFLAGS: 0x202})
    p.show_fields("   interruptibility", F.GUEST_INTERRUPTIBILITY_STATE)
    p.guest("NMI blocking stays", "nop\nvmcall", {F.GUEST_INTERRUPTIBILITY_STATE: 8})
    p.show_fields("   interruptibility", F.GUEST_INTERRUPTIBILITY_STATE)
    iret = "push 0x10\npush offset guest_stack_top\npushfq\npush 8\npush offset {0}\niretq\n{0}:\nvmcall"
    p.guest("IRET ends NMI blocking", iret.format("behind_first_iret"), {F.GUEST_INTERRUPTIBILITY_STATE: 8})
    p.show_fields("   interruptibility", F.GUEST_INTERRUPTIBILITY_STATE)
    p.guest(
        "an IRET that faults has ended NMI blocking",
        "push 0x10\npush 0\npush 2\npush 0x1234\npush 0\niretq",
        {F.GUEST_INTERRUPTIBILITY_STATE: 8, F.EXCEPTION_BITMAP: 1 << 13},
    )
    p.show_fields("   interruptibility", F.GUEST_INTERRUPTIBILITY_STATE)
    p.guest(
        "the same under virtual NMIs",
        "push 0x10\npush 0\npush 2\npush 0x1234\npush 0\niretq",
        {F.GUEST_INTERRUPTIBILITY_STATE: 8, F.EXCEPTION_BITMAP: 1 << 13},
        controls={PIN: 0x28},
    )
    p.show_fields("   interruptibility", F.GUEST_INTERRUPTIBILITY_STATE)


def _debug(p: EventProgram) -> None:
    debug: dict[F, int | str] = {F.EXCEPTION_BITMAP: 2}
    p.guest("single step", "nop\nnop\nvmcall", {F.GUEST_RFLAGS: 0x102} | debug)
    p.guest("single step behind MOV SS waits", "mov eax, 0x10\nmov ss, eax\nnop\nnop\nvmcall", {F.EXCEPTION_BITMAP: 0}, setup="nop")
    p.guest("TF set by POPF", "pushfq\nor qword ptr [rsp], 0x100\npopfq\nnop\nnop\nvmcall", debug)
    p.guest(
        "TF set by POPF, MOV SS behind", "pushfq\nor qword ptr [rsp], 0x100\nmov eax, 0x10\npopfq\nmov ss, eax\nnop\nnop\nvmcall", debug
    )
    p.guest("pending BS", "nop\nnop\nvmcall", {F.GUEST_PENDING_DEBUG_EXCEPTIONS: 0x4000, F.GUEST_RFLAGS: 0x102} | debug)
    p.guest("pending B0, enabled", "nop\nnop\nvmcall", {F.GUEST_PENDING_DEBUG_EXCEPTIONS: 0x1001} | debug)
    p.guest(
        "pending debug exceptions are delivered without the bitmap",
        guarded("nop") + "vmcall",
        {F.GUEST_PENDING_DEBUG_EXCEPTIONS: 0x4000, F.GUEST_RFLAGS: 0x102, F.GUEST_IDTR_LIMIT: 0},
    )
    p.guest("single step over an instruction that exits", "cpuid\nnop\nvmcall", {F.GUEST_RFLAGS: 0x102} | debug)
    p.show_fields("   pending", F.GUEST_PENDING_DEBUG_EXCEPTIONS)
    p.guest("INT n with TF", "int 0x41\nvmcall", {F.GUEST_RFLAGS: 0x102, F.GUEST_IDTR_LIMIT: 0x3FF, F.EXCEPTION_BITMAP: 1 << 13})
    p.show_fields("   pending", F.GUEST_PENDING_DEBUG_EXCEPTIONS)
