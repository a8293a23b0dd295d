"""RDPKRU and WRPKRU: the rights of the protection keys of user pages."""

from __future__ import annotations

from vmxon.arch.control import Cr4
from vmxon.isa.registers import RAX, RCX, RDX
from vmxon.isa.table import Form, instruction
from vmxon.microcode import inline, u32, u64
from vmxon.processor.exceptions import general_protection, undefined_opcode
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.tlb import select_space


@inline
def check_access(cpu: Cpu) -> None:
    """#UD unless CR4.PKE; #GP(0) unless ECX is 0."""
    if cpu.cr4 & Cr4.pke.mask == 0:
        undefined_opcode(cpu)
    if u32(cpu.gpr[RCX]) != 0:
        general_protection(cpu, 0)


@instruction("RDPKRU", Form("NP 0F 01 EE"), flow="system", feature="pku")
def rdpkru(cpu: Cpu) -> None:
    """EAX := PKRU, EDX := 0 (Vol. 2B “RDPKRU—Read Protection Key Rights for User Pages”)."""
    check_access(cpu)
    cpu.gpr[RAX] = cpu.pkru
    cpu.gpr[RDX] = u64(0)


@instruction("WRPKRU", Form("NP 0F 01 EF"), flow="system", feature="pku")
def wrpkru(cpu: Cpu) -> None:
    """PKRU := EAX; EDX must be 0 (Vol. 2D “WRPKRU—Write Data to User Page Key Register”)."""
    check_access(cpu)
    if u32(cpu.gpr[RDX]) != 0:
        general_protection(cpu, 0)
    cpu.pkru = u64(u32(cpu.gpr[RAX]))
    select_space(cpu)
