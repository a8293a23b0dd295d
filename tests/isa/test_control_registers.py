"""MOV CR, MOV DR, LMSW, SMSW, CLTS: every #GP rule, and what a change brings about."""

from __future__ import annotations

import struct

import pytest

from tests.harness import CODE
from tests.processor.system_bench import DB, FINE, GP, UD, Outcome, SystemBench, fault
from vmxon.arch.control import Cr0, Cr4, Efer

PE, MP, EM, TS, ET = Cr0.pe.mask, Cr0.mp.mask, Cr0.em.mask, Cr0.ts.mask, Cr0.et.mask
NE, WP, AM, NW, CD, PG = Cr0.ne.mask, Cr0.wp.mask, Cr0.am.mask, Cr0.nw.mask, Cr0.cd.mask, Cr0.pg.mask
PAE, PCIDE, LA57, DE, UMIP = Cr4.pae.mask, Cr4.pcide.mask, Cr4.la57.mask, Cr4.de.mask, Cr4.umip.mask


def write(bench: SystemBench, number: int, value: int) -> Outcome:
    """MOV CRn, rAX."""
    bench.state.gpr[0] = value
    prefix = b"\x44" if number == 8 else b""
    return bench.run(prefix + bytes([0x0F, 0x22, 0xC0 | (number & 7) << 3]))


# mode, value written to CR0, outcome, CR0 afterwards
CR0_WRITES = [
    (32, PE, FINE, PE | ET),
    (32, PE | MP | EM | TS | NE | WP | AM, FINE, PE | MP | EM | TS | ET | NE | WP | AM),
    (32, PE | CD | NW, FINE, PE | ET | CD | NW),
    (32, PE | NW, fault(GP), None),
    (32, PE | CD, FINE, PE | ET | CD),
    (32, PG, fault(GP), None),
    (32, 0xFFC0 | PE, FINE, PE | ET),  # bits 15:6 are ignored
    (16, PE, FINE, PE | ET),
    (16, PG, fault(GP, None), None),
    (64, PE | PG | ET | 1 << 32, fault(GP), None),
    (64, PE | ET, fault(GP), None),  # paging cannot end in 64-bit mode
    (64, PE | PG | WP, FINE, PE | PG | WP | ET),
]


@pytest.mark.parametrize(("mode", "value", "expected", "after"), CR0_WRITES)
def test_cr0(mode: int, value: int, expected: Outcome, after: int | None) -> None:
    bench = SystemBench(mode)
    before = bench.state.cr0
    assert write(bench, 0, value) == expected
    assert bench.state.cr0 == (before if after is None else after)


@pytest.mark.parametrize("number", [0, 2, 3, 4])
@pytest.mark.parametrize("mode", [86, 32, 64])
def test_level_3_may_not(number: int, mode: int) -> None:
    assert write(SystemBench(mode, 3), number, 0) == fault(GP)
    assert SystemBench(mode, 3).run(bytes([0x0F, 0x20, 0xC0 | number << 3])) == fault(GP)


@pytest.mark.parametrize("number", [1, 5, 6, 7])
def test_registers_that_do_not_exist(number: int) -> None:
    assert write(SystemBench(64), number, 0) == fault(UD, None)
    assert SystemBench(64).run(bytes([0x0F, 0x20, 0xC0 | number << 3])) == fault(UD, None)
    assert SystemBench(64).run(bytes([0x44, 0x0F, 0x22, 0xC8])) == fault(UD, None)


def test_cr0_read_back_ignores_the_operand_size() -> None:
    bench = SystemBench(64)
    assert bench.run(b"\x66\x0f\x20\xc3") == FINE  # the 66 prefix has no effect
    assert bench.state.gpr[3] == bench.state.cr0


