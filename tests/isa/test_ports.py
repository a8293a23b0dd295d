"""IN, OUT, INS, OUTS: the latch and the request, privilege, REP."""

from __future__ import annotations

import pytest

from tests.harness import CODE, assemble
from tests.processor.system_bench import FINE, GP, TSS, Outcome, SystemBench, fault
from vmxon.processor.state import HostRequest


def start(bench: SystemBench, code: bytes | str) -> HostRequest:
    """Run one instruction until Python is asked."""
    bits = 16 if bench.mode in (16, 86) else bench.bits
    bench.engine.write_physical(CODE, assemble(code, bits) if isinstance(code, str) else code)
    bench.state.rip = 0 if bench.mode in (16, 86) else CODE
    return bench.processor.run(1)


def answer(bench: SystemBench, value: int) -> HostRequest:
    """Complete a port read and go on."""
    state = bench.state
    state.latch_valid, state.latch_address, state.latch_size = 1, state.request_address, state.request_size
    state.latch_value = value
    return bench.processor.run(1)


# code, port, size
READS = [
    ("in al, 0x60", 0x60, 1), ("in ax, 0x60", 0x60, 2), ("in eax, 0x60", 0x60, 4),
    ("in al, dx", 0x1234, 1), ("in ax, dx", 0x1234, 2), ("in eax, dx", 0x1234, 4),
]  # fmt: skip


@pytest.mark.parametrize("mode", [16, 32, 64])
@pytest.mark.parametrize(("code", "port", "size"), READS)
def test_in(mode: int, code: str, port: int, size: int) -> None:
    bench = SystemBench(mode)
    bench.state.gpr[2] = 0xFFFF_1234
    bench.state.gpr[0] = 0xAAAA_AAAA_AAAA_AAAA
    assert start(bench, code) is HostRequest.PORT_READ
    assert (bench.state.request_address, bench.state.request_size) == (port, size)
    assert bench.state.rip == (0 if mode == 16 else CODE)
    assert answer(bench, 0x1122_3344) is HostRequest.BUDGET
    mask = (1 << 8 * size) - 1
    kept = 0xAAAA_AAAA_AAAA_AAAA & ~mask if size < 4 else 0
    assert bench.state.gpr[0] == kept | 0x1122_3344 & mask
    assert bench.state.latch_valid == 0


@pytest.mark.parametrize("mode", [16, 32, 64])
@pytest.mark.parametrize(("code", "port", "size"), [(c.replace("in", "out"), p, s) for c, p, s in READS])
def test_out(mode: int, code: str, port: int, size: int) -> None:
    bench = SystemBench(mode)
    destination, source = code.removeprefix("out ").split(", ")
    code = f"out {source}, {destination}"
    bench.state.gpr[2], bench.state.gpr[0] = 0xFFFF_1234, 0xAABB_CCDD
    assert start(bench, code) is HostRequest.PORT_WRITE
    assert (bench.state.request_address, bench.state.request_size) == (port, size)
    assert bench.state.request_value == 0xAABB_CCDD & ((1 << 8 * size) - 1)
    assert bench.state.rip != (0 if mode == 16 else CODE)


def test_rex_w_reads_four_bytes() -> None:
    bench = SystemBench(64)
    assert start(bench, b"\x48\xed") is HostRequest.PORT_READ
    assert bench.state.request_size == 4


# mode, CPL, IOPL, bits of ports 0x60–0x6F in the bitmap, limit of the TSS, size, allowed
PERMISSIONS = [
    (32, 0, 0, 0xFFFF, 0x6F, 1, True),
    (32, 3, 3, 0xFFFF, 0x6F, 1, True),
    (32, 3, 0, 0xFFFF, 0x7F, 1, False),
    (32, 3, 0, 0x0000, 0x7F, 1, True),
    (32, 3, 0, 0x0001, 0x7F, 1, False),
    (32, 3, 0, 0x0002, 0x7F, 1, True),
    (32, 3, 0, 0x0002, 0x7F, 2, False),
    (32, 3, 0, 0x0008, 0x7F, 4, False),
    (32, 3, 0, 0x0010, 0x7F, 4, True),
    (32, 3, 0, 0x0000, 0x74, 1, False),  # the byte after must lie within the limit too
    (32, 3, 0, 0x0000, 0x75, 1, True),
    (32, 3, 0, 0x0000, 0x66, 1, False),
    (64, 3, 0, 0x0000, 0x7F, 1, True),
    (64, 3, 0, 0xFFFF, 0x7F, 1, False),
    (86, 3, 3, 0xFFFF, 0x7F, 1, False),
    (86, 3, 0, 0x0000, 0x7F, 1, True),
    (16, 0, 0, 0xFFFF, 0x6F, 1, True),
]


