"""The code cache on disk: one file for each fingerprint, written atomically, checked when read, bounded in number."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path

from platformdirs import user_cache_path

KEPT = {"bin": 4, "unit": 160, "group": 32}
"""How many files stay on disk: built engines, compiled units that a changed engine may use again, groups of instructions."""
DIGEST = 32


def folder() -> Path:
    """Where built engines are kept; VMXON_CACHE overrides it."""
    override = os.environ.get("VMXON_CACHE")
    return Path(override) if override else user_cache_path("vmxon", appauthor=False) / "engine"


def load(key: str, suffix: str = "bin") -> bytes | None:
    """The bytes kept under `key`, or None: absent, not ours, writable by others, or damaged."""
    path = folder() / f"{key}.{suffix}"
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
                return None
            data = file.read()
    except OSError:
        return None
    if hashlib.sha256(data[DIGEST:]).digest() != data[:DIGEST]:
        return None
    with suppress(OSError):
        os.utime(path)
    return data[DIGEST:]


def save(key: str, data: bytes, suffix: str = "bin") -> None:
    """Keep bytes under `key`; where the folder cannot be written nothing is kept."""
    place = folder()
    with suppress(OSError):
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        import tempfile  # noqa: PLC0415 - only where an engine was built

        descriptor, name = tempfile.mkstemp(dir=place)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(hashlib.sha256(data).digest() + data)
            Path(name).replace(place / f"{key}.{suffix}")
        except OSError:
            with suppress(OSError):
                Path(name).unlink()
            raise
        _forget_old(place, suffix)


def _forget_old(place: Path, suffix: str) -> None:
    files = sorted(place.glob(f"*.{suffix}"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[KEPT[suffix] :]:
        with suppress(OSError):
            path.unlink()
