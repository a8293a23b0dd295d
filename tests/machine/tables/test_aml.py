import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmxon.machine.tables import aml


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        ("_HID", b"_HID"),
        ("A", b"A___"),
        ("\\_S5", b"\\_S5_"),
        ("\\", b"\\\0"),
        ("", b"\0"),
        ("^^LNKA", b"^^LNKA"),
        ("PCI0.ISA", b"\x2ePCI0ISA_"),
        ("\\_SB.PCI0.ISA.PRQA", b"\\\x2f\x04_SB_PCI0ISA_PRQA"),
    ],
)
def test_names(text: str, encoded: bytes) -> None:
    assert aml.path(text) == encoded


@pytest.mark.parametrize("text", ["TOOLONG", "low", "1ST", "A-B", "Ä"])
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(ValueError, match=f"a name in AML must be one to four of A–Z, 0–9 and _, not '{text}'"):
        aml.path(text)


@pytest.mark.parametrize(
    ("content", "encoded"),
    [
        (0, b"\x01"),
        (62, b"\x3f"),
        (63, b"\x41\x04"),  # 65 bytes with its own two
        (0xFFF - 2, b"\x4f\xff"),
        (0xFFF - 1, b"\x81\x00\x01"),
        (0xF_FFFF - 3, b"\x8f\xff\xff"),
        (0xF_FFFF - 2, b"\xc1\x00\x00\x01"),
        (0xFFF_FFFF - 4, b"\xcf\xff\xff\xff"),
    ],
)
def test_lengths_count_themselves(content: int, encoded: bytes) -> None:
    assert aml.length(content) == encoded


def test_widths_do_not_count_themselves() -> None:
    assert aml.length(8, own=False) == b"\x08"
    assert aml.length(64, own=False) == b"\x40\x04"


def test_a_package_has_a_limit() -> None:
    with pytest.raises(ValueError, match="an AML package of 0xfffffff bytes must be below 0x10000000"):
        aml.length(0xFFF_FFFF)


@given(st.integers(0, 0xFFF_FFFB))
def test_lengths_can_be_read_back(content: int) -> None:
    first, *rest = aml.length(content)
    assert first >> 6 == len(rest)
    value = first & 0x0F if rest else first & 0x3F
    for place, byte in enumerate(rest):
        value |= byte << 4 + 8 * place
    assert value == content + 1 + len(rest)


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, b"\x00"),
        (1, b"\x01"),
        (2, b"\x0a\x02"),
        (0xFF, b"\x0a\xff"),
        (0x100, b"\x0b\x00\x01"),
        (0x1_0000, b"\x0c\x00\x00\x01\x00"),
        (0xFFFF_FFFF, b"\x0c\xff\xff\xff\xff"),
        (1 << 32, b"\x0e\0\0\0\0\x01\0\0\0"),
    ],
)
def test_integers_are_as_short_as_can_be(value: int, encoded: bytes) -> None:
    assert aml.integer(value) == encoded


def test_identities_are_compressed() -> None:
    assert aml.plug_and_play("PNP0A03") == b"\x0c\x41\xd0\x0a\x03"
    assert aml.plug_and_play("PNP0C0F") == b"\x0c\x41\xd0\x0c\x0f"


@pytest.mark.parametrize(
    ("term", "encoded"),
    [
        (aml.string("QEMU"), b"\x0dQEMU\0"),
        (aml.buffer(b"\x79\0"), b"\x11\x05\x0a\x02\x79\0"),
        (aml.package(aml.integer(0), aml.integer(1)), b"\x12\x04\x02\x00\x01"),
        (aml.name("_UID", aml.integer(1)), b"\x08_UID\x01"),
        (aml.scope("\\_SB"), b"\x10\x06\\_SB_"),
        (aml.device("COM1", aml.name("_UID", aml.integer(1))), b"\x5b\x82\x0bCOM1\x08_UID\x01"),
        (aml.method("_STA", 0, aml.give(aml.integer(15))), b"\x14\x09_STA\x00\xa4\x0a\x0f"),
        (aml.method("_SRS", 1, serialized=True), b"\x14\x06_SRS\x09"),
        (aml.region("ROUT", aml.Space.PCI_CONFIGURATION, 0x60, 4), b"\x5b\x80ROUT\x02\x0a\x60\x0a\x04"),
        (aml.fields("ROUT", aml.Access.BYTE, ("PRQA", 8)), b"\x5b\x81\x0bROUT\x01PRQA\x08"),
        (aml.double_field(aml.argument(0), 5, "NUMB"), b"\x8a\x68\x0a\x05NUMB"),
        (aml.store(aml.integer(1), aml.local(0)), b"\x70\x01\x60"),
        (aml.both(aml.local(0), aml.integer(1)), b"\x7b\x60\x01\x00"),
        (aml.either(aml.local(0), aml.integer(1), aml.local(0)), b"\x7d\x60\x01\x60"),
        (aml.when(aml.local(0), aml.give(aml.integer(1))), b"\xa0\x04\x60\xa4\x01"),
    ],
)  # fmt: skip
def test_terms(term: bytes, encoded: bytes) -> None:
    assert term == encoded
