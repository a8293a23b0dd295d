"""Area H: a hypervisor that hosts a hypervisor; the outer one emulates VMX by exits."""

from __future__ import annotations

from tests.guests.vmx_program import VmxProgram
from vmxon.vmx.fields import VmcsField as F

INNER = """
    vmxon [scratch]
    vmclear [scratch + 0x1000]
    vmptrld [scratch + 0x1000]
    mov eax, 0x6C16
    mov edx, offset inner_exit
    vmwrite rax, rdx
    mov eax, 0x6C14
    mov edx, offset inner_stack_top
    vmwrite rax, rdx
    mov eax, 0x681E
    mov edx, offset nested_guest
    vmwrite rax, rdx
    mov eax, 0x681C
    mov edx, offset scratch + 0x8000
    vmwrite rax, rdx
    mov eax, 0x4004
    mov edx, 1 << 6
    vmwrite rax, rdx
    vmlaunch
inner_exit:
    mov eax, 0x4402
    vmread rbx, rax
    mov rax, rbx
    call print_hex
    mov eax, 0x681E
    vmread rdx, rax
    mov rax, rdx
    sub rax, offset nested_guest
    call print_hex
    mov eax, 0x4404
    vmread rcx, rax
    mov rax, rcx
    call print_hex
    call new_line
    cmp ebx, 18
    je inner_leave
    add rdx, 2
    mov eax, 0x681E
    vmwrite rax, rdx
    vmresume
inner_leave:
    vmxoff
    vmcall
nested_guest:
    cpuid
    ud2
    xor edx, edx
    invd
    pushfq
    pop rax
    call print_hex
    call new_line
    vmcall
"""
"""The inner hypervisor steps over two bytes at each exit of its guest; VMCALL ends the guest."""


class NestedProgram(VmxProgram):
    """A program with a hypervisor that emulates VMX."""

    kernel = ("long.s", "vmx.s", "nested.s")


def program() -> NestedProgram:
    p = NestedProgram()
    to_nested = "mov edx, offset nested_exit"
    stack = "mov eax, 0x6C14\nlea rdx, [rsp - 8]\nvmwrite rax, rdx\n"
    setup = f"{to_nested}\nmov eax, 0x6C16\nvmwrite rax, rdx\n{stack}call prepare_nested"
    for number in range(2):
        code = INNER
        for label in ("inner_exit", "inner_leave", "nested_guest"):
            code = code.replace(label, f"{label}_{number}")
        p.guest(f"a hypervisor in a hypervisor, time {number}", code, {F.HOST_RIP: to_nested}, setup=setup)
    return p
