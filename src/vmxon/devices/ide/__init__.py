"""ATA channels of a PC: `Ide` is both of them, `IdeChannel` is one."""

from vmxon.devices.ide.channel import IdeChannel, IdeControl
from vmxon.devices.ide.data import DataPort
from vmxon.devices.ide.pair import Ide

__all__ = ["DataPort", "Ide", "IdeChannel", "IdeControl"]
