"""Step 1. Is there VMX, and what switches it on?

CPUID.1:ECX[5] tells (Vol. 3C §24.6 “Discovering Support for VMX”). CR4.VMXE, bit 13, switches it on: without it the
processor does not know the VMX instructions (Vol. 3C §24.7 “Enabling and Entering VMX Operation”).
"""

import struct

from vmxon.arch.control import Cr4
from vmxon.arch.features import Feature
from vmxon.hypervisor.operation.bring_up import value_of
from vmxon.machine.root import bare_processor

REGION = 0x10_0000

root = bare_processor(memory="8M", model="nehalem")

_, ebx, ecx, edx = root.cpuid(0)
print("vendor:", struct.pack("<3I", ebx, edx, ecx).decode())

ecx = root.cpuid(1)[2]
print(f"CPUID.1:ECX = {ecx:#010x}; bit {Feature.VMX.mask.bit_length() - 1}, VMX, is {ecx >> 5 & 1}")

cr4 = value_of(root.read_cr(4))
print(f"CR4 = {cr4:#x}: CR4.VMXE is {cr4 >> 13 & 1}")
print("without it,", root.vmxon(REGION))

root.write_cr(4, cr4 | Cr4.vmxe.mask)
print(f"CR4 = {value_of(root.read_cr(4)):#x}: CR4.VMXE is set")
print("now,", root.vmxon(REGION), "- the instruction exists, and something else is missing: step 2")
