"""Step 9. VMLAUNCH and the first VM exit.

VMLAUNCH checks the VMCS, loads the guest's state and goes on at the guest's RIP. An instruction that exits saves that
state again, loads the host's and goes on at HOST_RIP, which is Python here; the reason, its qualification and the
length of the instruction are in the exit-information fields (Vol. 3C §27.2 “Checks on VMX Controls and Host-State
Area”, §28.2 “Recording VM-Exit Information and Updating VM-Entry Control Fields”).
"""

from stage import small_guest, vmx_operation
from vmxon.hypervisor.operation.bring_up import value_of
from vmxon.machine.outcome import Exited
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField as Field

root, pages = vmx_operation()
code = small_guest(root, pages, "mov eax, 6 \n imul eax, eax, 7 \n hlt")

print(f"the guest starts at {code:#x}: mov eax, 6; imul eax, eax, 7; hlt")
outcome = root.vmlaunch()
print(outcome)

match outcome:
    case Exited(reason=ExitReason.HLT):
        print(f"the guest computed {root.registers[0]} in RAX and wants to sleep")
    case Exited(reason=reason):
        print("an exit that nobody expects:", reason.title)
    case _:
        print("no guest instruction ran")

print("the same, field by field:")
for field in (Field.EXIT_REASON, Field.EXIT_QUALIFICATION, Field.VM_EXIT_INSTRUCTION_LENGTH, Field.GUEST_RIP):
    print(f"  VMREAD {int(field):#06x} {field.name:<28} {value_of(root.vmread(field)):#x}")
print("GUEST_RIP is that of HLT itself: the instruction did not happen, its length says where the next one is")
