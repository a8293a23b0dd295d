"""The firmware: a few stubs of machine code in the F segment, and the services of a PC's BIOS in Python behind them.

Read in this order: `rom`, `call`, `firmware`, `areas`; then a module of `services` for each interrupt.
"""

from vmxon.machine.firmware.firmware import Firmware

__all__ = ["Firmware"]
