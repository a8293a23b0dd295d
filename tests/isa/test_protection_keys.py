"""Protection keys: RDPKRU, WRPKRU, and the page faults that keys raise (Vol. 3A §4.6.2 “Protection Keys”)."""

import struct

import pytest

from tests.harness import DATA, TABLES
from tests.vmx.vmx_bench import HANDLERS, VmxBench
from vmxon.arch.exceptions import Vector

PAGE, TABLE, PKE, PKS, WP, PKRS = 0x400000, 0x50000, 1 << 22, 1 << 24, 1 << 16, 0x6E1
KEY = 5
ACCESS, WRITE = 1 << 2 * KEY, 2 << 2 * KEY
USER = 4


@pytest.fixture
def bench():
    """A page with key 5 at PAGE; CR4.PKE and CR4.PKS on."""
    bench = VmxBench(current=False)
    bench.engine.write_physical(TABLES + 0x2000 + 8 * (PAGE >> 21), struct.pack("<Q", TABLE | 7))
    bench.state.cr4 |= PKE | PKS
    bench.state.cr0 |= WP
    bench.processor.refresh()
    return bench


def map_page(bench, user):
    bench.engine.write_physical(TABLE, struct.pack("<Q", DATA | 3 | (USER if user else 0) | KEY << 59))
    bench.processor.refresh()


def fault_of(bench, line):
    """Error code of the page fault that an instruction raises; None where there is none."""
    vector = bench.vector_of(line)
    if vector is None:
        return None
    assert vector == Vector.PF
    bench.state.activity = 0
    return int.from_bytes(bench.engine.read_physical(bench.state.gpr[4], 8), "little")


LOAD, STORE = f"mov al, [{PAGE:#x}]", f"mov byte ptr [{PAGE:#x}], 0"


@pytest.mark.parametrize("user", [True, False], ids=["user page", "supervisor page"])
@pytest.mark.parametrize(
    ("rights", "wp", "load", "store"),
    [
        (0, WP, None, None),
        (~(3 << 2 * KEY) & 0xFFFF_FFFF, WP, None, None),
        (ACCESS, WP, 0x21, 0x23),
        (ACCESS, 0, 0x21, 0x23),
        (WRITE, WP, None, 0x23),
        (WRITE, 0, None, None),
    ],
)
def test_supervisor_accesses(bench, user, rights, wp, load, store):
    map_page(bench, user)
    bench.state.cr0 = bench.state.cr0 & ~WP | wp
    bench.processor.refresh()
    if user:
        bench.state.pkru = rights
    else:
        bench.state.pkrs = rights
    bench.processor.refresh()
    assert (fault_of(bench, LOAD), fault_of(bench, STORE)) == (load, store)


def test_the_other_register_does_not_count(bench):
    map_page(bench, True)
    bench.state.pkrs = 0xFFFF_FFFF
    bench.processor.refresh()
    assert fault_of(bench, STORE) is None


def test_without_the_bits_of_cr4_keys_do_not_count(bench):
    map_page(bench, True)
    bench.state.pkru, bench.state.cr4 = 0xFFFF_FFFF, bench.state.cr4 & ~PKE
    bench.processor.refresh()
    assert fault_of(bench, STORE) is None


def test_fetches_do_not_count(bench):
    map_page(bench, False)
    bench.state.pkrs = 0xFFFF_FFFF & ~3
    bench.engine.write_physical(DATA, b"\xf4")
    bench.processor.refresh()
    bench.steps(f"mov rcx, {PAGE:#x}")
    bench.step("jmp rcx", 2)
    assert bench.state.rip == PAGE + 1


def test_a_page_that_other_rights_deny_too_has_both_bits(bench):
    bench.engine.write_physical(TABLE, struct.pack("<Q", DATA | 5 | KEY << 59))
    bench.state.pkru = ACCESS
    bench.processor.refresh()
    assert fault_of(bench, STORE) == 0x23


def test_wrpkru_takes_effect_at_once_and_comes_back(bench):
    map_page(bench, True)
    bench.state.gpr[1] = bench.state.gpr[2] = 0
    bench.steps(LOAD, f"mov eax, {ACCESS:#x}", "wrpkru")
    assert fault_of(bench, LOAD) == 0x21
    bench.steps("xor eax, eax", "wrpkru")
    assert fault_of(bench, LOAD) is None
    bench.steps("mov eax, 0x12345678", "wrpkru", "mov rax, -1", "mov rdx, -1", "rdpkru")
    assert (bench.state.gpr[0], bench.state.gpr[2]) == (0x1234_5678, 0)


def test_wrmsr_of_pkrs_takes_effect_at_once(bench):
    map_page(bench, False)
    bench.steps(LOAD, f"mov ecx, {PKRS:#x}", f"mov eax, {ACCESS:#x}", "xor edx, edx", "wrmsr")
    assert fault_of(bench, LOAD) == 0x21
    assert bench.vector_of("mov edx, 1") is None
    bench.state.activity = 0
    assert bench.vector_of("wrmsr") == Vector.GP


@pytest.mark.parametrize(("line", "registers"), [("rdpkru", (1, 0)), ("wrpkru", (1, 0)), ("wrpkru", (0, 1))])
def test_reserved_registers_must_be_zero(bench, line, registers):
    bench.state.gpr[1], bench.state.gpr[2] = registers
    assert bench.vector_of(line) == Vector.GP


@pytest.mark.parametrize("line", ["rdpkru", "wrpkru"])
def test_without_cr4_pke_undefined(bench, line):
    bench.state.cr4 &= ~PKE
    bench.state.gpr[1] = bench.state.gpr[2] = 0
    assert bench.vector_of(line) == Vector.UD
    assert bench.state.rip == HANDLERS + 16 * Vector.UD + 1
