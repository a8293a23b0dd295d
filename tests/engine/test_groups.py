"""Groups of handlers: loaded when a guest first uses one, once for all machines of a process."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.harness import assemble
from vmxon.arch.models import MAX
from vmxon.engine import build
from vmxon.engine.groups import GROUPS, group_of
from vmxon.engine.native import Library
from vmxon.engine.places import PSEUDO_HANDLERS
from vmxon.engine.units import tables_of_sources
from vmxon.isa.table import TABLE
from vmxon.machine.processor import Processor, library

CODE = 0x1000
PENDING = PSEUDO_HANDLERS - 1


@pytest.fixture
def fresh() -> Library:
    """An engine that has loaded no group."""
    return Library(library().image)


@pytest.mark.parametrize(
    ("mnemonic", "group"),
    [
        *(("ADD", ""), ("CPUID", ""), ("VMLAUNCH", ""), ("FXSAVE", "")),
        *(("FADD", "x87"), ("LDMXCSR", "vector"), ("PADDB", "vector"), ("ADDPS", "floating")),
    ],
)
def test_group(mnemonic: str, group: str) -> None:
    tables_of_sources()
    assert group_of(TABLE[mnemonic]) == group


def test_handlers_of_groups_wait(fresh: Library) -> None:
    waiting = {number for numbers in fresh.image.facts["groups"].values() for number in numbers}  # type: ignore[attr-defined]  # by build
    found = {number for number, address in enumerate(fresh.handlers[PSEUDO_HANDLERS:]) if address == fresh.handlers[PENDING]}
    assert found == waiting
    assert set(fresh.image.facts["groups"]) == set(GROUPS)  # type: ignore[call-overload]


def machine(code: Library, text: str) -> Processor:
    """Real mode at CODE, FPU and SSE usable."""
    processor = Processor(MAX, 1 << 20, code)
    processor.engine.write_physical(CODE, assemble(text, 16))
    state = processor.state
    state.segments[1].base = state.segments[1].selector = 0
    state.rip, state.cr0, state.cr4 = CODE, 0x10, 0x200
    processor.refresh()
    return processor


def test_an_instruction_loads_its_group(fresh: Library) -> None:
    first = machine(fresh, "mov eax, 7\nmovd xmm3, eax\npaddd xmm3, xmm3\nmovd ebx, xmm3\nfninit\nfld1")
    first.run(4)
    assert (first.state.gpr[3], first.instructions, fresh.groups) == (14, 4, {"vector"})
    second = machine(fresh, "mov eax, 8\nmovd xmm3, eax\nmovd ebx, xmm3")
    second.run(3)
    assert (second.state.gpr[3], fresh.groups) == (8, {"vector"})
    first.run(2)
    assert (first.state.x87_significand[7], fresh.groups) == (1 << 63, {"vector", "x87"})


def test_a_group_that_could_not_be_built_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    code = Library(library().image)
    processor = machine(code, "mov eax, 7\nmovd xmm3, eax\nmovd ebx, xmm3")

    def interrupted(*_: object) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("vmxon.engine.native.obtain_group", interrupted)
        with pytest.raises(KeyboardInterrupt):
            processor.run(3)
        assert processor.instructions == 1
    processor.run(2)
    assert (processor.state.gpr[3], processor.instructions) == (7, 3)


def test_a_group_of_other_sources_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMXON_CACHE", str(tmp_path))
    image = replace(library().image, facts={**library().image.facts, "fingerprint": "older"})
    with pytest.raises(RuntimeError, match=r"^the group x87 cannot be built: vmxon's sources have changed since this process started$"):
        build.obtain_group(image, "x87")


def test_a_helper_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMXON_CACHE", str(tmp_path))
    ended = subprocess.CompletedProcess[bytes]([], 3, b"half an obj", b"")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: ended)
    with pytest.raises(RuntimeError, match=r"^building the group x87 ended with status 3$"):
        build.obtain_group(library().image, "x87")
    assert not [*tmp_path.iterdir()]


def test_a_group_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMXON_CACHE", str(tmp_path))
    jobs: list[bytes] = []

    def run(command: list[str], **options: bytes) -> subprocess.CompletedProcess[bytes]:
        jobs.append(options["input"])
        return subprocess.CompletedProcess(command, 0, b"object code", b"")

    monkeypatch.setattr(subprocess, "run", run)
    image = library().image
    assert [build.obtain_group(image, name) for name in ("x87", "x87", "vector")] == [b"object code"] * 3
    assert [json.loads(job)["group"] for job in jobs] == ["x87", "vector"]