class TestLongMode:
    """Turning IA-32e mode on and off (Vol. 3A §10.8.5 “Initializing IA-32e Mode”)."""

    def ready(self, cr4: int = PAE, efer: int = Efer.lme.mask) -> SystemBench:
        bench = SystemBench(32)
        bench.map_identity()
        bench.state.cr3, bench.state.cr4, bench.state.efer = 0x1000, cr4, efer
        bench.processor.refresh()
        return bench

    def test_on(self) -> None:
        bench = self.ready()
        assert write(bench, 0, PE | PG) == FINE
        assert bench.state.efer == Efer.lme.mask | Efer.lma.mask
        assert (bench.state.long_mode, bench.state.code_size) == (1, 1)

    def test_needs_pae(self) -> None:
        assert write(self.ready(cr4=0), 0, PE | PG) == fault(GP)

    def test_needs_code_that_is_not_64_bit(self) -> None:
        bench = self.ready()
        bench.state.segments[1].rights |= 1 << 13
        assert write(bench, 0, PE | PG) == fault(GP)

    def test_needs_no_16_bit_task(self) -> None:
        bench = self.ready()
        bench.state.segments[7].rights = 0x83
        assert write(bench, 0, PE | PG) == fault(GP)

    def test_off_from_compatibility_mode(self) -> None:
        bench = SystemBench(33)
        bench.state.segments[1].rights = 0xC09B
        bench.processor.refresh()
        assert write(bench, 0, PE) == FINE
        assert (bench.state.long_mode, bench.state.efer) == (0, Efer.lme.mask)

    @pytest.mark.parametrize(("value", "expected"), [(0, fault(GP)), (PAE | LA57, fault(GP)), (PAE | PCIDE, FINE)])
    def test_cr4_within(self, value: int, expected: Outcome) -> None:
        assert write(SystemBench(64), 4, value) == expected


@pytest.mark.parametrize(
    ("mode", "cr3", "value", "expected"),
    [
        (32, 0, DE | UMIP, FINE),
        (32, 0, 1 << 15, fault(GP)),
        (32, 0, 1 << 31, fault(GP)),
        (32, 0, PCIDE, fault(GP)),
        (64, 0x1000, PAE | PCIDE, FINE),
        (64, 0x1018, PAE | PCIDE, fault(GP)),
        (64, 0x1000, PAE | 1 << 32, fault(GP)),
    ],
)
def test_cr4(mode: int, cr3: int, value: int, expected: Outcome) -> None:
    bench = SystemBench(mode)
    bench.state.cr3 = cr3
    before = bench.state.cr4
    assert write(bench, 4, value) == expected
    assert bench.state.cr4 == (value if expected == FINE else before)


@pytest.mark.parametrize(
    ("pcide", "value", "stored"),
    [
        (False, 0x1018, 0x1018),
        (False, 0x1FFF, 0x1FFF),
        (False, 1 << 63 | 0x1000, None),
        (False, 1 << 51 | 0x1000, None),
        (False, 1 << 62 | 0x1000, None),
        (True, 1 << 63 | 0x1005, 0x1005),
        (True, 0x1005, 0x1005),
        (True, 1 << 61 | 0x1000, None),
    ],
)
def test_cr3(pcide: bool, value: int, stored: int | None) -> None:
    bench = SystemBench(64)
    if pcide:
        bench.state.cr4 |= PCIDE
        bench.processor.refresh()
    assert write(bench, 3, value) == (fault(GP) if stored is None else FINE)
    assert bench.state.cr3 == (0x1000 if stored is None else stored)


def pdptes(bench: SystemBench, *values: int) -> None:
    bench.engine.write_physical(0x40020, struct.pack("<4Q", *values))


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ((0, 0, 0, 0), FINE),
        ((0x41001, 0, 0, 0x42019), FINE),
        ((0x41001, 0x43003, 0, 0), fault(GP)),
        ((0x41001, 1 << 63 | 1, 0, 0), fault(GP)),
        ((0x41001, 1 << 63, 0, 0), FINE),  # not present: anything goes
    ],
)
def test_pdptes_are_loaded_with_cr3(entries: tuple[int, ...], expected: Outcome) -> None:
    bench = SystemBench(32)
    bench.engine.write_physical(0x41000, b"".join(struct.pack("<Q", n << 21 | 0x83) for n in range(512)))
    pdptes(bench, 0x41001, 0, 0, 0)
    bench.state.cr3, bench.state.cr4 = 0x40020, PAE
    assert write(bench, 0, PE | PG) == FINE
    assert list(bench.state.pdpte) == [0x41001, 0, 0, 0]
    first = entries[0] or 0x41001
    pdptes(bench, first, *entries[1:])
    assert write(bench, 3, 0x40020) == expected
    assert list(bench.state.pdpte) == ([first, *entries[1:]] if expected == FINE else [0x41001, 0, 0, 0])


