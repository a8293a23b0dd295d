"""The firmware: a few stubs of machine code in the F segment, and the services of a PC's BIOS in Python behind them.

Read in this order: `rom`, `call`, `bios`, `areas`; then a module of `services` for each interrupt.
"""

from vmxon.machine.firmware.bios import Bios
from vmxon.machine.firmware.memory import BiosMemory

__all__ = ["Bios", "BiosMemory"]
