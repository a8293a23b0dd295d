"""Step 3. The VMXON region, and into VMX operation and out again.

The region is a 4-KiB aligned page that holds the revision identifier of IA32_VMX_BASIC in its first word; the rest is
the processor's (Vol. 3C §25.11.5 “VMXON Region”, Vol. 3D App. A.1 “Basic VMX Information”).
"""

import struct

from vmxon.arch.msr_vmx import VmxBasic
from vmxon.hypervisor.memory.page_manager import PAGE, PageManager
from vmxon.hypervisor.operation.bring_up import allow_vmxon, detect, fix_control_registers, value_of
from vmxon.machine.root import bare_processor

root = bare_processor(memory="8M")
detect(root)
fix_control_registers(root)
allow_vmxon(root)

basic = VmxBasic(value_of(root.rdmsr(0x480)))
print(f"IA32_VMX_BASIC: revision {basic.revision:#x}, regions of {basic.region_size} bytes, memory type {basic.memory_type}")

region = PageManager(8 << 20, root.free).allocate()
root.write(region, bytes(PAGE))
print("revision missing:", root.vmxon(region))

root.write(region, struct.pack("<I", basic.revision))
print("not aligned:     ", root.vmxon(region + 8))
print("outside memory:  ", root.vmxon(1 << 60))
print("as it should be: ", root.vmxon(region))
print("a second time:   ", root.vmxon(region))

print(root.vmxoff())
print("outside VMX operation,", root.vmxoff())
print("and in again:", root.vmxon(region))
