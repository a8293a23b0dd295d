"""Debian's cloud kernel, Busybox, Xen and Memtest86+: installed, or unpacked in the folder that VMXON_DEBIAN of the environment names."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile

from tests.systems.lz4 import decompress_legacy

PAYLOAD = 0x248
"""Offset and length of the compressed kernel, behind the setup sectors (“The Linux/x86 Boot Protocol”, payload_offset)."""


class PackageMissing(LookupError):
    """A file that Debian's packages bring is not there; the message says which and how to get it."""


@dataclass(frozen=True, slots=True)
class Debian:
    """Where the parts are. `vmlinux` is the unpacked kernel, which starts through PVH."""

    kernel: Path
    vmlinux: Path
    modules: Path
    busybox: Path

    def module(self, name: str) -> bytes:
        """The module `name`, such as "kvm-intel", as its file holds it."""
        found = next(self.modules.rglob(f"{name}.ko"), None)
        if found is None:
            raise PackageMissing(f"no module {name}.ko below {self.modules}")
        return found.read_bytes()


def find_debian(cache: Path) -> Debian:
    """Kernel, modules and Busybox; the kernel is unpacked into `cache` once.

    Raises:
        PackageMissing: one of them is not there.
    """
    root = Path(os.environ.get("VMXON_DEBIAN", "/"))
    kernels = sorted(root.glob("boot/vmlinuz-*-cloud-amd64"))
    if not kernels:
        raise PackageMissing(f"no boot/vmlinuz-*-cloud-amd64 below {root} (package linux-image-cloud-amd64; VMXON_DEBIAN names its folder)")
    release = kernels[-1].name.removeprefix("vmlinuz-")
    candidates = (root / "bin/busybox", root / "usr/bin/busybox", Path("/bin/busybox"), Path("/usr/bin/busybox"))
    busybox = next((path for path in candidates if path.is_file() and is_static(path)), None)
    if busybox is None:
        raise PackageMissing("no static busybox (package busybox-static)")
    return Debian(kernels[-1], unpacked(kernels[-1], cache), root / "lib/modules" / release, busybox)


def boot_file(pattern: str, package: str) -> Path:
    """The newest file of `package` in Debian's boot folder.

    Raises:
        PackageMissing: there is none.
    """
    root = Path(os.environ.get("VMXON_DEBIAN", "/"))
    found = sorted(root.glob(f"boot/{pattern}"))
    if not found:
        raise PackageMissing(f"no boot/{pattern} below {root} (package {package}; VMXON_DEBIAN names its folder)")
    return found[-1]


def is_static(path: Path) -> bool:
    """An ELF program that asks for no dynamic linker."""
    with path.open("rb") as file:
        return all(segment.header.p_type != "PT_INTERP" for segment in ELFFile(file).iter_segments())


def unpacked(kernel: Path, cache: Path) -> Path:
    """The vmlinux inside a bzImage, as a file in `cache`."""
    changed = kernel.stat()
    path = cache / f"vmlinux-{kernel.name.removeprefix('vmlinuz-')}-{changed.st_size:x}-{changed.st_mtime_ns:x}"
    if not path.exists():
        partial = path.with_name(f"{path.name}.{os.getpid()}")
        partial.write_bytes(payload(kernel.read_bytes()))
        partial.replace(path)
    return path


def payload(image: bytes) -> bytes:
    """The decompressed kernel of a bzImage."""
    setup = (image[0x1F1] + 1) * 512
    offset, length = struct.unpack_from("<II", image, PAYLOAD)
    return decompress_legacy(image[setup + offset : setup + offset + length])
