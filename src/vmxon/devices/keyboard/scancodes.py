"""Scan codes of a PC keyboard: key names as in QEMU's `sendkey`, codes in set 1, and the translation from set 2.

Source: IBM PS/2 Hardware Interface Technical Reference, “Keyboard (101- and 102-Key)”, scan-code sets 1 and 2; the
translation is the table in the 8042's ROM.
"""

from __future__ import annotations

EXTENDED = 0xE000
"""Added to the codes that follow an 0xE0 byte."""
PAUSE = 0xE11D
"""Pause has a sequence of its own and no release."""

SET_2_TO_1 = bytes.fromhex(
    "ff43413f3d3b3c58644442403e0f2959"
    "65382a701d10025a66712c1f1e11035b"
    "672e2d201205045c68392f211413065d"
    "693130232215075e6a7232241608095f"
    "6b332517180b0a606c34352627190c61"
    "6d7328741a0d626e3a361c1b752b6376"
    "55567778797a0e7b7c4f7d4b477e7f6f"
    "5253504c4d480145574e514a37494654"
) + bytes({0x83: 0x41, 0x84: 0x54}.get(code, code) for code in range(0x80, 0x100))
"""What the controller makes of each byte from the keyboard while translation is on."""

SET_1_TO_2 = {made: code for code, made in enumerate(SET_2_TO_1[:0x85]) if made < 0x80}
"""The other way; F7 (0x83) and SysRq (0x84) win over codes that no key has."""


def _row(first: int, names: str) -> dict[str, int]:
    return {name: first + place for place, name in enumerate(names.split())}


KEYS: dict[str, int] = (
    _row(0x01, "esc 1 2 3 4 5 6 7 8 9 0 minus equal backspace tab")
    | _row(0x10, "q w e r t y u i o p bracket_left bracket_right ret ctrl")
    | _row(0x1E, "a s d f g h j k l semicolon apostrophe grave_accent shift backslash")
    | _row(0x2C, "z x c v b n m comma dot slash shift_r kp_multiply alt spc caps_lock")
    | _row(0x3B, "f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 num_lock scroll_lock")
    | _row(0x47, "kp_7 kp_8 kp_9 kp_subtract kp_4 kp_5 kp_6 kp_add kp_1 kp_2 kp_3 kp_0 kp_decimal sysrq")
    | _row(0x56, "less f11 f12")
    | {"asterisk": 0x37, "kp_enter": 0xE01C, "ctrl_r": 0xE01D, "kp_divide": 0xE035, "print": 0xE037}
    | {"alt_r": 0xE038, "home": 0xE047, "up": 0xE048, "pgup": 0xE049, "left": 0xE04B, "right": 0xE04D}
    | {"end": 0xE04F, "down": 0xE050, "pgdn": 0xE051, "insert": 0xE052, "delete": 0xE053}
    | {"meta_l": 0xE05B, "meta_r": 0xE05C, "menu": 0xE05D, "pause": PAUSE}
)
"""Set-1 make code of each key."""

_PLAIN = (
    {"-": "minus", "=": "equal", "[": "bracket_left", "]": "bracket_right", "\\": "backslash", ";": "semicolon"}
    | {"'": "apostrophe", "`": "grave_accent", ",": "comma", ".": "dot", "/": "slash", " ": "spc"}
    | {"\n": "ret", "\r": "ret", "\t": "tab", "\b": "backspace", "\x1b": "esc"}
)
_SHIFTED = dict(zip('!@#$%^&*()_+{}|:"~<>?', "1234567890-=[]\\;'`,./", strict=True))


def chord_of(character: str) -> str:
    """The keys that type an ASCII character on an American keyboard, as `sendkey` writes them ("shift-a")."""
    if character in _SHIFTED:
        return f"shift-{chord_of(_SHIFTED[character])}"
    if character in _PLAIN:
        return _PLAIN[character]
    if character.isascii() and character.isalnum():
        return f"shift-{character.lower()}" if character.isupper() else character
    raise ValueError(f"{character!r} is not on an American keyboard; printable ASCII, tab, newline and backspace are")


def keys_of(chord: str) -> list[int]:
    """The set-1 codes of a chord such as "ctrl-alt-delete", in the order in which they are pressed."""
    codes = []
    for name in chord.split("-"):
        if name not in KEYS:
            near = ", ".join(sorted(key for key in KEYS if name and key.startswith(name[0])))
            raise ValueError(f"no key is called {name!r} in {chord!r}; keys with its first letter: {near or 'none'}")
        codes.append(KEYS[name])
    return codes


def encoded(code: int, released: bool, scan_set: int) -> bytes:
    """The bytes that the keyboard sends when the key of a set-1 code goes down or up, in set 1 or 2."""
    if code == PAUSE:
        sequence = "e11d45e19dc5" if scan_set == 1 else "e11477e1f014f077"
        return b"" if released else bytes.fromhex(sequence)
    prefix = b"\xe0" if code >= EXTENDED else b""
    low = code & 0x7F
    if scan_set == 1:
        return prefix + bytes([low | 0x80 if released else low])
    return prefix + (b"\xf0" if released else b"") + bytes([SET_1_TO_2[low]])
