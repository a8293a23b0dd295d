"""`vmxon grade`: good, wrong, hanging, triple-faulting, endless and foreign images; none disturbs the others."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import vmxon
from vmxon.machine.multiboot_program import multiboot_program

SAY_OK = "mov al, 'o' \n out 0xE9, al \n mov al, 'k' \n out 0xE9, al \n mov al, 10 \n out 0xE9, al \n"
END = "mov al, 0 \n out 0xF4, al \n hlt"
IMAGES = {
    "fault": SAY_OK + "lidt [none] \n ud2 \n none: .quad 0",
    "good": SAY_OK + END,
    "hang": SAY_OK + "again: jmp again",
    "loud": "again: out 0xE9, al \n jmp again",
    "unknown": SAY_OK + END,
    "wrong": SAY_OK.replace("'k'", "'n'") + END,
}


def vmxon_command(*words: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(vmxon.__file__).parent.parent), "PYTHONUTF8": "1"}
    command = [sys.executable, "-m", "vmxon", *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind of image, the good one once more in a subfolder."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "pupil").mkdir()
    for name, text in IMAGES.items():
        (folder / f"{name}.elf").write_bytes(multiboot_program(text))
        if name != "unknown":
            (folder / f"{name}.expected").write_text("ok\n")
    for name in ("pupil/own", "foreign"):
        content = multiboot_program(IMAGES["good"]) if name == "pupil/own" else b"\x7fELF and nothing else"
        (folder / f"{name}.elf").write_bytes(content)
        (folder / f"{name}.expected").write_text("ok\n")
    return folder


@pytest.fixture(scope="module")
def process(folder: Path) -> subprocess.CompletedProcess[str]:
    return vmxon_command("grade", folder, "--timeout", "8", "--junit", folder / "report.xml", "--json")


def test_each_image_gets_its_own_verdict(process: subprocess.CompletedProcess[str]) -> None:
    report = json.loads(process.stdout)
    assert process.returncode == 1
    assert report["passed"] == 2
    assert {image["name"]: image["verdict"] for image in report["images"]} == {
        "fault": "stopped",
        "foreign": "stopped",
        "good": "passed",
        "hang": "timed out",
        "loud": "wrong output",
        "pupil/own": "passed",
        "unknown": "nothing expected",
        "wrong": "wrong output",
    }


def test_the_detail_says_what_is_wrong(process: subprocess.CompletedProcess[str]) -> None:
    details = {image["name"]: image["detail"] for image in json.loads(process.stdout)["images"]}
    assert details["good"] == ""
    assert details["wrong"] == "line 1 is 'on', expected 'ok'"
    assert "triple fault" in details["fault"]
    assert "did not end within 8 s" in details["hang"]
    assert details["loud"] == "more than 65,536 bytes of output"
    assert details["unknown"].endswith("unknown.expected: no such file or directory")
    assert "multiboot" in details["foreign"]


def test_junit_has_a_case_for_each(process: subprocess.CompletedProcess[str], folder: Path) -> None:
    assert process.returncode == 1
    suite = ElementTree.parse(folder / "report.xml").getroot()
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("8", "6")
    failed = {case.get("name"): case.find("failure") for case in suite}
    assert failed["good"] is None
    assert failed["wrong"] is not None
    assert (failed["wrong"].get("type"), failed["wrong"].text) == ("wrong output", "on")


def test_expected_outputs_may_lie_elsewhere_and_the_table_ends_in_the_count(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "own.expected").write_text("ok\n")
    process = vmxon_command("grade", folder / "pupil", "--expected", tmp_path)
    assert process.returncode == 0, process.stderr
    row, count = process.stdout.splitlines()
    assert row.split()[:2] == ["own", "passed"]
    assert count == "1 of 1 passed"


def test_a_line_end_at_the_end_does_not_count(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "own.expected").write_text("ok")
    assert vmxon_command("grade", folder / "pupil", "--expected", tmp_path).returncode == 0
    (tmp_path / "own.expected").write_text("ok\n\n")
    process = vmxon_command("grade", folder / "pupil", "--expected", tmp_path)
    assert process.returncode == 1
    assert "line 2 is missing, expected ''" in process.stdout


def test_a_report_that_cannot_be_written_is_refused_before_anything_runs(folder: Path) -> None:
    process = vmxon_command("grade", folder, "--junit", folder / "none/report.xml")
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr == f"vmxon: {folder}/none: no such folder; choose another --junit\n"


def test_an_empty_folder_is_one_line(tmp_path: Path) -> None:
    process = vmxon_command("grade", tmp_path)
    assert process.returncode == 2
    assert process.stderr == f"vmxon: {tmp_path}: no image to grade, expected NAME.elf, there or in a subfolder\n"


def test_assembling(tmp_path: Path) -> None:
    source = tmp_path / "kernel.s"
    source.write_text(SAY_OK + END)
    assert vmxon_command("assemble", source).returncode == 0
    process = vmxon_command("boot", "--kernel", source.with_suffix(".elf"), "--console", "e9")
    assert (process.stdout, process.returncode) == ("ok\n", 1)
    source.write_text("mov eax, 1 \n bogus eax")
    process = vmxon_command("assemble", source, "-o", tmp_path / "other.elf")
    assert process.returncode == 2
    assert process.stderr.count("\n") == 1
    assert "bogus" in process.stderr
    assert not (tmp_path / "other.elf").exists()
    assert vmxon_command("assemble", source, "-o", source).returncode == 2


def test_a_failed_vm_entry_that_the_image_expects_is_no_failure(tmp_path: Path) -> None:
    asm = Path(__file__).parents[2] / "examples/course/asm"
    texts = [asm / "long_mode.s", asm / "vmx_operation.s", asm / "07_guest_fields.s"]
    assert vmxon_command("assemble", *texts, "-o", tmp_path / "07.elf").returncode == 0
    (tmp_path / "07.expected").write_bytes((asm / "expected/07_guest_fields.expected").read_bytes())
    process = vmxon_command("grade", tmp_path, "--timeout", "10")
    assert process.stdout.splitlines()[-1] == "1 of 1 passed"
    assert process.returncode == 0


def test_what_is_no_text_is_not_assembled(tmp_path: Path) -> None:
    (tmp_path / "good.s").write_bytes(b"hlt\r\n")
    (tmp_path / "bad.s").write_bytes(b"\xff")
    process = vmxon_command("assemble", tmp_path / "good.s", tmp_path / "bad.s")
    assert (process.returncode, process.stderr) == (2, f"vmxon: {tmp_path}/bad.s: is no text, expected assembly in UTF-8\n")
    process = vmxon_command("assemble", "/dev/zero", "-o", tmp_path / "zero.elf")
    assert (process.returncode, process.stderr) == (2, "vmxon: /dev/zero: is longer than 16 MiB, expected assembly in UTF-8\n")
    assert vmxon_command("assemble", tmp_path / "good.s").returncode == 0
