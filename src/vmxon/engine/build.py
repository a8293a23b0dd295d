"""Building the engine: translate, compile in helper processes, keep the result on disk."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import llvmlite

from vmxon.engine import cache
from vmxon.engine.convention import CONVENTION
from vmxon.engine.groups import GROUPS

LAYERS = ("arch", "microcode", "processor", "isa", "vmx", "engine")
"""The packages whose sources decide what the engine is."""
Progress = Callable[[int, int], None]
"""Called with the steps done and the steps in all."""


@dataclass(frozen=True, slots=True)
class Image:
    """A built engine: everything that a start needs, and nothing that needs the sources again."""

    objects: tuple[bytes, ...]
    starts: bytes
    candidates: bytes
    slots: bytes
    facts: dict[str, object]
    """Features, groups and functions by name, the names and result counts of exported functions, the fingerprint."""

    def pack(self) -> bytes:
        """One run of bytes."""
        parts = [json.dumps(self.facts).encode(), self.starts, self.candidates, self.slots, *self.objects]
        return struct.pack("<I", len(parts)) + b"".join(struct.pack("<Q", len(p)) + p for p in parts)

    @classmethod
    def unpack(cls, data: bytes) -> Image:
        """The inverse of `pack`."""
        (count,) = struct.unpack_from("<I", data)
        parts, offset = [], 4
        for _ in range(count):
            (size,) = struct.unpack_from("<Q", data, offset)
            parts.append(data[offset + 8 : offset + 8 + size])
            offset += 8 + size
        return cls(tuple(parts[4:]), parts[1], parts[2], parts[3], json.loads(parts[0]))


def fingerprint() -> str:
    """What the built engine depends on: our sources, llvmlite, Python's version (syntax trees) and the host's processor."""
    digest = hashlib.sha256()
    root = Path(__file__).parent.parent
    for layer in LAYERS:
        for path in sorted((root / layer).rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    digest.update(host_facts().encode())
    return digest.hexdigest()


def host_facts() -> str:
    """What object code depends on besides its source."""
    return repr((llvmlite.__version__, sys.version, platform.machine(), _processor(), sys.platform, CONVENTION))


def _processor() -> str:
    """The host's processor as the operating system names it: cheaper than asking LLVM."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return "".join(line for line in lines[:40] if line.startswith(("model name", "flags", "Features", "CPU part", "cpu family", "model\t")))


def obtain(progress: Progress | None = None) -> Image:
    """The engine's image: from the cache, or built now and kept."""
    key = fingerprint()
    kept = cache.load(key)
    if kept is not None:
        return Image.unpack(kept)
    image = build(progress)
    cache.save(key, image.pack())
    return image


def obtain_group(image: Image, name: str) -> bytes:
    """The object code of a group: from the cache, or built now in a helper process and kept.

    Raises:
        RuntimeError: the sources are no longer those of the engine that runs, or the helper failed.
    """
    key = hashlib.sha256(f"{image.facts['fingerprint']} {name}".encode()).hexdigest()
    kept = cache.load(key, "group")
    if kept is not None:
        return kept
    if image.facts["fingerprint"] != fingerprint():
        raise RuntimeError(f"the group {name} cannot be built: vmxon's sources have changed since this process started")
    job = json.dumps({"group": name, "functions": image.facts["functions"]})
    helper = subprocess.run([sys.executable, "-m", "vmxon.engine.group_builder"], input=job.encode(), stdout=subprocess.PIPE, check=False)
    if helper.returncode != 0:
        raise RuntimeError(f"building the group {name} ended with status {helper.returncode}")
    cache.save(key, helper.stdout, "group")
    return helper.stdout


def build(progress: Progress | None = None, helpers: int | None = None) -> Image:
    """Translate and compile everything."""
    from vmxon.engine.exports import EXPORTS
    from vmxon.engine.pseudo import PSEUDO
    from vmxon.engine.units import HANDLERS_IN_UNIT, Translation

    translation = Translation(EXPORTS)
    count = helpers if helpers is not None else max(1, os.cpu_count() or 1)
    expected = translation.total // HANDLERS_IN_UNIT + 10
    import tempfile

    with tempfile.TemporaryDirectory(prefix="vmxon-") as folder:
        crew = _Crew(count)
        try:
            parts: list[bytes | tuple[str, Path]] = []
            for number, unit in enumerate(translation.units()):
                key = hashlib.sha256(f"{host_facts()}{unit.cold}{unit.text}".encode()).hexdigest()
                kept = cache.load(key, "unit")
                if kept is None:
                    source, target = Path(folder, f"{unit.name}.ll"), Path(folder, f"{unit.name}.o")
                    source.write_text(unit.text)
                    crew.give(source, target, unit.cold)
                    parts.append((key, target))
                else:
                    parts.append(kept)
                if progress is not None:
                    progress(max(0, min(number - crew.waiting, expected)), expected)
            crew.finish(lambda done: progress(done, len(parts)) if progress is not None else None)
        finally:
            crew.stop()
        objects = tuple(_collected(part) for part in parts)
    tables = translation.tables
    facts: dict[str, object] = {
        "features": tables.features,
        "handlers": len(PSEUDO) + len(tables.handlers),
        "groups": {name: translation.members(name) for name in GROUPS},
        "group_of": tables.groups,
        "functions": sorted(translation.written),
        "fingerprint": fingerprint(),
        "exports": [
            [signature.name, [getattr(p, "bits", 0) for p in signature.parameters], len(signature.results), signature.can_fault]
            for signature in map(translation.signature, EXPORTS)
        ],
    }
    return Image(objects, bytes(tables.starts), bytes(tables.candidates), bytes(tables.slots), facts)


def _collected(part: bytes | tuple[str, Path]) -> bytes:
    """The object code of a unit; what was compiled now is kept for the next build."""
    if isinstance(part, bytes):
        return part
    key, path = part
    data = path.read_bytes()
    cache.save(key, data, "unit")
    return data


class _Crew:
    """Helper processes that compile units as they come."""

    def __init__(self, count: int) -> None:
        command = [sys.executable, "-m", "vmxon.engine.compiler"]
        self.helpers = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)
        ]
        self.given = [0] * count
        self.size = [0] * count

    @property
    def waiting(self) -> int:
        """An upper bound on unfinished jobs."""
        return 2 * len(self.helpers)

    def give(self, source: Path, target: Path, cold: bool) -> None:
        """Queue a job with the helper that has the least to do."""
        index = self.size.index(min(self.size))
        self.size[index] += source.stat().st_size
        self.given[index] += 1
        pipe = self.helpers[index].stdin
        assert pipe is not None  # opened with PIPE above
        pipe.write(json.dumps({"ir": str(source), "object": str(target), "cold": cold}) + "\n")
        pipe.flush()

    def finish(self, done: Callable[[int], None]) -> None:
        """Wait for all jobs.

        Raises:
            RuntimeError: a helper died; what it said stands on standard error.
        """
        finished = 0
        for helper, jobs in zip(self.helpers, self.given, strict=True):
            assert helper.stdin is not None  # opened with PIPE above
            assert helper.stdout is not None
            helper.stdin.close()
            for _ in range(jobs):
                if not helper.stdout.readline():
                    raise RuntimeError(f"the compiler of the engine ended with status {helper.wait()}")
                finished += 1
                done(finished)

    def stop(self) -> None:
        """End the helpers."""
        for helper in self.helpers:
            if helper.stdin is not None and not helper.stdin.closed:
                helper.stdin.close()
            if helper.stdout is not None:
                helper.stdout.close()
            helper.kill()
            helper.wait()
