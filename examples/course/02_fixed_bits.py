"""Step 2. What VMXON demands of CR0, CR4 and the firmware.

A bit that is 1 in IA32_VMX_CR0_FIXED0 must be 1 in CR0, one that is 0 in IA32_VMX_CR0_FIXED1 must be 0; the same for
CR4 (Vol. 3C §24.8 “Restrictions on VMX Operation”). IA32_FEATURE_CONTROL must be locked with its bit 2 set
(Vol. 3C §24.7 “Enabling and Entering VMX Operation”).
"""

from vmxon.arch.control import Cr0, Cr4
from vmxon.hypervisor.memory.page_manager import PageManager
from vmxon.hypervisor.operation.bring_up import new_region, value_of
from vmxon.machine.root import bare_processor

FEATURE_CONTROL = 0x3A
LOCK, OUTSIDE_SMX = 1, 1 << 2

root = bare_processor(memory="8M", model="nehalem")
region = new_region(root, PageManager(8 << 20, root.free))

for number, fixed0, fixed1 in ((0, 0x486, 0x487), (4, 0x488, 0x489)):
    value, must, may = value_of(root.read_cr(number)), value_of(root.rdmsr(fixed0)), value_of(root.rdmsr(fixed1))
    print(f"CR{number} = {value:#010x}, must have {must:#010x}, may have {may:#010x}; it lacks {must & ~value:#x}")
    root.write_cr(number, (value | must) & may)

print(f"IA32_FEATURE_CONTROL = {value_of(root.rdmsr(FEATURE_CONTROL)):#x}, as after reset;", root.vmxon(region))
root.wrmsr(FEATURE_CONTROL, OUTSIDE_SMX)
print("VMXON allowed but not locked;", root.vmxon(region))
root.wrmsr(FEATURE_CONTROL, OUTSIDE_SMX | LOCK)
print("locked; another write:", root.wrmsr(FEATURE_CONTROL, 0))

cr0 = value_of(root.read_cr(0))
root.write_cr(0, cr0 & ~Cr0.ne.mask)
print("with CR0.NE = 0,", root.vmxon(region))
root.write_cr(0, cr0)
print("with everything in place,", root.vmxon(region))

print("in VMX operation the bits are fixed:")
print("  clear CR0.NE:", root.write_cr(0, cr0 & ~Cr0.ne.mask))
print("  clear CR4.VMXE:", root.write_cr(4, value_of(root.read_cr(4)) & ~Cr4.vmxe.mask))
