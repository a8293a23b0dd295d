"""Step 12. Exits on CPUID, HLT, I/O and MSR instructions.

CPUID always exits; HLT, IN, OUT, RDMSR and WRMSR exit where the controls and bitmaps say so (Vol. 3C §26.1.2 “Instructions
That Cause VM Exits Unconditionally”, §26.1.3 “Instructions That Cause VM Exits Conditionally”). The qualification
of an I/O exit holds port, size and direction (Vol. 3C §28.2.1 “Basic VM-Exit Information”, Table 28-5).
"""

from stage import ended, small_guest, step_over, vmx_operation
from vmxon.hypervisor.operation.registers import Register
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField as Field
from vmxon.vmx.qualifications import IoQualification

GUEST = """
    xor eax, eax
    cpuid
    mov al, 'A'
    out 0xE9, al
    mov dx, 0x3FD
    in al, dx
    mov ecx, 0x1B
    rdmsr
    mov ecx, 0xC0000100     # IA32_FS_BASE: its bit in the bitmap is 0
    wrmsr
    mov ecx, 0x1B
    wrmsr
    hlt
"""
FS_BASE_WRITE = 0xC00 + 0x100 // 8  # the fourth bitmap, writes of C0000000 and up: byte of bit 0x100

root, pages = vmx_operation()
small_guest(root, pages, GUEST, unconditional_io_exiting=1, use_msr_bitmaps=1)
(bitmap,) = root.fields((Field.MSR_BITMAP_ADDRESS,))
root.write(bitmap + FS_BASE_WRITE, b"\xfe")
registers = root.registers

exited = ended(root.vmlaunch())
while exited.reason is not ExitReason.HLT:
    line = f"exit {int(exited.reason):>2}, {exited.instruction_length} bytes: "
    match exited.reason:
        case ExitReason.CPUID:
            print(f"{line}CPUID, leaf {registers[Register.RAX]:#x}; we call ourselves “HiFromPython”")
            name = b"HiFromPython"
            for register, part in ((Register.RBX, name[:4]), (Register.RDX, name[4:8]), (Register.RCX, name[8:])):
                registers[register] = int.from_bytes(part, "little")
        case ExitReason.IO_INSTRUCTION:
            io = IoQualification(exited.qualification)
            value = f"“{registers[Register.RAX] & 0xFF:c}” to" if not io.input else "from"
            print(f"{line}{'IN' if io.input else 'OUT'}, {io.size_minus_one + 1} byte {value} port {io.port:#x}")
            if io.input:
                registers[Register.RAX] = registers[Register.RAX] & ~0xFF | 0x60
        case ExitReason.RDMSR:
            print(f"{line}RDMSR of {registers[Register.RCX]:#x}; we answer 0xfee00900")
            registers[Register.RAX], registers[Register.RDX] = 0xFEE0_0900, 0
        case ExitReason.WRMSR:
            value = registers[Register.RDX] << 32 | registers[Register.RAX]
            print(f"{line}WRMSR of {registers[Register.RCX]:#x}, value {value:#x}; ignored")
    step_over(root, exited)
    exited = ended(root.vmresume())
print(f"exit {int(exited.reason):>2}, {exited.instruction_length} bytes: HLT")
print(f"IA32_FS_BASE did not exit: the guest's FS base is {root.fields((Field.GUEST_FS_BASE,))[0]:#x}")
