"""The local APIC (Vol. 3A ch. 11 “Advanced Programmable Interrupt Controller (APIC)”)."""

from vmxon.devices.apic.local import Core, LocalApic
from vmxon.devices.apic.timer import ApicTimer
from vmxon.devices.apic.vectors import VectorSet

__all__ = ["ApicTimer", "Core", "LocalApic", "VectorSet"]
