"""Step 14. A shadow page table.

The guest's tables hold guest-physical addresses. The processor walks the hypervisor's own tree, which is filled on page
faults and cleared on INVLPG (Vol. 3C §26.1.3 “Instructions That Cause VM Exits Conditionally”).
"""

import struct

from stage import ended, small_guest, step_over, vmx_operation
from vmxon.arch.exceptions import Vector
from vmxon.hypervisor.operation.registers import Register
from vmxon.machine.assembler import assemble
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField as Field

SHIFTS = (39, 30, 21, 12)
CODE, PML4, PDPT, DIRECTORY, TABLE, DATA, OLD, NEW = (0x1000 * n for n in range(1, 9))  # guest-physical
PRESENT_WRITABLE, ACCESSED, ADDRESS = 3, 0x20, 0x000F_FFFF_FFFF_F000
GUEST = f"""
    mov rsi, {DATA:#x}
    mov eax, [rsi]
    mov qword ptr [{TABLE + 8 * (DATA >> 12):#x}], {NEW | PRESENT_WRITABLE:#x}  # in its own page table
    mov ebx, [rsi]
    invlpg [rsi]
    mov ecx, [rsi]
    hlt
"""

root, pages = vmx_operation()
memory, shadow = pages.allocate(16), pages.allocate()  # the guest's 64 KiB; the root of the shadow


def load(address: int) -> int:
    """A table entry in host memory."""
    return int.from_bytes(root.read(address, 8), "little")


def guest_walk(linear: int) -> int:
    """The guest's own entry for a linear address, as its tables say it; marked accessed, as a processor does."""
    table = PML4
    for shift in SHIFTS:
        place = memory + table + 8 * (linear >> shift & 511)
        root.write(place, struct.pack("<Q", load(place) | ACCESSED))
        table = load(place) & ADDRESS
    return load(place)


def shadow_place(linear: int) -> int:
    """Where the shadow's last entry of a linear address is; tables on the way are made."""
    table = shadow
    for shift in SHIFTS[:3]:
        place = table + 8 * (linear >> shift & 511)
        root.write(place, struct.pack("<Q", load(place) or pages.allocate() | PRESENT_WRITABLE))
        table = load(place) & ADDRESS
    return table + 8 * (linear >> 12 & 511)


leaves = [(TABLE + 8 * (page >> 12), frame) for page, frame in ((CODE, CODE), (TABLE, TABLE), (DATA, OLD))]
for table, entry in ((PML4, PDPT), (PDPT, DIRECTORY), (DIRECTORY, TABLE), *leaves):
    root.write(memory + table, struct.pack("<Q", entry | PRESENT_WRITABLE))
root.write(memory + CODE, assemble(GUEST, 64, CODE))
root.write(memory + OLD, b"old ".ljust(NEW - OLD, b"\0") + b"new ")
small_guest(root, pages, "hlt", invlpg_exiting=1)
root.set_fields(Field.GUEST_CR3, shadow, Field.GUEST_RIP, CODE, Field.EXCEPTION_BITMAP, 1 << Vector.PF)
exited = ended(root.vmlaunch())
while exited.reason is not ExitReason.HLT:
    place = shadow_place(exited.qualification)
    if exited.reason is ExitReason.INVLPG:
        print(f"INVLPG {exited.qualification:#x}: shadow entry {load(place):#x} is dropped")
        root.write(place, bytes(8))
        step_over(root, exited)
    else:
        entry = guest_walk(exited.qualification)
        root.write(place, struct.pack("<Q", entry + memory))
        print(f"page fault at {exited.qualification:#x}: guest entry {entry:#x}, shadow entry {load(place):#x}")
    exited = ended(root.vmresume())
old, still, new = (struct.pack("<I", root.registers[r]).decode() for r in (Register.RAX, Register.RBX, Register.RCX))
print(f"the guest read {old!r}, after its change without INVLPG {still!r}, after INVLPG {new!r}")
