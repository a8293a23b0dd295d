"""The FXSAVE64 image and the registers behind it: how both oracles take a world in and give it back."""

from __future__ import annotations

import struct

from tests.isa.vector.world import World

RAX, RCX, RFLAGS, HARMLESS_MXCSR, RDX, SIZE = 512, 520, 528, 536, 544, 552
ALL_MASKED = 0x1F80
FRAME = """
fxrstor64 [rdi]; mov rax, [rdi + 512]; mov rcx, [rdi + 520]; mov rdx, [rdi + 544]; push qword ptr [rdi + 528]; popfq;
{text};
pushfq; pop qword ptr [rdi + 528]; mov [rdi + 512], rax; mov [rdi + 520], rcx; mov [rdi + 544], rdx; fxsave64 [rdi];
fninit; ldmxcsr dword ptr [rdi + 536]
"""
"""The instruction between load and store of everything; RDI holds the image, RSI the memory."""


def pack(world: World) -> bytes:
    """The image of a world."""
    image = bytearray(SIZE)
    struct.pack_into("<HHBxH", image, 0, world.control, world.status, world.present, 0)
    struct.pack_into("<I", image, 24, world.mxcsr)
    for index, (head, significand) in enumerate(world.stack):
        struct.pack_into("<QH", image, 32 + 16 * index, significand, head)
    for index, value in enumerate(world.xmm):
        image[160 + 16 * index : 176 + 16 * index] = value.to_bytes(16, "little")
    struct.pack_into("<QQQI4xQ", image, RAX, world.rax, world.rcx, world.rflags, ALL_MASKED, world.rdx)
    return bytes(image)


def unpack(image: bytes, memory: bytes) -> World:
    """The world of an image."""
    control, status, present = struct.unpack_from("<HHB", image)
    stack = []
    for index in range(8):
        significand, head = struct.unpack_from("<QH", image, 32 + 16 * index)
        stack.append((head, significand))
    rax, rcx, rflags = struct.unpack_from("<QQQ", image, RAX)
    xmm = tuple(int.from_bytes(image[160 + 16 * n : 176 + 16 * n], "little") for n in range(4))
    mxcsr, rdx = struct.unpack_from("<I", image, 24)[0], struct.unpack_from("<Q", image, RDX)[0]
    return World(xmm, mxcsr, control, status, present, tuple(stack), rax, rcx, rdx, rflags, memory)
