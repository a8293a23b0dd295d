"""The advanced power management ports 0xB2 and 0xB3, by which ACPI is turned on.

Source: Intel 82371AB (PIIX4) data sheet (290562), “APMC—Advanced Power Management Control Port”, “APMS—… Status Port”.
On a real PC a write to 0xB2 enters system management mode, where the BIOS does what the value asks for. There is no such
mode here: the two values that the FADT names act at once, as on QEMU.
"""

from __future__ import annotations

from collections.abc import Callable

from vmxon.devices.bus import Device, PortSpace, reads, writes

COMMAND_PORT = 0xB2
ACPI_ENABLE, ACPI_DISABLE = 0xF1, 0xF0
"""Values for the command port; the FADT tells them to the system."""


class AdvancedPower(Device, span=2, saves=("command", "status")):
    """Command and status byte; `enable_acpi` hears ACPI_ENABLE as True and ACPI_DISABLE as False."""

    def __init__(self, enable_acpi: Callable[[bool], None]) -> None:
        self.enable_acpi = enable_acpi
        self.command = 0
        self.status = 0

    def connect(self, ports: PortSpace) -> None:
        """Attach at 0xB2."""
        ports.attach(COMMAND_PORT, self)

    @reads(0)
    def read_command(self) -> int:
        return self.command

    @writes(0)
    def write_command(self, value: int) -> None:
        self.command = value
        if value in (ACPI_ENABLE, ACPI_DISABLE):
            self.enable_acpi(value == ACPI_ENABLE)

    @reads(1)
    def read_status(self) -> int:
        return self.status

    @writes(1)
    def write_status(self, value: int) -> None:
        self.status = value
