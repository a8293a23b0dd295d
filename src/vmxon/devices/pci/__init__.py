"""PCI: `PciBus` holds functions, `PciHost` is the way to their configuration registers; the chip set of a PC is i440FX.

A device that is to be on PCI (virtio, for one) makes a `PciFunction` with its identity and base addresses and gives it to
`PciBus.plug`. Read in this order: `function`, `bus`, `host`; then the chip set: `bridge`, `isa`, `power`.

Not there: bridges and a second bus, memory-mapped configuration, message-signalled interrupts, expansion ROMs, a VGA function.
"""

from vmxon.devices.pci.bridge import HostBridge, ShadowMemory
from vmxon.devices.pci.bus import PciBus, PciHost
from vmxon.devices.pci.function import BaseAddress, Identity, PciFunction, Space
from vmxon.devices.pci.isa import IsaBridge
from vmxon.devices.pci.power import PowerFunction

__all__ = [
    "BaseAddress",
    "HostBridge",
    "Identity",
    "IsaBridge",
    "PciBus",
    "PciFunction",
    "PciHost",
    "PowerFunction",
    "ShadowMemory",
    "Space",
]
