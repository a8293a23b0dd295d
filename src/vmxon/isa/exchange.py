"""Compare and exchange: CMPXCHG, CMPXCHG8B, CMPXCHG16B."""

from __future__ import annotations

from vmxon.isa.operands import Operand
from vmxon.isa.registers import RAX, RBX, RCX, RDX, read_register, write_register
from vmxon.isa.status import set_zero
from vmxon.isa.table import Form, instruction
from vmxon.microcode import IntType, inline, unsigned
from vmxon.processor.exceptions import general_protection
from vmxon.processor.flags import set_flags_sub
from vmxon.processor.state import ProcessorState as Cpu


@instruction(
    "CMPXCHG",
    Form("0F B0 /r", "r/m8, r8"),
    Form("0F B1 /r", "r/m, r"),
    writes="of sf zf af pf cf",
    modifies=True,
    lockable=True,
)
def cmpxchg(cpu: Cpu, destination: Operand, source: Operand) -> None:
    """destination := source where it equals rAX, else rAX := destination (Vol. 2A “CMPXCHG—Compare and Exchange”).

    A memory destination is written in either case; of the registers only the one that receives a value is touched.
    """
    kind = destination.kind
    left, right, new = read_register(cpu, RAX, kind), destination.read(), source.read()
    if destination.is_memory:
        destination.write(new if left == right else right)
    elif left == right:
        destination.write(new)
    if left != right:
        write_register(cpu, RAX, kind, right)
    set_flags_sub(cpu, kind, left, right, left - right)


@instruction("CMPXCHG8B", Form("0F C7 /1", "m64"), writes="zf", modifies=True, lockable=True, feature="cx8")
def cmpxchg8b(cpu: Cpu, destination: Operand) -> None:
    """m64 := ECX:EBX where it equals EDX:EAX, else EDX:EAX := m64; ZF says which (Vol. 2A “CMPXCHG8B/CMPXCHG16B”)."""
    compare_exchange_pair(cpu, destination, unsigned(32))


@instruction("CMPXCHG16B", Form("REX.W 0F C7 /1", "m128"), writes="zf", modifies=True, lockable=True, feature="cx16")
def cmpxchg16b(cpu: Cpu, destination: Operand) -> None:
    """The same with 128 bits and whole registers; #GP(0) unless aligned (Vol. 2A “CMPXCHG8B/CMPXCHG16B”)."""
    if destination.linear(16) & 15 != 0:
        general_protection(cpu, 0)
    compare_exchange_pair(cpu, destination, unsigned(64))


@inline
def compare_exchange_pair(cpu: Cpu, destination: Operand, half: IntType) -> None:
    """Compare with rDX:rAX, exchange with rCX:rBX, in halves."""
    old = destination.read()
    equal = old == pair(cpu, half, RDX, RAX)
    destination.write(pair(cpu, half, RCX, RBX) if equal else old)
    if not equal:
        write_register(cpu, RAX, half, half(old))
        write_register(cpu, RDX, half, half(old >> half.bits))
    set_zero(cpu, equal)


@inline
def pair(cpu: Cpu, half: IntType, high: int, low: int) -> int:
    """Two registers as one value."""
    wide = half.double
    return wide(read_register(cpu, high, half)) << half.bits | wide(read_register(cpu, low, half))
