"""ACPI power management and reset: `PowerManagement` has the fixed registers, `AdvancedPower` the SMI command port.

Not there: sleep states but “off”, general-purpose events, processor power states, thermal zones, a battery.
"""

from vmxon.devices.power.advanced import AdvancedPower
from vmxon.devices.power.management import PM_TIMER_HZ, PowerManagement
from vmxon.devices.power.reset import ResetControl

__all__ = ["PM_TIMER_HZ", "AdvancedPower", "PowerManagement", "ResetControl"]
