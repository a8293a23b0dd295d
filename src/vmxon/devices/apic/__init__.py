"""The local APIC (Vol. 3A ch. 11 “Advanced Programmable Interrupt Controller (APIC)”), the I/O APIC, and the way past both.

The local APIC answers at the page that IA32_APIC_BASE names, 0xFEE00000 at first, and as MSRs in x2APIC mode.

Not there: a second processor, so that messages for others are lost; system management interrupts, which do nothing; sources of the
thermal and the performance entry; a machine-check entry. Input 0 of the I/O APIC is not connected.
"""

from vmxon.devices.apic.imcr import InterruptMode
from vmxon.devices.apic.io import IoApic
from vmxon.devices.apic.local import Core, LocalApic
from vmxon.devices.apic.message import Message
from vmxon.devices.apic.timer import ApicTimer
from vmxon.devices.apic.vectors import VectorSet

__all__ = ["ApicTimer", "Core", "InterruptMode", "IoApic", "LocalApic", "Message", "VectorSet"]
