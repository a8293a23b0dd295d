import contextlib
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vmxon.devices.disk import DiskImageError, Qcow2Image, RawImage, SnapshotOverlay, open_image

CLUSTER = 512
DESCRIPTOR = """# Disk DescriptorFile
version=1
CID=fffffffe
parentCID=ffffffff
createType="monolithicFlat"
# Extent description
RW 16 FLAT "disk-flat.vmdk" 0
"""
CONTENT = b"".join(struct.pack("<H", n) * 256 for n in range(16))
on_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def qcow2(
    *, version: int = 3, bits: int = 9, size: int = 16 * 512, crypt: int = 0, l1: int = 1, features: int = 0,
    backing: tuple[int, int] = (0, 0), l1_offset: int = 512, entries: dict[int, int] | None = None,
    l1_entry: int = 1024, data: bytes = b"",
) -> bytes:  # fmt: skip
    """An image with its L1 table at 0x200, its L2 table at 0x400 and `data` from 0x600 on."""
    header = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", version, *backing, bits, size, crypt, l1, l1_offset, 0, 0, 0, 0)
    header += struct.pack(">QQQII", features, 0, 0, 4, 112 if features & 8 else 104) + bytes([1 if features & 8 else 0])
    table = [0] * 64
    for index, entry in (entries or {}).items():
        table[index] = entry
    return (
        header.ljust(512, b"\0")
        + struct.pack(">Q", l1_entry | 1 << 63 if l1_entry else 0).ljust(512, b"\0")
        + struct.pack(">64Q", *table)
        + data
    )


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -12)
    return packer.compress(data) + packer.flush()


def read_all(path: Path) -> bytes:
    disk = open_image(path)
    try:
        return disk.read(0, disk.sectors)
    finally:
        disk.close()


