"""Hardware breakpoints are state of the processor: neither a loader nor a switch of modes takes them away."""

from __future__ import annotations

from tests.harness import CODE, TABLES, Bench, assemble

FLAT, GATES, HANDLER, LONG_CODE = 0x8000, 0x9000, 0x12000, 0x11000
MODE_SWITCH = f"""
    mov eax, {LONG_CODE + 1:#x}
    mov dr0, eax
    mov eax, 0x402
    mov dr7, eax
    mov eax, 0x20
    mov cr4, eax
    mov eax, {TABLES:#x}
    mov cr3, eax
    mov ecx, 0xC0000080
    mov eax, 0x100
    xor edx, edx
    wrmsr
    mov eax, 0x80000011
    mov cr0, eax
    .byte 0xEA
    .long {LONG_CODE:#x}
    .word 8
"""


def prepared() -> Bench:
    """In 32-bit mode with page tables, a GDT with 64-bit code, and a #DB handler that halts, for after the switch."""
    bench = Bench(32)
    bench.map_identity()
    write = bench.engine.write_physical
    write(FLAT, b"".join(entry.to_bytes(8, "little") for entry in (0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF)))
    gate = (8 << 16 | HANDLER & 0xFFFF) | (HANDLER & 0xFFFF_0000 | 0x8E00) << 32
    write(GATES + 16, gate.to_bytes(16, "little"))
    write(HANDLER, assemble("hlt"))
    state = bench.state
    state.gdt_base, state.gdt_limit, state.idt_base, state.idt_limit = FLAT, 23, GATES, 0xFFF
    bench.processor.refresh()
    return bench


def test_a_breakpoint_set_before_the_switch_to_long_mode_hits_behind_it() -> None:
    bench = prepared()
    bench.engine.write_physical(LONG_CODE, assemble("nop\nmov eax, 5\nhlt"))
    bench.step(MODE_SWITCH, 40)
    assert bench.state.rip == HANDLER + 1
    assert bench.state.dr[6] & 0xF == 1
    assert int.from_bytes(bench.engine.read_physical(bench.state.gpr[4], 8), "little") == LONG_CODE + 1, "it came before MOV"
    assert bench.state.gpr[0] != 5


def test_a_breakpoint_outlives_the_loader_that_overwrites_its_code() -> None:
    """A debugger's INT3 would be gone."""
    bench = prepared()
    bench.step(MODE_SWITCH, 2 + 2)
    assert bench.state.code_breakpoints == 1
    bench.engine.write_physical(LONG_CODE, assemble("nop\nmov ebx, 9\nhlt"))
    bench.state.rip = CODE
    bench.processor.run(40)
    assert (bench.state.rip, bench.state.dr[6] & 0xF) == (HANDLER + 1, 1)
