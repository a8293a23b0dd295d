"""A first hypervisor of one's own: one guest, its exits answered here, on one page."""

from vmxon.hypervisor.exits import Output, Plain
from vmxon.hypervisor.hypervisor import Hypervisor
from vmxon.machine.assembler import assemble
from vmxon.vmx.exit_reasons import ExitReason

GUEST = """
    mov esi, offset text
next:
    lodsb
    test al, al
    jz done
    out 0xE9, al
    jmp next
done:
    cpuid
    hlt
text: .asciz "hello from non-root operation\\n"
"""

guest = Hypervisor(memory="16M").create(memory="2M")
guest.memory.write(0x1000, assemble(GUEST, 32, 0x1000))
processor = guest.processor
processor.rip = 0x1000
while True:
    match processor.run():
        case Output(port=0xE9):
            print(chr(processor.rax & 0xFF), end="")
            processor.skip()
        case Plain(ExitReason.CPUID):
            print("the guest asks who its processor is")
            processor.skip()
        case Plain(ExitReason.HLT):
            break
        case _:  # memory that the guest touches for the first time
            processor.serve()
print(f"{guest.machine.time.instructions} instructions")
