"""User programs under Debian's kernel: Busybox's applets print the same on the bare machine as on the host."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from tests.systems.debian import Debian
from tests.systems.initramfs import busybox_root, file, folder

APPEND = "console=ttyS0 noapic nolapic acpi=off pci=off cryptomgr.notests quiet"
WORDS = ["apple", "Birne", "cherry", "date", "elder", "fig", "Grape", "hazel"]

SCRIPT = """
awk '{ sum += $2; mean += $3 / 7 } END { printf "%d %.6f %.12g\\n", sum, sum / NR, mean }' table
awk -F' ' '{ count[$1]++ } END { for (word in count) print word, count[word] }' table | sort
awk 'BEGIN { x = 0.1; for (i = 0; i < 1000; i++) x = 3.9 * x * (1 - x); printf "%.12g %d\\n", x, 2 ^ 40 }'
sort -n -k2 table | head -n 5
sort -u table | md5sum
sort -rn -k2 table | tail -n 3
md5sum table noise
sha1sum table noise
sha256sum table noise
sha512sum noise
gzip -9 < noise | gzip -d | cmp - noise && echo same
gzip < table | wc -c
gzip < table | zcat | md5sum
bzip2 < table | bzip2 -d | md5sum
xxd noise | head -n 4
od -t x2 -A d noise | tail -n 2
od -t f8 -N 32 -A n doubles
base64 noise | md5sum
sed -e 's/a/A/g' -e '/fig/d' table | tail -n 4
grep -c -i grape table
tr a-z A-Z < table | cut -d ' ' -f 1 | uniq | head -n 4
seq 1 3 40 | tr '\\n' ' '; echo
seq 0.1 0.3 2
factor 1234567890123 999999999989
echo '2 64 ^ p 10 k 2 v p' | dc
echo 'scale=20; 4*a(1); e(1); 2^100' | bc -l
expr 12345678 '*' 87654321
printf '%e %g %x %o %s\\n' 3.14159 2.5e10 255 8 end
diff table other | md5sum
tar cf - table noise | tar tf -
date -u -d @1000000000
cal 2 2000
find . -type f | sort
wc table noise
rev table | head -n 2
fold -w 7 table | head -n 3
tac table | head -n 1
dd if=noise bs=1000 count=3 2> /dev/null | md5sum
echo $((7 * 6)) $((1 << 40)) $((-7 / 2)) $((0x7fffffffffffffff % 1000007))
i=0; while [ $i -lt 300 ]; do i=$((i + 1)); done; echo $i
"""
"""Run by Busybox's shell in a folder with the files below."""


def files() -> dict[str, bytes]:
    """What the script reads."""
    choose = Random("busybox")
    table = "".join(f"{choose.choice(WORDS)} {choose.randrange(10000)} {choose.random():.6f}\n" for _ in range(400))
    return {
        "table": table.encode(),
        "other": table.replace("fig", "olive").encode(),
        "noise": choose.randbytes(20000),
        "doubles": bytes.fromhex("182d4454fb210940 9a9999999999b93f 000000000000f07f 0100000000000000"),
    }


def lines(output: bytes) -> list[str]:
    """Without what a terminal adds."""
    return output.replace(b"\r", b"").decode(errors="replace").splitlines()


@pytest.mark.linux
@pytest.mark.slow
def test_applets_print_the_same_as_on_the_host(debian: Debian, tmp_path: Path) -> None:
    place = tmp_path / "work"
    place.mkdir()
    for name, data in files().items():
        (place / name).write_bytes(data)
    applets = tmp_path / "bin"
    applets.mkdir()
    subprocess.run([debian.busybox, "--install", "-s", applets], check=True)
    shell = [debian.busybox, "sh", "-c", SCRIPT]
    host = subprocess.run(shell, cwd=place, env={"PATH": str(applets)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    initrd = tmp_path / "initrd"
    init = "mount -t proc proc /proc\ncd /work\necho begin\nsh /script 2>&1\necho end\npoweroff -f\n"
    entries = [file(f"work/{name}", data) for name, data in files().items()]
    initrd.write_bytes(busybox_root(debian.busybox.read_bytes(), init, [folder("work"), *entries, file("script", SCRIPT)]))
    command = ["-m", "vmxon", "boot", "--kernel", debian.vmlinux, "--initrd", initrd, "--append", APPEND, "--timeout", "280"]
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, check=False)
    printed = lines(done.stdout)
    ours = printed[printed.index("begin") + 1 : printed.index("end")]
    assert ours == lines(host.stdout)
    assert not [line for line in ours if "not found" in line or "error" in line]
