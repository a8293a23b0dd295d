"""Step 10. The context switch of the general-purpose registers, by hand.

VM entry and VM exit switch RSP, RIP, RFLAGS, control and segment registers; RAX to R15 without RSP, CR2, DR0 to DR6 and
the FPU stay as they are (Vol. 3C §27.3.2.3 “Loading Guest RIP, RSP, RFLAGS, and SSP”, §28.3.3 “Saving RIP, RSP, RFLAGS, and
SSP”). So the hypervisor saves the guest's after each exit and puts them back before each entry.
"""

from stage import ended, small_guest, step_over, vmx_operation
from vmxon.hypervisor.operation.bring_up import value_of
from vmxon.hypervisor.operation.registers import GuestRegisters, Register

TEXT = "mov rax, 0x1111 \n mov r15, 0xFFFF \n cpuid \n add rax, r15 \n cpuid"
HYPERVISORS_OWN = 0xDEAD

root, pages = vmx_operation()


def use_registers() -> None:
    """What any code of the hypervisor does between two entries."""
    for register in Register:
        if register is not Register.RSP:
            root.registers[register] = HYPERVISORS_OWN


def show(title: str) -> None:
    """RAX and R15 as they are in the processor."""
    print(f"{title}: RAX {root.registers[Register.RAX]:#x}, R15 {root.registers[Register.R15]:#x}")


print("without a context switch:")
small_guest(root, pages, TEXT)
use_registers()
show("  before VMLAUNCH")
exited = ended(root.vmlaunch())
show("  after the exit ")
use_registers()
step_over(root, exited)
ended(root.vmresume())
show("  after the next ")
print("  the guest counted on 0x1111 + 0xffff and used the hypervisor's registers")

print("with one:")
root.vmclear(value_of(root.vmptrst()))
small_guest(root, pages, TEXT)
guest = GuestRegisters(root)
guest.restore()
exited = ended(root.vmlaunch())
guest.save()
print(f"  saved: RAX {guest[Register.RAX]:#x}, R15 {guest[Register.R15]:#x}")
use_registers()
show("  meanwhile      ")
step_over(root, exited)
guest.restore()
ended(root.vmresume())
guest.save()
print(f"  after the next : RAX {guest[Register.RAX]:#x}, R15 {guest[Register.R15]:#x}")
print(f"RSP is different: the exit loaded {root.registers[Register.RSP]:#x}, and the guest's is in the VMCS")
