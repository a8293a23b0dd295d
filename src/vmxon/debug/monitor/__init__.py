"""The monitor: a person's or a script's lines about a running machine, in the words of QEMU's human monitor protocol."""

from vmxon.debug.monitor.commands import Monitor

__all__ = ["Monitor"]
