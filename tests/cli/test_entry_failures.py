"""`vmxon boot`: entries that fail in a guest hypervisor are explained on stderr, ten different ones at most."""

from pathlib import Path

from tests.guests import entry
from tests.guests.vmx_program import VmxProgram
from vmxon.vmx.fields import VmcsField

MAIN = "import sys; from vmxon.cli.main import main; sys.exit(main(sys.argv[1:]))"


def boot(python, tmp_path: Path, program: VmxProgram) -> str:
    """What it writes to stderr."""
    path = tmp_path / "kernel.elf"
    path.write_bytes(program.build())
    return python(MAIN, "boot", "--kernel", str(path), "-m", "16M").stderr


def test_the_rules_the_values_and_the_writer_are_told(python, tmp_path):
    program = VmxProgram()
    for label in ("once", "twice"):
        program.guest(label, fields={VmcsField.VMCS_LINK_POINTER: 0x5000})
    text = boot(python, tmp_path, program)
    assert text.count("vmxon: VM entry failed at RIP 0x") == 1, "the same rule is explained once"
    assert "VM entry fails: VM exit with reason 33: VM-entry failure due to invalid guest state" in text
    assert "  1. link.revision (hardware reports this one)\n" in text, "a rule that reads memory is decided"
    assert "    VMCS_LINK_POINTER = 0x0000000000005000" in text
    assert "      written at RIP 0x4" in text


def test_a_guest_that_tries_for_ever_does_not_fill_the_terminal(python, tmp_path):
    assert boot(python, tmp_path, entry.program()).count("vmxon: VM entry failed at RIP 0x") == 10