@pytest.mark.parametrize(("value", "expected"), [(0, FINE), (15, FINE), (16, fault(GP)), (1 << 63, fault(GP))])
def test_cr8(value: int, expected: Outcome) -> None:
    bench = SystemBench(64)
    assert write(bench, 8, value) == expected
    assert bench.state.cr8 == (value if expected == FINE else 0)
    assert bench.run(b"\x44\x0f\x20\xc3") == FINE if expected == FINE else True


@pytest.mark.parametrize(
    ("cr0", "word", "after"),
    [(PE | ET, 0, PE | ET), (PE | ET | TS, MP | EM, PE | ET | MP | EM), (PE | ET, 0xFFF0, PE | ET), (PE | ET, 0xF, PE | ET | 0xE)],
)
def test_lmsw(cr0: int, word: int, after: int) -> None:
    bench = SystemBench(32)
    bench.state.cr0 = cr0
    assert bench.run(f"mov eax, {word}\nlmsw ax", 2) == FINE
    assert bench.state.cr0 == after


def test_lmsw_enters_protected_mode() -> None:
    bench = SystemBench(16)
    assert bench.run("mov ax, 1\nlmsw ax", 2) == FINE
    assert (bench.state.cr0 & PE, bench.state.cpl) == (PE, 0)


@pytest.mark.parametrize(
    ("mode", "code", "expected"),
    [
        (64, "smsw ax", 0xAAAA_AAAA_AAAA_0000 | 0x0031),
        (64, "smsw eax", 0x8001_0031),
        (64, "smsw rax", 0x8001_0031),
        (32, "smsw eax", 0x11),
    ],
)
def test_smsw(mode: int, code: str, expected: int) -> None:
    bench = SystemBench(mode)
    bench.state.gpr[0] = 0xAAAA_AAAA_AAAA_AAAA
    assert bench.run(code) == FINE
    assert bench.state.gpr[0] == expected


def test_smsw_to_memory_writes_16_bits() -> None:
    bench = SystemBench(64)
    bench.engine.write_physical(0x20000, b"\xff" * 8)
    assert bench.run(b"\x48\x0f\x01\x24\x25\0\0\2\0") == FINE
    assert bench.engine.read_physical(0x20000, 4) == b"\x31\0\xff\xff"


@pytest.mark.parametrize("instruction", ["smsw eax", "sldt eax", "str eax", "sgdt [0x20000]", "sidt [0x20000]"])
@pytest.mark.parametrize(("cpl", "umip", "expected"), [(3, False, FINE), (3, True, fault(GP)), (0, True, FINE)])
def test_umip(instruction: str, cpl: int, umip: bool, expected: Outcome) -> None:
    bench = SystemBench(32, cpl)
    bench.state.cr4 = UMIP if umip else 0
    assert bench.run(instruction) == expected


def test_clts() -> None:
    bench = SystemBench(32)
    bench.state.cr0 |= TS
    assert bench.run("clts") == FINE
    assert not bench.state.cr0 & TS
    assert SystemBench(32, 3).run("clts") == fault(GP)


def test_protected_mode_and_back() -> None:
    """From real mode to a flat segment and back: 4 GiB limits stay (“unreal mode”)."""
    bench = SystemBench(16)
    code = "mov eax, cr0\nor al, 1\nmov cr0, eax\nmov bx, 0x10\nmov ds, bx\nand al, 0xfe\nmov cr0, eax\nxor bx, bx\nmov ds, bx"
    assert bench.run(code, 9) == FINE
    assert (bench.state.cr0 & PE, bench.state.segments[3].base) == (0, 0)
    assert bench.state.segments[3].limit == 0xFFFFFFFF


