"""Options of `run` and `boot`: what they become, and what is said about wrong ones."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Outcome
from vmxon.cli import boot, run
from vmxon.cli.attendance import Attendance
from vmxon.cli.boot import BootOptions
from vmxon.cli.images import Drive, Module, Program, kind_of
from vmxon.cli.options import Console, MachineOptions, MemorySize, Size
from vmxon.cli.run import RunOptions

Invoke = Callable[..., Outcome]
MIB = 1024 * 1024


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file to call a kernel, in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("kernel.x").write_bytes(b"\x7fELF")
    return Path("kernel.x")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[BootOptions | RunOptions]:
    """What the commands would start."""
    seen: list[BootOptions | RunOptions] = []

    def start(options: BootOptions | RunOptions) -> int:
        seen.append(options)
        return 0

    monkeypatch.setattr(boot, "start", start)
    monkeypatch.setattr(run, "start", start)
    return seen


@pytest.mark.parametrize(
    ("text", "size"),
    [
        *[("64K", 65536), ("8M", 8 * MIB), ("1G", 1024 * MIB), ("8m", 8 * MIB), ("8MiB", 8 * MIB)],
        *[("8MB", 8 * MIB), (" 8M ", 8 * MIB), ("0K", 0)],
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert Size().convert(text, None, None) == size


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("8", "'8' has no unit: write 8K, 8M or 8G"),
        ("", "'' is not a size: write a whole number and K, M or G, such as 64K, 8M or 1G"),
        ("M", "'M' is not a size: write a whole number and K, M or G, such as 64K, 8M or 1G"),
        ("1.5G", "'1.5G' is not a size: write a whole number and K, M or G, such as 64K, 8M or 1G"),
        ("-8M", "'-8M' is not a size: write a whole number and K, M or G, such as 64K, 8M or 1G"),
        ("8T", "'8T' is not a size: write a whole number and K, M or G, such as 64K, 8M or 1G"),
        ("٨M", "'٨M' is not a size: write a whole number and K, M or G, such as 64K, 8M or 1G"),
        ("512K", "512K is too little for any guest: at least 1M"),
        ("1025K", "1025K is not a whole number of 4K pages"),
    ],
)
def test_wrong_memory_is_one_line(invoke: Invoke, text: str, complaint: str) -> None:
    outcome = invoke("run", "-m", text)
    assert outcome.status == 2
    assert outcome.err == f"vmxon: Invalid value for '-m' / '--memory': {complaint}; see vmxon run --help\n"


def test_memory_sizes_pass_through_pages() -> None:
    assert MemorySize().convert("1028K", None, None) == 1028 * 1024


def test_run_without_words_is_the_bundled_guest(invoke: Invoke, started: list[BootOptions | RunOptions]) -> None:
    assert invoke("run").status == 0
    assert started == [RunOptions(None, MachineOptions(memory=128 * MIB))]


def test_every_option_of_run(invoke: Invoke, started: list[BootOptions | RunOptions], kernel: Path) -> None:
    Path("module one").write_bytes(b"1")
    Path("two").write_bytes(b"2")
    Path("disk.img").write_bytes(bytes(512))
    outcome = invoke(
        *("run", "--kernel", "kernel.x", "--append", "console=ttyS0 quiet"),
        *("--initrd", "module one", "--initrd", "two a=1 b"),
        *("--drive", "file=disk.img,index=2,snapshot=off,format=raw"),
        *("--drive", "disk.img", "-m", "8M", "--timeout", "2.5", "--paging", "ept", "--console", "e9", "--json"),
        *("--model", "skylake"),
    )
    assert outcome.err == ""
    program = Program(
        kernel, "console=ttyS0 quiet", (Module(Path("module one"), "module one"), Module(Path("two"), "two a=1 b"))
    )
    drives = (Drive(Path("disk.img"), 0), Drive(Path("disk.img"), 2, "raw", snapshot=False))
    machine = MachineOptions(8 * MIB, drives, "skylake", frozenset({Console.E9}), 2.5, json=True)
    assert started == [RunOptions(program, machine)]


def test_image_is_short_for_kernel(invoke: Invoke, started: list[BootOptions | RunOptions], kernel: Path) -> None:
    assert invoke("run", "kernel.x").status == 0
    assert started == [RunOptions(Program(kernel), MachineOptions(128 * MIB))]


def test_boot_has_an_instruction_limit(invoke: Invoke, started: list[BootOptions | RunOptions], kernel: Path) -> None:
    consoles = ("--console", "serial", "--console", "e9")
    assert invoke("boot", "--kernel", "kernel.x", "--count", "1000", *consoles).status == 0
    assert started == [BootOptions(Program(kernel), MachineOptions(128 * MIB), 1000)]


def test_swebs_own_drive_words(invoke: Invoke, started: list[BootOptions | RunOptions], kernel: Path) -> None:
    Path("SWEB.qcow2").write_bytes(b"QFI\xfb")
    assert invoke("run", str(kernel), "-m", "8M", "--drive", "file=SWEB.qcow2,index=0,media=disk").status == 0
    assert started[0].machine.drives == (Drive(Path("SWEB.qcow2"), 0),)


def test_a_doubled_comma_belongs_to_the_file(
    invoke: Invoke, started: list[BootOptions | RunOptions], kernel: Path
) -> None:
    Path("a,b=c").write_bytes(b"x")
    assert invoke("run", str(kernel), "--drive", "file=a,,b=c").status == 0
    assert started[0].machine.drives == (Drive(Path("a,b=c"), 0),)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["boot"], "boot needs an IMAGE, --kernel, --drive, --cdrom or --bios; see vmxon boot --help"),
        (["run", "kernel.x", "--kernel", "kernel.x"], "IMAGE and --kernel name the guest twice; see vmxon run --help"),
        (
            ["run", "--append", "quiet"],
            "--initrd and --append need a --kernel: the bundled guest takes neither; see vmxon run --help",
        ),
        (
            ["run", "--console", "vga", "--console", "e9"],
            "--console vga draws the whole terminal and cannot be combined with another console; see vmxon run --help",
        ),
        (
            ["run", "--timeout", "0"],
            "Invalid value for '--timeout': '0' is not a time: write seconds, such as 2.5; see vmxon run --help",
        ),
        (
            ["run", "--timeout", "nan"],
            "Invalid value for '--timeout': 'nan' is not a time: write seconds, such as 2.5; see vmxon run --help",
        ),
        (
            ["boot", "--count", "0"],
            "Invalid value for '--count': 0 is not in the range x>=1; see vmxon boot --help",
        ),
        (
            ["run", "--paging", "nested"],
            "Invalid value for '--paging': 'nested' is not one of 'ept', 'shadow'; see vmxon run --help",
        ),
        (["run", "missing.x"], "missing.x: no such file; give the path of a kernel"),
        (["run", "kernel.x", "--initrd", ""], "the path of a module or initial RAM disk is empty"),
        (["run", "."], ".: is a folder, expected a kernel"),
        (["run", "empty"], "empty: is empty, expected a kernel"),
        (["run", "kernel.x/x"], "kernel.x/x: not a directory; give the path of a kernel"),
        (["run", "kernel.x", "--initrd", "m a=1"], "m: no such file; give the path of a module or initial RAM disk"),
        (["boot", "--bios", "."], ".: is a folder, expected a ROM"),
        (["assemble", "."], ".: is a folder, expected an assembly file"),
        (["run", "--drive", "missing.img"], "missing.img: no such file; give the path of a disk image"),
        (
            ["run", "--drive", "file=kernel.x,index=4"],
            "Invalid value for '--drive': index=4 must be index=0, 1, 2 or 3; see vmxon run --help",
        ),
        (
            ["run", "--drive", "kernel.x,media=tape"],
            "Invalid value for '--drive': media=tape must be media=disk or cdrom; see vmxon run --help",
        ),
        (
            ["run", "--drive", "kernel.x,colour=red"],
            (
                "Invalid value for '--drive': 'colour' is not a setting of a drive: "
                "file, index, media, if, format, snapshot; see vmxon run --help"
            ),
        ),
        (
            ["run", "--drive", "kernel.x,raw"],
            "Invalid value for '--drive': 'raw' is not a setting: write key=value; see vmxon run --help",
        ),
        (
            ["run", "--drive", "kernel.x,file=kernel.x"],
            "Invalid value for '--drive': 'file' is given twice; see vmxon run --help",
        ),
        (["run", "--drive", "index=0"], "Invalid value for '--drive': a drive needs its file; see vmxon run --help"),
        (["run", "--drive", ""], "Invalid value for '--drive': a drive needs its file; see vmxon run --help"),
        (
            ["run", *["--drive", "kernel.x,index=1"] * 2],
            "two drives ask for index 1; see vmxon run --help",
        ),
        (
            ["run", *["--drive", "kernel.x"] * 5],
            "5 drives, but the machine has 4 slots; see vmxon run --help",
        ),
    ],
)
def test_wrong_options_are_one_line(
    invoke: Invoke, started: list[BootOptions | RunOptions], kernel: Path, words: list[str], line: str
) -> None:
    Path("empty").touch()
    outcome = invoke(*words)
    assert (outcome.status, outcome.out, outcome.err) == (2, "", f"vmxon: {line}\n")
    assert started == []


def test_drives_without_index_take_the_free_slots(
    invoke: Invoke, started: list[BootOptions | RunOptions], kernel: Path
) -> None:
    for name in ("a", "b", "c"):
        Path(name).write_bytes(b"x")
    assert invoke("run", "kernel.x", "--drive", "a", "--drive", "b,index=0", "--drive", "c").status == 0
    assert [(drive.path.name, drive.slot) for drive in started[0].machine.drives] == [("b", 0), ("a", 1), ("c", 2)]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\x7fELF", "kernel"),
        (b"\0" * 64 + b"\x02\xb0\xad\x1b", "kernel"),
        (b"\0" * 0x202 + b"HdrS", "kernel"),
        (b"\0" * 0x8001 + b"CD001", "cdrom"),
        (b"QFI\xfb", "disk"),
        (b"\0" * 62 + b"\x02\xb0\xad\x1b", "disk"),
    ],
)
def test_what_an_image_is(tmp_path: Path, content: bytes, kind: str) -> None:
    (tmp_path / "image").write_bytes(content)
    assert kind_of(tmp_path / "image") == kind


def test_boot_takes_any_image(invoke: Invoke, started: list[BootOptions | RunOptions], kernel: Path) -> None:
    Path("grub.iso").write_bytes(b"\0" * 0x8001 + b"CD001")
    Path("disk.raw").write_bytes(b"x")
    Path("rom").write_bytes(b"x")
    assert invoke("boot", "kernel.x", "--no-reboot").status == 0
    assert invoke("boot", "grub.iso", "--drive", "file=disk.raw,index=2").status == 0
    assert invoke("boot", "disk.raw", "--bios", "rom").status == 0
    first, second, third = started
    assert isinstance(first, BootOptions)
    assert (first.program, first.no_reboot) == (Program(kernel), True)
    assert second.machine.drives == (Drive(Path("disk.raw"), 2), Drive(Path("grub.iso"), 3, cdrom=True))
    assert isinstance(third, BootOptions)
    assert (third.machine.drives, third.bios) == ((Drive(Path("disk.raw"), 0),), Path("rom"))


def test_boot_lets_people_look_in(invoke: Invoke, started: list[BootOptions | RunOptions], kernel: Path) -> None:
    assert invoke("boot", str(kernel), "--gdb", "0", "--monitor", "pty", "--monitor", "pipe:x", "--wait").status == 0
    assert isinstance(started[0], BootOptions)
    assert started[0].attendance == Attendance(0, ("pty", "pipe:x"), wait=True)
    outcome = invoke("boot", str(kernel), "--wait")
    assert outcome.err.startswith("vmxon: --wait needs --gdb or --monitor: nobody else can start the machine; see vmxon boot --help")
    outcome = invoke("boot", str(kernel), "--kernel", str(kernel))
    assert outcome.err == "vmxon: IMAGE is a kernel image, and an option names another; see vmxon boot --help\n"
