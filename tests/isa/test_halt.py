"""HLT, cache flushes, INVLPG and INVPCID."""

from __future__ import annotations

import struct

import pytest

from tests.harness import CODE
from tests.processor.system_bench import FINE, GP, UD, Outcome, SystemBench, fault
from vmxon.arch.control import Cr4
from vmxon.processor.state import HostRequest

PAGE, TABLE = 0x20_0000, 0x5000


def paged(mode_pages: int = 0x21_0000) -> SystemBench:
    """64-bit mode where PAGE is one 4-KiB page whose entry the test may change."""
    bench = SystemBench(64)
    write = bench.engine.write_physical
    write(0x3000 + 8, struct.pack("<Q", TABLE | 7))
    write(TABLE, struct.pack("<Q", mode_pages | 7) + bytes(4088))
    write(0x21_0000, b"\x11")
    write(0x22_0000, b"\x22")
    bench.processor.refresh()
    return bench


READ = b"\x8a\x04\x25" + struct.pack("<I", PAGE)


def remap(bench: SystemBench, frame: int = 0x22_0000) -> None:
    bench.engine.write_physical(TABLE, struct.pack("<Q", frame | 7))


def byte_read(bench: SystemBench, code: bytes = b"", count: int = 0) -> int:
    assert bench.run(code + READ, count + 1) == FINE
    return bench.state.gpr[0] & 0xFF


def test_a_translation_is_kept_until_it_is_invalidated() -> None:
    bench = paged()
    assert byte_read(bench) == 0x11
    remap(bench)
    assert byte_read(bench) == 0x11
    assert byte_read(bench, b"\x0f\x01\x3c\x25" + struct.pack("<I", PAGE), 1) == 0x22


@pytest.mark.parametrize(
    "flush",
    [
        b"\x0f\x20\xd9\x0f\x22\xd9",  # MOV to CR3
        b"\x0f\x20\xe1\x48\x0f\xba\xf9\x07\x0f\x22\xe1",  # CR4.PGE toggled
    ],
)
def test_control_registers_flush(flush: bytes) -> None:
    bench = paged()
    assert byte_read(bench) == 0x11
    remap(bench)
    assert byte_read(bench, flush, 2 if len(flush) == 6 else 3) == 0x22


def test_invlpg_of_another_page_and_of_no_page() -> None:
    bench = paged()
    bench.state.gpr[3] = 0x8000_0000_0000
    assert bench.run(b"\x0f\x01\x3b") == FINE
    assert SystemBench(64, 3).run(b"\x0f\x01\x3b") == fault(GP)
    assert SystemBench(86, 3).run(b"\x0f\x01\x3f") == fault(GP)


@pytest.mark.parametrize(
    ("kind", "pcid", "linear", "pcide", "expected"),
    [
        (0, 0, PAGE, False, FINE),
        (0, 5, PAGE, True, FINE),
        (0, 5, PAGE, False, fault(GP)),
        (0, 0, 0x8000_0000_0000, False, fault(GP)),
        (0, 0x1000, PAGE, True, fault(GP)),
        (1, 0, 0x8000_0000_0000, False, FINE),
        (1, 1, 0, False, fault(GP)),
        (1, 4095, 0, True, FINE),
        (2, 0x1000, 0, False, FINE),
        (3, 0, 0, False, FINE),
        (4, 0, 0, False, fault(GP)),
        (1 << 32, 0, 0, False, fault(GP)),
    ],
)
def test_invpcid(kind: int, pcid: int, linear: int, pcide: bool, expected: Outcome) -> None:
    bench = paged()
    bench.state.cr4 |= Cr4.pcide.mask if pcide else 0
    bench.processor.refresh()
    bench.engine.write_physical(0x20000, struct.pack("<QQ", pcid, linear))
    assert byte_read(bench) == 0x11
    remap(bench)
    bench.state.gpr[0], bench.state.gpr[3] = kind, 0x20000
    assert bench.run(b"\x66\x0f\x38\x82\x03") == expected
    if expected == FINE and pcid == 0:
        assert byte_read(bench) == 0x22


def test_hlt() -> None:
    bench = SystemBench(64)
    assert bench.run(b"\xf4") == FINE
    assert (bench.state.activity, bench.state.rip) == (1, CODE + 1)
    assert bench.processor.run(10) is HostRequest.HALT


@pytest.mark.parametrize("code", [b"\xf4", b"\x0f\x08", b"\x0f\x09", b"\x0f\x06"])
def test_level_0_only(code: bytes) -> None:
    assert SystemBench(64, 3).run(code) == fault(GP)
    assert SystemBench(64, 0).run(code) == FINE


@pytest.mark.parametrize("code", [b"\x0f\x01\xc8", b"\x0f\x01\xc9"])
def test_monitor_and_mwait_are_absent(code: bytes) -> None:
    assert SystemBench(64).run(code) == fault(UD, None)
