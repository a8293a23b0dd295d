"""`info pic`, `info lapic`: what the interrupt controllers hold."""

from __future__ import annotations

from vmxon.devices.apic import LocalApic, VectorSet
from vmxon.devices.pic import PicPair


def pic(pair: PicPair) -> str:
    """One line for each 8259, in QEMU's arrangement."""
    return "".join(
        f"pic{number}: irr={chip.requests:02x} imr={chip.mask:02x} isr={chip.in_service:02x} hprio={(chip.lowest + 1) & 7} "
        f"irq_base={chip.vector_base:02x} rr_sel={int(chip.read_service)} elcr={chip.edge_or_level:02x} "
        f"fnm={int(chip.modes.special_fully_nested)}\n"
        for number, chip in enumerate((pair.primary, pair.secondary))
    )


def local_apic(apic: LocalApic) -> str:
    """Priorities, vectors and the local vector table."""
    return (
        f"mode {apic.mode.name.lower()}, {'enabled' if apic.enabled else 'software-disabled'}\n"
        f"task priority {apic.task_priority:#04x}, processor priority {apic.processor_priority:#04x}, spurious vector {apic.spurious:#x}\n"
        f"requests {_vectors(apic.requests)}\n"
        f"in service {_vectors(apic.in_service)}\n"
        f"local vector table {' '.join(f'{entry:#x}' for entry in apic.entries)}\n"
    )


def _vectors(vectors: VectorSet) -> str:
    return " ".join(f"{vector:#x}" for vector in range(256) if vector in vectors) or "none"