class TestDebugRegisters:
    def access(self, bench: SystemBench, number: int, value: int | None = None) -> Outcome:
        """MOV to DRn with a value, else MOV from DRn to rAX."""
        bench.state.gpr[0] = value or 0
        return bench.run(bytes([0x0F, 0x21 if value is None else 0x23, 0xC0 | number << 3]))

    @pytest.mark.parametrize("number", [0, 1, 2, 3])
    def test_addresses(self, number: int) -> None:
        bench = SystemBench(64)
        assert self.access(bench, number, 0xDEAD_BEEF_0000_0001) == FINE
        assert bench.state.dr[number] == 0xDEAD_BEEF_0000_0001
        assert self.access(bench, number) == FINE
        assert bench.state.gpr[0] == 0xDEAD_BEEF_0000_0001

    @pytest.mark.parametrize(
        ("number", "value", "stored"),
        [(6, 0, 0xFFFF0FF0), (6, 0xFFFFFFFF, 0xFFFFEFFF), (7, 0, 0x400), (7, 0xFFFFFFFF & ~0x2000, 0xFFFF07FF)],
    )
    def test_reserved_bits(self, number: int, value: int, stored: int) -> None:
        bench = SystemBench(32)
        assert self.access(bench, number, value or 1 << 12) == FINE
        assert bench.state.dr[number] == stored

    @pytest.mark.parametrize("number", [6, 7])
    def test_upper_half_must_be_zero(self, number: int) -> None:
        assert self.access(SystemBench(64), number, 1 << 32) == fault(GP)

    @pytest.mark.parametrize(("number", "alias"), [(4, 6), (5, 7)])
    def test_dr4_and_dr5(self, number: int, alias: int) -> None:
        bench = SystemBench(32)
        assert self.access(bench, number, 1) == FINE
        assert bench.state.dr[alias] & 1
        bench.state.cr4 = DE
        assert self.access(bench, number, 1) == fault(UD, None)

    def test_general_detect(self) -> None:
        bench = SystemBench(32)
        bench.state.dr[7] = 0x2400
        assert self.access(bench, 0) == fault(DB, None)
        assert bench.state.dr[6] & 0x2000
        assert bench.state.dr[7] == 0x400
        assert bench.pushed(0) == CODE
        assert bench.pushed(2) == 0x1_0002  # RF: general detect is a fault

    def test_privilege(self) -> None:
        assert self.access(SystemBench(64, 3), 7) == fault(GP)
        assert SystemBench(64).run(b"\x44\x0f\x21\xc0") == fault(UD, None)


@pytest.mark.parametrize(
    ("osxsave", "cpl", "index", "value", "code", "expected"),
    [
        (False, 0, 0, 1, "xgetbv", fault(UD, None)),
        (False, 0, 0, 1, "xsetbv", fault(UD, None)),
        (True, 3, 0, 1, "xgetbv", FINE),
        (True, 0, 2, 1, "xgetbv", fault(GP)),
        (True, 0, 0, 1, "xsetbv", FINE),
        (True, 0, 0, 3, "xsetbv", FINE),
        (True, 3, 0, 1, "xsetbv", fault(GP)),
        (True, 0, 0, 0, "xsetbv", fault(GP)),
        (True, 0, 0, 5, "xsetbv", fault(GP)),
        (True, 0, 0, 1 << 40 | 1, "xsetbv", fault(GP)),
        (True, 0, 1, 1, "xsetbv", fault(GP)),
    ],
)
def test_xcr0(osxsave: bool, cpl: int, index: int, value: int, code: str, expected: Outcome) -> None:
    bench = SystemBench(64, cpl)
    state = bench.state
    state.cr4 |= Cr4.osxsave.mask if osxsave else 0
    state.xcr0 = 1
    state.gpr[1], state.gpr[0], state.gpr[2] = index, value & 0xFFFFFFFF, value >> 32
    if osxsave and not state.cr4_allowed & Cr4.osxsave.mask:
        expected = fault(UD, None)  # the model has no XSAVE
    assert bench.run({"xgetbv": b"\x0f\x01\xd0", "xsetbv": b"\x0f\x01\xd1"}[code]) == expected
    if expected == FINE and code == "xsetbv":
        assert state.xcr0 == value
