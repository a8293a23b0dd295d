"""Three guests in turns on one processor: one ends, one crashes, one loops until it is killed."""

from vmxon.hypervisor.hypervisor import Hypervisor
from vmxon.machine.assembler import assemble

PROGRAMS = {"ends": "mov eax, 1 \n mov ebx, 0 \n vmcall", "crashes": "lidt [0x3000] \n ud2", "loops": "cli \n again: jmp again"}

hypervisor = Hypervisor(memory="32M")
for name, text in PROGRAMS.items():
    guest = hypervisor.create(memory="2M", name=name)
    guest.memory.write(0x1000, assemble(text, 32, 0x1000))
    guest.processor.rip = 0x1000
loops = hypervisor.guests[2]
hypervisor.scheduler.on_slice = lambda job: loops.kill() if job is loops.job and job.slices == 3 else None
hypervisor.run()
for guest in hypervisor.guests:
    print(guest.name, guest.condition.value, guest.status)
print("leaks:", hypervisor.leaks())
