"""Step 16. The bits of EPT entries: violation, misconfiguration, accessed and dirty.

An access that the entry does not allow is an EPT violation, and its qualification says what was tried and what is allowed
(Vol. 3C §29.3.3.2 “EPT Violations”, Table 28-7). An entry whose value is illegal, such as write without read, is a
misconfiguration for any access (§29.3.3.1 “EPT Misconfigurations”). With bit 6 of EPTP the processor sets accessed and
dirty (§29.3.5 “Accessed and Dirty Flags for EPT”).
"""

import struct

from stage import CODE, ended, ept_guest, vmx_operation

from vmxon.hypervisor.arch_memory import ArchMemory
from vmxon.machine.outcome import Exited
from vmxon.machine.root import RootProcessor
from vmxon.vmx.ept_entries import EptPage4K, InveptType
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField as Field
from vmxon.vmx.qualifications import EptViolationQualification

DATA = 0x5000
WRITE_BACK, RESERVED_TYPE = 6, 2
GUEST = f"mov eax, [{DATA:#x}] \n mov dword ptr [{DATA:#x}], 0xF4 \n mov ebx, {DATA:#x} \n jmp rbx"

root, pages = vmx_operation()
space = ArchMemory(root, pages)
ept_guest(root, pages, space, GUEST.replace("rbx", "ebx"))
space.map_page(CODE, pages.allocate())
ept_guest.place(root, space)
frame = pages.allocate()
space.map_page(DATA, frame)
eptp = space.pointer.replace(accessed_dirty=1)
root.set_fields(Field.EPTP, eptp)
