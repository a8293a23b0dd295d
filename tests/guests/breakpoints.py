"""Breakpoints of the debug registers, in the host and as VM exits."""

from __future__ import annotations

from tests.guests.vmx_program import VmxProgram
from vmxon.vmx.fields import VmcsField as F

ROWS = (
    ("write, one byte", 0x10002, "mov [scratch], al"),
    ("write, four bytes", 0xD0002, "mov [scratch + 3], al"),
    ("read or write by a read", 0xF0002, "mov al, [scratch]"),
    ("write by a read: none", 0xD0002, "mov al, [scratch]"),
    ("write just beside: none", 0xD0002, "mov [scratch + 4], al"),
    ("not armed: only DR6 may tell", 0xD0000, "mov [scratch], al"),
)


def program() -> VmxProgram:
    p = VmxProgram()
    arm = "mov eax, {}\nmov dr0, rax\nxor eax, eax\nmov dr6, rax\nmov eax, {:#x}\nmov dr7, rax\n"
    for label, dr7, code in ROWS:
        p.attempt(label, arm.format("offset scratch", dr7) + code + "\nnop")
        p.code("xor eax, eax\nmov dr7, rax")
        p.guest(f"{label}: exit", arm.format("offset scratch", dr7) + code + "\nnop\nvmcall", {F.EXCEPTION_BITMAP: 2})
    for number in range(2):
        here = f"break_{number}"
        code = arm.format(f"offset {here}", 2) + f"nop\n{here}:\nnop\n"
        if number:
            p.guest("execution: exit", code + "vmcall", {F.EXCEPTION_BITMAP: 2})
        else:
            p.attempt("execution", code)
            p.code("xor eax, eax\nmov dr7, rax")
    return p
