"""Step 16. The bits of EPT entries: violation, misconfiguration, accessed and dirty.

An access that the entry does not allow is an EPT violation, and its qualification says what was tried and what is allowed
(Vol. 3C §29.3.3.2 “EPT Violations”, Table 28-7). An entry whose value is illegal, such as write without read, is a
misconfiguration for any access (§29.3.3.1 “EPT Misconfigurations”). With bit 6 of EPTP the processor sets accessed and
dirty (§29.3.5 “Accessed and Dirty Flags for EPT”).
"""

import struct

from stage import ended, ept_guest, vmx_operation
from vmxon.hypervisor.memory.arch_memory import LEVELS, ArchMemory
from vmxon.vmx.ept_entries import EptPage4K, EptTableEntry, InveptType
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField as Field
from vmxon.vmx.qualifications import EptViolationQualification

DATA = 0x5000
WRITE_BACK, RESERVED_TYPE = 6, 2
GUEST = f"mov eax, [{DATA:#x}] \n mov dword ptr [{DATA:#x}], 0xF4 \n mov ebx, {DATA:#x} \n jmp ebx"

root, pages = vmx_operation()
space = ArchMemory(root, pages)
ept_guest(root, pages, space, GUEST)
frame = pages.allocate()
space.map_page(DATA, frame)
eptp = space.pointer.replace(accessed_dirty=1)
root.set_fields(Field.EPTP, eptp)

place = space.tables[0]
for shift in LEVELS[:3]:
    place = EptTableEntry(struct.unpack("<Q", root.read(place + 8 * (DATA >> shift & 511), 8))[0]).table << 12
place += 8 * (DATA >> 12 & 511)


def load() -> EptPage4K:
    """The entry of the guest's data page."""
    return EptPage4K(struct.unpack("<Q", root.read(place, 8))[0])


def store(title: str, **bits: int) -> None:
    """Change the entry and forget what the TLB knows of it."""
    entry = EptPage4K.make(**{"frame": frame >> 12, "memory_type": WRITE_BACK} | bits)
    root.write(place, struct.pack("<Q", entry))
    root.invept(InveptType.SINGLE_CONTEXT, eptp)
    print(f"{title}: entry {int(entry):#x}")


def rights(read: bool, write: bool, execute: bool) -> str:
    """As in a listing of files."""
    return "".join(letter if allowed else "-" for letter, allowed in zip("rwx", (read, write, execute), strict=True))


store("read only", read=1)
enter = root.vmlaunch
for title, change in (
    ("read and write", {"read": 1, "write": 1}),
    ("write without read", {"write": 1}),
    ("a reserved memory type", {"read": 1, "memory_type": RESERVED_TYPE}),
    ("everything", {"read": 1, "write": 1, "execute": 1}),
):
    exited = ended(enter())
    enter = root.vmresume
    print(f"  exit {int(exited.reason)}, {exited.reason.title}, at {exited.guest_physical:#x}; A={load().accessed:d} D={load().dirty:d}")
    if exited.reason is ExitReason.EPT_VIOLATION:
        why = EptViolationQualification(exited.qualification)
        print(f"  tried {rights(why.read, why.write, why.fetch)}, allowed {rights(why.readable, why.writable, why.executable)}")
    store(title, **change)
exited = ended(enter())
print(f"  exit {int(exited.reason)}, {exited.reason.title}: the guest ran what it had written at {exited.guest_rip:#x}")
print(f"  A={load().accessed:d}, D={load().dirty:d}: fetched from, and not written since")