@pytest.mark.parametrize(("mode", "cpl", "iopl", "bits", "limit", "size", "allowed"), PERMISSIONS)
def test_permission(mode: int, cpl: int, iopl: int, bits: int, limit: int, size: int, allowed: bool) -> None:
    bench = SystemBench(mode, cpl)
    bench.state.rflags_other |= iopl << 12
    bench.state.segments[7].limit = limit
    # The bitmap begins at 0x68 of the TSS; port 0x60 is in its byte 12, at 0x74.
    bench.engine.write_physical(TSS + 0x66, (0x68).to_bytes(2, "little"))
    bench.engine.write_physical(TSS + 0x74, bits.to_bytes(2, "little"))
    register = {1: "al", 2: "ax", 4: "eax"}[size]
    if allowed:
        assert start(bench, f"in {register}, 0x60") is HostRequest.PORT_READ
    else:
        assert bench.run(f"in {register}, 0x60") == fault(GP)


def test_16_bit_task_has_no_bitmap() -> None:
    bench = SystemBench(32, 3)
    bench.state.segments[7].rights = 0x83
    bench.put_gate(GP)
    # Level 0's stack comes from the 16-bit TSS now.
    bench.engine.write_physical(TSS + 2, (0x7000).to_bytes(2, "little") + (0x10).to_bytes(2, "little"))
    assert bench.run("in al, 0x60") == fault(GP)


@pytest.mark.parametrize("mode", [16, 32, 64])
@pytest.mark.parametrize("backward", [False, True])
def test_rep_insw(mode: int, backward: bool) -> None:
    bench = SystemBench(mode)
    state = bench.state
    state.gpr[1], state.gpr[2], state.gpr[7] = 3, 0x1F0, 0x100 if mode == 16 else 0x20100
    state.rflags_other |= 0x400 if backward else 0
    base = 0 if mode != 16 else state.segments[0].base
    request = start(bench, b"\xf3\x6d" if mode == 16 else b"\xf3\x66\x6d")
    for word in (0x1111, 0x2222, 0x3333):
        while request is HostRequest.BUDGET:
            request = bench.processor.run(1)
        assert request is HostRequest.PORT_READ
        request = answer(bench, word)
    step = -2 if backward else 2
    first = base + (0x100 if mode == 16 else 0x20100)
    stored = [int.from_bytes(bench.engine.read_physical(first + n * step, 2), "little") for n in range(3)]
    assert stored == [0x1111, 0x2222, 0x3333]
    assert (state.gpr[1], state.gpr[7]) == (0, (first - base) + 3 * step)
    assert state.rip == (2 if mode == 16 else CODE + 3)


def test_rep_outsb() -> None:
    bench = SystemBench(64)
    bench.engine.write_physical(0x20000, b"Hi!")
    bench.state.gpr[1], bench.state.gpr[2], bench.state.gpr[6] = 3, 0xE9, 0x20000
    request, out = start(bench, b"\xf3\x6e"), []
    while request is HostRequest.PORT_WRITE:
        out.append(bench.state.request_value)
        request = bench.processor.run(1) if bench.state.gpr[1] else HostRequest.BUDGET
    assert bytes(out) == b"Hi!"
    assert (bench.state.gpr[1], bench.state.gpr[6], bench.state.rip) == (0, 0x20003, CODE + 2)


def test_count_of_zero_does_nothing() -> None:
    bench = SystemBench(64)
    bench.state.gpr[1] = 0
    assert bench.run(b"\xf3\x6c") == FINE
    assert bench.state.rip == CODE + 2


def test_store_is_checked_before_the_port_is_read() -> None:
    bench = SystemBench(64)
    bench.state.gpr[7] = 0x7000_0000
    assert bench.run(b"\x6c") == Outcome(14, 2)


def test_outs_honours_a_segment_override() -> None:
    bench = SystemBench(64)
    bench.state.segments[4].base = 0x100
    bench.state.gpr[6], bench.state.gpr[2] = 0x20000, 0x80
    bench.engine.write_physical(0x20100, b"\x77")
    assert start(bench, b"\x64\x6e") is HostRequest.PORT_WRITE
    assert bench.state.request_value == 0x77
