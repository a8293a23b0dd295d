"""Where memory is on a PC: the hole below 4 GiB, the windows below 1 MiB, a ROM at the top and its end below 1 MiB, A20."""

import pytest

from tests.harness import assemble
from tests.machine.test_pc import LEAVE, kernel, machine, run
from vmxon.engine.memory_layout import MemoryLayout
from vmxon.errors import ConfigurationError
from vmxon.machine.configuration import PcConfiguration
from vmxon.machine.loader.information import memory_map
from vmxon.machine.pc import End, Limits, Pc

GIB = 1 << 30
ROM_SIZE = 0x20000
FLAT = "lgdt cs:[0xff80]\nmov eax, cr0\nor al, 1\nmov cr0, eax\n.byte 0x66, 0xea\n.long 0xfffffe00\n.word 8\n"
"""From real mode in the F segment to 32-bit code at 0xFFFFFE00, near the end of the ROM."""


def rom(code_16: str, code_32: str = LEAVE) -> bytes:
    """A ROM of 128 KiB: `code_16` at F000:0000 after the reset vector's jump, `code_32` at 0xFFFFFE00."""
    data = bytearray(b"\xf4" * ROM_SIZE)
    for at, piece in (
        (0x10000, assemble(code_16, 16)),
        (0x1FE00, assemble(code_32, 32)),
        (0x1FF80, (23).to_bytes(2, "little") + (0xF_FF90).to_bytes(4, "little")),
        (0x1FF90, b"".join(word.to_bytes(8, "little") for word in (0, 0x00CF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF))),
        (0x1FFF0, b"\xea\x00\x00\x00\xf0"),
    ):
        data[at : at + len(piece)] = piece
    return bytes(data)


def boot(code_16: str, code_32: str = LEAVE) -> Pc:
    pc = Pc(PcConfiguration(memory_size=4 << 20, firmware=rom(code_16, code_32), no_reboot=True))
    pc.run(Limits(instructions=100_000))
    return pc


@pytest.mark.parametrize(
    ("memory", "low", "high", "usable"),
    [
        (0x80000, 0x80000, 0, ((0, 0x80000),)),
        (128 << 20, 128 << 20, 0, ((0, 0xA0000), (0x100000, 128 << 20))),
        (3 * GIB, 3 * GIB, 0, ((0, 0xA0000), (0x100000, 3 * GIB))),
        (5 * GIB, 3 * GIB, 2 * GIB, ((0, 0xA0000), (0x100000, 3 * GIB), (4 * GIB, 6 * GIB))),
    ],
)
def test_layout(memory: int, low: int, high: int, usable: tuple[tuple[int, int], ...]) -> None:
    layout = MemoryLayout.of_pc(memory, 0x10000)
    assert (layout.low, layout.high, layout.memory, layout.store, layout.usable()) == (low, high, memory, memory + 0x10000, usable)
    assert [(row.start, row.end) for row in memory_map(memory) if row.kind == 1 and row.start] == list(usable[1:])


