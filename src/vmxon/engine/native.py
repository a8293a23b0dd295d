"""The compiled engine bound to one machine's memory: loads the objects, lays out the arena, runs."""

from __future__ import annotations

import ctypes
import mmap
import struct
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import cast

import llvmlite.binding as llvm

from vmxon.engine.build import Image, obtain_group
from vmxon.engine.compiler import target_machine
from vmxon.engine.memory_layout import MemoryLayout
from vmxon.engine.places import JUMP_ENTRIES, PSEUDO_HANDLERS, TABLE_ENTRIES, DecodeTables
from vmxon.microcode.layout import Memory, member_offset
from vmxon.processor.code_pages import PAGE_ENTRY
from vmxon.processor.memory_map import HIGH, NOWHERE, TO_READ, TO_WRITE, WINDOWS, WINDOWS_SIZE
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
        self.jit.add_object_file(llvm.ObjectFileRef.from_data(obtain_group(self.image, name)))
        self.jit.finalize_object()
        self.groups.add(name)
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

    def __init__(self, store: int, tables: int) -> None:
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
            ("port_stream", PAGE),
            ("cpuid", PAGE),
            ("vmx_memory", VMX_MEMORY_SIZE),
            ("tables", tables),
            ("memory_pages", (store // PAGE + 1) * PAGE_ENTRY),
            ("blocks", BLOCK_ARENA),
            ("memory", store + PAGE),
        ):
            self.offsets[name] = self.size
            self.size += (size + PAGE - 1) // PAGE * PAGE
        try:
            self.map = mmap.mmap(-1, self.size)
        except (OSError, OverflowError) as error:
            raise MemoryError(f"{self.size:#x} bytes for a machine with {store:#x} bytes of memory") from error
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

    def __init__(self, library: Library, memory: int | MemoryLayout) -> None:
        """`memory` is a layout, or the bytes of RAM from 0 on."""
        self.layout = layout = memory if isinstance(memory, MemoryLayout) else MemoryLayout(memory)
        self.library, self.memory_size = library, layout.memory
        image = library.image
        handlers = bytes(8 * (len(library.handlers) - PSEUDO_HANDLERS))
        tables = {"starts": image.starts, "candidates": image.candidates, "slots": image.slots, "handlers": handlers}
        room = DecodeTables.size + sum(len(t) + 64 for t in tables.values())
        self.arena = Arena(layout.store, room)
        self.store = self.arena.part("memory", layout.store)
        self.memory = self.store[: layout.memory]
        self.vmx_memory = Memory(self.arena.part("vmx_memory", VMX_MEMORY_SIZE), self.arena.address("vmx_memory"))
        self.state = ProcessorState(Memory(self.arena.part("state", TLB_OFFSET), self.arena.base))
        self._halves = self.state.bound_memory.words[4]
        self._place_tables(tables, room)
        self._point(layout)
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
        decoder.undefined, decoder.too_long, decoder.outside = self.library.handlers[:3]
        self.state.decode_tables = start
        self._handlers_at = decoder.handlers - self.arena.base
        self._place_handlers()

    def _place_handlers(self) -> None:
        addresses, at = self.library.handlers[PSEUDO_HANDLERS:], self._handlers_at
        self.arena.view[at : at + 8 * len(addresses)] = struct.pack(f"<{len(addresses)}Q", *addresses)

    def _point(self, layout: MemoryLayout) -> None:
        state, arena = self.state, self.arena
        state.memory = arena.address("memory")
        state.low_memory, state.high_memory, state.rom_size = layout.low, layout.high, layout.rom
        state.address_lines = NOWHERE
        for number in range(len(state.windows)):
            at = WINDOWS + PAGE * number
            state.windows[number] = at | TO_READ | TO_WRITE if at < layout.low else 0
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

    def place(self, address: int, access: int) -> int:
        """What processor/memory_map.py calls the place of a byte, the APIC page and A20 aside; NOWHERE outside memory."""
        layout = self.layout
        if address < layout.low and not 0 <= address - WINDOWS < WINDOWS_SIZE:
            return address
        if 0 <= address - WINDOWS < WINDOWS_SIZE:
            row = self.state.windows[address - WINDOWS >> 12]
            return row & -PAGE | address % PAGE if row & access == access else NOWHERE
        if 0 <= address - HIGH < layout.high:
            return address - HIGH + layout.low
        if HIGH - layout.rom <= address < HIGH and not access & TO_WRITE:
            return address - HIGH + layout.store
        return NOWHERE

    def _pieces(self, address: int, size: int, access: int) -> Iterator[tuple[int, int]]:
        """Place and length of each part of an access that one place holds, NOWHERE for parts outside memory."""
        layout, end = self.layout, address + size
        edges = (WINDOWS, *range(WINDOWS + PAGE, WINDOWS + WINDOWS_SIZE + 1, PAGE), layout.low, HIGH - layout.rom, HIGH, HIGH + layout.high)
        cuts = [address, *sorted({edge for edge in edges if address < edge < end}), end]
        for first, last in pairwise(cuts):
            yield self.place(first, access), last - first

    def _plain(self, address: int, size: int) -> bool:
        """All of it is RAM at its own address."""
        end = address + size
        return end <= self.layout.low and (end <= WINDOWS or address >= WINDOWS + WINDOWS_SIZE)

    def read_physical(self, address: int, size: int) -> bytes:
        """Bytes of memory; outside it, ones."""
        if self._plain(address, size):
            return bytes(self.store[address : address + size])
        return b"".join(
            b"\xff" * length if at == NOWHERE else bytes(self.store[at : at + length])
            for at, length in self._pieces(address, size, TO_READ)
        )

    def write_physical(self, address: int, data: bytes) -> None:
        """Write RAM from outside the processor (loader, DMA, debugger); bytes outside it are lost."""
        if self._plain(address, len(data)):
            self.write_place(address, data)
            return
        done = 0
        for at, length in self._pieces(address, len(data), TO_WRITE):
            if at != NOWHERE:
                self.write_place(at, data[done : done + length])
            done += length

    def write_place(self, at: int, data: bytes) -> None:
        """Write bytes of the store, a ROM's too."""
        if data:
            self.call("invalidate_range", at, len(data))
            self.store[at : at + len(data)] = data
