"""Linux's own hypervisor on our VMX: kvm-intel.ko loads without a complaint and runs a guest of a program of ours."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.systems.debian import Debian
from tests.systems.initramfs import busybox_root, file, program
from tests.systems.kvm_program import kvm_program
from tests.systems.static_program import LEAVE, LEFT

MODULES = ("irqbypass", "kvm", "kvm-intel")
INIT = """
mount -t proc proc /proc
mount -t devtmpfs dev /dev
for module in irqbypass kvm kvm-intel; do insmod /$module.ko $(cat /$module.options) || echo "no $module"; done
ls /dev/kvm
/kvm_program
/kvm_controllers
echo "kvm programs ended with $?"
dmesg -r | grep -i -E 'kvm|vmx|unchecked MSR|BUG|WARNING' | grep -E '^<[0-4]>' | sed 's/.*] //'
echo "the end"
/leave
"""
APPEND = "console=ttyS0 noapic nolapic acpi=off pci=off cryptomgr.notests quiet"
EXPECTED = ["/dev/kvm", "5050", "c", "55", "c", "t", "kvm programs ended with 0"]
WARNINGS = {"nehalem": ["kvm: VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL does not work properly. Using workaround"]}
"""Lines of warning level or worse: Linux tells this processor by family and model, and knows its erratum AAK155."""


def run(debian: Debian, kernel: Path, folder: Path, options: str, model: str) -> subprocess.CompletedProcess[str]:
    """Boot `kernel`, load KVM with `options` of kvm-intel, and run the program in its guest."""
    modules = [file(f"{name}.ko", debian.module(name)) for name in MODULES]
    module_options = [file(f"{name}.options", options if name == "kvm-intel" else "") for name in MODULES]
    programs = [
        program("kvm_program", kvm_program(100, 1000)),
        program("kvm_controllers", kvm_program(10, 10, controllers=True)),
        program("leave", LEAVE),
    ]
    initrd = folder / "initrd"
    initrd.write_bytes(busybox_root(debian.busybox.read_bytes(), INIT, [*modules, *module_options, *programs]))
    command = ["-m", "vmxon", "boot", "--kernel", kernel, "--initrd", initrd, "--append", APPEND, "--model", model, "--timeout", "200"]
    return subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, check=False, errors="replace")


def printed(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What our init printed; the kernel's own lines begin with a time."""
    return [line for line in done.stdout.splitlines() if line and not re.match(r"\[ *\d+\.\d+\]", line)]


def expected(model: str) -> list[str]:
    """What it has to print."""
    return [*EXPECTED, *WARNINGS.get(model, []), "the end"]


SETTINGS = [
    ("max", ""),
    ("newest", ""),
    ("max", "ept=0"),
    ("max", "unrestricted_guest=0"),
    ("max", "vpid=0 flexpriority=0"),
    ("max", "enable_apicv=0"),
    ("max", "flexpriority=0 enable_shadow_vmcs=0 pml=0 preemption_timer=0"),
    ("nehalem", ""),
    ("first", ""),
]
"""A processor model, and what kvm-intel is told to leave unused."""


@pytest.mark.linux
@pytest.mark.slow
@pytest.mark.parametrize(("model", "options"), SETTINGS, ids=[" ".join(row).strip() for row in SETTINGS])
def test_kvm_runs_a_guest(debian: Debian, tmp_path: Path, model: str, options: str) -> None:
    done = run(debian, debian.vmlinux, tmp_path, options, model)
    assert (printed(done), done.returncode, done.stderr) == (expected(model), LEFT, "")


@pytest.mark.linux
@pytest.mark.slow
def test_kvm_runs_a_guest_where_linux_started_as_bzimage(debian: Debian, tmp_path: Path) -> None:
    done = run(debian, debian.kernel, tmp_path, "", "max")
    assert (printed(done), done.returncode, done.stderr) == (expected("max"), LEFT, "")
