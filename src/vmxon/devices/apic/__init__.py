"""The local APIC (Vol. 3A ch. 11 “Advanced Programmable Interrupt Controller (APIC)”), the I/O APIC, and the way past both."""

from vmxon.devices.apic.imcr import InterruptMode
from vmxon.devices.apic.io import IoApic
from vmxon.devices.apic.local import Core, LocalApic
from vmxon.devices.apic.message import Message
from vmxon.devices.apic.timer import ApicTimer
from vmxon.devices.apic.vectors import VectorSet

__all__ = ["ApicTimer", "Core", "InterruptMode", "IoApic", "LocalApic", "Message", "VectorSet"]
