"""Step 5. The states of a VMCS: active or not, current or not, clear or launched.

VMPTRLD makes a VMCS active and current; another VMPTRLD takes “current” away but leaves it active. VMLAUNCH makes the
current one launched. Only VMCLEAR makes it inactive and clear, and it writes the fields back to the region in memory
(Vol. 3C §25.1 “Overview”, Figure 25-1 “States of VMCS X”).
"""

from stage import ended, small_guest, vmx_operation
from vmxon.hypervisor.operation.bring_up import new_region, value_of
from vmxon.machine.root import RootProcessor
from vmxon.vmx.fields import VmcsField as Field

NONE = (1 << 64) - 1


def current(root: RootProcessor) -> str:
    """The name of the current VMCS."""
    return names[value_of(root.vmptrst())]


root, pages = vmx_operation()
second = new_region(root, pages)
small_guest(root, pages, "hlt")
first = value_of(root.vmptrst())
names = {first: "A", second: "B", NONE: "none"}

print("A went through VMCLEAR and VMPTRLD; current:", current(root))
root.vmclear(second)
print("VMCLEAR of B does not touch A; current:", current(root))
root.vmptrld(second)
root.vmwrite(Field.GUEST_RSP, 0xB)
print("VMPTRLD of B; current:", current(root))
root.vmptrld(first)
root.vmwrite(Field.GUEST_RSP, 0xA)
root.vmptrld(second)
print(f"both are active, and each keeps its fields: RSP of B is {value_of(root.vmread(Field.GUEST_RSP)):#x}")
root.vmptrld(first)
print(f"VMPTRLD of A again: its RSP is {value_of(root.vmread(Field.GUEST_RSP)):#x}")

print("A is clear:", root.vmresume())
print("so it is launched:", ended(root.vmlaunch()))
print("A is launched:", root.vmlaunch())
print("so it is resumed:", ended(root.vmresume()))
root.vmptrld(second)
root.vmptrld(first)
print("launched survives a switch to B and back:", ended(root.vmresume()))

root.vmclear(first)
print("VMCLEAR of A; current:", current(root))
print(root.vmread(Field.GUEST_RSP))
root.vmptrld(first)
print(f"VMPTRLD of A; its fields came back from memory: RSP {value_of(root.vmread(Field.GUEST_RSP)):#x}")
print("but VMCLEAR reset the launch state:", root.vmresume())
print("so it is launched once more:", ended(root.vmlaunch()))
