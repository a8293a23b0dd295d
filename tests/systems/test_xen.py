"""Xen, started by multiboot: its banner over serial, the VMX that it finds, and the start of its first domain."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.systems.debian import Debian

APPEND = "console=com1 com1=115200,8n1 loglvl=all"
DOMAIN = "console=hvc0 earlyprintk=xen quiet"
COUNT = 700_000_000
FOUND = [
    r"\(XEN\) Xen version 4\.\d+",
    r"\(XEN\) ACPI: IOAPIC \(id\[0x00\] address\[0xfec00000\] gsi_base\[0\]\)",
    r"\(XEN\) xstate: size: 0x348 and states: 0x203",
    r"\(XEN\) VMX: Supported advanced features:",
    r"\(XEN\)  - APIC MMIO access virtualisation",
    r"\(XEN\)  - Extended Page Tables \(EPT\)",
    r"\(XEN\)  - Virtual-Processor Identifiers \(VPID\)",
    r"\(XEN\)  - Unrestricted Guest",
    r"\(XEN\)  - Posted Interrupt Processing",
    r"\(XEN\)  - Page Modification Logging",
    r"\(XEN\) HVM: VMX enabled",
    r"\(XEN\) HVM: HAP page sizes: 4kB, 2MB, 1GB",
    r"\(XEN\) \*\*\* Building a PV Dom0 \*\*\*",
    r"\(XEN\) Freed \d+kB init memory",
]
"""Lines of its console, in this order."""
COMPLAINTS = re.compile("Panic on|BUG|Unhandled|Xen call trace|MP-BIOS|nobody cared")


@pytest.mark.linux
@pytest.mark.slow
def test_xen_reports_vmx_and_starts_its_first_domain(xen: Path, debian: Debian) -> None:
    command = ["-m", "vmxon", "boot", "--kernel", xen, "--initrd", f"{debian.kernel} {DOMAIN}", "--append", APPEND]
    limits = ["--memory", "512M", "--count", COUNT, "--timeout", "280"]
    done = subprocess.run([sys.executable, *map(str, [*command, *limits])], capture_output=True, text=True, check=False, errors="replace")
    assert done.stderr.endswith(f"the guest did not end within {COUNT:,} instructions\n")
    lines = done.stdout.splitlines()
    assert [line for line in lines if COMPLAINTS.search(line)] == []
    at = 0
    for pattern in FOUND:
        at = next((number for number, line in enumerate(lines) if number >= at and re.match(pattern, line)), -1)
        assert at >= 0, pattern


def test_without_a_module_xen_says_what_it_wants(xen: Path) -> None:
    command = ["-m", "vmxon", "boot", "--kernel", xen, "--append", "console=com1 com1=115200,8n1 noreboot", "--timeout", "100"]
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, check=False, errors="replace")
    assert "(XEN) Xen version 4." in done.stdout
    assert "dom0 kernel not specified" in done.stdout
