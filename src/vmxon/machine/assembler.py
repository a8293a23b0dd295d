"""An assembler for guests and tests: LLVM's own, through `module asm`, Intel syntax, VMX instructions included."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from typing import cast

import llvmlite.binding as llvm
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection

TRIPLES = {16: "i386-unknown-none-elf", 32: "i386-unknown-none-elf", 64: "x86_64-unknown-none-elf"}


HEADER_LINES = 3
"""Lines that go in front of the text."""


class AssemblyError(ValueError):
    """Assembly text that LLVM refuses."""


def assemble(text: str, bits: int = 64, origin: int = 0) -> bytes:
    """Machine code of a self-contained text of our own, as if placed at `origin`; Intel syntax, one `.text` section.

    Where the syntax is wrong, LLVM ends the whole process; `assemble_apart` is for texts that may be wrong.

    Raises:
        AssemblyError: the text refers to something outside.
    """
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    llvm.initialize_native_asmparser()
    header = f".intel_syntax noprefix\n.text\n.code{bits}\n"
    lines = "\n".join(f'module asm "{_escaped(line)}"' for line in (header + text).splitlines())
    triple = TRIPLES[bits]
    try:
        module = llvm.parse_assembly(f'target triple = "{triple}"\n{lines}\n')
        machine = llvm.Target.from_triple(triple).create_target_machine(reloc="static", codemodel="kernel" if bits == 64 else "default")
        data = machine.emit_object(module)
    except RuntimeError as error:
        raise AssemblyError(str(error)) from None
    elf = ELFFile(io.BytesIO(data))
    section = elf.get_section_by_name(".text")
    code = bytearray(section.data()) if section is not None else bytearray()
    relocations = elf.get_section_by_name(".rel.text") or elf.get_section_by_name(".rela.text")
    if isinstance(relocations, RelocationSection):
        _relocate(elf, code, relocations, origin, bits)
    return bytes(code)


def assemble_apart(text: str, bits: int = 64, origin: int = 0) -> bytes:
    """The same in a process of its own, for texts of users.

    Raises:
        AssemblyError: LLVM refuses the text, with its line and what it says; or the text refers to something outside.
    """
    job = json.dumps({"text": text, "bits": bits, "origin": origin})
    command = [sys.executable, "-m", "vmxon.machine.assembler"]
    done = subprocess.run(command, input=job, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return bytes.fromhex(done.stdout)
    said = re.search(r"<inline asm>:(\d+):\d+: error: (.*)", done.stderr) or re.search(r"<inline asm>:(\d+):\d+: (.*)", done.stderr)
    if said is not None:
        raise AssemblyError(f"line {int(said[1]) - HEADER_LINES}: {said[2]}")
    raise AssemblyError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"the assembler ended with {done.returncode}")


def _escaped(line: str) -> str:
    return re.sub(r'["\\\t]', lambda m: f"\\{ord(m.group()):02X}", line)


ABSOLUTE = {(64, 1): 8, (64, 10): 4, (64, 11): 4, (64, 12): 2, (32, 1): 4, (32, 20): 2, (32, 22): 1}
"""Bytes of R_X86_64_64, _32, _32S, _16 and R_386_32, _16, _8."""
RELATIVE = {(64, 2): 4, (64, 4): 4, (32, 2): 4, (32, 21): 2, (32, 23): 1}


def _relocate(elf: ELFFile, code: bytearray, relocations: RelocationSection, origin: int, bits: int) -> None:
    symbols = cast(SymbolTableSection, elf.get_section(relocations["sh_link"]))
    wide = 64 if bits == 64 else 32
    for entry in relocations.iter_relocations():
        symbol = symbols.get_symbol(entry["r_info_sym"])
        if symbol["st_shndx"] == "SHN_UNDEF":
            raise AssemblyError(f"{symbol.name} is not defined in the text")
        base = symbol["st_value"] + (0 if symbol["st_shndx"] == "SHN_ABS" else origin)
        at, kind = entry["r_offset"], entry["r_info_type"]
        size = ABSOLUTE.get((wide, kind)) or RELATIVE.get((wide, kind))
        if size is None:
            raise AssemblyError(f"relocation type {kind} at {at:#x} has no place in flat code")
        addend = entry["r_addend"] if entry.is_RELA() else int.from_bytes(code[at : at + size], "little", signed=True)
        value = base + addend - (origin + at if (wide, kind) in RELATIVE else 0)
        code[at : at + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")


def main() -> None:
    """Assemble the job on standard input; the machine code goes out in hexadecimal."""
    job = json.load(sys.stdin)
    try:
        code = assemble(job["text"], job["bits"], job["origin"])
    except AssemblyError as error:
        sys.exit(str(error))
    sys.stdout.write(code.hex())


if __name__ == "__main__":
    main()
