"""Transcendental instructions: announced by CPUID and not implemented yet; the machine stops and names them."""

from __future__ import annotations

from vmxon.isa.table import Form, instruction
from vmxon.processor.state import ProcessorState as Cpu


@instruction("F2XM1", Form("D9 F0", missing=True))
def f2xm1(cpu: Cpu) -> None:
    """ST(0) := 2^ST(0) - 1 (Vol. 2A “F2XM1—Compute 2^x–1”)."""


@instruction("FYL2X", Form("D9 F1", missing=True))
def fyl2x(cpu: Cpu) -> None:
    """ST(1) := ST(1) · log2 ST(0), pop (Vol. 2A “FYL2X—Compute y * log2x”)."""


@instruction("FPTAN", Form("D9 F2", missing=True))
def fptan(cpu: Cpu) -> None:
    """ST(0) := tan ST(0), push 1.0 (Vol. 2A “FPTAN—Partial Tangent”)."""


@instruction("FPATAN", Form("D9 F3", missing=True))
def fpatan(cpu: Cpu) -> None:
    """ST(1) := arctan(ST(1) / ST(0)), pop (Vol. 2A “FPATAN—Partial Arctangent”)."""


@instruction("FYL2XP1", Form("D9 F9", missing=True))
def fyl2xp1(cpu: Cpu) -> None:
    """ST(1) := ST(1) · log2(ST(0) + 1), pop (Vol. 2A “FYL2XP1—Compute y * log2(x +1)”)."""


@instruction("FSINCOS", Form("D9 FB", missing=True))
def fsincos(cpu: Cpu) -> None:
    """ST(0) := sin ST(0), push its cosine (Vol. 2A “FSINCOS—Sine and Cosine”)."""


@instruction("FSIN", Form("D9 FE", missing=True))
def fsin(cpu: Cpu) -> None:
    """ST(0) := sin ST(0) (Vol. 2A “FSIN—Sine”)."""


@instruction("FCOS", Form("D9 FF", missing=True))
def fcos(cpu: Cpu) -> None:
    """ST(0) := cos ST(0) (Vol. 2A “FCOS—Cosine”)."""
