"""Small guests in assembly, run under the hypervisor."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from vmxon.arch.models import MAX
from vmxon.devices.disk import AtaDrive
from vmxon.hypervisor.virtual_machine import VirtualMachine
from vmxon.machine.assembler import assemble
from vmxon.machine.loader import load_multiboot

MIB = 1 << 20
PROLOGUE = """
.code32
image: .long 0x1BADB002, 0x10000, -(0x1BADB002 + 0x10000), image, image, image_end, image_end, start
start: mov esp, 0x80000
"""
EPILOGUE = """
good: mov eax, 1
      xor ebx, ebx
      vmcall
bad:  mov eax, 1
      mov ebx, 9
      vmcall
      hlt
image_end:
"""

HANDLER = """
    mov word ptr [gate + {vector} * 8], offset caught - 0x100000
    mov word ptr [gate + {vector} * 8 + 2], 0x08
    mov word ptr [gate + {vector} * 8 + 4], 0x8E00
    mov word ptr [gate + {vector} * 8 + 6], 0x10
    lgdt [table_pointer]
    lidt [gate_pointer]
"""
TABLES = """
.balign 8
table: .quad 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF
table_pointer: .word 23
    .long table
gate_pointer: .word 0x7FF
    .long gate
.balign 8
gate: .fill 256, 8, 0
"""


@cache
def image_of(text: str) -> bytes:
    """A multiboot image of 32-bit code that ends at `good` (status 0) or `bad` (status 9)."""
    return assemble(PROLOGUE + text + EPILOGUE, 64, 0x10_0000)


class Guest:
    """A virtual machine whose output is kept."""

    def __init__(self, image: bytes, memory: int = 2 * MIB, drives: tuple[AtaDrive, ...] = (), batched: bool = True) -> None:
        self.serial, self.console = bytearray(), bytearray()
        self.machine = VirtualMachine(MAX, memory, serial=self.serial.append, debug_console=self._put, drives=drives, batched=batched)
        self.machine.load(load_multiboot(image, "guest", memory))
        self.on_output: Callable[[int], None] | None = None

    def _put(self, value: int) -> None:
        self.console.append(value)
        if self.on_output is not None:
            self.on_output(value)

    def run(self, seconds: float = 60) -> int:
        """Its status."""
        return self.machine.run(seconds)

    @property
    def exits(self) -> dict[str, int]:
        """How often it left, by reason."""
        return {title: count for title, count, _ in self.machine.accounting.rows()}


def run(text: str, memory: int = 2 * MIB) -> Guest:
    """Assemble and run to the end; the status must be 0."""
    guest = Guest(image_of(text), memory)
    assert guest.run() == 0
    return guest
