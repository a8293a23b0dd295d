"""ACPI power management and reset: `PowerManagement` has the fixed registers, `AdvancedPower` the SMI command port."""

from vmxon.devices.power.advanced import AdvancedPower
from vmxon.devices.power.management import PM_TIMER_HZ, PowerManagement
from vmxon.devices.power.reset import ResetControl

__all__ = ["PM_TIMER_HZ", "AdvancedPower", "PowerManagement", "ResetControl"]
