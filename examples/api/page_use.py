"""Which pages a guest uses, by the accessed flags of EPT, and which it changes, by the page-modification log."""

from vmxon.hypervisor.exits import Plain
from vmxon.hypervisor.hypervisor import Hypervisor
from vmxon.machine.assembler import assemble
from vmxon.vmx.exit_reasons import ExitReason

guest = Hypervisor(memory="16M").create(memory="2M")
guest.memory.write(0x1000, assemble("mov eax, [0x5000] \n mov [0x7008], eax \n hlt \n mov [0x8000], eax \n hlt", 32, 0x1000))
guest.processor.rip = 0x1000
guest.page_use.accessed()
guest.page_use.start_log()
for _ in range(2):
    while guest.processor.run() != Plain(ExitReason.HLT):
        guest.processor.serve()
    guest.processor.skip()
    print("used", *sorted(map(hex, guest.page_use.accessed())))
    print("changed", *sorted(map(hex, guest.page_use.changed())))
