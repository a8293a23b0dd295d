"""Debian's kernel with its root file system on the IDE disk: ext4, which it reads and writes by DMA and finds whole after a restart."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.missing import report_missing
from tests.systems.debian import Debian
from tests.systems.initramfs import busybox_root, file

MODULES = ("scsi_common", "scsi_mod", "libata", "ata_piix", "sd_mod")
INITRAMFS = f"""
mount -t devtmpfs dev /dev
for module in {" ".join(MODULES)}; do insmod /$module.ko; done
mkdir /new
mount -t ext4 /dev/sda /new
exec switch_root /new /init
"""
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
grep ' / ' /proc/mounts
for n in $(cat /count) more; do echo "start $n"; done
echo "$(cat /count) again" > /count
head -c 1000000 /bin/busybox >> /copy
md5sum /copy | cut -d ' ' -f 1
sync
sleep 1
poweroff -f
"""


@pytest.mark.linux
@pytest.mark.slow
def test_the_root_is_an_ext4_file_system_on_the_disk(debian: Debian, tmp_path: Path) -> None:
    make = shutil.which("mke2fs", path=f"{os.environ.get('PATH', os.defpath)}:/sbin:/usr/sbin")
    if make is None:
        report_missing("no mke2fs (package e2fsprogs)")
    root, disk, initrd = tmp_path / "root", tmp_path / "disk.img", tmp_path / "initrd"
    for name in ("bin", "dev", "proc"):
        (root / name).mkdir(parents=True)
    shutil.copy(debian.busybox, root / "bin/busybox")
    (root / "bin/busybox").chmod(0o755)
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    (root / "count").write_text("first\n")
    subprocess.run([make, "-q", "-t", "ext4", "-d", root, disk, "24M"], check=True)
    modules = [file(f"{name}.ko", debian.module(name)) for name in MODULES]
    initrd.write_bytes(busybox_root(debian.busybox.read_bytes(), INITRAMFS, modules))
    words = ["boot", "--kernel", debian.vmlinux, "--initrd", initrd, "--drive", f"file={disk},snapshot=off"]
    words += ["--append", "console=ttyS0 cryptomgr.notests quiet", "--timeout", "280"]
    for starts in (["first"], ["first", "again"]):
        done = subprocess.run([sys.executable, "-m", "vmxon", *map(str, words)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert "/dev/sda / ext4 rw" in done.stdout
        assert [line.removeprefix("start ") for line in done.stdout.splitlines() if line.startswith("start ")] == [*starts, "more"]
