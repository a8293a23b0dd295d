"""Trigonometric, exponential and logarithmic instructions (Vol. 1 §8.3.7 “Trigonometric Instructions”, §8.3.9 “Logarithmic, …”)."""

from __future__ import annotations

from vmxon.isa.record import Record
from vmxon.isa.table import Form, instruction
from vmxon.isa.x87.step import enter, remember
from vmxon.microcode import microcode
from vmxon.processor.floating.logarithms import logarithm_beside_one_times, logarithm_times
from vmxon.processor.floating.trigonometry import angle_of
from vmxon.processor.state import ProcessorState as Cpu
from vmxon.processor.x87.transcendental import COSINE, SINE, circular_pair, circular_top, exponential_top, of_two, tangent_top


@instruction("F2XM1", Form("D9 F0"))
def f2xm1(cpu: Cpu, record: Record) -> None:
    """ST(0) := 2^ST(0) - 1 (Vol. 2A “F2XM1—Compute 2^x–1”)."""
    enter(cpu)
    exponential_top(cpu)
    remember(cpu, record, 0xD9)


@microcode
def y_log2_x(cpu: Cpu) -> None:
    """FYL2X on the stack."""
    of_two(cpu, logarithm_times)


@instruction("FYL2X", Form("D9 F1"))
def fyl2x(cpu: Cpu, record: Record) -> None:
    """ST(1) := ST(1) · log2 ST(0), pop (Vol. 2A “FYL2X—Compute y * log2x”)."""
    enter(cpu)
    y_log2_x(cpu)
    remember(cpu, record, 0xD9)


@instruction("FPTAN", Form("D9 F2"))
def fptan(cpu: Cpu, record: Record) -> None:
    """ST(0) := tan ST(0), push 1.0 (Vol. 2A “FPTAN—Partial Tangent”)."""
    enter(cpu)
    tangent_top(cpu)
    remember(cpu, record, 0xD9)


@microcode
def angle_of_stack(cpu: Cpu) -> None:
    """FPATAN on the stack."""
    of_two(cpu, angle_of)


@instruction("FPATAN", Form("D9 F3"))
def fpatan(cpu: Cpu, record: Record) -> None:
    """ST(1) := arctan(ST(1) / ST(0)), pop (Vol. 2A “FPATAN—Partial Arctangent”)."""
    enter(cpu)
    angle_of_stack(cpu)
    remember(cpu, record, 0xD9)


@microcode
def y_log2_x_plus_1(cpu: Cpu) -> None:
    """FYL2XP1 on the stack."""
    of_two(cpu, logarithm_beside_one_times)


@instruction("FYL2XP1", Form("D9 F9"))
def fyl2xp1(cpu: Cpu, record: Record) -> None:
    """ST(1) := ST(1) · log2(ST(0) + 1), pop (Vol. 2A “FYL2XP1—Compute y * log2(x +1)”)."""
    enter(cpu)
    y_log2_x_plus_1(cpu)
    remember(cpu, record, 0xD9)


@instruction("FSINCOS", Form("D9 FB"))
def fsincos(cpu: Cpu, record: Record) -> None:
    """ST(0) := sin ST(0), push its cosine (Vol. 2A “FSINCOS—Sine and Cosine”)."""
    enter(cpu)
    circular_pair(cpu, (SINE, COSINE))
    remember(cpu, record, 0xD9)


@instruction("FSIN", Form("D9 FE"))
def fsin(cpu: Cpu, record: Record) -> None:
    """ST(0) := sin ST(0) (Vol. 2A “FSIN—Sine”)."""
    enter(cpu)
    circular_top(cpu, SINE)
    remember(cpu, record, 0xD9)


@instruction("FCOS", Form("D9 FF"))
def fcos(cpu: Cpu, record: Record) -> None:
    """ST(0) := cos ST(0) (Vol. 2A “FCOS—Cosine”)."""
    enter(cpu)
    circular_top(cpu, COSINE)
    remember(cpu, record, 0xD9)
