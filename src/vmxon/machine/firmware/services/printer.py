"""INT 17h: there is no parallel port (IBM PS/2 and PC BIOS Interface Technical Reference, “Interrupt 17H, Printer”)."""

from __future__ import annotations

from vmxon.machine.firmware.call import Call

TIMEOUT = 0x01


def serve(call: Call) -> None:
    """Every function times out."""
    call.ah = TIMEOUT
