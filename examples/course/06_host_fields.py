"""Step 6. The host-state area: what a VM exit loads into the processor.

CR0, CR3, CR4, RSP, RIP, selectors, bases, descriptor tables and a few MSRs (Vol. 3C §25.5 “Host-State Area”). VM entry
checks them before it loads anything of the guest; if one is wrong it fails with error 8 and the program goes on behind
VMLAUNCH (Vol. 3C §27.2.2 “Checks on Host Control Registers, MSRs, and SSP”).
"""

from stage import ended, in_one_line, small_guest, vmx_operation
from vmxon.hypervisor.operation.bring_up import value_of
from vmxon.machine.identity import CODE, STACK_TOP, TASK
from vmxon.machine.root import PYTHON_RIP
from vmxon.vmx.fields import Kind
from vmxon.vmx.fields import VmcsField as Field

root, pages = vmx_operation()
small_guest(root, pages, "hlt")

host = [field for field in Field if field.kind is Kind.HOST]
print(f"{len(host)} host fields are defined; the most important ones here:")
values = {
    Field.HOST_CR0: value_of(root.read_cr(0)),
    Field.HOST_CR3: value_of(root.read_cr(3)),
    Field.HOST_CR4: value_of(root.read_cr(4)),
    Field.HOST_RIP: PYTHON_RIP,
    Field.HOST_RSP: STACK_TOP,
    Field.HOST_CS_SELECTOR: CODE,
    Field.HOST_TR_SELECTOR: TASK,
}
for field, value in values.items():
    root.vmwrite(field, value)
    print(f"  {field.name:<16} {field.bits:>2} bits  {value_of(root.vmread(field)):#x}")

print("one mistake at a time, each found before the guest's state is looked at:")
for field, wrong in (
    (Field.HOST_CR4, value_of(root.read_cr(4)) & ~(1 << 13)),
    (Field.HOST_RIP, 1 << 63),
    (Field.HOST_CS_SELECTOR, 0),
    (Field.HOST_TR_SELECTOR, TASK | 3),
):
    root.vmwrite(field, wrong)
    print(f"{field.name} = {wrong:#x}\n  {in_one_line(root.vmlaunch())}")
    root.vmwrite(field, values[field])

print("all put right:", ended(root.vmlaunch()))
print(f"after the exit RSP is {root.registers[4]:#x}, the host's, and CR3 {value_of(root.read_cr(3)):#x}")
