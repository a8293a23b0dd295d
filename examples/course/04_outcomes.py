"""Step 4. The VMX instructions and the three ways in which they end.

VMsucceed clears CF, PF, AF, ZF, SF and OF. VMfailInvalid sets CF: no VMCS is current, so there is nowhere to put a
number. VMfailValid sets ZF and writes a number to the VM-instruction error field (Vol. 3C §31.2 “Conventions”,
§31.4 “VM Instruction Error Numbers”). Besides, an instruction may fault like any other.
"""

from stage import vmx_operation
from vmxon.hypervisor.operation.bring_up import new_region
from vmxon.machine.outcome import FailedValid, Faulted, Outcome
from vmxon.vmx.fields import VmcsField as Field

NO_SUCH_FIELD = 0x7FFE

root, pages = vmx_operation()
vmxon_region = root.free
vmcs = new_region(root, pages)


def show(outcome: Outcome) -> Outcome:
    """One line: how it ended, with the two flags that a program would test."""
    if isinstance(outcome, Faulted):
        print(f"             {outcome}")
        return outcome
    flags = root.processor.rflags
    print(f"  CF={flags & 1} ZF={flags >> 6 & 1}  {outcome}")
    return outcome


print("no VMCS is current:")
show(root.vmptrst())
show(root.vmread(Field.GUEST_RIP))
show(root.vmlaunch())

print("one is:")
show(root.vmclear(vmcs))
show(root.vmptrld(vmcs))
show(root.vmwrite(Field.GUEST_RIP, 0x1000))
show(root.vmread(Field.GUEST_RIP))
show(root.invept(2))
show(root.invvpid(2))

print("mistakes, with their numbers:")
show(root.vmread(NO_SUCH_FIELD))
show(root.vmwrite(Field.EXIT_REASON, 0))
show(root.vmclear(vmxon_region))
show(root.vmptrld(vmcs + 1))
show(root.vmcall())
show(root.vmresume())
failed = show(root.invept(7))
assert isinstance(failed, FailedValid)
number = root.fields((Field.VM_INSTRUCTION_ERROR,))[0]
print(f"the error field holds {number}, the last of them")

print("outside VMX operation:")
show(root.vmxoff())
show(root.vmread(Field.GUEST_RIP))
