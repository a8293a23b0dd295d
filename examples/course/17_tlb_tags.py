"""Step 17. TLB tags and INVEPT, with the stale access that happens without it.

The processor keeps translations that came through EPT, tagged with the root in EPTP, the VPID and the PCID. Changing an EPT
entry does not change what it keeps: the guest goes on with the old frame until INVEPT (Vol. 3C §29.4.2 “Creating and Using
Cached Translation Information”, §29.4.3.3 “Guidelines for Use of the INVVPID Instruction”, §29.4.3.4 “Guidelines for
Use of the INVEPT Instruction”).
"""

import struct

from stage import ended, ept_guest, step_over, vmx_operation
from vmxon.hypervisor.memory.arch_memory import ArchMemory
from vmxon.hypervisor.operation.registers import Register
from vmxon.vmx.ept_entries import InveptType
from vmxon.vmx.fields import VmcsField as Field

DATA = 0x5000
GUEST = f"again: mov eax, [{DATA:#x}] \n vmcall \n jmp again"

root, pages = vmx_operation()
space, other = ArchMemory(root, pages), ArchMemory(root, pages)
ept_guest(root, pages, space, GUEST)
code = space.lookup(0x1000)
assert code is not None
other.map_page(0x1000, code.host)
frames = []
for text in (b"one ", b"two ", b"six "):
    frames.append(pages.allocate())
    root.write(frames[-1], text)
one, two, three = frames
space.map_page(DATA, one)
other.map_page(DATA, three)


def remap(host: int) -> None:
    """Give the guest's page another frame: a store to the EPT entry and nothing else."""
    space.unmap_page(DATA)
    space.map_page(DATA, host)
    mapping = space.lookup(DATA)
    assert mapping is not None
    print(f"EPT now says: guest-physical {DATA:#x} is host-physical {mapping.host:#x}, {root.read(mapping.host, 4).decode().strip()!r}")


def look(title: str) -> None:
    """Let the guest read its page once."""
    exited = ended((root.vmresume if launched else root.vmlaunch)())
    launched.append(True)
    step_over(root, exited)
    print(f"  {title}: the guest reads {struct.pack('<I', root.registers[Register.RAX]).decode().strip()!r}")


launched: list[bool] = []
print(f"VPID {root.fields((Field.VPID,))[0]}, EPTP {int(space.pointer):#x}; the page is at {one:#x}, 'one'")
look("first read")
remap(two)
look("without INVEPT")
look("and again")
root.invept(InveptType.SINGLE_CONTEXT, space.pointer)
look("after INVEPT for this EPTP")

remap(one)
root.invept(InveptType.SINGLE_CONTEXT, other.pointer)
look("after INVEPT for another EPTP")
root.set_fields(Field.EPTP, other.pointer)
look("with another EPTP, another tag")
root.set_fields(Field.EPTP, space.pointer)
root.invept(InveptType.ALL_CONTEXTS)
look("after INVEPT for all, with the first EPTP again")
print("a processor may forget a translation at any time; only after INVEPT must it have forgotten")
