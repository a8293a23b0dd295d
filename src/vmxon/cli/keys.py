"""Bytes of a terminal as keys of a PC: what `sendkey` calls them."""

from __future__ import annotations

import re

from vmxon.devices.keyboard.scancodes import chord_of

SEQUENCES = {
    "[A": "up", "[B": "down", "[C": "right", "[D": "left", "[H": "home", "[F": "end", "OA": "up", "OB": "down", "OC": "right",
    "OD": "left", "OH": "home", "OF": "end", "[1~": "home", "[2~": "insert", "[3~": "delete", "[4~": "end", "[5~": "pgup",
    "[6~": "pgdn", "[7~": "home", "[8~": "end", "OP": "f1", "OQ": "f2", "OR": "f3", "OS": "f4", "[11~": "f1", "[12~": "f2",
    "[13~": "f3", "[14~": "f4", "[15~": "f5", "[17~": "f6", "[18~": "f7", "[19~": "f8", "[20~": "f9", "[21~": "f10",
    "[23~": "f11", "[24~": "f12", "[Z": "shift-tab", "OM": "kp_enter",
}  # fmt: skip
"""What follows an escape byte (ECMA-48, and xterm's “PC-Style Function Keys”)."""
PLAIN = {0x09: "tab", 0x0D: "ret", 0x0A: "ret", 0x08: "backspace", 0x7F: "backspace", 0x1B: "esc"}
ESCAPE = re.compile(r"\x1b(\[[0-9;]*[A-Za-z~]|O[A-Za-z])")


def chords_of(data: bytes) -> list[str]:
    """The chords that produce these bytes on a terminal; bytes that no key makes are left out."""
    text, at, chords = data.decode("latin-1"), 0, []
    while at < len(text):
        match = ESCAPE.match(text, at)
        if match is not None:
            chord = SEQUENCES.get(match[1], "")
            at = match.end()
        else:
            chord = _of(text[at])
            at += 1
        if chord:
            chords.append(chord)
    return chords


def _of(character: str) -> str:
    code = ord(character)
    if code in PLAIN:
        return PLAIN[code]
    if 0 < code < 0x1B:
        return f"ctrl-{chr(code + 0x60)}"
    try:
        return chord_of(character)
    except ValueError:
        return ""
