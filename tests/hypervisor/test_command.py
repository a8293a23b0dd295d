"""`vmxon run` as a process: output, table, JSON, statuses, one line for what is wrong."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import vmxon
from tests.hypervisor.guests import image_of

Process = subprocess.CompletedProcess[str]
COMMAND = [sys.executable, "-m", "vmxon", "run"]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(vmxon.__file__).parent.parent), "PYTHONUTF8": "1"}


def run(*words: str) -> Process:
    return subprocess.run(
        [*COMMAND, *words], env=environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def guest(tmp_path: Path) -> Path:
    """A kernel that waits for ever."""
    path = tmp_path / "guest"
    path.write_bytes(image_of("mov al, 0x2E \n out 0xE9, al \n again: jmp again"))
    return path


def test_the_bundled_guest_and_its_table() -> None:
    process = run("-m", "8M")
    assert process.returncode == 0, process.stderr
    lines = process.stdout.splitlines()
    assert lines[0] == "guest: in 64-bit mode, paging on"
    assert "task: hello from user mode, by SYSCALL" in lines
    table = lines[lines.index("guest: done") + 1 :]
    assert table[0].split() == ["VM", "exit", "count", "time", "each"]
    assert {row.rsplit(maxsplit=5)[0] for row in table[1:]} >= {"IO INSTRUCTION", "HLT", "EPT VIOLATION", "CPUID"}
    assert table[-1].startswith("total")


def test_json_is_alone_on_standard_output() -> None:
    process = run("-m", "8M", "--json")
    report = json.loads(process.stdout)
    assert report["status"] == 0
    assert {"reason": "VMCALL", "count": 1}.items() <= next(e for e in report["exits"] if e["reason"] == "VMCALL").items()
    assert "guest: done" in process.stderr


def test_a_console_can_be_chosen() -> None:
    process = run("-m", "8M", "--console", "e9")
    assert process.stdout.startswith("task: hello from user mode, by SYSCALL\ntask: hello again, by INT 80h\nVM exit")


def test_the_time_limit(guest: Path) -> None:
    process = run(str(guest), "-m", "2M", "--timeout", "0.3")
    assert process.returncode == 124
    assert process.stderr.splitlines()[-1].endswith(": the guest did not end within 0.3 s")
    assert process.stdout.startswith(".\nVM exit")


def test_ctrl_c(guest: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, str(guest), "-m", "2M"],
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == "."
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "vmxon: interrupted"


def test_a_triple_fault(tmp_path: Path) -> None:
    kernel = tmp_path / "guest"
    kernel.write_bytes(image_of("lidt [none] \n ud2 \n none: .quad 0"))
    process = run(str(kernel), "-m", "2M")
    assert process.returncode == 1
    first, *details = process.stderr.splitlines()
    assert first.startswith("vmxon: guest: triple fault: #")
    assert [line[:4] for line in details[:3]] == ["  1.", "  2.", "  3."]
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize(
    ("content", "words", "line"),
    [
        (b"hello", (), "is no kernel that we know, expected multiboot 1 or 2, a PVH note, a bzImage, or a boot sector"),
        (b"", (), "is empty, expected a kernel"),
        (None, (), "no such file; give the path of a kernel"),
        (image_of("nop"), ("-m", "1M"), "it loads at 0x100000–"),
    ],
)
def test_a_wrong_image_is_one_line(tmp_path: Path, content: bytes | None, words: tuple[str, ...], line: str) -> None:
    kernel = tmp_path / "kernel"
    if content is not None:
        kernel.write_bytes(content)
    process = run(str(kernel), *words)
    assert process.returncode == 2
    assert process.stderr.startswith(f"vmxon: {kernel}: {line}")
    assert process.stderr.count("\n") == 1
    assert process.stdout == ""


def test_a_processor_without_ept_is_one_line(guest: Path) -> None:
    process = run(str(guest), "--model", "nehalem", "-m", "2M")
    assert process.returncode == 2
    assert process.stderr == ("vmxon: the processor model 'nehalem' has no “unrestricted guest”, “enable INVPCID”; choose --model max\n")


def test_more_memory_than_the_host_has_is_one_line() -> None:
    process = run("-m", "900000G")
    assert process.returncode == 2
    assert process.stderr == "vmxon: the host has too little memory for this guest; give a smaller --memory\n"


def test_several_guests_and_their_table(guest: Path, tmp_path: Path) -> None:
    crash = tmp_path / "crash"
    crash.write_bytes(image_of("lidt [none] \n ud2 \n none: .quad 0"))
    good = tmp_path / "good"
    good.write_bytes(image_of("mov al, 0x2E \n out 0xE9, al \n jmp good"))
    process = run(str(good), str(crash), "-m", "2M")
    assert process.returncode == 1
    assert process.stderr.startswith("2: guest: triple fault: #")
    lines = process.stdout.splitlines()
    assert lines[0] == "1: ."
    assert [line.split()[:2] for line in lines[1:]] == [["guest", "state"], ["1", "finished"], ["2", "failed"]]


def test_the_same_guest_twice() -> None:
    process = run("--guests", "2", "-m", "8M")
    assert process.returncode == 0, process.stderr
    assert {"1: guest: done", "2: guest: done"} <= set(process.stdout.splitlines())
