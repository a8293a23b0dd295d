"""A guest that writes and reads device registers step by step and prints what it read; the same program on QEMU and here."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from benchmarks.images import ORIGIN, multiboot_elf
from vmxon.machine.assembler import assemble
from vmxon.machine.configuration import PcConfiguration
from vmxon.machine.loader import load_multiboot
from vmxon.machine.pc import Limits, Pc

MEMORY = 32 << 20
ENTRY = ORIGIN + 12
START = ".long 0x1BADB002, 0, 0xE4524FFE\ncli\nmov esp, 0x80000\n"
END = """
mov al, 1
out 0xf4, al
hlt
print: mov ecx, 8
digit: rol eax, 4
push eax
and al, 15
add al, 48
cmp al, 57
jbe shown
add al, 39
shown: out 0xe9, al
pop eax
loop digit
mov al, 10
out 0xe9, al
ret
"""


class Registers:
    """Steps of a program; `reads` says for each line that it prints which step it was."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.reads: list[str] = []
        self._last = "at the start"

    def out(self, port: int, *values: int) -> None:
        """Write bytes to a port."""
        for value in values:
            self.lines.append(f"mov dx, {port:#x}\nmov al, {value:#x}\nout dx, al")
            self._last = f"after {value:#x} to port {port:#x}"

    def inp(self, *ports: int) -> None:
        """Read a byte of each port."""
        for port in ports:
            self.lines.append(f"xor eax, eax\nmov dx, {port:#x}\nin al, dx\ncall print")
            self.reads.append(f"port {port:#x} {self._last}")

    def store(self, address: int, value: int) -> None:
        """Write 32 bits to memory."""
        self.lines.append(f"mov dword ptr [{address:#x}], {value:#x}")
        self._last = f"after {value:#x} to {address:#x}"

    def load(self, *addresses: int) -> None:
        """Read 32 bits of memory."""
        for address in addresses:
            self.lines.append(f"mov eax, [{address:#x}]\ncall print")
            self.reads.append(f"{address:#x} {self._last}")

    def bits(self, port: int, mask: int) -> None:
        """Read some bits of a port."""
        self.lines.append(f"xor eax, eax\nmov dx, {port:#x}\nin al, dx\nand al, {mask:#x}\ncall print")
        self.reads.append(f"port {port:#x} & {mask:#x} {self._last}")

    def until(self, port: int, mask: int) -> None:
        """Wait until one of these bits of a port is 1."""
        name = f"until_{len(self.lines)}"
        self.lines.append(f"mov dx, {port:#x}\n{name}: in al, dx\ntest al, {mask:#x}\njz {name}")

    def image(self) -> bytes:
        """A multiboot ELF file."""
        return multiboot_elf(assemble(START + "\n".join(self.lines) + END, 32, ORIGIN), ENTRY)

    def described(self, log: list[str]) -> list[str]:
        """What was read, line by line."""
        return [f"{read}: {value}" for read, value in zip(self.reads, log, strict=True)]

    def here(self) -> list[str]:
        """The log on our machine."""
        log = bytearray()
        kernel = load_multiboot(self.image(), "registers", MEMORY)
        pc = Pc(PcConfiguration(memory_size=MEMORY, kernel=kernel, test_device=True), debug_console=log.append)
        pc.run(Limits(instructions=50_000_000))
        return self.described(log.decode().split())

    def on_qemu(self) -> list[str]:
        """The log on QEMU."""
        with tempfile.TemporaryDirectory(prefix="registers-") as folder:
            path = Path(folder, "registers.elf")
            path.write_bytes(self.image())
            command = ["qemu-system-x86_64", "-accel", "tcg", "-m", "32", "-display", "none", "-no-reboot", "-kernel", str(path)]
            command += ["-debugcon", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-device", "pc-testdev"]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=120)
        return self.described(done.stdout.decode().split())
