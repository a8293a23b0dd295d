"""Builds a group of handlers (`python -m vmxon.engine.group_builder`).

The job comes on standard input as JSON (`group`: its name, `functions`: those that the engine has already); the object code goes to
standard output.
"""

from __future__ import annotations

import hashlib
import json
import sys

from vmxon.engine import cache
from vmxon.engine.build import host_facts
from vmxon.engine.compiler import compile_ir, target_machine
from vmxon.engine.exports import EXPORTS
from vmxon.engine.units import Translation


def build_group(name: str, functions: frozenset[str]) -> bytes:
    """Translate and compile; code whose IR did not change comes from the cache."""
    unit = Translation(EXPORTS).group(name, functions)
    key = hashlib.sha256(f"{host_facts()}{unit.cold}{unit.text}".encode()).hexdigest()
    kept = cache.load(key, "unit")
    if kept is not None:
        return kept
    data = compile_ir(unit.text, target_machine(0) if unit.cold else target_machine())
    cache.save(key, data, "unit")
    return data


def main() -> None:
    """Serve one job."""
    job = json.load(sys.stdin)
    sys.stdout.buffer.write(build_group(job["group"], frozenset(job["functions"])))


if __name__ == "__main__":
    main()
