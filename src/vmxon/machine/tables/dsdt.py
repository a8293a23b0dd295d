"""The devices that a system cannot find by itself, in ACPI machine language: the body of the DSDT.

Sources: ACPI Specification 6.4, §5 “ACPI Software Programming Model”, §6.2.13 “_PRT (PCI Routing Table)”, §7.4.2 “System \\_Sx
states”; Intel 82371SB (PIIX3) data sheet (290550), “PIRQRC[A:D]—PIRQx Route Control Registers”.
"""

from __future__ import annotations

from collections.abc import Iterator

from vmxon.machine.tables import aml
from vmxon.machine.tables.hardware import IO_APIC, LEVEL_INTERRUPTS, SCI, Hardware
from vmxon.machine.tables.resources import INTERRUPT_NUMBER, Window, interrupts, isa_interrupt, ports, template, window

LINKS = "ABCD"
SLOTS = 32
BRIDGE_SLOT = 1
ROUTE_REGISTERS = 0x60
NOT_ROUTED = 0x80
ENABLED, DISABLED, WORKING = 0x0B, 0x09, 0x0F
"""Device status: present, decoding, shown, functioning (§6.3.7 “_STA (Device Status)”)."""
PCI_HOLE_END = IO_APIC
ROUTABLE = tuple(number for number in LEVEL_INTERRUPTS if number != SCI)


def definition_block(hardware: Hardware) -> bytes:
    """What follows the header of the DSDT."""
    off = aml.name("\\_S5", aml.package(*(aml.integer(0) for _ in range(4))))
    if not hardware.pci:
        return off + aml.scope("\\_SB", *_isa_devices(hardware))
    return off + aml.scope("\\_SB", _host_bridge(hardware), *(_link(letter) for letter in LINKS))


def _isa_devices(hardware: Hardware) -> Iterator[bytes]:
    yield _isa_device("MOU", "PNP0F13", isa_interrupt(12))
    yield _isa_device("KBD", "PNP0303", ports(0x60, 1), ports(0x64, 1), isa_interrupt(1))
    yield _isa_device("RTC", "PNP0B00", ports(0x70, 2), isa_interrupt(8))
    yield _isa_device("COM1", "PNP0501", ports(0x3F8, 8), isa_interrupt(4), number=1)
    if hardware.configuration_device:
        yield aml.device(
            "FWCF",
            aml.name("_HID", aml.string("QEMU0002")),
            aml.name("_STA", aml.integer(ENABLED)),
            aml.name("_CRS", template(ports(0x510, 12))),
        )


def _isa_device(at: str, identity: str, *resources: bytes, number: int = 0) -> bytes:
    return aml.device(
        at,
        aml.name("_HID", aml.plug_and_play(identity)),
        aml.name("_UID", aml.integer(number)),
        aml.name("_STA", aml.integer(WORKING)),
        aml.name("_CRS", template(*resources)),
    )


def _host_bridge(hardware: Hardware) -> bytes:
    hole = max(0x8000_0000, min(hardware.memory_size, 0xC000_0000))
    return aml.device(
        "PCI0",
        aml.name("_HID", aml.plug_and_play("PNP0A03")),
        aml.name("_UID", aml.integer(0)),
        aml.name(
            "_CRS",
            template(
                window(Window.BUSES, 0, 0xFF),
                ports(0xCF8, 8),
                window(Window.IO, 0, 0xCF7),
                window(Window.IO, 0xD00, 0xFFFF),
                window(Window.MEMORY, 0xA_0000, 0xB_FFFF),
                window(Window.MEMORY, hole, PCI_HOLE_END - 1),
            ),
        ),
        aml.name("_PRT", aml.package(*_routes())),
        aml.device(
            "ISA",
            aml.name("_ADR", aml.integer(BRIDGE_SLOT << 16)),
            aml.region("ROUT", aml.Space.PCI_CONFIGURATION, ROUTE_REGISTERS, len(LINKS)),
            aml.fields("ROUT", aml.Access.BYTE, *((f"PRQ{letter}", 8) for letter in LINKS)),
            *_isa_devices(hardware),
        ),
    )


def _routes() -> Iterator[bytes]:
    """Which link each pin of each slot is wired to; power management, in the bridge's slot, has its own interrupt."""
    for slot in range(SLOTS):
        for pin in range(4):
            address = aml.integer(slot << 16 | 0xFFFF)
            if slot == BRIDGE_SLOT and pin == 0:
                yield aml.package(address, aml.integer(pin), aml.integer(0), aml.integer(SCI))
            else:
                link = f"LNK{LINKS[(slot - BRIDGE_SLOT + pin) % 4]}"
                yield aml.package(address, aml.integer(pin), aml.path(link), aml.integer(0))


def _link(letter: str) -> bytes:
    """A PCI interrupt link: the route register of the ISA bridge as a device (§6.2.13, PNP0C0F)."""
    register = aml.path(f"\\_SB.PCI0.ISA.PRQ{letter}")
    disabled = aml.both(register, aml.integer(NOT_ROUTED))
    return aml.device(
        f"LNK{letter}",
        aml.name("_HID", aml.plug_and_play("PNP0C0F")),
        aml.name("_UID", aml.integer(LINKS.index(letter))),
        aml.name("_PRS", template(interrupts(*ROUTABLE))),
        aml.name("NOW", template(interrupts(0))),
        aml.method(
            "_STA", 0, aml.when(disabled, aml.give(aml.integer(DISABLED))), aml.give(aml.integer(ENABLED))
        ),
        aml.method("_DIS", 0, aml.either(register, aml.integer(NOT_ROUTED), register)),
        aml.method(
            "_CRS", 0,
            aml.double_field(aml.path("NOW"), INTERRUPT_NUMBER, "NUMB"),
            aml.store(register, aml.local(0)),
            aml.when(
                aml.both(aml.local(0), aml.integer(NOT_ROUTED)), aml.store(aml.integer(0), aml.local(0))
            ),
            aml.store(aml.local(0), aml.path("NUMB")),
            aml.give(aml.path("NOW")),
            serialized=True,
        ),
        aml.method(
            "_SRS", 1,
            aml.double_field(aml.argument(0), INTERRUPT_NUMBER, "NUMB"),
            aml.store(aml.path("NUMB"), register),
            serialized=True,
        ),
    )  # fmt: skip
