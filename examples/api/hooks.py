"""Ports, memory-mapped registers, MSRs, CPUID and hypercalls that a program answers."""

from vmxon.hypervisor.hypervisor import Hypervisor
from vmxon.machine.assembler import assemble

guest = Hypervisor(memory="16M").create(memory="2M")
hooks = guest.hooks
hooks.port(0x500, read=lambda size: 42, write=lambda size, value: print("port", value))
hooks.memory(0xD000_0000, 4096, read=lambda offset, size: offset, write=lambda offset, size, value: print("memory", hex(offset), value))
hooks.msr(0x1234, read=lambda: 7)
hooks.cpuid(0x4000_0100, lambda subleaf: (1, 2, 3, subleaf))
hooks.hypercall(0x100, lambda: print("hypercall", guest.processor.rbx) or 0)
program = """
    mov edx, 0x500
    in al, dx
    out dx, al
    mov eax, [0xD0000010]
    mov [0xD0000020], eax
    mov ecx, 0x1234
    rdmsr
    mov ebx, eax
    mov eax, 0x100
    vmcall
    mov eax, 1
    mov ebx, 5
    vmcall
"""
guest.memory.write(0x1000, assemble(program, 32, 0x1000))
guest.processor.rip = 0x1000
print("status", guest.run())
