"""The API, by its examples and by what they do not show."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import vmxon
from vmxon.errors import ConfigurationError
from vmxon.hypervisor.exits import Plain
from vmxon.hypervisor.hypervisor import Hypervisor
from vmxon.vmx.exit_reasons import ExitReason

EXAMPLES = Path(__file__).parents[2] / "examples"
EXPECTED = {
    "first_hypervisor.py": "hello from non-root operation\nthe guest asks who its processor is\n156 instructions\n",
    "api/hooks.py": "port 42\nmemory 0x20 16\nhypercall 7\nstatus 5\n",
    "api/page_use.py": "used 0x1000 0x5000 0x7000\nchanged 0x7000\nused 0x1000 0x8000\nchanged 0x8000\n",
    "api/several_guests.py": "ends finished 0\ncrashes failed None\nloops killed None\nleaks: []\n",
}
PAGE = Path(__file__).parents[2] / "docs/hypervisor-api.md"
SHOWN = re.findall(r"```python\n(.*?)```\n\n```\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
"""The examples of the page, each with what it prints."""
HALT = b"\xb8\x07\x00\x00\x00\xf4"  # mov eax, 7; hlt


@pytest.mark.parametrize("name", EXPECTED)
def test_an_example_prints_what_it_should(name: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(vmxon.__file__).parent.parent)}
    process = subprocess.run([sys.executable, EXAMPLES / name], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (process.stdout, process.stderr) == (EXPECTED[name], "")


@pytest.mark.parametrize(("program", "printed"), SHOWN)
def test_an_example_of_the_page_is_short_and_prints_what_stands_below_it(program: str, printed: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(vmxon.__file__).parent.parent)}
    process = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (process.stdout, process.stderr) == (printed, "")
    assert len([line for line in program.splitlines() if line and not line.startswith("from")]) <= 10


def test_the_page_has_examples() -> None:
    assert len(SHOWN) == PAGE.read_text(encoding="utf-8").count("```python") == 4


def test_frames_come_back_cleared() -> None:
    hypervisor = Hypervisor(memory="8M")
    free = hypervisor.host.pages.free
    for _ in range(4):
        guest = hypervisor.create(memory="2M")
        assert not any(guest.memory.view)
        guest.memory.write(0x1000, HALT)
        guest.processor.rip = 0x1000
        while guest.processor.run() != Plain(ExitReason.HLT):
            guest.processor.serve()
        assert guest.processor.rax == 7
        guest.close()
        assert hypervisor.host.pages.free == free


def test_more_guests_than_memory() -> None:
    hypervisor = Hypervisor(memory="8M")
    hypervisor.create(memory="2M")
    with pytest.raises(ConfigurationError, match="give the machine more memory"):
        hypervisor.create(memory="8M")


def test_a_window_over_memory_is_refused() -> None:
    guest = Hypervisor(memory="8M").create(memory="2M")
    with pytest.raises(ValueError, match="must be whole pages above the guest's memory"):
        guest.hooks.memory(0x1000, 0x1000)
