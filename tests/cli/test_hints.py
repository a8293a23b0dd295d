"""`--hints`: silent mistakes of a guest hypervisor are told on stderr, and a right one gets none."""

from pathlib import Path

import pytest

from tests.guests.ept import READ, REPAIR, EptProgram


@pytest.fixture
def kernel(tmp_path: Path) -> str:
    """A hypervisor that changes RBX of its guest between exit and entry."""
    program = EptProgram()
    program.with_ept("guest", READ, "mov qword ptr [ept_table], 0", hook=f"mov qword ptr [guest_registers + 24], 0x99\n{REPAIR}")
    path = tmp_path / "kernel.elf"
    path.write_bytes(program.build())
    return str(path)


MAIN = "import sys; from vmxon.cli.main import main; sys.exit(main(sys.argv[1:]))"


def test_a_mistake_is_told_once_on_stderr(python, kernel):
    outcome = python(MAIN, "boot", "--kernel", kernel, "--hints", "-m", "16M")
    assert outcome.stderr.count("Hint: ") == 1
    assert "Hint: general-purpose registers of the guest were not saved\n" in outcome.stderr
    assert (
        "  What to do: save all fifteen at the exit, before any other code runs, and load them right before VMRESUME" in outcome.stderr
    )
    assert "  Vol. 3C §28.3 “Saving Guest State”\n" in outcome.stderr
    assert "exit 30" in outcome.stdout


def test_without_the_option_nothing_is_told(python, kernel):
    outcome = python(MAIN, "boot", "--kernel", kernel, "-m", "16M")
    assert "Hint" not in outcome.stderr + outcome.stdout
    assert "exit 30" in outcome.stdout


def test_our_own_hypervisor_makes_no_such_mistake(python):
    outcome = python(MAIN, "run", "--hints")
    assert outcome.returncode == 0
    assert "Hint" not in outcome.stderr + outcome.stdout