@pytest.mark.parametrize(
    ("parts", "message"),
    [((0x1800, 0, 0), "memory size 0x1800 is no"), ((0x1000, 1, 0), "high memory 0x1 is no"), ((0x1000, 0, 0x800), "ROM 0x800 is no")],
)
def test_layouts_of_half_pages(parts: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MemoryLayout(*parts)


def test_low_memory_ends_below_the_rom() -> None:
    with pytest.raises(ValueError, match="low memory 0xffff0000 must end below 0xfffe0000"):
        MemoryLayout(0xFFFF_0000, rom=0x20000)


def test_memory_above_the_hole() -> None:
    """With PAE, a page at 4 GiB is RAM; below, in the hole, nothing answers."""
    tables = "mov dword ptr [0x20000], 0x21001\nmov dword ptr [0x21000], 0x83\nmov dword ptr [0x21008], 0x83\nmov dword ptr [0x2100c], 1\n"
    paging = "mov eax, cr4\nor al, 0x20\nmov cr4, eax\nmov eax, 0x20000\nmov cr3, eax\nmov eax, cr0\nor eax, 0x80000000\nmov cr0, eax\n"
    code = f"mov esi, [0xc0000000]\n{tables}{paging}mov edi, [0x200010]\nmov dword ptr [0x200020], 0x11223344\n{LEAVE}"
    pc = Pc(PcConfiguration(memory_size=3 * GIB + (4 << 20), kernel=kernel(code)))
    engine = pc.processor.engine
    engine.write_physical(4 * GIB + 0x10, (0xCAFE).to_bytes(4, "little"))
    run(pc)
    assert (pc.state.gpr[6], pc.state.gpr[7]) == (0xFFFF_FFFF, 0xCAFE)
    assert engine.read_physical(4 * GIB + 0x20, 4) == engine.memory[3 * GIB + 0x20 : 3 * GIB + 0x24] == b"\x44\x33\x22\x11"
    assert engine.read_physical(3 * GIB - 2, 4) == b"\0\0\xff\xff"
    assert engine.read_physical(4 * GIB - 2, 4) == b"\xff\xff\0\0"
    pc.board.bus.write(0x70, 1, 0x5B)
    assert pc.board.bus.read(0x71, 1) == (4 << 20) >> 16


def test_a_rom_starts_at_the_reset_vector() -> None:
    pc = boot("mov ax, 0x1234\nmov dx, 0xf4\nmov al, 2\nout dx, al\nhlt")
    assert (pc.end, pc.exit_value) == (End.DEBUG_EXIT, 5)


def test_a_rom_runs_at_the_top_of_4_gib() -> None:
    pc = boot(FLAT, f"mov ax, 16\nmov ds, ax\nmov esi, [0xfffe0000]\nmov edi, [0xe0000]\n{LEAVE}")
    assert (pc.exit_value, pc.state.gpr[6], pc.state.gpr[7]) == (3, 0xF4F4_F4F4, 0xF4F4_F4F4)


@pytest.mark.parametrize("address", [0xE0100, 0xF0100, 0xC0000, 0xFFFE_0100])
@pytest.mark.parametrize("store", ["mov dword ptr [{}], 7", "inc dword ptr [{}]", "lock xadd dword ptr [{}], ecx"])
def test_stores_to_a_rom_are_lost(address: int, store: str) -> None:
    data = "mov ax, 16\nmov ds, ax\nmov es, ax\n"
    pc = boot(FLAT, f"{data}mov ebx, [{address}]\n{store.format(address)}\nmov esi, [{address}]\n{LEAVE}")
    assert pc.exit_value == 3
    assert pc.state.gpr[6] == pc.state.gpr[3] == (0xFFFF_FFFF if address == 0xC0000 else 0xF4F4_F4F4)
    assert not pc.board.memory_bus.unclaimed_writes


@pytest.mark.parametrize("segment", range(13))
@pytest.mark.parametrize(
    ("read", "write", "sees", "memory"),
    [(False, False, "rom", 0), (False, True, "rom", 7), (True, False, "ram", 0), (True, True, "ram", 7)],
)
def test_segments(segment: int, read: bool, write: bool, sees: str, memory: int) -> None:
    """The four settings of a PAM register: which bytes a load finds, and whether a store reaches RAM."""
    first = 0xF0000 if segment == 0 else 0xC0000 + 0x4000 * (segment - 1)
    at = first + (0x1000 if segment else 0x800)
    code = f"mov ax, 16\nmov ds, ax\nout 0xb4, al\nmov esi, [{at}]\nmov dword ptr [{at}], 7\nmov edi, [{at}]\n{LEAVE}"
    pc = Pc(PcConfiguration(memory_size=4 << 20, firmware=rom(FLAT, code)))
    pc.memory_map.set_segment(segment, read=True, write=True)
    pc.processor.engine.write_physical(at, b"\1\1\1\1")
    pc.memory_map.set_segment(segment, read=False, write=False)
    switch = type("Switch", (), {"read": lambda *_: 0, "write": lambda *_: pc.memory_map.set_segment(segment, read=read, write=write)})
    pc.board.bus.open(0xB4, 1, switch())
    pc.run(Limits(instructions=100_000))
    seen = {"rom": 0xF4F4_F4F4 if at >= 0xE0000 else 0xFFFF_FFFF, "ram": 0x0101_0101}[sees]
    assert pc.state.gpr[6] == seen
    assert pc.state.gpr[7] == (7 if read and write else seen)
    assert pc.processor.engine.memory[at] == (memory or 1)


def test_reset_puts_the_rom_in_front_again() -> None:
    pc = Pc(PcConfiguration(memory_size=4 << 20, firmware=rom("hlt")))
    pc.memory_map.set_segment(0, read=True, write=True)
    pc.memory_map.set_a20(False)
    assert pc.processor.engine.read_physical(0xF0100, 1) == b"\0"
    pc.reset()
    assert pc.processor.engine.read_physical(0xF0100, 1) == b"\xf4"
    assert pc.state.address_lines == (1 << 64) - 1


def test_code_in_a_segment_changes_with_it() -> None:
    """A loop in the F segment goes on in RAM when its segment is switched under it."""
    pc = Pc(PcConfiguration(memory_size=4 << 20, firmware=rom(f"again: out 0xb4, al\njmp again\n{LEAVE}")))
    ram = assemble("out 0xb4, al\nmov dx, 0xf4\nout dx, al\nhlt", 16)
    pc.processor.engine.memory[0xF0000 : 0xF0000 + len(ram)] = ram
    switch = type("Switch", (), {"read": lambda *_: 0, "write": lambda *_: pc.memory_map.set_segment(0, read=True, write=True)})
    pc.board.bus.open(0xB4, 1, switch())
    pc.run(Limits(instructions=1000))
    assert pc.end is End.DEBUG_EXIT


@pytest.mark.parametrize("gate", ["out 0x92, al", "push eax\nmov al, 0xd1\nout 0x64, al\npop eax\nout 0x60, al"], ids=["port 92", "8042"])
def test_address_line_20(gate: str) -> None:
    """Held low, an odd MiB is the even one below it; the setting applies at once, to loads, stores and code."""
    off, on = (f"mov al, {value}\n{gate}\n" for value in ((1, 3) if "64" in gate else (0, 2)))
    code = (
        "mov edx, 0x118000\nmov edi, [0x100500]\nmov dword ptr [0x500], 1\nmov dword ptr [0x100500], 2\n"
        f"{off}mov ebx, [0x100500]\nmov dword ptr [0x300504], 5\nmov ebp, [0x200504]\ncall edx\n"
        f"{on}mov esi, [0x100500]\nmov edi, [0x300504]\n{LEAVE}"
    )
    pc = machine(code)
    pc.processor.engine.write_physical(0x18000, assemble("inc ecx\nret", 32))
    run(pc)
    assert [pc.state.gpr[n] for n in (1, 3, 5, 6, 7)] == [1, 1, 5, 2, 0]


@pytest.mark.parametrize("size", [0x1000, 0x18000, 0x101_0000])
def test_roms_that_no_machine_has(size: int) -> None:
    with pytest.raises(ConfigurationError, match=f"a ROM of {size:#x} bytes, expected a multiple of 64 KiB, at most 16 MiB"):
        PcConfiguration(firmware=bytes(size))
