"""Debian's kernel with ACPI, APIC and PCI on: what it finds, what it complains of, how it turns the machine off; disk and disc by DMA."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from tests.systems.debian import Debian
from tests.systems.initramfs import busybox_root, file
from vmxon.devices.disk import AtaDrive, CdromDrive, open_image
from vmxon.machine.configuration import PcConfiguration
from vmxon.machine.loader import load_files
from vmxon.machine.loader.information import ROOT_POINTER
from vmxon.machine.pc import End, Limits, Pc

APPEND = "console=ttyS0 cryptomgr.notests"
COMPLAINTS = re.compile(r"ACPI.*(Error|Warning|BIOS Error|Exception)|Firmware Bug|BUG|Oops|MP-BIOS bug|[Ss]purious LAPIC|nobody cared")
FOUND = """
mount -t proc proc /proc
mount -t devtmpfs dev /dev
mount -t sysfs sys /sys
cat /proc/interrupts
for device in /sys/bus/pci/devices/*; do echo "pci ${device##*/} $(cat $device/vendor $device/device | tr '\\n' ' ')"; done
echo "clock $(cat /sys/devices/system/clocksource/clocksource0/available_clocksource)"
sleep 1
poweroff -f
"""
PCI = [
    "pci 0000:00:00.0 0x8086 0x1237 ",
    "pci 0000:00:01.0 0x8086 0x7000 ",
    "pci 0000:00:01.1 0x8086 0x7010 ",
    "pci 0000:00:01.3 0x8086 0x7113 ",
]
DISKS = """
mount -t proc proc /proc
mount -t devtmpfs dev /dev
for module in scsi_common scsi_mod libata ata_piix sd_mod cdrom sr_mod; do insmod /$module.ko; done
dmesg | grep -o 'ata[12].00: ATA.*'
md5sum /dev/sda /dev/sr0
cat /dev/sr0 > /dev/sda
sync
grep -o '1[45]: .*ata_piix' /proc/interrupts
sleep 1
poweroff -f
"""


@pytest.mark.linux
@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["vmlinux", "kernel"])
def test_the_kernel_finds_the_machine_and_turns_it_off(debian: Debian, tmp_path: Path, protocol: str) -> None:
    initrd = tmp_path / "initrd"
    initrd.write_bytes(busybox_root(debian.busybox.read_bytes(), FOUND))
    kernel = getattr(debian, protocol)
    command = ["-m", "vmxon", "boot", "--kernel", kernel, "--initrd", initrd, "--append", APPEND, "--timeout", "280"]
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, check=False, errors="replace")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line for line in done.stdout.splitlines() if COMPLAINTS.search(line)] == []
    assert re.findall("pci .*", done.stdout)[-4:] == PCI
    for line in (" 0: .* IO-APIC +2-edge +timer", " 4: .* IO-APIC +4-edge +ttyS0", " 9: .* IO-APIC +9-fasteoi +acpi"):
        assert re.search(line, done.stdout)
    assert re.search("clock .*acpi_pm", done.stdout)
    assert "reboot: Power down" in done.stdout


@pytest.mark.linux
@pytest.mark.slow
def test_disk_and_disc_by_dma(debian: Debian, tmp_path: Path) -> None:
    disk, disc = tmp_path / "disk.img", tmp_path / "disc.iso"
    disk.write_bytes(Random(1).randbytes(3 << 20))
    disc.write_bytes(Random(2).randbytes(1 << 20))
    modules = [file(f"{name}.ko", debian.module(name)) for name in DISKS.partition("module in ")[2].partition(";")[0].split()]
    initrd = tmp_path / "initrd"
    initrd.write_bytes(busybox_root(debian.busybox.read_bytes(), DISKS, modules))
    memory = 128 << 20
    kernel = load_files(debian.vmlinux, memory, f"{APPEND} quiet", [(initrd, "")], ROOT_POINTER)
    said = bytearray()
    with closing(open_image(disk)) as hard_disk, closing(open_image(disc)) as iso:
        drives = (AtaDrive(hard_disk), None, CdromDrive(iso))
        pc = Pc(PcConfiguration(memory_size=memory, kernel=kernel, drives=drives), serial=(said.append,))
        pc.run(Limits(280))
        copied, kept = hard_disk.read(0, 2048), hard_disk.read(2048, 4096)
    assert pc.end is End.POWER_OFF
    text = said.decode(errors="replace").replace("\r", "")
    assert re.findall("ata[12].00: ATA.*", text) == [
        "ata1.00: ATA-6: VMXON HARDDISK, 1.0, max UDMA/100",
        "ata2.00: ATAPI: VMXON CD-ROM, 1.0, max UDMA/100",
    ]
    for path, device in ((disk, "/dev/sda"), (disc, "/dev/sr0")):
        assert f"{hashlib.md5(path.read_bytes()).hexdigest()}  {device}" in text
    assert (copied, kept) == (disc.read_bytes(), disk.read_bytes()[1 << 20 :])
    # By PIO there would be an interrupt for each of 6144 sectors.
    assert all(int(line.split()[1]) < 1000 for line in re.findall("1[45]: .*", text))
