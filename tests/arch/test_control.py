"""Control registers, debug registers and flags."""

import pytest

from vmxon.arch.bits import Word
from vmxon.arch.control import CR0_RESET, DR6_FIXED_ONES, DR6_RESET, DR7_RESET, Cr0, Cr3, Cr3Pcid, Cr4, Dr6, Dr7, Efer
from vmxon.arch.flags import FIXED_ONES, STATUS, Rflags


@pytest.mark.parametrize(
    ("word", "fields"),
    [
        (Cr0(0x8005_0033), {"pe", "mp", "et", "ne", "wp", "am", "pg"}),  # a usual value of a 64-bit Linux
        (Cr4(0x0017_2660), {"pae", "mce", "osfxsr", "osxmmexcpt", "vmxe", "fsgsbase", "pcide", "osxsave", "smep"}),
        (Efer(0xD01), {"sce", "lme", "lma", "nxe"}),
        (Rflags(0x246), {"fixed", "pf", "zf", "if_"}),
        (Dr7(0x400), {"fixed"}),
    ],
)
def test_values_from_real_systems(word: Word, fields: set[str]) -> None:
    assert {field.name for field, value in word.parts() if value} == fields
    assert not word.reserved_bits


def test_reset_values() -> None:
    assert CR0_RESET == 0x6000_0010
    assert Cr0(CR0_RESET).et
    assert Dr6(DR6_RESET).reserved_bits == DR6_FIXED_ONES
    assert DR6_FIXED_ONES | Dr6.rtm.mask | Dr6.bld.mask == DR6_RESET
    assert DR7_RESET == 0x400


def test_flags() -> None:
    assert STATUS == 0x8D5
    assert FIXED_ONES == 2
    assert Rflags.layout.reserved & 0xFFFF_FFFF == 0xFFC0_8028
    assert Rflags(3 << 12).iopl == 3


def test_both_forms_of_cr3_have_the_root_in_one_place() -> None:
    assert Cr3.root.mask == Cr3Pcid.root.mask
    assert Cr3Pcid(0x8000_0000_0123_4FFF).pcid == 0xFFF
    assert Cr3Pcid(0x8000_0000_0123_4FFF).keep


def test_debug_register_7_gives_each_breakpoint_its_own_bits() -> None:
    for n in range(4):
        assert Dr7.layout[f"l{n}"].low == 2 * n
        assert Dr7.layout[f"g{n}"].low == 2 * n + 1
        assert Dr7.layout[f"rw{n}"].low == 16 + 4 * n
        assert Dr7.layout[f"len{n}"].low == 18 + 4 * n
