"""The host's processor as an oracle: an instruction runs in inline assembly between FXRSTOR64 and FXSAVE64."""

from __future__ import annotations

import ctypes
import platform
import struct
from collections.abc import Callable
from functools import cache

import llvmlite.binding as llvm

from tests.isa.vector.world import MEMORY, World

IS_X86_64 = platform.machine() in ("x86_64", "AMD64")
FXSAVE, RAX, RCX, RFLAGS, SIZE = 0, 512, 520, 528, 544
ALL_MASKED = 0x1F80
FRAME = """
fxrstor64 [rdi]; mov rax, [rdi + 512]; mov rcx, [rdi + 520]; push qword ptr [rdi + 528]; popfq;
{text};
pushfq; pop qword ptr [rdi + 528]; mov [rdi + 512], rax; mov [rdi + 520], rcx; fxsave64 [rdi];
fninit; ldmxcsr dword ptr [rdi + 536]
"""
CLOBBERED = ("rax", "rcx", *(f"xmm{n}" for n in range(16)), "memory", "flags", "dirflag", "fpsr")
_engines: list[llvm.ExecutionEngine] = []


def initialize() -> None:
    """Make LLVM ready for this processor's assembly."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()


@cache
def compiled(text: str) -> Callable[[int, int], None]:
    """A function of the state block and the memory that runs the instruction."""
    initialize()
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


STATE, DATA = Block(SIZE), Block(MEMORY)


def run(text: str, before: World) -> World:
    """The state after one instruction; SSE exceptions must be masked."""
    if before.mxcsr & ALL_MASKED != ALL_MASKED:
        raise ValueError("an unmasked SSE exception would end the test process")
    image = bytearray(SIZE)
    struct.pack_into("<HHBxH", image, 0, before.control, before.status, before.present, 0)
    struct.pack_into("<I", image, 24, before.mxcsr)
    for index, (head, significand) in enumerate(before.stack):
        struct.pack_into("<QH", image, 32 + 16 * index, significand, head)
    for index, value in enumerate(before.xmm):
        image[160 + 16 * index : 176 + 16 * index] = value.to_bytes(16, "little")
    struct.pack_into("<QQQI", image, RAX, before.rax, before.rcx, before.rflags, ALL_MASKED)
    STATE.bytes.raw = bytes(image)
    DATA.bytes.raw = before.memory
    compiled(text)(STATE.address, DATA.address)
    after = bytes(STATE.bytes.raw)
    control, status, present = struct.unpack_from("<HHB", after)
    stack = []
    for index in range(8):
        significand, head = struct.unpack_from("<QH", after, 32 + 16 * index)
        stack.append((head, significand))
    rax, rcx, rflags = struct.unpack_from("<QQQ", after, RAX)
    xmm = tuple(int.from_bytes(after[160 + 16 * n : 176 + 16 * n], "little") for n in range(4))
    mxcsr = struct.unpack_from("<I", after, 24)[0]
    return World(xmm, mxcsr, control, status, present, tuple(stack), rax, rcx, rflags, bytes(DATA.bytes.raw))
