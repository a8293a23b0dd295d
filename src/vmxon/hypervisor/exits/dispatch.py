"""Exit dispatch: what the hypervisor does for each reason, and how the guest goes on."""

from __future__ import annotations

from collections.abc import Callable

from vmxon.arch.exceptions import Vector
from vmxon.errors import GuestStopped
from vmxon.hypervisor.devices import GuestDevices
from vmxon.hypervisor.exits import (
    ControlRegisterWrite,
    Event,
    RawExit,
    StringInputOutput,
    decode_exit,
)
from vmxon.hypervisor.exits.injection import Injector
from vmxon.hypervisor.exits.triple_fault import describe_triple_fault
from vmxon.hypervisor.hypercall import Hypercall
from vmxon.hypervisor.memory.guest_memory import GuestMemory
from vmxon.hypervisor.memory.guest_walk import PageFault
from vmxon.hypervisor.memory.virtual_memory import VirtualMemory
from vmxon.hypervisor.operation.registers import GuestRegisters, Register
from vmxon.hypervisor.policy.cpuid import CpuidPolicy
from vmxon.hypervisor.policy.msrs import MsrPolicy
from vmxon.machine.root import RootProcessor
from vmxon.vmx.events import EventType
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField as Field
from vmxon.vmx.qualifications import CrAccessType

LOW = 0xFFFF_FFFF
CR2, CR8 = 2, 8
STRING, INPUT = 1 << 4, 1 << 3
VMX_INSTRUCTIONS = (
    *(ExitReason.VMCLEAR, ExitReason.VMLAUNCH, ExitReason.VMPTRLD, ExitReason.VMPTRST, ExitReason.VMREAD),
    *(ExitReason.VMRESUME, ExitReason.VMWRITE, ExitReason.VMXOFF, ExitReason.VMXON, ExitReason.INVEPT),
    *(ExitReason.INVVPID, ExitReason.VMFUNC, ExitReason.GETSEC, ExitReason.RSM),
)


