"""Step 13. Paging without EPT: guest-physical is host-physical.

Without EPT the guest's CR3 points at page tables in the host's memory, and whoever writes them decides what the guest
reaches. So the hypervisor keeps them: “CR3-load exiting” shows which tables the guest wants, the exception bitmap shows
its page faults (Vol. 3C §26.1.3 “Instructions That Cause VM Exits Conditionally”, §26.2 “Other Causes of VM Exits”).
"""

import struct

from stage import ended, small_guest, step_over, vmx_operation
from vmxon.arch.exceptions import PageFaultErrorCode, Vector
from vmxon.hypervisor.operation.registers import Register
from vmxon.vmx.events import ExitInterruption
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField as Field
from vmxon.vmx.qualifications import CrAccessQualification

LINEAR = 0x80_0000_0000
PRESENT_WRITABLE = 3

root, pages = vmx_operation()
pml4, pdpt, directory, table, data = (pages.allocate() for _ in range(5))
root.write(pml4, root.read(0x6000, 8))  # the host's own first 512 GiB, so that the guest finds its code
for address, index, entry in ((pml4, LINEAR >> 39, pdpt), (pdpt, LINEAR >> 30, directory), (directory, LINEAR >> 21, table)):
    root.write(address + 8 * (index & 511), struct.pack("<Q", entry | PRESENT_WRITABLE))
root.write(data, b"page for the guest")

GUEST = f"""
    mov rax, {pml4:#x}
    mov cr3, rax
    movabs rbx, {LINEAR:#x}
    mov ecx, [rbx]
    mov rdx, {data:#x}
    mov edx, [rdx]
    hlt
"""
code = small_guest(root, pages, GUEST, cr3_load_exiting=1)
root.set_fields(Field.EXCEPTION_BITMAP, 1 << Vector.PF)

exited = ended(root.vmlaunch())
while exited.reason is not ExitReason.HLT:
    print(exited)
    if exited.reason is ExitReason.CR_ACCESS:
        access = CrAccessQualification(exited.qualification)
        wanted = root.registers[access.register]
        print(f"  the guest wants CR{access.number} = {wanted:#x}; these tables are ours, so it may have them")
        root.set_fields(Field.GUEST_CR3, wanted)
        step_over(root, exited)
    else:
        event = ExitInterruption(exited.interruption)
        (error_code,) = root.fields((Field.VM_EXIT_INTERRUPTION_ERROR_CODE,))
        print(f"  exception {event.vector}, page fault at {exited.qualification:#x}, error code {PageFaultErrorCode(error_code)!r}")
        root.write(table + 8 * (exited.qualification >> 12 & 511), struct.pack("<Q", data | PRESENT_WRITABLE))
        print(f"  mapped to the frame at {data:#x}; the instruction is tried again")
    exited = ended(root.vmresume())

first, second = (struct.pack("<I", root.registers[r] & 0xFFFF_FFFF) for r in (Register.RCX, Register.RDX))
print(f"through its new page the guest read {first.decode()!r}")
print(f"at the host's own address {data:#x} it read {second.decode()!r} too: nothing is between the guest and host memory but these tables")
