"""What INT 16h calls each key: scan code in the high byte, character in the low one.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, “Keyboard Keystrokes”, tables of the 101-key keyboard.
"""

from __future__ import annotations

from typing import NamedTuple


class KeyCodes(NamedTuple):
    """A key alone and with Shift, Ctrl and Alt; None where the combination is no keystroke."""

    plain: int | None
    shifted: int | None
    control: int | None
    alternate: int | None


def _rows(text: str) -> dict[int, KeyCodes]:
    """Lines of a set-1 code and four keystrokes in hexadecimal."""
    table = {}
    for line in text.strip().splitlines():
        code, *strokes = line.split()
        table[int(code, 16)] = KeyCodes(*(None if stroke == "-" else int(stroke, 16) for stroke in strokes))
    return table


def _letters() -> dict[int, KeyCodes]:
    """q to p, a to l, z to m: Ctrl gives 1 to 26."""
    table = {}
    for first, letters in ((0x10, "qwertyuiop"), (0x1E, "asdfghjkl"), (0x2C, "zxcvbnm")):
        for code, letter in enumerate(letters, first):
            high, character = code << 8, ord(letter)
            table[code] = KeyCodes(high | character, high | character - 0x20, high | character - 0x60, high)
    return table


def _function_keys() -> dict[int, KeyCodes]:
    """F1 to F10."""
    return {0x3B + n: KeyCodes(*((first + n) << 8 for first in (0x3B, 0x54, 0x5E, 0x68))) for n in range(10)}


LETTERS = frozenset(_letters())
"""Keys that Caps Lock shifts."""

KEYS = (
    _letters()
    | _function_keys()
    | _rows("""
01 011b 011b 011b 0100
02 0231 0221 - 7800
03 0332 0340 0300 7900
04 0433 0423 - 7a00
05 0534 0524 - 7b00
06 0635 0625 - 7c00
07 0736 075e 071e 7d00
08 0837 0826 - 7e00
09 0938 092a - 7f00
0a 0a39 0a28 - 8000
0b 0b30 0b29 - 8100
0c 0c2d 0c5f 0c1f 8200
0d 0d3d 0d2b - 8300
0e 0e08 0e08 0e7f 0e00
0f 0f09 0f00 9400 a500
1a 1a5b 1a7b 1a1b 1a00
1b 1b5d 1b7d 1b1d 1b00
1c 1c0d 1c0d 1c0a 1c00
27 273b 273a - 2700
28 2827 2822 - 2800
29 2960 297e - 2900
2b 2b5c 2b7c 2b1c 2b00
33 332c 333c - 3300
34 342e 343e - 3400
35 352f 353f - 3500
37 372a 372a 9600 3700
39 3920 3920 3920 3920
4a 4a2d 4a2d 8e00 4a00
4e 4e2b 4e2b 9000 4e00
56 565c 567c - -
57 8500 8700 8900 8b00
58 8600 8800 8a00 8c00
""")
)
"""By set-1 code, without the keypad's digits."""

KEYPAD = _rows("""
47 4700 4737 7700 -
48 4800 4838 8d00 -
49 4900 4939 8400 -
4b 4b00 4b34 7300 -
4c 4c00 4c35 8f00 -
4d 4d00 4d36 7400 -
4f 4f00 4f31 7500 -
50 5000 5032 9100 -
51 5100 5133 7600 -
52 5200 5230 9200 -
53 5300 532e 9300 -
""")
"""The keypad's digits: Num Lock shifts them, with Alt they type a character by its number."""

EXTENDED = _rows("""
1c e00d e00d e00a a600
35 e02f e02f 9500 a400
47 47e0 47e0 77e0 9700
48 48e0 48e0 8de0 9800
49 49e0 49e0 84e0 9900
4b 4be0 4be0 73e0 9b00
4d 4de0 4de0 74e0 9d00
4f 4fe0 4fe0 75e0 9f00
50 50e0 50e0 91e0 a000
51 51e0 51e0 76e0 a100
52 52e0 52e0 92e0 a200
53 53e0 53e0 93e0 a300
""")
"""Keys whose code follows 0xE0."""

PREFIX = 0xE0
LAST_OF_84_KEYS = 0x84


def without_extension(stroke: int) -> int | None:
    """A keystroke as the 84-key keyboard's functions give it; None if that keyboard could not type it."""
    scan, character = stroke >> 8, stroke & 0xFF
    if scan == PREFIX:
        return (0x1C if character in (0x0A, 0x0D) else 0x35) << 8 | character
    if scan > LAST_OF_84_KEYS:
        return None
    return scan << 8 if character == PREFIX and scan else stroke
