"""Options for the machine and its processor."""

from __future__ import annotations

import re

from vmxon.cli.qemu.option import MEBIBYTE, Draft, Effect, Listing, Option, Section, nearest, only, settings
from vmxon.cli.qemu.processors import list_processors
from vmxon.errors import ConfigurationError

UNITS = {"": MEBIBYTE, "B": 1, "K": 1 << 10, "M": MEBIBYTE, "G": 1 << 30}
MACHINES = {
    "pc": "Standard PC (i440FX + PIIX, 1996) (default)",
    "isapc": "ISA-only PC",
}
ACCELERATORS = {"tcg": "the bare machine, VMX included", "kvm": "a guest of vmxon's hypervisor"}
NO_PROPERTY = "-global {0}: no such property here"
PASSED = (
    "vmport", "usb", "smm", "kernel-irqchip", "kernel_irqchip", "dump-guest-core", "mem-merge", "graphics", "hpet", "pit", "pic",
    "sata", "smbus", "i8042", "default_bus_bypass_iommu", "nvdimm", "hmat", "fd-bootchk", "memory-backend", "suppress-vmdesc",
    "igd-passthru", "aes-key-wrap", "dea-key-wrap",
)  # fmt: skip
"""Properties of -machine that change nothing here."""


def memory(draft: Draft, text: str) -> None:
    """-m: MiB without a unit."""
    found = settings(text, "size")
    only("m", found, ("size",), ("slots", "maxmem"))
    match = re.fullmatch(r"(\d+)([BKMG]?)", found.get("size", "").upper())
    if match is None:
        raise ConfigurationError(f"-m: {text!r} is no size", expected="MiB, or a number with K, M or G")
    size = int(match[1]) * UNITS[match[2]]
    if size < MEBIBYTE:
        raise ConfigurationError(f"-m: {text} is too little for a PC", expected="at least 1M")
    draft.memory = size // 4096 * 4096


def processors(draft: Draft, text: str) -> None:
    """-smp: there is one processor."""
    found = settings(text, "cpus")
    only("smp", found, ("cpus", "maxcpus", "sockets", "dies", "clusters", "cores", "threads"))
    if "cpus" in found:
        count = found["cpus"]
    else:
        parts = [found.get(part, "1") for part in ("sockets", "dies", "clusters", "cores", "threads")]
        count = "1" if all(part == "1" for part in parts) else "x".join(parts)
    if count != "1":
        raise ConfigurationError(f"-smp: {text!r} processors, and the machine has one", expected="-smp 1")


def processor(draft: Draft, text: str) -> None:
    """-cpu: a model and its features."""
    if text in {"?", "help"}:
        raise Listing(list_processors())
    draft.processor = text


def accelerator(draft: Draft, text: str) -> None:
    """-accel: tcg is the bare machine, kvm our hypervisor."""
    found = settings(text, "accel")
    name = found.get("accel", "").split(":")[0]
    if name in {"?", "help"}:
        raise Listing("Accelerators supported:\n" + "".join(f"{key:<10} {title}\n" for key, title in ACCELERATORS.items()))
    if name not in ACCELERATORS:
        raise ConfigurationError(f"-accel: {name!r} is no accelerator here", advice=nearest(name, list(ACCELERATORS)))
    draft.hypervisor = name == "kvm"


def machine(draft: Draft, text: str) -> None:
    """-machine: a type and properties."""
    found = settings(text, "type")
    name = found.pop("type", "pc")
    if name in {"?", "help"}:
        raise Listing("Supported machines are:\n" + "".join(f"{key:<20} {title}\n" for key, title in MACHINES.items()))
    if name.startswith(("q35", "pc-q35")):
        draft.note(f"-machine {name}: there is no Q35 chipset; the machine is pc (i440FX)")
    elif name not in MACHINES and not name.startswith("pc-i440fx"):
        raise ConfigurationError(f"-machine: {name!r} is no machine here", advice=nearest(name, list(MACHINES)))
    draft.pci = name != "isapc"
    if "accel" in found:
        accelerator(draft, found.pop("accel"))
    if "acpi" in found:
        draft.acpi = found.pop("acpi") != "off"
    only("machine", found, ("type", "accel", "acpi"), PASSED)


def without_acpi(draft: Draft, _: str) -> None:
    """-no-acpi."""
    draft.acpi = False


def hypervisor(draft: Draft, _: str) -> None:
    """-enable-kvm."""
    draft.hypervisor = True


def time_base(draft: Draft, text: str) -> None:
    """-rtc: the date that the clock chip starts at."""
    found = settings(text)
    only("rtc", found, ("base",), ("clock", "driftfix"))
    draft.base_time = found.get("base", draft.base_time)


def name(draft: Draft, text: str) -> None:
    """-name."""
    draft.name = settings(text, "guest").get("guest", "")


def passed(*notes: str) -> Effect:
    """Nothing to do; a note where the machine is not as asked."""

    def effect(draft: Draft, text: str) -> None:
        for note in notes:
            draft.note(note.format(text))

    return effect


SECTION = Section(
    "Machine",
    (
        Option("machine", "TYPE[,accel=tcg|kvm][,acpi=on|off]", "pc; q35 is taken as pc, with a note; isapc has no PCI", machine, ("M",)),
        Option("accel", "tcg|kvm", "tcg: the bare machine with VMX; kvm: a guest of vmxon's hypervisor", accelerator),
        Option("enable-kvm", "", "the same as -accel kvm", hypervisor),
        Option("cpu", "MODEL[,+FEATURE][,-FEATURE]", "processor model; ? lists them", processor),
        Option("smp", "1", "there is one processor", processors),
        Option("m", "[size=]MEMORY", "memory in MiB, or with K, M, G (default 128)", memory),
        Option("rtc", "base=utc|localtime|DATE", "time of the clock chip (default 2026-01-01, so that runs are equal)", time_base),
        Option("name", "NAME", "the machine's name, in the title of the terminal", name),
        Option("no-acpi", "", "no ACPI tables", without_acpi),
        Option("no-hpet", "", "there is no HPET anyway", passed()),
        Option("no-fd-bootchk", "", "there is no floppy drive anyway", passed()),
        Option("global", "DRIVER.PROPERTY=VALUE", "accepted with a note: there are no properties to set", passed(NO_PROPERTY)),
        Option("uuid", "UUID", "accepted: nothing shows it", passed()),
        Option("smbios", "…", "accepted with a note: there are no SMBIOS tables", passed("-smbios: there are no SMBIOS tables")),
        Option("k", "LAYOUT", "accepted: keys are an American keyboard's", passed()),
        Option("overcommit", "…", "accepted: nothing to do", passed()),
        Option("mem-prealloc", "", "accepted: nothing to do", passed()),
        Option("icount", "…", "accepted: virtual time is the instruction count anyway", passed()),
        Option("no-user-config", "", "accepted: there is no configuration file", passed()),
    ),
)
