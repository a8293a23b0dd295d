"""The parts that whole systems are booted from: LZ4, cpio, and Debian's kernel unpacked."""

from __future__ import annotations

import pytest

from tests.systems.debian import Debian
from tests.systems.initramfs import archive, character_device, file, folder, link, program
from tests.systems.lz4 import decompress_block, decompress_legacy
from vmxon.machine.loader.linux import is_bzimage
from vmxon.machine.loader.pvh import pvh_entry

BLOCKS = [
    ("literals only", b"\x30abc", b"abc"),
    ("a copy", b"\x40abcd\x04\x00", b"abcdabcd"),
    ("a copy of itself", b"\x10a\x01\x00\x20bc", b"aaaaabc"),
    ("a long run of literals", b"\xf0\x02" + b"0123456789abcdefg", b"0123456789abcdefg"),
    ("a long copy", b"\x1fa\x01\x00\x05\x10z", b"a" * 25 + b"z"),
    ("a copy longer than what it repeats", b"\x2aab\x02\x00\x10z", b"ab" * 8 + b"z"),
]


@pytest.mark.parametrize(("block", "content"), [row[1:] for row in BLOCKS], ids=[row[0] for row in BLOCKS])
def test_a_block(block: bytes, content: bytes) -> None:
    assert decompress_block(block) == content


def test_a_legacy_frame() -> None:
    frame = b"\x02\x21\x4c\x18" + b"\x04\0\0\0\x30abc" + b"\x03\0\0\0\x20de" + b"\x77\x77\0\0"
    assert decompress_legacy(frame) == b"abcde"
    with pytest.raises(ValueError, match="begins with 04224d18, not with a legacy frame's 02214c18"):
        decompress_legacy(b"\x04\x22\x4d\x18")


def test_an_archive() -> None:
    made = archive([folder("dev"), character_device("dev/console", 5, 1), link("sh", "busybox"), file("a", "text"), program("b", b"\x7f")])
    entries = []
    at = 0
    while at < len(made):
        assert made[at : at + 6] == b"070701"
        fields = [int(made[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        name = made[at + 110 : at + 110 + fields[11] - 1].decode()
        start = at + 110 + fields[11] + 3 & ~3
        entries.append((name, oct(fields[1]), fields[9:11], made[start : start + fields[6]]))
        at = start + fields[6] + 3 & ~3
    assert entries == [
        ("dev", "0o40755", [0, 0], b""),
        ("dev/console", "0o20600", [5, 1], b""),
        ("sh", "0o120777", [0, 0], b"busybox"),
        ("a", "0o100644", [0, 0], b"text"),
        ("b", "0o100755", [0, 0], b"\x7f"),
        ("TRAILER!!!", "0o0", [0, 0], b""),
    ]


@pytest.mark.linux
def test_debians_kernel_has_both_entries(debian: Debian) -> None:
    assert is_bzimage(debian.kernel.read_bytes())
    assert pvh_entry(debian.vmlinux.read_bytes()) is not None
    assert debian.module("kvm-intel").startswith(b"\x7fELF")