def test_raw_pads_its_last_sector(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(CONTENT + b"tail")
    assert read_all(path) == CONTENT + b"tail".ljust(512, b"\0")


def test_overlay_keeps_writes_and_never_touches_the_file(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(CONTENT)
    disk = open_image(path)
    assert isinstance(disk, SnapshotOverlay)
    disk.write(2, b"x" * 1024)
    assert disk.read(1, 4) == CONTENT[512:1024] + b"x" * 1024 + CONTENT[2048:2560]
    other = SnapshotOverlay(disk.base)
    other.restore(disk.state())
    assert other.read(0, 16) == disk.read(0, 16)
    disk.close()
    assert path.read_bytes() == CONTENT


def test_write_through_is_for_raw_and_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(CONTENT)
    disk = open_image(path, write_through=True)
    disk.write(3, b"y" * 512)
    disk.close()
    assert path.read_bytes()[1536:2048] == b"y" * 512
    plain = RawImage(path)
    with pytest.raises(DiskImageError, match=r"disk.img, offset 0x200: is open for reading only; expected write-thro"):
        plain.write(1, b"z" * 512)
    plain.close()
    path.write_bytes(qcow2())
    with pytest.raises(DiskImageError, match=r"cannot be written through; expected a raw image\. Leave write-through"):
        open_image(path, write_through=True)


@pytest.mark.parametrize(("lba", "count"), [(-1, 1), (16, 1), (15, 2), (0, -1)])
def test_sectors_outside_the_disk_are_the_callers_mistake(tmp_path: Path, lba: int, count: int) -> None:
    path = tmp_path / "disk.img"
    for image in (CONTENT, qcow2()):
        path.write_bytes(image)
        disk = open_image(path)
        with pytest.raises(ValueError, match="must be within a disk of 0x10 sectors"):
            disk.read(lba, count)
        disk.close()


def test_flat_vmdk_by_descriptor_and_by_extent(tmp_path: Path) -> None:
    (tmp_path / "disk.vmdk").write_text(DESCRIPTOR)
    (tmp_path / "disk-flat.vmdk").write_bytes(CONTENT)
    assert read_all(tmp_path / "disk.vmdk") == read_all(tmp_path / "disk-flat.vmdk") == CONTENT


def test_vmdk_extents_follow_each_other(tmp_path: Path) -> None:
    (tmp_path / "disk-flat.vmdk").write_bytes(CONTENT)
    lines = 'RW 2 FLAT "disk-flat.vmdk" 4\nRW 3 ZERO\nRW 1 FLAT "disk-flat.vmdk" 15\n'
    head = DESCRIPTOR.partition("RW")[0].replace("monolithicFlat", "twoGbMaxExtentFlat")
    (tmp_path / "disk.vmdk").write_text(head + lines)
    assert read_all(tmp_path / "disk.vmdk") == CONTENT[2048:3072] + bytes(1536) + CONTENT[-512:]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "monolithicFlat",
            "monolithicSparse",
            r"offset 0x40: has createType 'monolithicSparse'; expected monolithicFlat",
        ),
        ("parentCID=ffffffff", "parentCID=12345678", r"offset 0x2d: depends on parent '12345678'"),
        ("disk-flat.vmdk", "../disk-flat.vmdk", r"names the extent '../disk-flat.vmdk'; expected a file beside"),
        ("disk-flat.vmdk", "gone.vmdk", r"gone.vmdk: cannot be opened \(No such file or directory\)"),
        ("RW 16", "RW 17", r"disk-flat.vmdk, offset 0x2000: ends too early; expected 0x2200 bytes"),
        ("RW 16 FLAT", "RW 16 SPARSE", r"has an extent of type SPARSE; expected FLAT or ZERO. Convert it: qemu-img"),
        ("RW 16", "# 16", r"names no extent with sectors"),
        ('RW 16 FLAT "disk-flat.vmdk" 0', "RW 99999999999999999999 ZERO", r"expected at most 0x1000000000000"),
    ],
)
def test_vmdk_refusals(tmp_path: Path, old: str, new: str, message: str) -> None:
    (tmp_path / "disk-flat.vmdk").write_bytes(CONTENT)
    path = tmp_path / "disk.vmdk"
    path.write_text(DESCRIPTOR.replace(old, new))
    with pytest.raises(DiskImageError, match=message):
        open_image(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"disk.img: holds 0x0 bytes; expected a disk of 1 to"),
        (b"KDMV" + bytes(508), r"offset 0x0: is a sparse VMDK.*Convert it"),
        (b"conectix" + bytes(504), r"offset 0x0: is a VHD image"),
        (b"\x1f\x8b" + bytes(510), r"is gzip data; expected a raw, qcow2 or flat VMDK image. Unpack it"),
        (b"QFI\xfb", r"offset 0x0: the header lies beyond the end of the file; expected a place below 0x4"),
        (qcow2(version=4), r"offset 0x4: has version 4; expected version 2 or 3"),
        (qcow2(bits=31), r"offset 0x14: has clusters of 2\^31 bytes; expected 2\^9 to 2\^21"),
        (qcow2(size=1 << 63), r"offset 0x18: has a disk of 0x8000000000000000 bytes"),
        (qcow2(size=0), r"offset 0x18: has a disk of 0x0 bytes"),
        (qcow2(crypt=1), r"offset 0x20: is encrypted \(method 1\)"),
        (qcow2(l1=0), r"offset 0x24: has 0 L1 entries; expected 1 to"),
        (qcow2(l1=0xFFFFFFFF), r"offset 0x24: has 4294967295 L1 entries"),
        (qcow2(l1_offset=513), r"offset 0x201: the L1 table does not begin on a cluster; expected a multiple of 0x200"),
        (qcow2(l1_offset=1 << 60), r"offset 0x1000000000000000: the L1 table lies beyond the end of the file"),
        (qcow2(backing=(0x400, 4)), r"offset 0x8: needs a backing file .*; expected an image of its own. Flatten it"),
        (qcow2(backing=(0x400, 0xFFFFFFFF)), r"its name is out of bounds"),
        (qcow2(features=2), r"offset 0x48: is marked corrupt"),
        (qcow2(features=4), r"keeps its data in another file"),
        (qcow2(features=16), r"has extended L2 entries"),
        (qcow2(features=8), r"offset 0x68: has compression type 1; expected type 0 \(zlib\)"),
        (qcow2(features=1 << 40), r"needs features 0x10000000000"),
    ],
)
def test_malformed_images_say_what_where_and_what_to_do(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(content)
    with pytest.raises(DiskImageError, match=message):
        open_image(path)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (qcow2(l1_entry=1 << 40), r"offset 0x10000000000: L2 table 0 lies beyond"),
        (qcow2(bits=10, l1_offset=1024, entries={0: 0x600}), r"offset 0x600: L2 table 0 does not begin on a cluster"),
        (
            qcow2(entries={0: 1 << 40}),
            r"offset 0x10000000000: a cluster lies beyond the end of the file; expected below",
        ),
        (qcow2(entries={0: 1 << 62 | 0x600}, data=b"\xff" * 512), r"offset 0x600: a compressed cluster is damaged"),
        (qcow2(entries={0: 1 << 62 | 0x600}, data=deflate(b"x" * 100)), r"unpacks to 0x64 bytes; expected 0x200"),
        (qcow2(entries={0: 1 << 62 | 1 << 50}), r"a compressed cluster lies beyond the end"),
    ],
)
def test_malformed_clusters(tmp_path: Path, image: bytes, message: str) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(image)
    with pytest.raises(DiskImageError, match=message):
        read_all(path)


