"""Bytes of a terminal as keys."""

from __future__ import annotations

import pytest

from vmxon.cli.keys import chords_of
from vmxon.devices.keyboard.scancodes import keys_of


@pytest.mark.parametrize(
    ("data", "chords"),
    [
        (b"aA!", ["a", "shift-a", "shift-1"]),
        (b"\r\n\t\x7f\x08\x1b", ["ret", "ret", "tab", "backspace", "backspace", "esc"]),
        (b"\x1b[A\x1bOB\x1b[3~", ["up", "down", "delete"]),
        (b"\x1b[24~\x1bOP", ["f12", "f1"]),
        (b"\x03\x1a", ["ctrl-c", "ctrl-z"]),
        (b"\x1b[99~x", ["x"]),
        (b"\xff\x00\x1c", []),
        (b"", []),
    ],
)
def test_bytes_become_chords(data: bytes, chords: list[str]) -> None:
    assert chords_of(data) == chords
    for chord in chords:
        assert keys_of(chord)
