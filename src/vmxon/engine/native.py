"""The compiled engine bound to one machine's memory: loads the objects, lays out the arena, runs."""

from __future__ import annotations

import ctypes
import mmap
import struct
from collections.abc import Callable
from typing import cast

import llvmlite.binding as llvm

from vmxon.engine.build import Image, obtain_group
from vmxon.engine.compiler import target_machine
from vmxon.engine.places import JUMP_ENTRIES, PSEUDO_HANDLERS, TABLE_ENTRIES, DecodeTables
from vmxon.microcode.layout import Memory, member_offset
from vmxon.processor.code_pages import PAGE_ENTRY
from vmxon.processor.state import HostRequest, ProcessorState
from vmxon.processor.tlb import TLB_OFFSET, TLB_SIZE
from vmxon.vmx.state import VMX_MEMORY_SIZE

BLOCK_ARENA = 48 << 20
BOUNCE = 4096
PAGE = 4096
REQUEST = member_offset(ProcessorState, "request") // 4
NO_ADDRESS = 1 << 63
"""A RIP that no program can have: it is not canonical."""


class Library:
    """The engine's code in this process; loaded once, shared by all machines."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.machine = target_machine()
        self.module = llvm.parse_assembly("")
        self.jit = llvm.create_mcjit_compiler(self.module, self.machine)
        for data in image.objects:
            self.jit.add_object_file(llvm.ObjectFileRef.from_data(data))
        self.jit.finalize_object()
        self.handlers = self._addresses("handler_table", cast(int, image.facts["handlers"]))
        """The addresses of all handlers, those of `engine.pseudo` first; handlers of groups that are not loaded are PENDING."""
        self.groups: set[str] = set()
        special = self.jit.get_global_value_address("special_table")
        self.run_address, self.stop_address, self.stale_address = (ctypes.c_uint64 * 3).from_address(special)
        self.run = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self.run_address)
        exports = cast(list[tuple[str, list[int], int, bool]], image.facts["exports"])
        table = self._addresses("export_table", len(exports))
        self.functions = {row[0].rsplit(".", 1)[-1]: _bind(table[n], *row[1:]) for n, row in enumerate(exports)}

    def _addresses(self, table: str, count: int) -> list[int]:
        return list((ctypes.c_uint64 * count).from_address(self.jit.get_global_value_address(table)))

    def load_group(self, instruction: int) -> None:
        """Load the group of an instruction, unless another machine of this process has needed it before."""
        name = cast(list[str], self.image.facts["group_of"])[instruction]
        if name in self.groups:
            return
        self.groups.add(name)
        self.jit.add_object_file(llvm.ObjectFileRef.from_data(obtain_group(self.image, name)))
        self.jit.finalize_object()
        members = cast(dict[str, list[int]], self.image.facts["groups"])[name]
        for number, address in zip(members, self._addresses(f"group_{name}", len(members)), strict=True):
            self.handlers[PSEUDO_HANDLERS + number] = address


class _Pair(ctypes.Structure):
    _fields_ = [("faulted", ctypes.c_bool), ("value", ctypes.c_uint64)]


def _bind(address: int, parameters: list[int], results: int, can_fault: bool) -> Callable[..., int | None]:
    """A ctypes function: gives its result, or None where it faulted."""
    kinds = [
        ctypes.c_void_p
        if bits == 0
        else {1: ctypes.c_bool, 8: ctypes.c_uint8, 16: ctypes.c_uint16, 32: ctypes.c_uint32}.get(bits, ctypes.c_uint64)
        for bits in parameters
    ]
    if can_fault and results:
        # { i1, i64 } comes back in two registers, as a C structure of that shape does.
        pair = ctypes.CFUNCTYPE(_Pair, *kinds)(address)
        return lambda *arguments: None if (answer := pair(*arguments)).faulted else answer.value
    if can_fault:
        status = ctypes.CFUNCTYPE(ctypes.c_bool, *kinds)(address)
        return lambda *arguments: None if status(*arguments) else 0
    return cast(Callable[..., int], ctypes.CFUNCTYPE(ctypes.c_uint64 if results else None, *kinds)(address))


class Arena:
    """One run of host memory: state, TLB, caches, decoded blocks, guest RAM; zero-filled, touched only where used."""

    def __init__(self, memory_size: int, tables: int) -> None:
        self.offsets: dict[str, int] = {}
        self.size = 0
        for name, size in (
            ("state", TLB_OFFSET),
            ("tlb", TLB_SIZE),
            ("jump_cache", JUMP_ENTRIES * 32),
            ("block_table", TABLE_ENTRIES * 8),
            ("records", PAGE),
            ("bounce", BOUNCE),
            ("python_code", PAGE),
            ("cpuid", PAGE),
            ("vmx_memory", VMX_MEMORY_SIZE),
            ("tables", tables),
            ("memory_pages", (memory_size // PAGE + 1) * PAGE_ENTRY),
            ("blocks", BLOCK_ARENA),
            ("memory", memory_size + PAGE),
        ):
            self.offsets[name] = self.size
            self.size += (size + PAGE - 1) // PAGE * PAGE
        try:
            self.map = mmap.mmap(-1, self.size)
        except (OSError, OverflowError) as error:
            raise MemoryError(f"{self.size:#x} bytes for a machine with {memory_size:#x} bytes of memory") from error
        self.view = memoryview(self.map)
        self.base = ctypes.addressof(ctypes.c_char.from_buffer(self.map))

    def address(self, name: str) -> int:
        """Host address of a part."""
        return self.base + self.offsets[name]

    def part(self, name: str, size: int) -> memoryview:
        """The bytes of a part."""
        start = self.offsets[name]
        return self.view[start : start + size]


class Engine:
    """A processor's native half: its state, its memory, and the function that runs it."""

    def __init__(self, library: Library, memory_size: int) -> None:
        if memory_size % PAGE:
            raise ValueError(f"memory size {memory_size:#x} is no multiple of 4096")
        self.library, self.memory_size = library, memory_size
        image = library.image
        handlers = bytes(8 * (len(library.handlers) - PSEUDO_HANDLERS))
        tables = {"starts": image.starts, "candidates": image.candidates, "slots": image.slots, "handlers": handlers}
        room = DecodeTables.size + sum(len(t) + 64 for t in tables.values())
        self.arena = Arena(memory_size, room)
        self.memory = self.arena.part("memory", memory_size)
        self.vmx_memory = Memory(self.arena.part("vmx_memory", VMX_MEMORY_SIZE), self.arena.address("vmx_memory"))
        self.state = ProcessorState(Memory(self.arena.part("state", TLB_OFFSET), self.arena.base))
        self._halves = self.state.bound_memory.words[4]
        self._place_tables(tables, room)
        self._point(memory_size)
        self.call("flush_blocks")
        self.call("invalidate_everything")

    def _place_tables(self, tables: dict[str, bytes], room: int) -> None:
        part, start = self.arena.part("tables", room), self.arena.address("tables")
        decoder = DecodeTables(Memory(part, start))
        at = (DecodeTables.size + 63) & ~63
        for name, data in tables.items():
            part[at : at + len(data)] = data
            setattr(decoder, name, start + at)
            at = (at + len(data) + 63) & ~63
        decoder.undefined, decoder.too_long, decoder.missing = self.library.handlers[:3]
        self.state.decode_tables = start
        self._handlers_at = decoder.handlers - self.arena.base
        self._place_handlers()

    def _place_handlers(self) -> None:
        addresses, at = self.library.handlers[PSEUDO_HANDLERS:], self._handlers_at
        self.arena.view[at : at + 8 * len(addresses)] = struct.pack(f"<{len(addresses)}Q", *addresses)

    def _point(self, memory_size: int) -> None:
        state, arena = self.state, self.arena
        state.memory, state.memory_size = arena.address("memory"), memory_size
        state.memory_pages = arena.address("memory_pages")
        state.tlb_address = arena.address("tlb")
        state.jump_cache, state.block_table = arena.address("jump_cache"), arena.address("block_table")
        state.block_arena = state.block_next = arena.address("blocks")
        state.block_end = state.block_arena + BLOCK_ARENA
        state.crossing_record = arena.address("records")
        state.alone_record = arena.address("records") + 256
        state.bounce_base, state.bounce_size = arena.address("bounce"), BOUNCE
        state.stop_handler, state.stale_handler = self.library.stop_address, self.library.stale_address
        state.vmx_memory = arena.address("vmx_memory")
        state.python_rip = NO_ADDRESS

    def run(self) -> None:
        """Run until state.request says why native code stopped."""
        self.library.run(self.arena.base)
        while self._halves[REQUEST] == HostRequest.GROUP:
            self.load_group()
            self.library.run(self.arena.base)

    def load_group(self) -> None:
        """Load the group that the instruction at RIP waits for."""
        self.library.load_group(self.state.request_value)
        self._place_handlers()
        self.call("flush_blocks")
        self.state.request = HostRequest.NONE

    def call(self, name: str, *arguments: int) -> int | None:
        """Call an exported function on this processor; None where it faulted (state.fault_* says how)."""
        return self.library.functions[name](self.arena.base, *arguments)

    def read_physical(self, address: int, size: int) -> bytes:
        """Bytes of RAM; outside it, ones."""
        end = min(address + size, self.memory_size)
        inside = bytes(self.memory[address:end]) if address < end else b""
        return inside + b"\xff" * (size - len(inside))

    def write_physical(self, address: int, data: bytes) -> None:
        """Write RAM from outside the processor (loader, DMA, debugger); bytes outside it are lost."""
        size = min(len(data), max(0, self.memory_size - address))
        if size:
            self.call("invalidate_range", address, size)
            self.memory[address : address + size] = data[:size]
