"""Step 15. The EPT walk: from guest-physical to host-physical.

EPT is a second tree of four levels, whose root is in the VMCS field EPTP. The processor walks it for every guest-physical
address, those of the guest's own page tables included; where an entry has none of read, write and execute, the guest exits
with an EPT violation (Vol. 3C §29.3.2 “EPT Translation Mechanism”, §29.3.3.2 “EPT Violations”).
"""

import struct

from stage import ended, ept_guest, vmx_operation
from vmxon.hypervisor.memory.arch_memory import LEVELS, ArchMemory
from vmxon.vmx.ept_entries import EptTableEntry
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField as Field
from vmxon.vmx.qualifications import EptViolationQualification

DATA = 0x4020_3008
GUEST = f"mov dword ptr [{DATA:#x}], 0x12345678 \n mov eax, [{DATA:#x}] \n hlt"

root, pages = vmx_operation()
space = ArchMemory(root, pages)
ept_guest(root, pages, space, GUEST)
print(f"EPTP = {int(space.pointer):#x}: {space.pointer.walk_length + 1} levels, memory type {space.pointer.memory_type}, write-back")

exited = ended(root.vmlaunch())
while exited.reason is ExitReason.EPT_VIOLATION:
    why = EptViolationQualification(exited.qualification)
    access = "fetch from" if why.fetch else "write to" if why.write else "read of"
    print(f"EPT violation: {access} guest-physical {exited.guest_physical:#x}")
    frame = pages.allocate()
    space.map_page(exited.guest_physical & ~0xFFF, frame)
    print(f"  mapped to the frame at {frame:#x}; RIP stays {exited.guest_rip:#x}, the instruction is tried again")
    exited = ended(root.vmresume())
print(exited)

print(f"the walk for guest-physical {DATA:#x}, as the processor did it:")
table = space.tables[0]
for name, shift in zip(("PML4", "PDPT", "directory", "table"), LEVELS, strict=True):
    index = DATA >> shift & 511
    entry = EptTableEntry(struct.unpack("<Q", root.read(table + 8 * index, 8))[0])
    print(f"  {name:<9} at {table:#x}, entry {index:>3} = {int(entry):#08x}: next at {entry.table << 12:#x}")
    table = entry.table << 12
host = table + (DATA & 0xFFF)
print(f"so guest-physical {DATA:#x} is host-physical {host:#x}, where the host reads {root.read(host, 4)[::-1].hex()}")
print(f"the guest read back {root.registers[0]:#x}; RIP {root.fields((Field.GUEST_RIP,))[0]:#x}")
