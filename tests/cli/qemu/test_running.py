"""`vmxon-system-x86_64` as a process: output, exit statuses, monitors, gdb."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import assemble
from vmxon.cli.qemu.main import main
from vmxon.cli.qemu.places import Multiplexer
from vmxon.machine.multiboot_program import multiboot_program

PROGRAM = "import sys; from vmxon.cli.qemu.main import main; sys.exit(main())"
HELLO = "".join(f"mov al, {ord(letter)}; out 0xe9, al; mov dx, 0x3f8; out dx, al\n" for letter in "hi\n")
LEAVE = "mov dx, 0xf4; mov al, 3; out dx, al\n"
DEBUG_EXIT = ("-device", "isa-debug-exit,iobase=0xf4,iosize=4")


def kernel(folder: Path, text: str) -> str:
    path = folder / "kernel.elf"
    path.write_bytes(multiboot_program(text))
    return str(path)


def run(environment: dict[str, str], *words: str, typed: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", PROGRAM, *words]
    return subprocess.run(command, env=environment, input=typed, capture_output=True, timeout=120, check=False)


def test_the_status_of_isa_debug_exit_and_two_consoles(environment: dict[str, str], tmp_path: Path) -> None:
    image = kernel(tmp_path, HELLO + LEAVE)
    done = run(environment, "-kernel", image, *DEBUG_EXIT, "-debugcon", "stdio", "-serial", f"file:{tmp_path / 'log'}", "-vnc", "none")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"hi\n", b"")
    assert (tmp_path / "log").read_bytes() == b"hi\n"


def test_without_the_device_its_port_is_nothing(environment: dict[str, str], tmp_path: Path) -> None:
    image = kernel(tmp_path, HELLO + LEAVE + "cli; hlt")
    done = run(environment, "-kernel", image, "-serial", "stdio", "-display", "none", "-monitor", "none")
    assert (done.returncode, done.stdout) == (1, b"hi\n")
    assert b"vmxon-system-x86_64: RIP 0x" in done.stderr
    assert b": the guest halted with interrupts off\n" in done.stderr


def test_no_reboot_and_a_triple_fault(environment: dict[str, str], tmp_path: Path) -> None:
    image = kernel(tmp_path, "lidt [zeros]; int3")
    log = tmp_path / "log"
    done = run(environment, "-kernel", image, "-no-reboot", "-display", "none", "-serial", "null", "-d", "cpu_reset", "-D", str(log))
    assert done.returncode == 0
    assert done.stderr.startswith(b"vmxon-system-x86_64: guest: triple fault: #GP(0x1a) at ")
    assert b"; the machine resets\n" in done.stderr


def test_the_power_button_off_and_no_shutdown(environment: dict[str, str], tmp_path: Path) -> None:
    off = "mov dx, 0x604; mov ax, 0x2000; out dx, ax; hlt"
    image = kernel(tmp_path, off)
    assert run(environment, "-kernel", image, "-display", "none").returncode == 0
    words = ("-kernel", image, "-display", "none", "-no-shutdown", "-monitor", "stdio")
    command = [sys.executable, "-c", PROGRAM, *words]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        seen = b""
        while b"VM status: paused" not in seen:  # the guest turns the machine off after some lines, and the monitor stays
            process.stdin.write(b"info status\n")
            part = process.stdout.read(4096)
            assert part
            seen += part
        process.stdin.write(b"quit\n")
        assert process.wait(60) == 0


def test_a_script_at_a_pair_of_pipes(environment: dict[str, str], tmp_path: Path) -> None:
    for end in ("in", "out"):
        os.mkfifo(tmp_path / f"qemu.{end}")
    keys = "1: in al, 0x64; test al, 1; jz 1b; in al, 0x60; test al, 0x80; jnz 1b; out 0xe9, al; jmp 1b"
    image = kernel(tmp_path, keys)
    words = ("-kernel", image, "-monitor", f"pipe:{tmp_path / 'qemu'}", "-nographic", "-debugcon", "stdio")
    command = [sys.executable, "-c", PROGRAM, *words]
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with (tmp_path / "qemu.in").open("wb", buffering=0) as lines:
            lines.write(b"sendkey h\nsendkey kp_enter\n")
            seen = process.stdout.read(2)
            lines.write(b"quit\n")
        assert process.wait(60) == 0
    assert seen == b"\x23\x1c"


def test_serial_port_and_monitor_share_the_terminal(environment: dict[str, str], tmp_path: Path) -> None:
    echo = "1: mov dx, 0x3fd; in al, dx; test al, 1; jz 1b; mov dx, 0x3f8; in al, dx; out dx, al; jmp 1b"
    done = run(environment, "-kernel", kernel(tmp_path, echo), "-nographic", typed=b"ab\x01cinfo status\nquit\n")
    assert done.returncode == 0
    assert done.stdout.startswith(b"ab") or b"VM status: running" in done.stdout
    assert b"(qemu) " in done.stdout


def test_a_machine_waits_for_gdb(environment: dict[str, str], tmp_path: Path) -> None:
    words = ("-kernel", kernel(tmp_path, LEAVE), *DEBUG_EXIT, "-display", "none", "-S", "-gdb", "tcp::0", "-monitor", "stdio")
    done = run(environment, *words, typed=b"info status\ncont\n")
    assert done.returncode == 7
    assert b"gdb: listening at 127.0.0.1:" in done.stderr
    assert b"VM status: paused" in done.stdout


def test_under_the_hypervisor(environment: dict[str, str], tmp_path: Path) -> None:
    image = kernel(tmp_path, HELLO + LEAVE)
    done = run(environment, "-kernel", image, "-enable-kvm", "-cpu", "host", "-serial", "stdio", "-display", "none", *DEBUG_EXIT)
    assert (done.returncode, done.stdout) == (7, b"hi\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-kernel", "/nonexistent"), "/nonexistent: no such file; give the path of a kernel"),
        (
            ("-chardev", "null,id=n", "-device", "isa-debugcon,iobase=0x3f8,chardev=n"),
            "port 0x3f8 (DebugConsole) is taken by Uart16550; give another iobase",
        ),
        (("-append", "x"), "-initrd and -append need a -kernel"),
        (("-serial", "chardev:x"), "no -chardev has the id 'x'"),
        (("-rtc", "base=soon"), "-rtc: 'soon' is no date, expected utc, localtime or 2006-06-17T16:01:21"),
        (("-s", "-gdb", "tcp:0.0.0.0:1"), "-gdb: tcp:0.0.0.0:1 would be reachable from other hosts, expected tcp::1"),
        (("-gdb", "unix:x"), "-gdb: 'unix:x' is no place for gdb, expected tcp::PORT"),
        (("-hda", "/dev/null/x"), "/dev/null/x: not a directory; give the path of a disk image"),
        (("-enable-kvm", "-s"), "-s and -S need the bare machine; leave out -enable-kvm"),
    ],
)
def test_errors_are_one_line(words: tuple[str, ...], message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "-display", "none"]) == 2
    assert capfd.readouterr().err == f"vmxon-system-x86_64: {message}\n"


class Heard:
    def __init__(self) -> None:
        self.data, self.openings = b"", 0

    def opened(self) -> None:
        self.openings += 1

    def receive(self, data: bytes) -> None:
        self.data += data


@pytest.mark.parametrize(
    ("typed", "first", "second", "left"),
    [
        (b"ab", b"ab", b"", 0),
        (b"a\x01cb", b"a", b"b", 0),
        (b"a\x01\x01b", b"a\x01b", b"", 0),
        (b"\x01cx\x01Cy", b"y", b"x", 0),
        (b"a\x01x", b"a", b"", 1),
        (b"\x01h\x01zq", b"q", b"", 0),
    ],
)
def test_control_a(typed: bytes, first: bytes, second: bytes, left: int) -> None:
    one, two, leaving, shown = Heard(), Heard(), [], []
    multiplexer = Multiplexer([one, two], shown.append, lambda: leaving.append(1))
    for byte in typed:
        multiplexer.receive(bytes((byte,)))
    assert (one.data, two.data, len(leaving)) == (first, second, left)
    assert two.openings == (1 if b"\x01c" in typed else 0)


def flat(text: str, at: int = 0x40_0000) -> bytes:
    """A multiboot kernel without ELF: its header says where it goes (Multiboot §3.1.3 “The address fields of Multiboot header”)."""
    magic, flags, size = 0x1BADB002, 1 << 16, 32
    return assemble(f".long {magic}, {flags}, {-(magic + flags) & 0xFFFF_FFFF}, {at}, {at}, 0, 0, {at + size}\n{text}", 32)


def test_a_flat_test_kernel_with_everything_that_such_kernels_ask_for(environment: dict[str, str], tmp_path: Path) -> None:
    """Prints the command line behind the kernel's name, raises line 5 by pc-testdev, and ends with status 1 (success)."""
    (tmp_path / "X.flat").write_bytes(
        flat(
            "mov esi, [ebx + 16]\n1: lodsb; cmp al, 0; je 3f; mov dx, 0x3f8; out dx, al; jmp 1b\n"
            "3: mov dx, 0x2005; mov al, 1; out dx, al; mov al, 0x0a; out 0x20, al; in al, 0x20; and al, 0x20; xor al, 0x20\n"
            "mov dx, 0xf4; out dx, al"
        )
    )
    line = (
        f"-nodefaults -device pc-testdev -device isa-debug-exit,iobase=0xf4,iosize=0x4 -vnc none -serial stdio -device pci-testdev "
        f"-machine accel=tcg -kernel {tmp_path / 'X.flat'} -cpu max -smp 1"
    )
    done = run(environment, *line.split(), "-append", "1 two=3")
    assert done.returncode == 1
    assert done.stdout.endswith(b"1 two=3\n")
    assert done.stderr == b"vmxon-system-x86_64: -device pci-testdev: there is no such device, and the machine runs without it\n"


def test_two_runs_are_equal(environment: dict[str, str], tmp_path: Path) -> None:
    """The same command line prints the same time-stamp counter."""
    tsc = "rdtsc; mov ecx, 8\n1: rol eax, 4; mov edx, eax; and al, 15; add al, 0x41; out 0xe9, al; mov eax, edx; loop 1b\n"
    image = kernel(tmp_path, f"mov ecx, 100000\n2: loop 2b\n{tsc}{LEAVE}")
    words = ("-kernel", image, *DEBUG_EXIT, "-debugcon", "stdio", "-display", "none")
    assert run(environment, *words).stdout == run(environment, *words).stdout
