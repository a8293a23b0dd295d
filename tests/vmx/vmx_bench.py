"""A processor in VMX root operation with a current VMCS that Python fills, for tests."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from tests.harness import CODE, Bench
from tests.vmx.witness import LONG, MEMORY, REVISION, VMCS, changed, having
from vmxon.arch.bits import Bits
from vmxon.arch.cpuid import Model
from vmxon.arch.models import MAX
from vmxon.processor.state import HostRequest
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.state import Operation, VmcsCache, active_vmcss

VMXON_REGION, GUEST, HOST, POINTERS = 0x40000, 0x12000, 0x14000, 0x20000
GDT, IDT, HANDLERS, TSS = 0x18000, 0x19000, 0x1A000, 0x1C000
NO_EXIT = 0xFFFF
"""The exit-reason field before the first exit."""
SUCCEED, INVALID, VALID = 0x2, 0x3, 0x42
"""RFLAGS after VMsucceed, VMfailInvalid, VMfailValid."""


class VmxBench(Bench):
    """Flat 64-bit (or 32-bit) code at CPL 0; `launch` runs guests whose exits land on a HLT at HOST."""

    def __init__(self, bits: int = 64, *, current: bool = True, model: Model = MAX) -> None:
        super().__init__(bits, model)
        self.state.feature_control = 5
        self.state.cr0 |= 0x8000_0021 if bits == 64 else 0x21
        self.state.cr4 |= 1 << 13
        write = self.engine.write_physical
        write(VMXON_REGION, struct.pack("<I", REVISION))
        for address, value in MEMORY.items():
            write(address, struct.pack("<Q", value))
        write(POINTERS, struct.pack("<4Q", VMXON_REGION, VMCS, 0x42000, 0x43000))
        write(HOST, b"\xf4")
        if current:
            self.steps("vmxon [0x20000]", "vmclear [0x20008]", "vmptrld [0x20008]")
            assert self.state.vmcs_pointer == VMCS

    def install_tables(self) -> None:
        """GDT (08 64-bit code, 10 data), TSS and a 64-bit IDT whose handler of vector n is a HLT at HANDLERS + 16 n."""
        write = self.engine.write_physical
        write(GDT, struct.pack("<3Q", 0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF))
        write(TSS, struct.pack("<IQ", 0, 0x37000))
        for vector in range(256):
            handler = HANDLERS + 16 * vector
            write(handler, b"\xf4")
            gate = handler & 0xFFFF | 0x08 << 16 | 0x8E00 << 32 | (handler >> 16) << 48
            write(IDT + 16 * vector, struct.pack("<2Q", gate, 0))
        self.state.gdt_base, self.state.gdt_limit = GDT, 23
        self.state.idt_base, self.state.idt_limit = IDT, 0xFFF
        self.state.segments[7].base, self.state.segments[7].limit, self.state.segments[7].rights = TSS, 0x67, 0x8B

    def vector_of(self, line: str | bytes) -> int | None:
        """The exception that an instruction raises, by the handler that it ends up in."""
        self.install_tables()
        self.step(line, 2)
        vector, rest = divmod(self.state.rip - 1 - HANDLERS, 16)
        return vector if not rest and 0 <= vector < 256 else None

    def steps(self, *lines: str) -> int:
        """Run instructions one after the other; gives RFLAGS."""
        for line in lines:
            self.step(line)
        return self.processor.rflags

    @property
    def vmcs(self) -> VmcsCache:
        """The cache of the current VMCS."""
        return active_vmcss(self.engine.vmx_memory)[self.state.vmcs_pointer]

    def __getitem__(self, field: VmcsField) -> int:
        return self.vmcs.fields[field.slot]

    def __setitem__(self, field: VmcsField, value: int) -> None:
        self.vmcs.fields[field.slot] = value & ((1 << field.bits) - 1)

    def fill(self, fields: Mapping[VmcsField, int]) -> None:
        """Replace all fields: what `fields` does not name is 0."""
        cache = self.vmcs
        for field in VmcsField:
            cache.fields[field.slot] = fields.get(field, 0) & ((1 << field.bits) - 1)

    def quad(self, address: int) -> int:
        """64 bits of physical memory as the processor reads them: ones outside RAM."""
        return int.from_bytes(self.engine.read_physical(address, 8), "little")

    def guest(self, code: str | bytes, fields: Mapping[VmcsField, int] | None = None, bits: int = 64, at: int = GUEST) -> None:
        """Fill the VMCS for a guest that runs `code`; exits go to HOST."""
        from tests.harness import assemble

        self.fill(fields or LONG)
        self[VmcsField.HOST_RIP] = HOST
        self[VmcsField.HOST_RSP] = 0x38000
        self[VmcsField.EXIT_REASON] = NO_EXIT
        self.engine.write_physical(at, assemble(code, bits) if isinstance(code, str) else code)

    def launch(self, mnemonic: str = "vmlaunch", count: int = 1000) -> HostRequest:
        """Execute VMLAUNCH or VMRESUME and run on: up to the HLT of the host, or `count` instructions."""
        self.state.activity = 0
        self.state.rip = CODE
        return self.step(mnemonic, count)

    def exit_of(
        self, code: str | bytes, *controls: Bits[bool], base: Mapping[VmcsField, int] = LONG, bits: int = 64, **fields: int
    ) -> tuple[ExitReason, int]:
        """Launch a guest and let it run to its first exit: the basic reason, and the vector where it is an exception, else 0."""
        changes = {VmcsField[name]: value for name, value in fields.items()}
        self.guest(code, changed(having(base, *controls), changes), bits)
        request = self.launch()
        while request is HostRequest.MSR_WRITE:
            request = self.processor.run(1000)
        assert self.in_host, f"no exit; RIP {self.state.rip:#x}"
        information = self[VmcsField.VM_EXIT_INTERRUPTION_INFORMATION]
        return ExitReason(self.reason & 0xFFFF), information & 0xFF if self.reason == ExitReason.EXCEPTION_OR_NMI else 0

    @property
    def reason(self) -> int:
        """The exit-reason field."""
        return self[VmcsField.EXIT_REASON]

    @property
    def qualification(self) -> int:
        """The exit qualification."""
        return self[VmcsField.EXIT_QUALIFICATION]

    @property
    def in_host(self) -> bool:
        """The processor has left the guest."""
        return self.state.vmx_operation == Operation.ROOT
