"""Our hypervisors in assembly, as guests of Linux's KVM on our VMX: its nested virtualization is a second opinion beside Bochs."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.images import ORIGIN
from tests.guests.program import ENTRY
from tests.oracles.bochs import log_here
from tests.oracles.test_guests import records
from tests.systems.debian import Debian
from tests.systems.initramfs import busybox_root, file, program
from tests.systems.kvm_monitor import IMAGE, kvm_monitor
from tests.systems.static_program import LEAVE, LEFT
from tests.systems.test_kvm import APPEND, MODULES
from vmxon.machine.assembler import assemble

INIT = """
mount -t devtmpfs dev /dev
for module in irqbypass kvm; do insmod /$module.ko; done
insmod /kvm-intel.ko nested=1
echo "the log"
/kvm_monitor
echo "ended with $?"
/leave
"""
BLOCKED = "vmx_recover_nmi_blocking() of Linux's arch/x86/kvm/vmx/vmx.c sets the blocking again that the exit reports"
NO_TARGETS = "KVM's nested VMX has no CR3 targets (IA32_VMX_MISC)"
RIGHTS = "KVM drops the reserved bits of access rights in VMWRITE, as it says some processors do"
EXCUSES = {
    "events": {"an IRET that faults has ended NMI blocking": BLOCKED, "the same under virtual NMIs": BLOCKED},
    "exits": {"cr3 targets": NO_TARGETS},
    "vmcs_access": {
        "GUEST_TR_ACCESS_RIGHTS: read": RIGHTS,
        "CR3_TARGET_VALUE_3: write": NO_TARGETS,
        "CR3_TARGET_VALUE_3: read": NO_TARGETS,
    },
}
"""Records in which KVM differs, by guest: why."""
TIMER = "preemption timer wakes a halted guest"
"""A record that may differ: KVM counts the timer with a clock of its own, which may end before the guest halts."""


def log_under_kvm(debian: Debian, folder: Path, image: bytes) -> list[str]:
    """What the image prints on port 0xE9."""
    modules = [file(f"{name}.ko", debian.module(name)) for name in MODULES]
    programs = [program("kvm_monitor", kvm_monitor(ORIGIN, ENTRY)), program("leave", LEAVE)]
    initrd = folder / "initrd"
    initrd.write_bytes(busybox_root(debian.busybox.read_bytes(), INIT, [*modules, *programs, file(IMAGE, image)]))
    command = ["-m", "vmxon", "boot", "--kernel", debian.vmlinux, "--initrd", initrd, "--append", APPEND, "-m", "192M", "--timeout", "280"]
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, encoding="latin-1", check=False)
    log = done.stdout.replace("\r", "").partition("the log\n")[2]
    printed, _, rest = log.partition("ended with ")
    # Standard error explains the entries that our guests want to fail and KVM leaves to the processor.
    assert (rest[:1], done.returncode) == ("0", LEFT), done.stdout[-2000:]
    return printed.splitlines()


@pytest.mark.linux
@pytest.mark.slow
@pytest.mark.parametrize("name", ["ept", "modes", "advanced", "events", "exits", "vmcs_access"])
def test_the_log_of_a_guest_is_the_same_under_kvm(debian: Debian, tmp_path: Path, name: str) -> None:
    guest = importlib.import_module(f"tests.guests.{name}").program()
    here = records(log_here(guest.build()))
    there = records(log_under_kvm(debian, tmp_path, assemble(guest.text(), 64, ORIGIN)))
    assert len(here) == len(there)
    different = {label for label in EXCUSES.get(name, {}) for ours, theirs in zip(here, there, strict=True)
                 if ours != theirs and ours.startswith(f"{label}:")}  # fmt: skip
    assert different == EXCUSES.get(name, {}).keys()
    unexplained = [
        f"KVM: {theirs}\nhere: {ours}"
        for ours, theirs in zip(here, there, strict=True)
        if ours != theirs and not any(ours.startswith(f"{label}:") for label in {*different, TIMER})
    ]
    assert not unexplained, "\n".join(unexplained)
