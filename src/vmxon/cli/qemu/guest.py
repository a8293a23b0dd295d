"""-accel kvm: the machine of a draft as a guest of vmxon's hypervisor."""

from __future__ import annotations

from vmxon.cli.qemu.machines import serials
from vmxon.cli.qemu.option import Draft
from vmxon.cli.qemu.places import Places
from vmxon.cli.qemu.run import attend, shown
from vmxon.debug.monitor.complaint import Complaint
from vmxon.devices.disk import CdromDrive
from vmxon.errors import ConfigurationError
from vmxon.hypervisor.virtual_machine import VirtualMachine
from vmxon.machine.board import Board
from vmxon.machine.configuration import PcConfiguration
from vmxon.machine.local_apic import ApicWires
from vmxon.machine.processor import Processor

ONLY_BARE = "not under the hypervisor: leave out -enable-kvm for the bare machine"


class MonitoredGuest:
    """A guest as the monitor's machine: its devices, and its end."""

    def __init__(self, guest: VirtualMachine) -> None:
        self.guest = guest

    @property
    def board(self) -> Board:
        return self.guest.devices.board

    @property
    def processor(self) -> Processor:
        raise Complaint(ONLY_BARE)

    @property
    def apic(self) -> ApicWires:
        raise Complaint(ONLY_BARE)

    @property
    def running(self) -> bool:
        return True

    def stop(self) -> None:
        raise Complaint(ONLY_BARE)

    def resume(self) -> None:
        """It runs."""

    def reset(self) -> None:
        raise Complaint(ONLY_BARE)

    def quit(self) -> None:
        self.guest.end(0)


def start_guest(draft: Draft, made: PcConfiguration) -> int:
    """Run the guest to its end; the status that it gave."""
    if draft.gdb is not None or draft.paused:
        raise ConfigurationError("-s and -S need the bare machine", advice="leave out -enable-kvm")
    if made.model.vmx is None:
        raise ConfigurationError("-enable-kvm needs a processor with VMX", advice="leave out -vmx")
    disks = [drive for drive in made.drives if not isinstance(drive, CdromDrive)]
    if len(disks) < len(made.drives):
        raise ConfigurationError("a guest of the hypervisor has no CD-ROM drive", advice="leave out -enable-kvm")
    places = Places(draft)
    sinks = [places.sink(words) for words in serials(draft)]
    guest = VirtualMachine(
        made.model,
        made.memory_size,
        serial=sinks[0] if sinks else lambda value: None,
        debug_console=places.sink(draft.debug_console or "null"),
        drives=disks,
    )
    if made.kernel is not None:
        guest.load(made.kernel)
    else:
        guest.boot()
    machine = MonitoredGuest(guest)
    guest.interactive = attend(draft, places, machine, guest.inbox.post)
    shared = any(words.startswith("mon:") for words in serials(draft))
    with shown(draft, places, guest.devices.board), places.open(shared=shared):
        return guest.run()


