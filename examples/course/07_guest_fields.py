"""Step 7. The guest-state area: what VM entry loads, and what a VM exit saves.

Every segment has four fields, selector, base, limit and access rights, so that VM entry needs no descriptor table
(Vol. 3C §25.4 “Guest-State Area”). A mistake here is found late: the entry fails like a VM exit, with reason 33 and
bit 31 set (Vol. 3C §27.3.1 “Checks on the Guest State Area”, §27.8 “VM-Entry Failures During or After Loading Guest
State”).
"""

from stage import ended, small_guest, vmx_operation
from vmxon.hypervisor.operation.bring_up import value_of
from vmxon.vmx.fields import Kind
from vmxon.vmx.fields import VmcsField as Field

SEGMENTS = ("ES", "CS", "SS", "DS", "FS", "GS", "LDTR", "TR")
PARTS = ("SELECTOR", "BASE", "LIMIT", "ACCESS_RIGHTS")

root, pages = vmx_operation()
small_guest(root, pages, "mov rsp, 0x1234 \n stc \n hlt")

print(f"{sum(field.kind is Kind.GUEST for field in Field)} guest fields are defined; the segments of our guest:")
for name in SEGMENTS:
    selector, base, limit, rights = (value_of(root.vmread(Field[f"GUEST_{name}_{part}"])) for part in PARTS)
    usable = "unusable" if rights >> 16 & 1 else f"type {rights & 15:>2}, DPL {rights >> 5 & 3}"
    print(f"  {name:<4} selector {selector:#04x}  base {base:#x}  limit {limit:#010x}  rights {rights:#07x}  {usable}")

print("one mistake at a time:")
for field, wrong in (
    (Field.GUEST_RFLAGS, 0),
    (Field.GUEST_TR_ACCESS_RIGHTS, 0x89),
    (Field.GUEST_IA32_EFER, 0),
    (Field.VMCS_LINK_POINTER, 0x1234),
):
    right = value_of(root.vmread(field))
    root.vmwrite(field, wrong)
    failed = ended(root.vmlaunch())
    print(f"{field.name} = {wrong:#x}\n  exit reason {int(failed.word):#x}; broken rule {failed.rule}")
    root.vmwrite(field, right)

before = value_of(root.vmread(Field.GUEST_RIP))
print("all put right:", ended(root.vmlaunch()))
rip, rsp, rflags = root.fields((Field.GUEST_RIP, Field.GUEST_RSP, Field.GUEST_RFLAGS))
print(f"the exit saved RIP {rip:#x} (it was {before:#x}), RSP {rsp:#x} and RFLAGS {rflags:#x} with CF set")
