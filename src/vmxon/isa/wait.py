"""Waiting at every privilege: UMONITOR, UMWAIT, TPAUSE."""

from __future__ import annotations

from vmxon.isa.identification import need_time
from vmxon.isa.information import random_information
from vmxon.isa.operands import Operand, RegisterOperand
from vmxon.isa.record import Record
from vmxon.isa.registers import RAX, RDX
from vmxon.isa.table import Form, instruction
from vmxon.microcode import inline, u8, u32, u64
from vmxon.processor.exceptions import general_protection
from vmxon.processor.flags import CARRY, write_status
from vmxon.processor.memory import readable
from vmxon.processor.slots import Intercept, intercept_with_information, need_enabled
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.wait import wait_until

POWER_STATE = 1
"""The only bit of the operand: 1 asks for the lighter sleep, C0.1."""


@instruction(
    "UMONITOR",
    Form("F3 0F AE /6", "r64", modes="64"),
    Form("F3 0F AE /6", "r32", modes="32"),
    Form("F3 0F AE /6", "r16", modes="16"),
    flow="system",
    feature="waitpkg",
)
def umonitor(cpu: Cpu, address: Operand, record: Record) -> None:
    """Watch the line at an address, which is checked like a read (Vol. 2B “UMONITOR—User Level Set Up Monitor Address”)."""
    need_enabled(cpu, Intercept.UMWAIT)
    base = cpu.segments[u64(record.segment)].base
    readable(cpu, (base + u64(address.read())) & cpu.linear_mask, 1, record.segment)
    cpu.monitor_armed = u8(1)


@inline
def wait(cpu: Cpu, what: Intercept, operand: RegisterOperand, record: Record, armed: bool) -> None:
    """Wait for the deadline in EDX:EAX; CF tells whether the operating system's limit ended it."""
    need_enabled(cpu, what)
    need_time(cpu)
    intercept_with_information(cpu, what, u64(0), random_information(operand, record))
    if u32(operand.read()) & ~u32(POWER_STATE) != 0:
        general_protection(cpu, 0)
    limited = armed and wait_until(cpu, u64(u32(cpu.gpr[RDX])) << 32 | u64(u32(cpu.gpr[RAX])))
    write_status(cpu, u64(CARRY) if limited else u64(0))


@instruction("TPAUSE", Form("66 0F AE /6", "r32"), flow="system", writes="of sf zf af pf cf", feature="waitpkg")
def tpause(cpu: Cpu, operand: RegisterOperand, record: Record) -> None:
    """Wait until the time in EDX:EAX (Vol. 2B “TPAUSE—Timed PAUSE”)."""
    wait(cpu, Intercept.TPAUSE, operand, record, True)


@instruction("UMWAIT", Form("F2 0F AE /6", "r32"), flow="system", writes="of sf zf af pf cf", feature="waitpkg")
def umwait(cpu: Cpu, operand: RegisterOperand, record: Record) -> None:
    """The same, if UMONITOR came before (Vol. 2B “UMWAIT—User Level Monitor Wait”)."""
    armed = cpu.monitor_armed != 0
    wait(cpu, Intercept.UMWAIT, operand, record, armed)
    cpu.monitor_armed = u8(0)
