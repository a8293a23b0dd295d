"""Keyboard of a PC: the 8042 controller, the PS/2 keyboard on it, and scan codes.

Not there: scan-code set 3; a wheel or a fourth button of the mouse; typematic repeat and the lights, which are kept.
"""

from vmxon.devices.keyboard.controller import FastGate, KeyboardController
from vmxon.devices.keyboard.ps2 import Ps2Keyboard

__all__ = ["FastGate", "KeyboardController", "Ps2Keyboard"]
