"""The host's processor as an oracle: an instruction runs in inline assembly between FXRSTOR64 and FXSAVE64."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable
from functools import cache

import llvmlite.binding as llvm

from tests.isa.vector.image import ALL_MASKED, FRAME, SIZE, pack, unpack
from tests.isa.vector.world import MEMORY, World

IS_X86_64 = platform.machine() in ("x86_64", "AMD64")
CLOBBERED = ("rax", "rcx", "rdx", *(f"xmm{n}" for n in range(16)), "memory", "flags", "dirflag", "fpsr")
_engines: list[llvm.ExecutionEngine] = []


@cache
def compiled(text: str) -> Callable[[int, int], None]:
    """A function of the image and the memory that runs the instruction."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()
    name = f"instruction_{len(_engines)}"
    assembly = " ".join(FRAME.format(text=text).split())
    clobbers = ",".join(f"~{{{c}}}" for c in CLOBBERED)
    module = llvm.parse_assembly(f"""
target triple = "{llvm.get_default_triple()}"
define void @{name}(ptr %state, ptr %memory) noredzone {{
  call void asm sideeffect inteldialect "{assembly}", "{{rdi}},{{rsi}},{clobbers}"(ptr %state, ptr %memory)
  ret void
}}""")
    machine = llvm.Target.from_default_triple().create_target_machine()
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    _engines.append(engine)
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
    return kind(engine.get_function_address(name))  # type: ignore[return-value]  # a C function takes the ints


class Block:
    """Aligned memory."""

    def __init__(self, size: int) -> None:
        self.raw = ctypes.create_string_buffer(size + 64)
        self.address = (ctypes.addressof(self.raw) + 63) & ~63
        self.bytes = (ctypes.c_char * size).from_address(self.address)


IMAGE, DATA = Block(SIZE), Block(MEMORY)


def run(text: str, before: World) -> World:
    """The state after one instruction; SSE exceptions must be masked."""
    if before.mxcsr & ALL_MASKED != ALL_MASKED:
        raise ValueError("an unmasked SSE exception would end the test process")
    IMAGE.bytes.raw = pack(before)
    DATA.bytes.raw = before.memory
    compiled(text)(IMAGE.address, DATA.address)
    return unpack(bytes(IMAGE.bytes.raw), bytes(DATA.bytes.raw))
