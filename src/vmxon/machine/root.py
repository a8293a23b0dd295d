"""A processor whose program is written in Python: VMX root operation, one real instruction for each method.

    >>> root = bare_processor(memory="16M")
    >>> root.write_cr(4, root.read_cr(4).value | 1 << 13)     # CR4.VMXE
    >>> root.wrmsr(0x3A, 0b101)                                # IA32_FEATURE_CONTROL: locked, VMXON allowed
    >>> root.write(0x10_0000, struct.pack("<I", root.rdmsr(0x480).value & 0x7FFF_FFFF))
    >>> print(root.vmxon(0x10_0000))
    VMXON: VMsucceed

Each instruction's encoding runs on the engine at an address that belongs to Python; a VM exit whose HOST_RIP is
`PYTHON_RIP` and whose HOST_RSP is `STACK_TOP` comes back as the result of VMLAUNCH or VMRESUME. General-purpose
registers are not switched by VMX: after an exit `registers` holds the guest's, and the methods leave them alone.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from typing import Protocol

from vmxon.arch.exceptions import Vector
from vmxon.arch.models import MODELS
from vmxon.arch.msr_vmx import VmxMisc
from vmxon.devices.clock import VirtualClock
from vmxon.errors import ConfigurationError, GuestStopped
from vmxon.machine.entry_failure import FailedEntry, PythonLines
from vmxon.machine.guest_history import GuestHistory
from vmxon.machine.identity import SCRATCH, STACK, STACK_TOP, build_identity
from vmxon.machine.local_apic import ApicWires
from vmxon.machine.outcome import EXIT_FIELDS, Exited, FailedInvalid, FailedValid, Faulted, Outcome, Succeeded, broken_rule
from vmxon.machine.pace import Pace
from vmxon.machine.processor import Processor
from vmxon.machine.sizes import parse_size
from vmxon.machine.system_instructions import NOWHERE, RAX, SystemInstructions
from vmxon.microcode.layout import member_offset
from vmxon.processor.state import HostRequest, ProcessorState
from vmxon.vmx.controls import PinBased
from vmxon.vmx.errors import InstructionError
from vmxon.vmx.exit_reasons import ExitReasonWord
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.preemption import expiry_tick
from vmxon.vmx.state import Operation, field_offset

PYTHON_RIP = 0xFFFF_8000_5079_0000
"""HOST_RIP of a hypervisor written in Python: canonical, mapped nowhere, no instruction is ever fetched there."""
CARRY, ZERO = 1, 1 << 6
RSP = 4
RIP, PYTHON_CODE, TSC_ADJUST, VMCS, POINTER = (
    member_offset(ProcessorState, name) // 8 for name in ("rip", "python_code", "tsc_adjust", "vmcs", "vmcs_pointer")
)
"""Places in the state as words."""
PIN, TIMER = (field_offset(field) // 8 for field in (VmcsField.PIN_BASED_VM_EXECUTION_CONTROLS, VmcsField.VMX_PREEMPTION_TIMER_VALUE))
"""Places in a cached VMCS as words."""
MISC = 0x485
SLICE = 20_000_000
"""Longest stretch of native code, in instructions: how long Ctrl-C may wait."""
ENTRY_ERRORS = (InstructionError.ENTRY_CONTROLS, InstructionError.ENTRY_HOST_STATE)
LONGEST_BATCH = 64


class PhysicalBus(Protocol):
    """What answers at physical addresses outside memory."""

    def read(self, address: int, size: int) -> int:
        """The value that a load of `size` bytes finds; ones where nothing is."""

    def write(self, address: int, size: int, value: int) -> None:
        """A store."""


class RootProcessor(SystemInstructions):
    """The root-mode face of a `Processor`; memory below `free` is its own (page and descriptor tables, operands)."""

    def __init__(self, processor: Processor, *, batched: bool = True, hints: bool = False) -> None:
        self.processor = processor
        self.batched = batched
        """False: `fields` and `set_fields` run one VMREAD or VMWRITE for each field, as a program in assembly would."""
        self.engine, self.state = processor.engine, processor.state
        self.lines = PythonLines(__file__, PYTHON_RIP)
        self.history = GuestHistory(processor) if hints else None
        self.pace, self.clock = Pace(), VirtualClock()
        self.apic = ApicWires(processor, self.clock, self.pace.time_of)
        self.bus: PhysicalBus | None = None
        """None: outside memory, reads give ones and writes are lost."""
        self.free = build_identity(processor, PYTHON_RIP)
        arena = self.engine.arena
        self._code = arena.part("python_code", 16)
        self._code_address = arena.address("python_code")
        start = member_offset(ProcessorState, "gpr")
        self.registers = arena.part("state", start + 128)[start:].cast("Q")
        self._vmx_words, self._vmx_address = self.engine.vmx_memory.words[8], arena.address("vmx_memory")
        self._timer_shift = self.state.vmx_capability[MISC - 0x480] & VmxMisc.timer_shift.mask
        self._words = self.state.bound_memory.words[8]
        self._table = (ctypes.c_uint64 * (2 * LONGEST_BATCH))()
        self._table_address = ctypes.addressof(self._table)
        self._names: dict[Sequence[int], tuple[ctypes.Array[ctypes.c_uint64], int]] = {}

    # Memory.
    def read(self, address: int, size: int) -> bytes:
        """Bytes of physical memory."""
        return self.engine.read_physical(address, size)

    def write(self, address: int, data: bytes) -> None:
        """Store bytes to physical memory."""
        self.engine.write_physical(address, data)

    # Running one instruction.
    def _run(self, name: str, code: bytes, budget: int = 1) -> Faulted | None:
        """Run the instruction so that it ends at PYTHON_RIP; None unless it faulted."""
        words, run = self._words, self.processor.run_native
        self._code[: len(code)] = code
        words[RIP] = PYTHON_RIP - len(code)
        words[PYTHON_CODE] = self._code_address
        request = run(budget)
        while request != HostRequest.ROOT or self.state.vmx_operation == Operation.NON_ROOT:
            budget = self.serve(HostRequest(request))
            if words[RIP] == PYTHON_RIP - len(code):
                words[PYTHON_CODE] = self._code_address  # it waited for a device, and runs again
            request = run(budget)
        fault = self._fault(name) if STACK <= self.registers[RSP] < STACK_TOP else None
        self.registers[RSP] = STACK_TOP
        return fault

    def _fault(self, name: str) -> Faulted:
        """What the handler left on the stack: the vector, then the error code of those that push one."""
        number, code = struct.unpack("<QQ", self.read(self.registers[RSP], 16))
        vector = Vector(number)
        return Faulted(name, vector, code if vector.pushes_error_code else None)

    def serve(self, request: HostRequest) -> int:
        """Act for the machine around the processor while a guest runs; the budget of the next stretch."""
        state = self.state
        self.pass_time()
        match request:
            case HostRequest.NONE | HostRequest.BUDGET | HostRequest.PORT_WRITE:
                pass
            case HostRequest.PORT_READ:
                state.latch_address, state.latch_size = state.request_address, state.request_size
                state.latch_value, state.latch_valid = (1 << 8 * state.request_size) - 1, 1
            case HostRequest.MEMORY_READ:
                if (count := state.memory_latch_count) >= len(state.memory_latch_address):
                    raise GuestStopped("one instruction reads more than 64 bytes outside memory", where=self.place())
                value = self._load_outside(state.request_address, state.request_size)
                state.memory_latch_address[count], state.memory_latch_value[count] = state.request_address, value
                state.memory_latch_count = count + 1
            case _ if request in self.apic.services:
                self.apic.services[request]()
            case HostRequest.MEMORY_WRITE:
                self._store_outside(state.request_address, state.request_size, state.request_value)
            case HostRequest.ROOT:
                return self._step_over()
            case HostRequest.HALT:
                self._idle()
            case HostRequest.TRIPLE_FAULT:
                what = f"VMX abort {state.vmx_abort}" if state.vmx_abort else "the processor shut down"
                raise GuestStopped(what, where=self.place(), advice="the host-state area of the VMCS is at fault")
            case _:
                raise GuestStopped(f"the machine has nothing that answers {request.name}", where=self.place())
        return self._budget()

    def _load_outside(self, address: int, size: int) -> int:
        if self.apic.claims(address):
            return self.apic.read(address, size)
        return NOWHERE if self.bus is None else self.bus.read(address, size) & NOWHERE

    def _store_outside(self, address: int, size: int, value: int) -> None:
        if self.apic.claims(address):
            self.apic.write(address, size, value)
        elif self.bus is not None:
            self.bus.write(address, size, value)

    def pass_time(self) -> int:
        """Let the APIC timer fire where it is due; the ticks until it may fire next."""
        if self.clock.next_deadline() is None:
            self.clock.now = self.pace.time_of(self.processor.ticks)
            return SLICE
        self.clock.run_until(self.pace.time_of(self.processor.ticks))
        deadline = self.clock.next_deadline()
        return SLICE if deadline is None else max(1, self.pace.ticks_at(deadline) - self.processor.ticks)

    def _budget(self) -> int:
        """Up to the instruction at which the APIC timer fires or the preemption timer expires."""
        return min(self.pass_time(), self._budget_of_timer())

    def _budget_of_timer(self) -> int:
        state = self.state
        deadline = state.vmx_timer_deadline
        if deadline == NOWHERE:
            return SLICE
        left = deadline - self.time
        if left <= 0:
            state.attention = 1
            return 1
        return min(left, SLICE)

    def _idle(self) -> None:
        """The guest sleeps: time passes at once, up to the preemption timer or the APIC timer."""
        state = self.state
        deadline = self.clock.next_deadline()
        wake = [] if deadline is None else [self.pace.ticks_at(deadline) - self.processor.ticks]
        expiry = expiry_tick(state)
        if expiry is not None:
            wake.append(expiry - self.processor.ticks)
        if not wake:
            raise GuestStopped("the guest halted and nothing will wake it", where=self.place())
        state.idle_ticks += max(0, min(wake))
        state.attention = 1

    def _step_over(self) -> int:
        """A guest happens to run at PYTHON_RIP, which is its own address there."""
        self.state.python_rip = NOWHERE
        self.processor.run(1)
        self.state.python_rip = PYTHON_RIP
        return self._budget()

    def idle_until(self, ticks: int) -> None:
        """The root program has nothing to do: time passes without instructions."""
        self.state.idle_ticks += max(0, ticks - self.time)

    def place(self) -> str:
        """Where the processor is."""
        return f"RIP {self.state.rip:#018x}"

    @property
    def time(self) -> int:
        """The time-stamp counter, read without an instruction."""
        return int(self.processor.ticks + self._words[TSC_ADJUST])

    def _plain(self, name: str, code: bytes, **operands: int) -> Outcome:
        """An instruction with its operands in registers, which are put back afterwards; gives RAX, or how it failed."""
        saved = self.registers.tobytes()
        self._load(operands)
        fault = self._run(name, code)
        value, flags = self.registers[RAX], self.processor.rflags
        self.registers.cast("B")[:] = saved
        if fault is not None:
            return fault
        return self._verdict(name, flags) or Succeeded(name, value)

    def _verdict(self, name: str, flags: int) -> Outcome | None:
        if flags & CARRY:
            return FailedInvalid(name)
        if flags & ZERO:
            (number,) = self.fields((VmcsField.VM_INSTRUCTION_ERROR,))
            error = InstructionError(number)
            return FailedValid(name, error, *self._failed_entry()) if error in ENTRY_ERRORS else FailedValid(name, error)
        return None

    def _failed_entry(self) -> tuple[str, FailedEntry]:
        """The rule that an entry broke, and what is needed to explain it."""
        return broken_rule(self.state.vmx_broken_rule), FailedEntry(self.processor, self.lines)

    def _pointer(self, name: str, code: bytes, address: int) -> Outcome:
        """An instruction whose operand is a pointer in memory."""
        self.write(SCRATCH, struct.pack("<Q", address & NOWHERE))
        return self._plain(name, code, rax=SCRATCH)

    # VMX instructions.
    def vmxon(self, address: int) -> Outcome:
        """Enter VMX operation with the VMXON region at a physical address."""
        return self._pointer("VMXON", b"\xf3\x0f\xc7\x30", address)

    def vmxoff(self) -> Outcome:
        """Leave VMX operation."""
        return self._plain("VMXOFF", b"\x0f\x01\xc4")

    def vmclear(self, address: int) -> Outcome:
        """Write a VMCS back to its region and make it clear."""
        return self._pointer("VMCLEAR", b"\x66\x0f\xc7\x30", address)

    def vmptrld(self, address: int) -> Outcome:
        """Make a VMCS active and current."""
        return self._pointer("VMPTRLD", b"\x0f\xc7\x30", address)

    def vmptrst(self) -> Outcome:
        """The physical address of the current VMCS; all ones where there is none."""
        outcome = self._pointer("VMPTRST", b"\x0f\xc7\x38", 0)
        if not outcome.succeeded:
            return outcome
        return Succeeded("VMPTRST", struct.unpack("<Q", self.read(SCRATCH, 8))[0])

    def vmread(self, field: int) -> Outcome:
        """A field of the current VMCS, by its encoding."""
        return self._plain("VMREAD", b"\x0f\x78\xc8", rax=0, rcx=field)

    def vmwrite(self, field: int, value: int) -> Outcome:
        """Set a field of the current VMCS."""
        outcome = self._plain("VMWRITE", b"\x0f\x79\xc1", rax=field, rcx=value)
        self.lines.note(self._words[POINTER], (field,), self.processor.ticks)
        return outcome

    def vmlaunch(self) -> Outcome:
        """Enter the guest of the current VMCS for the first time; comes back with the VM exit that ends its run."""
        return self._enter("VMLAUNCH", b"\x0f\x01\xc2")

    def vmresume(self) -> Outcome:
        """Enter the guest again."""
        return self._enter("VMRESUME", b"\x0f\x01\xc3")

    def _enter(self, name: str, code: bytes) -> Outcome:
        failed = self.enter(name, code)
        if failed is not None:
            return failed
        word, qualification, length, rip, physical, interruption = self.fields(EXIT_FIELDS)
        reason = ExitReasonWord(word)
        by_rule = reason.entry_failed and self.state.vmx_broken_rule
        return Exited(name, reason, qualification, length, rip, physical, interruption, *(self._failed_entry() if by_rule else ()))

    def enter(self, name: str = "VMRESUME", code: bytes = b"\x0f\x01\xc3") -> Outcome | None:
        """VMLAUNCH or VMRESUME whose exit the caller reads from the VMCS; how it failed, None after a VM exit."""
        history = self.history
        if history is None:
            return self._run(name, code, self._budget_of_entry()) or self._verdict(name, self.processor.rflags)
        entry = history.next_entry(first=name == "VMLAUNCH")
        failed = self._run(name, code, self._budget_of_entry()) or self._verdict(name, self.processor.rflags)
        if failed is None and not self.fields((VmcsField.EXIT_REASON,))[0] >> 31:
            history.entered(entry)
            history.exited()
        return failed

    def _budget_of_entry(self) -> int:
        """Up to the instruction at which the APIC timer fires, or the preemption timer may, which starts with the entry."""
        budget = self._budget_of_entered_timer()
        return budget if self.clock.next_deadline() is None else min(budget, self.pass_time())

    def _budget_of_entered_timer(self) -> int:
        vmcs = self._words[VMCS]
        if not vmcs:
            return 1
        first = vmcs - self._vmx_address >> 3
        if not self._vmx_words[first + PIN] & PinBased.preemption_timer.mask:
            return SLICE
        ticks: int = self._vmx_words[first + TIMER] - 1 << self._timer_shift
        return min(max(1, ticks), SLICE)

    def invept(self, kind: int, eptp: int = 0) -> Outcome:
        """Forget translations that came through EPT."""
        self.write(SCRATCH, struct.pack("<QQ", eptp, 0))
        outcome = self._plain("INVEPT", b"\x66\x0f\x38\x80\x08", rax=SCRATCH, rcx=kind)
        if self.history is not None and outcome.succeeded:
            self.history.invept()
        return outcome

    def invvpid(self, kind: int, vpid: int = 0, linear: int = 0) -> Outcome:
        """Forget translations that are tagged with a VPID."""
        self.write(SCRATCH, struct.pack("<QQ", vpid, linear))
        return self._plain("INVVPID", b"\x66\x0f\x38\x81\x08", rax=SCRATCH, rcx=kind)

    def vmcall(self) -> Outcome:
        """VMCALL fails in VMX root operation."""
        return self._plain("VMCALL", b"\x0f\x01\xc1")

    # Several fields at once.
    def fields(self, encodings: tuple[int, ...]) -> list[int]:
        """VMREAD of fields that exist, in one call."""
        if not self.batched:
            return [self._read_one(encoding) for encoding in encodings]
        names = self._names.get(encodings)
        if names is None:
            table = (ctypes.c_uint64 * len(encodings))(*encodings)
            names = self._names[encodings] = table, ctypes.addressof(table)
        count = len(encodings)
        read = self.engine.call("read_fields", names[1], self._table_address, count)
        if read != count:
            raise KeyError(f"no VMCS is current, or it has no field {encodings[read or 0]:#06x}")
        return self._table[:count]

    def set_fields(self, *pairs: int) -> None:
        """VMWRITE of encoding, value, encoding, value, … in one call."""
        if not self.batched:
            for at in range(0, len(pairs), 2):
                self._write_one(pairs[at], pairs[at + 1])
            return
        count = len(pairs)
        if self.history is not None:
            self.lines.note(self._words[POINTER], pairs[::2], self.processor.ticks)
        self._table[:count] = pairs  # type: ignore[call-overload]  # ctypes takes any sequence
        written = self.engine.call("write_fields", self._table_address, count // 2)
        if written != count // 2:
            raise KeyError(f"no VMCS is current, or it has no field {pairs[2 * (written or 0)]:#06x}")

    def _read_one(self, encoding: int) -> int:
        outcome = self.vmread(encoding)
        if not isinstance(outcome, Succeeded):
            raise KeyError(str(outcome))
        return outcome.value

    def _write_one(self, encoding: int, value: int) -> None:
        outcome = self.vmwrite(encoding, value)
        if not outcome.succeeded:
            raise KeyError(str(outcome))


def bare_processor(memory: str | int = "16M", model: str = "max", *, hints: bool = False, tlb: str = "keep") -> RootProcessor:
    """A processor after RESET in 64-bit mode, with identity page tables in its own memory, no devices, and `history` if `hints`;
    `tlb` says which translations it keeps: keep, nothing, random or random:SEED.

    Raises:
        ConfigurationError: no such model or TLB policy, or too little memory.
    """
    if model not in MODELS:
        raise ConfigurationError(f"no processor model {model!r}", expected=", ".join(MODELS))
    processor = Processor(MODELS[model], parse_size(memory))
    processor.keep_translations(tlb)
    return RootProcessor(processor, hints=hints)
