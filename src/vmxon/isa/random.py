"""RDRAND and RDSEED."""

from __future__ import annotations

from vmxon.isa.information import random_information
from vmxon.isa.operands import Operand, RegisterOperand
from vmxon.isa.record import Record
from vmxon.isa.table import Form, instruction
from vmxon.microcode import inline, u64
from vmxon.processor.flags import CARRY, write_status
from vmxon.processor.random import next_random
from vmxon.processor.slots import Intercept, intercept_with_information
from vmxon.processor.state import ProcessorState as Cpu


@inline
def answer(cpu: Cpu, destination: Operand) -> None:
    """destination := random bits; CF := 1, there always are some, and the other flags 0."""
    destination.write(destination.kind(next_random(cpu)))
    write_status(cpu, u64(CARRY))


@instruction("RDRAND", Form("NFx 0F C7 /6", "rm"), flow="system", writes="of sf zf af pf cf", feature="rdrand")
def rdrand(cpu: Cpu, destination: RegisterOperand, record: Record) -> None:
    """destination := a random number (Vol. 2B “RDRAND—Read Random Number”)."""
    intercept_with_information(cpu, Intercept.RDRAND, u64(0), random_information(destination, record))
    answer(cpu, destination)


@instruction("RDSEED", Form("NFx 0F C7 /7", "rm"), flow="system", writes="of sf zf af pf cf", feature="rdseed")
def rdseed(cpu: Cpu, destination: RegisterOperand, record: Record) -> None:
    """destination := a random seed (Vol. 2B “RDSEED—Read Random SEED”)."""
    intercept_with_information(cpu, Intercept.RDSEED, u64(0), random_information(destination, record))
    answer(cpu, destination)
