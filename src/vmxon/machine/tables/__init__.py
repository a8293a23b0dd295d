"""What firmware tells an operating system of the machine: ACPI tables and the MultiProcessor table, as data.

Read in this order: `aml` and `resources` encode, `dsdt` describes the devices, `acpi` has the tables, `multiprocessor` the
older table; `place` puts them where a system looks for them.
"""

from vmxon.machine.tables.acpi import AcpiTables, acpi_tables
from vmxon.machine.tables.hardware import Hardware
from vmxon.machine.tables.place import TABLES_END, system_tables

__all__ = ["TABLES_END", "AcpiTables", "Hardware", "acpi_tables", "system_tables"]
