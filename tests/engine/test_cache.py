"""The code cache: it gives back what it was given, or nothing."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from vmxon.engine import build, cache

DATA = b"object code" * 100


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VMXON_CACHE", str(tmp_path / "engine"))
    return tmp_path / "engine"


def test_kept_and_found(place: Path) -> None:
    assert cache.load("key") is None
    cache.save("key", DATA)
    assert cache.load("key") == DATA
    assert cache.load("key", "unit") is None
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert stat.S_IMODE((place / "key.bin").stat().st_mode) == 0o600


@pytest.mark.parametrize("change", ["first", "last", "short", "empty", "long"])
def test_a_damaged_file_is_not_used(place: Path, change: str) -> None:
    cache.save("key", DATA)
    path = place / "key.bin"
    content = bytearray(path.read_bytes())
    if change == "first":
        content[0] ^= 1
    elif change == "last":
        content[-1] ^= 1
    elif change == "short":
        del content[-1:]
    elif change == "empty":
        content.clear()
    else:
        content += b"\0"
    path.write_bytes(content)
    assert cache.load("key") is None
    cache.save("key", DATA)
    assert cache.load("key") == DATA


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_not_used(place: Path, mode: int) -> None:
    cache.save("key", DATA)
    (place / "key.bin").chmod(mode)
    assert cache.load("key") is None


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_somebody_else_is_not_used(place: Path) -> None:
    cache.save("key", DATA)
    os.chown(place / "key.bin", 12345, -1)
    assert cache.load("key") is None


def test_a_folder_that_cannot_be_made_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocking = tmp_path / "file"
    blocking.write_text("no folder")
    monkeypatch.setenv("VMXON_CACHE", str(blocking / "engine"))
    cache.save("key", DATA)
    assert cache.load("key") is None


def test_old_files_go(place: Path) -> None:
    for number in range(cache.KEPT["bin"] + 3):
        cache.save(f"key{number}", DATA)
        os.utime(place / f"key{number}.bin", (number + 1, number + 1))
    cache.save("newest", DATA)
    kept = sorted(path.name for path in place.glob("*.bin"))
    assert len(kept) == cache.KEPT["bin"]
    assert cache.load("key0") is None
    assert cache.load("newest") == DATA


def test_nothing_temporary_stays(place: Path) -> None:
    cache.save("key", DATA)
    assert [path.name for path in place.iterdir()] == ["key.bin"]


def test_an_image_survives_packing() -> None:
    image = build.Image((b"one", b"", b"three"), b"starts", b"candidates", b"slots", {"handlers": 7})
    assert build.Image.unpack(image.pack()) == image


SMOKE = """
from tests.harness import Bench, DATA
from vmxon.engine.build import fingerprint, host_facts
from vmxon.engine.convention import CONVENTION
bench = Bench(64)
bench.step(f"mov ecx, 1000\\nagain: add rax, rcx\\npush rax\\npop [{DATA}]\\ndec ecx\\njnz again", 1 + 5 * 1000)
assert bench.state.gpr[0] == 500500, bench.state.gpr[0]
assert int.from_bytes(bench.engine.read_physical(DATA, 8), "little") == 500500
bench.step("ud2\\nnop", 1)
assert bench.processor.instructions >= 5000
print(CONVENTION, fingerprint())
"""


@pytest.mark.slow
def test_the_c_convention_runs_too() -> None:
    """VMXON_CONVENTION=c builds another engine, under another key."""
    printed = []
    for convention in ("", "c"):
        environment = {**os.environ, "VMXON_CONVENTION": convention, "PYTHONPATH": os.pathsep.join(["src", "."])}
        root = Path(__file__).parents[2]
        done = subprocess.run(
            [sys.executable, "-c", SMOKE], cwd=root, env=environment, check=True, capture_output=True, text=True
        )
        printed.append(done.stdout.split())
    assert [name for name, _ in printed] == ["preserve_nonecc", "ccc"]
    assert printed[0][1] != printed[1][1]
