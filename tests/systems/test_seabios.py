"""Debian's SeaBIOS as the ROM: it finds what fw_cfg tells, links the ACPI tables, and boots from disk and from CD."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.harness import assemble
from tests.missing import report_missing
from vmxon.devices.disk import AtaDrive, CdromDrive
from vmxon.machine.configuration import BootDevice, PcConfiguration
from vmxon.machine.loader.boot_files import BootFiles
from vmxon.machine.pc import Limits, Pc

ROM = Path("/usr/share/seabios/bios.bin")
LOG_PORT = 0x402
"""Where SeaBIOS writes its log."""
SERVICE_SECTOR = b"service".ljust(512, b"\0")
BOOT_SECTOR = """
    mov si, 0x7C00 + packet
    mov ah, 0x42
    int 0x13
    mov dx, 0x3F8
    mov si, 0x500
    mov cx, 7
    rep outsb
    mov ax, 0xF000
    mov ds, ax
    xor si, si
search:
    cmp dword ptr [si], 0x20445352
    jne next
    cmp dword ptr [si + 4], 0x20525450
    je found
next:
    add si, 16
    jnz search
    mov al, 1
    out 0xF4, al
found:
    mov cx, 36
    rep outsb
    mov al, 0x21
    out 0xF4, al
packet:
    .word 16, 1, 0x500, 0
    .quad {block}
"""
LEFT = 0x21 << 1 | 1


@dataclass
class Sectors:
    """A disk of the given sectors."""

    data: bytes
    sectors: int = field(init=False)

    def __post_init__(self) -> None:
        self.sectors = len(self.data) // 512

    def read(self, lba: int, count: int) -> bytes:
        return self.data[lba * 512 : (lba + count) * 512]

    def write(self, lba: int, data: bytes) -> None:
        raise AssertionError("nothing is written")

    def close(self) -> None:
        pass


def boot_code(block: int) -> bytes:
    """The sector, whose packet asks for a block."""
    source = BOOT_SECTOR.format(block=block).replace("0x7C00 + packet", str(0x7C00 + PACKET))
    return assemble(source, 16).ljust(510, b"\0") + b"\x55\xaa"


PACKET = len(assemble(BOOT_SECTOR.format(block=1).replace("0x7C00 + packet", "0x7C00"), 16)) - 16


def hard_disk() -> Sectors:
    return Sectors((boot_code(1) + SERVICE_SECTOR).ljust(1 << 20, b"\0"))


def disc() -> Sectors:
    """An El Torito disc: volume descriptors, a catalogue, a boot image without emulation, and the block that it reads."""
    primary = b"\x01CD001\x01".ljust(2048, b"\0")
    boot = (b"\0CD001\x01EL TORITO SPECIFICATION".ljust(71, b"\0") + (19).to_bytes(4, "little")).ljust(2048, b"\0")
    end = b"\xffCD001\x01".ljust(2048, b"\0")
    validation = bytearray(b"\x01".ljust(30, b"\0") + b"\x55\xaa")
    total = sum(int.from_bytes(validation[at : at + 2], "little") for at in range(0, 32, 2))
    validation[28:30] = (-total & 0xFFFF).to_bytes(2, "little")
    entry = b"\x88\0\0\0\0\0" + (4).to_bytes(2, "little") + (20).to_bytes(4, "little")
    catalogue = (bytes(validation) + entry).ljust(2048, b"\0")
    files = boot_code(21).ljust(2048, b"\0") + SERVICE_SECTOR.ljust(2048, b"\0")
    return Sectors(bytes(16 * 2048) + primary + boot + end + catalogue + files)


@pytest.fixture(scope="module")
def rom() -> bytes:
    if not ROM.exists():
        report_missing(f"no {ROM} (package seabios)")
    return ROM.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("device", [BootDevice.DISK, BootDevice.CDROM])
def test_it_boots(rom: bytes, device: BootDevice) -> None:
    serial, log = bytearray(), bytearray()
    configuration = PcConfiguration(
        memory_size=32 << 20,
        firmware=rom,
        drives=(AtaDrive(hard_disk()), None, CdromDrive(disc())),
        boot_order=(device,),
        debug_console=LOG_PORT,
    )
    pc = Pc(configuration, serial=(serial.append,), debug_console=log.append)
    assert pc.run(Limits(instructions=200_000_000)) == LEFT
    text = log.decode("latin-1")
    for line in (
        r"Running on QEMU \(i440fx\)",
        "QEMU fw_cfg DMA interface supported",
        r"qemu/e820: addr 0x0+ len 0x0+2000000 \[RAM\]",
        "Moving pm_base to 0x600",
        "PCI: init bdf=00:01.1 id=8086:7010",
        "ata0-0: VMXON HARDDISK ATA-6 Hard-Disk",
        r"DVD/CD \[ata1-0: VMXON CD-ROM ATAPI-6 DVD/CD\]",
        "Booting from 0000:7c00",
    ):
        assert re.search(line, text), text
    assert serial.startswith(b"serviceRSD PTR ")
    root = serial[7:]
    assert (len(root), sum(root[:20]) & 0xFF, sum(root) & 0xFF, root[9:15]) == (36, 0, 0, b"VMXON ")
    table = pc.processor.engine.read_physical(int.from_bytes(root[16:20], "little"), 44)
    assert (table[:4], sum(table) & 0xFF) == (b"RSDT", 0)


KERNEL = """
    mov dx, 0x3F8
    mov si, 0x1F1
    mov cx, 1
    rep outsb
    mov ax, 0x2000
    mov ds, ax
    xor si, si
    mov cx, 5
    rep outsb
    mov al, 0x21
    out 0xF4, al
"""


@pytest.mark.slow
def test_it_starts_a_kernel_through_our_option_rom(rom: bytes) -> None:
    setup = bytearray(3 * 512)
    setup[0x1F1], setup[0x1FE:0x200], setup[0x202:0x206], setup[0x211] = 2, b"\x55\xaa", b"HdrS", 1
    setup[0x22C:0x230] = b"\xff\xff\xff\x7f"
    setup[0x200:0x202] = b"\xeb\x7e"  # jmp to 0x280, behind the header
    code = assemble(KERNEL, 16)
    setup[0x280 : 0x280 + len(code)] = code
    files = BootFiles(bytes(setup) + b"K" * 5000, b"disk" * 1000, "words")
    serial = bytearray()
    pc = Pc(PcConfiguration(memory_size=32 << 20, firmware=rom, boot_files=files), serial=(serial.append,))
    assert pc.run(Limits(instructions=200_000_000)) == LEFT
    assert serial[:6] == b"\x02words"
    assert pc.memory.read(0x10_0000, 5000) == b"K" * 5000
    initrd = int.from_bytes(pc.memory.read(0x1_0218, 4), "little")
    assert pc.memory.read(initrd, 4000) == b"disk" * 1000
    assert pc.state.segments[1].selector == 0x1020
