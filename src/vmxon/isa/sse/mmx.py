"""MMX: CPUID does not announce it, the architecture defines it, vmxon lacks it; so the machine stops and names the instruction."""

from __future__ import annotations

from vmxon.isa.table import Form, instruction
from vmxon.processor.state import ProcessorState as Cpu


def mmx(opcode: str, first: str = "mm", more: str = "") -> tuple[Form, Form]:
    """The MMX forms of an opcode, `first` with a register and with memory."""
    return (
        Form(opcode, f"{first}, mm{more}", missing=True),
        Form(opcode, f"{first}, m64{more}", missing=True),
    )


@instruction("EMMS", Form("NP 0F 77", missing=True))
def emms(cpu: Cpu) -> None:
    """Mark all MMX registers empty (Vol. 2A “EMMS—Empty MMX Technology State”)."""


@instruction("MOVQ MMX", *mmx("NP 0F 6F /r"), *mmx("NP 0F 7F /r"))
def movq_mmx(cpu: Cpu) -> None:
    """64 bits between MMX registers and memory (Vol. 2B “MOVQ—Move Quadword”)."""


@instruction("MOVD MMX", Form("NP 0F 6E /r", "mm, r/m32/64", missing=True), Form("NP 0F 7E /r", "r/m32/64, mm", missing=True))
def movd_mmx(cpu: Cpu) -> None:
    """32 or 64 bits between MMX and general registers or memory (Vol. 2B “MOVD/MOVQ”)."""


@instruction("MOVNTQ", Form("NP 0F E7 /r", "m64, mm", missing=True))
def movntq(cpu: Cpu) -> None:
    """Memory := MMX register, with a non-temporal hint (Vol. 2B “MOVNTQ”)."""


@instruction("PSHUFW", *mmx("NP 0F 70 /r ib", more=", imm8"))
def pshufw(cpu: Cpu) -> None:
    """Words of source in any order (Vol. 2B “PSHUFW”)."""


@instruction(
    "CVTPI2PS",
    *mmx("NP 0F 2A /r", "xmm"),
    *mmx("66 0F 2A /r", "xmm"),
    Form("NP 0F 2C /r", "mm, xmm/m64", missing=True),
    Form("66 0F 2C /r", "mm, xmm/m128", missing=True),
    Form("NP 0F 2D /r", "mm, xmm/m64", missing=True),
    Form("66 0F 2D /r", "mm, xmm/m128", missing=True),
    Form("F2 0F D6 /r", "mm, xmmrm", missing=True),
    Form("F3 0F D6 /r", "xmm, mm", missing=True),
)
def cvtpi2ps(cpu: Cpu) -> None:
    """Conversions and moves between MMX and XMM registers: CVTPI2PS and its kin, MOVDQ2Q, MOVQ2DQ (Vol. 2A “CVTPI2PS”)."""
