"""Unicorn as an oracle for every host: the same frame around an instruction, in QEMU's translator."""

from __future__ import annotations

from functools import cache

import unicorn
from unicorn import x86_const as x86

from tests.harness import assemble
from tests.isa.vector.image import FRAME, SIZE, pack, unpack
from tests.isa.vector.world import MEMORY, World

CODE, IMAGE, DATA, STACK = 0x10000, 0x20000, 0x30000, 0x40000
PAGE = 0x1000


@cache
def machine() -> unicorn.Uc:
    """The engine that all tests share."""
    engine = unicorn.Uc(unicorn.UC_ARCH_X86, unicorn.UC_MODE_64)
    for base in (CODE, IMAGE, DATA, STACK):
        engine.mem_map(base, PAGE)
    return engine


def run(text: str, before: World) -> World:
    """The state after one instruction."""
    engine = machine()
    code = assemble(FRAME.format(text=text))
    engine.ctl_remove_cache(CODE, CODE + PAGE)
    engine.mem_write(CODE, code)
    engine.mem_write(IMAGE, pack(before))
    engine.mem_write(DATA, before.memory)
    engine.reg_write(x86.UC_X86_REG_RDI, IMAGE)
    engine.reg_write(x86.UC_X86_REG_RSI, DATA)
    engine.reg_write(x86.UC_X86_REG_RSP, STACK + PAGE)
    engine.emu_start(CODE, CODE + len(code))
    return unpack(bytes(engine.mem_read(IMAGE, SIZE)), bytes(engine.mem_read(DATA, MEMORY)))