class Dispatcher:
    """Acts on the exits of one guest. An action that answers True has finished the instruction: RIP moves past it."""

    def __init__(
        self,
        root: RootProcessor,
        memory: GuestMemory,
        registers: GuestRegisters,
        *,
        paging: VirtualMemory,
        devices: GuestDevices,
        injector: Injector,
        cpuid: CpuidPolicy,
        msrs: MsrPolicy,
        hypercall: Hypercall,
        halt: Callable[[], None],
    ) -> None:
        self.root, self.memory, self.registers = root, memory, registers
        self.devices, self.injector, self.cpuid, self.msrs, self.hypercall = devices, injector, cpuid, msrs, hypercall
        self.paging = paging
        self._halt = halt
        self.actions: dict[int, Callable[[RawExit], bool]] = {
            ExitReason.IO_INSTRUCTION: self._input_output,
            ExitReason.PREEMPTION_TIMER: self._nothing,
            ExitReason.EXTERNAL_INTERRUPT: self._nothing,
            ExitReason.INTERRUPT_WINDOW: self._nothing,
            ExitReason.CPUID: self._cpuid,
            ExitReason.HLT: self._hlt,
            ExitReason.RDMSR: self._read_msr,
            ExitReason.WRMSR: self._write_msr,
            ExitReason.VMCALL: self._vmcall,
            ExitReason.INVD: self._skip,
            ExitReason.WBINVD: self._skip,
            ExitReason.XSETBV: self._refuse,
            ExitReason.RDPMC: self._refuse,
            ExitReason.MONITOR: self._undefined,
            ExitReason.MWAIT: self._undefined,
            ExitReason.EXCEPTION_OR_NMI: self._event,
            ExitReason.TRIPLE_FAULT: self._triple_fault,
            **dict.fromkeys(VMX_INSTRUCTIONS, self._undefined),
            **paging.actions,
            ExitReason.CR_ACCESS: self._control_register,
        }

    def act(self, raw: RawExit) -> bool:
        """Serve one exit; True where RIP has to move past the instruction.

        Raises:
            GuestStopped: it cannot go on.
        """
        action = self.actions.get(raw.reason)
        if action is None:
            raise GuestStopped(f"VM exit {self.name(raw.reason)} has no handler", where=f"guest RIP {raw.rip:#018x}")
        return action(raw)

    @staticmethod
    def name(reason: int) -> str:
        """What a report calls a reason."""
        number = reason & 0xFFFF
        return f"{number} ({ExitReason(number).title})" if number in ExitReason.__members__.values() else str(number)

    # CR8 is the local APIC's; the other control registers belong to memory.
    def _control_register(self, raw: RawExit) -> bool:
        access = decode_exit(raw)
        assert isinstance(access, ControlRegisterWrite)
        if access.number != CR8:
            return self.paging.actions[ExitReason.CR_ACCESS](raw)
        apic, register = self.devices.apic, access.register
        if access.kind is CrAccessType.MOV_FROM_CR:
            self._set_register(register, apic.priority_class)
            return True
        value = self._register(register)
        if value >> 4:
            return self._refuse(raw)
        apic.priority_class = value
        return True

    def _register(self, number: int) -> int:
        return self.root.fields((Field.GUEST_RSP,))[0] if number == Register.RSP else self.registers[number]

    def _set_register(self, number: int, value: int) -> None:
        if number == Register.RSP:
            self.root.set_fields(Field.GUEST_RSP, value)
        else:
            self.registers[number] = value

    # Ports.
    def _input_output(self, raw: RawExit) -> bool:
        qualification = raw.qualification
        if qualification & STRING:
            access = decode_exit(raw)
            assert isinstance(access, StringInputOutput)
            outcome = self.devices.string(access)
            if isinstance(outcome, PageFault):
                self._page_fault(outcome)
                return False
            return outcome
        size = (qualification & 7) + 1
        if qualification & INPUT:
            self.devices.input(qualification >> 16 & 0xFFFF, size)
        else:
            self.devices.output(qualification >> 16 & 0xFFFF, size)
        return True

    def _page_fault(self, fault: PageFault) -> None:
        self.root.write_cr(CR2, fault.linear)
        self.injector.exception(Vector.PF, fault.error_code)

    # Instructions.
    def _cpuid(self, _: RawExit) -> bool:
        registers = self.registers
        eax, ebx, ecx, edx = self.cpuid.answer(registers[Register.RAX] & LOW, registers[Register.RCX] & LOW)
        registers[Register.RAX], registers[Register.RBX] = eax, ebx
        registers[Register.RCX], registers[Register.RDX] = ecx, edx
        return True

    def _hlt(self, _: RawExit) -> bool:
        self._halt()
        return True

    def _read_msr(self, _: RawExit) -> bool:
        value = self.msrs.read(self.registers[Register.RCX] & LOW)
        if value is None:
            return self._refuse(_)
        self.registers[Register.RAX], self.registers[Register.RDX] = value & LOW, value >> 32
        return True

    def _write_msr(self, _: RawExit) -> bool:
        registers = self.registers
        value = (registers[Register.RDX] & LOW) << 32 | registers[Register.RAX] & LOW
        return self.msrs.write(registers[Register.RCX] & LOW, value) or self._refuse(_)

    def _vmcall(self, _: RawExit) -> bool:
        self.hypercall.serve()
        return True

    def _nothing(self, _: RawExit) -> bool:
        return False

    def _skip(self, _: RawExit) -> bool:
        return True

    def _refuse(self, _: RawExit) -> bool:
        return self.injector.refuse()

    def _undefined(self, _: RawExit) -> bool:
        self.injector.exception(Vector.UD)
        return False

    # Events.
    def _event(self, raw: RawExit) -> bool:
        event = decode_exit(raw)
        assert isinstance(event, Event)
        if event.information.type is EventType.NMI:
            self.injector.non_maskable()
        else:
            (code,) = self.root.fields((Field.VM_EXIT_INTERRUPTION_ERROR_CODE,))
            vector = Vector(event.information.vector)
            if vector is Vector.PF:
                fault = self.paging.page_fault(event.qualification, code, raw.rip)
                if fault is not None:
                    self._page_fault(fault)
                return False
            self.injector.exception(vector, code if event.information.error_code_valid else None)
        return False

    def _triple_fault(self, _: RawExit) -> bool:
        raise describe_triple_fault(self.root, self.registers, self.paging.paging(user=False))
