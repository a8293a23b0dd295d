"""The instructions around VMX for a program in Python: MSRs, control and debug registers, x87 and SSE state, CPUID."""

from __future__ import annotations

from vmxon.machine.outcome import Faulted, Outcome, Succeeded

RAX, RCX, RDX, RBX = range(4)
NOWHERE = (1 << 64) - 1


class SystemInstructions:
    """Each method is one instruction, after which the general-purpose registers are as before."""

    registers: memoryview
    """RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8–R15."""

    def _run(self, name: str, code: bytes, budget: int = 1) -> Faulted | None:
        """Run one instruction; None unless it faulted."""
        raise NotImplementedError

    def _load(self, operands: dict[str, int]) -> None:
        for register, value in operands.items():
            self.registers[("rax", "rcx", "rdx", "rbx").index(register)] = value & NOWHERE

    def rdmsr(self, address: int) -> Outcome:
        """A model-specific register."""
        return self._wide("RDMSR", b"\x0f\x32", rcx=address)

    def wrmsr(self, address: int, value: int) -> Outcome:
        """Set a model-specific register."""
        return self._wide("WRMSR", b"\x0f\x30", rcx=address, rax=value & 0xFFFF_FFFF, rdx=value >> 32)

    def rdtsc(self) -> Outcome:
        """The time-stamp counter."""
        return self._wide("RDTSC", b"\x0f\x31")

    def _wide(self, name: str, code: bytes, **operands: int) -> Outcome:
        saved = self.registers.tobytes()
        self._load(operands)
        fault = self._run(name, code)
        value = self.registers[RDX] << 32 | self.registers[RAX]
        self.registers.cast("B")[:] = saved
        return fault or Succeeded(name, value)

    def read_cr(self, number: int) -> Outcome:
        """A control register."""
        return self._unflagged("MOV from CR", bytes((0x0F, 0x20, 0xC0 | number << 3)), 0)

    def write_cr(self, number: int, value: int) -> Outcome:
        """Set a control register."""
        return self._unflagged("MOV to CR", bytes((0x0F, 0x22, 0xC0 | number << 3)), value)

    def read_dr(self, number: int) -> Outcome:
        """A debug register."""
        return self._unflagged("MOV from DR", bytes((0x0F, 0x21, 0xC0 | number << 3)), 0)

    def write_dr(self, number: int, value: int) -> Outcome:
        """Set a debug register."""
        return self._unflagged("MOV to DR", bytes((0x0F, 0x23, 0xC0 | number << 3)), value)

    def fxsave(self, address: int) -> Outcome:
        """Store x87 and SSE registers to 512 bytes of memory, aligned to 16."""
        return self._unflagged("FXSAVE64", b"\x48\x0f\xae\x00", address)

    def fxrstor(self, address: int) -> Outcome:
        """Load x87 and SSE registers."""
        return self._unflagged("FXRSTOR64", b"\x48\x0f\xae\x08", address)

    def _unflagged(self, name: str, code: bytes, value: int) -> Outcome:
        saved = self.registers.tobytes()
        self.registers[RAX] = value & NOWHERE
        fault = self._run(name, code)
        result = self.registers[RAX]
        self.registers.cast("B")[:] = saved
        return fault or Succeeded(name, result)

    def cpuid(self, leaf: int, subleaf: int = 0) -> tuple[int, int, int, int]:
        """EAX, EBX, ECX, EDX of a leaf."""
        saved = self.registers.tobytes()
        self._load({"rax": leaf, "rcx": subleaf})
        self._run("CPUID", b"\x0f\xa2")
        registers = self.registers
        values = registers[RAX], registers[RBX], registers[RCX], registers[RDX]
        registers.cast("B")[:] = saved
        return values