@pytest.mark.parametrize("version", [2, 3])
def test_qcow2_kinds_of_clusters(tmp_path: Path, version: int) -> None:
    path = tmp_path / "disk.qcow2"
    packed = deflate(CONTENT[:512])
    entries = {0: 0x600 | 1 << 63, 1: 1 << 62 | 0x803, 2: 0x600 | 1}
    path.write_bytes(qcow2(version=version, entries=entries, data=b"d" * 512 + b"\0\0\0" + packed))
    zero_or_data = bytes(512) if version == 3 else b"d" * 512  # the zero flag exists since version 3
    assert read_all(path) == b"d" * 512 + CONTENT[:512] + zero_or_data + bytes(13 * 512)


def test_last_cluster_may_be_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    path.write_bytes(qcow2(entries={3: 0x600}, data=b"e" * 100))
    assert read_all(path)[3 * 512 : 4 * 512] == (b"e" * 100).ljust(512, b"\0")


@on_files
@given(st.lists(st.tuples(st.integers(0, 111), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6), st.data())
def test_mutated_qcow2_raises_nothing_else(tmp_path: Path, edits: list[tuple[int, bytes]], data: st.DataObject) -> None:
    image = bytearray(
        qcow2(entries={0: 0x600, 1: 1 << 62 | 0x803}, data=b"d" * 512 + b"\0\0\0" + deflate(CONTENT[:512]))
    )
    where = data.draw(st.sampled_from([0, 0, 512, 1024, 1536]))
    for offset, value in edits:
        image[where + offset : where + offset + len(value)] = value
    path = tmp_path / "fuzz.qcow2"
    path.write_bytes(image[: data.draw(st.integers(0, len(image)))] if data.draw(st.booleans()) else image)
    try:
        disk = open_image(path)
    except DiskImageError:
        return
    try:
        for lba in {0, 1, disk.sectors // 2, disk.sectors - 1}:
            assert len(disk.read(min(lba, disk.sectors - 1), 1)) == 512
    except DiskImageError:
        pass
    finally:
        disk.close()


@on_files
@given(st.binary(max_size=300))
@example(b'RW 16 FLAT "." 0\n')
@example(b'RW 16 FLAT "\x00" 0\n')
@example(b"x=" + b" " * 2000)
def test_any_vmdk_descriptor_raises_nothing_else(tmp_path: Path, lines: bytes) -> None:
    path = tmp_path / "fuzz.vmdk"
    path.write_bytes(b"# Disk DescriptorFile\n" + lines)
    with contextlib.suppress(DiskImageError):
        open_image(path).close()


@pytest.mark.parametrize("name", ["missing.img", ""])
def test_paths_that_cannot_be_opened(tmp_path: Path, name: str) -> None:
    with pytest.raises(DiskImageError, match=r"cannot be opened \(.*\); expected a readable file. Check the path"):
        open_image(tmp_path / name)


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is the oracle")
@pytest.mark.parametrize(
    "options", [["-c"], ["-o", "compat=0.10"], ["-o", "cluster_size=512"], ["-o", "cluster_size=2M"]]
)
def test_images_made_by_qemu_img(tmp_path: Path, options: list[str]) -> None:
    raw, packed = tmp_path / "disk.raw", tmp_path / "disk.qcow2"
    content = CONTENT * 40 + bytes(1 << 20) + CONTENT[::-1] * 8
    raw.write_bytes(content)
    subprocess.run(
        ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", *options, str(raw), str(packed)], check=True, timeout=60
    )
    assert read_all(packed) == content
    image = Qcow2Image(packed)
    for lba, count in ((0, 1), (639, 3), (2047, 65), (image.sectors - 1, 1)):
        assert image.read(lba, count) == content[lba * 512 : (lba + count) * 512]
    image.close()
