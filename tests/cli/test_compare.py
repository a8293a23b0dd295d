"""`vmxon compare paging`: both runs side by side, as a table and as JSON."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.hypervisor.guests import image_of
from vmxon.cli.compare import Watcher, command

COLUMNS = {"paging", "ended", "exits", "table_bytes", "guest_table_bytes", "faults", "seconds", "instructions", "memory_hash"}


def compare(*words: str) -> str:
    """What it prints; its status must be 0."""
    result = CliRunner().invoke(command, ["paging", *words], standalone_mode=False)
    assert result.exception is None, result.exception
    return result.output


def test_memory_is_equal_at_the_last_hypercall_of_the_bundled_guest() -> None:
    ept, shadow = json.loads(compare("-m", "8M", "--json"))
    assert set(ept) == set(shadow) == COLUMNS
    assert ept["memory_hash"] == shadow["memory_hash"]
    assert ept["exits"]["VMCALL"] == shadow["exits"]["VMCALL"] == 1
    assert (ept["table_bytes"], ept["guest_table_bytes"]) == (3 * 4096, shadow["guest_table_bytes"])
    assert shadow["table_bytes"] > shadow["guest_table_bytes"] > 0


def test_the_table() -> None:
    lines = compare("-m", "8M").splitlines()
    assert lines[0].split() == ["ept", "shadow"]
    assert next(line for line in lines if line.startswith("ended")).split() == ["ended", "status", "0", "status", "0"]
    assert {len(line) for line in lines} == {len(lines[0])}


def test_a_guest_that_does_not_end_is_stopped_at_a_text(tmp_path: Path) -> None:
    image = tmp_path / "guest"
    image.write_bytes(image_of("mov al, 0x68 \n out 0xE9, al \n mov al, 0x69 \n out 0xE9, al \n again: jmp again"))
    assert compare(str(image), "-m", "2M", "--until", "hi").splitlines()[-1].split() == ["ended", *["printed", "'hi'"] * 2]


@pytest.mark.parametrize(
    ("text", "printed", "times"),
    [("ab", b"xab", 1), ("ab", b"aab", 1), ("ab", b"a\nb", 0), ("aa", b"aaa", 2), ("", b"abc", 0), ("é", "é".encode(), 1)],
)
def test_the_watcher(text: str, printed: bytes, times: int) -> None:
    seen: list[bool] = []
    watcher = Watcher(text, lambda: seen.append(True))
    for byte in printed:
        watcher.put(byte)
    assert len(seen) == times
