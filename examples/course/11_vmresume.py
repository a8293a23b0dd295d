"""Step 11. VMRESUME, and the loop that every hypervisor is.

After the first exit the VMCS is launched, and VMRESUME goes on. RIP still points at the instruction that exited: whoever
has emulated it adds its length (Vol. 3C §28.2.5 “Information for VM Exits Due to Instruction Execution”); whoever does
not gets the same exit again.
"""

from stage import ended, small_guest, step_over, vmx_operation
from vmxon.hypervisor.operation.registers import Register
from vmxon.vmx.exit_reasons import ExitReason

GUEST = """
    mov ebx, 3
again:
    mov eax, ebx
    cpuid           # changes EBX as well, as the hypervisor answers
    mov ebx, eax
    test ebx, ebx
    jnz again
    hlt
"""

root, pages = vmx_operation()
small_guest(root, pages, GUEST)

exited = ended(root.vmlaunch())
print(exited)
print("not stepped over:", ended(root.vmresume()))

exits = 0
while exited.reason is not ExitReason.HLT:
    exits += 1
    asked = root.registers[Register.RAX]
    print(f"exit {exits}: the guest asks for leaf {asked}; the answer is EAX {asked - 1}")
    root.registers[Register.RAX] = asked - 1
    step_over(root, exited)
    exited = ended(root.vmresume())
print(exited)
print(f"{exits} exits for CPUID, then HLT; one VMLAUNCH, and VMRESUME for every entry after it")
