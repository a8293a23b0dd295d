"""A font for pictures of the text screen: 256 characters of code page 437, 8 × 16 dots, drawn from strokes.

Each stroke is a run of points, two hex digits each: the column 0–5 and the row 0–f; capitals stand on row b and reach up to row 2, small
letters up to row 5. The pen is two dots wide. Lines and blocks are computed, accents are added to their letters, and what has no
drawing is an empty box. Why a font of our own: docs/decisions/0009-a-font-of-our-own.md.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache

WIDTH, HEIGHT = 8, 16
Rows = tuple[int, ...]
"""One byte for each row, the leftmost dot in bit 7."""

STROKES: dict[str, str] = {
    "!": "2228 2a2b", '"': "1214 4244", "#": "121b 424b 0555 0858", "$": "53421203051646575a4b1b0a 212c",
    "%": "0212130302 4a5a5b4b4a 520b", "&": "5b14132232434417080a1b3b58", "'": "2224", "(": "4224294b", ")": "1234391b",
    "*": "0458 5408 0656", "+": "2529 0757", ",": "2a2b1d", "-": "0757", ".": "2a2b", "/": "520b",
    "0": "1242535a4b1b0a0312 4419", "1": "13222b 0b5b", "2": "03124253550a0b5b", "3": "03124253554626 46575a4b1b0a",
    "4": "4b420858", "5": "52020646575a4b1b0a", "6": "534212030a1b4b5a574606", "7": "025253272b",
    "8": "124253554616050312 16070a1b4b5a5746", "9": "0a1b4b5a53421203061757", ":": "2526 2a2b", ";": "2526 2a2b1d",
    "<": "44074a", "=": "0656 0959", ">": "04470a", "?": "03124253552728 2a2b", "@": "4b1b0a0312425359292656",
    "A": "0b052232555b 0858", "B": "0b024253554606 46575a4b0b", "C": "534212030a1b4b5a", "D": "0b023254593b0b",
    "E": "52020b5b 0646", "F": "52020b 0646", "G": "534212030a1b4b5a5737", "H": "020b 525b 0656", "I": "222b 1242 1b4b",
    "J": "525a4b1b0a", "K": "020b 52065b", "L": "020b5b", "M": "0b0225525b", "N": "0b025b52", "O": "1242535a4b1b0a0312",
    "P": "0b024253564707", "Q": "1242535a4b1b0a0312 395c", "R": "0b024253564707 375b", "S": "53421203051646575a4b1b0a",
    "T": "0252 222b", "U": "020a1b4b5a52", "V": "02082b5852", "W": "020b285b52", "X": "025b 520b", "Y": "022652 262b",
    "Z": "02520b5b", "[": "42121b4b", "\\": "025b", "]": "12424b1b", "^": "042244", "_": "0d5d", "`": "1234",
    "a": "1545565b 5818090a1b4b5a", "b": "020b 062545565a4b0b", "c": "564515060a1b4b5a", "d": "525b 563515060a1b5b",
    "e": "0858564515060a1b4b5a", "f": "534232232b 0545", "g": "555d4e1e0d 56351506091a5a", "h": "020b 072545565b",
    "i": "2223 15252b 1b4b", "j": "4243 35454d3e1e0d", "k": "020b 55085b", "l": "12222b 1b4b", "m": "0b05 0545565b 262b",
    "n": "0b05 072545565b", "o": "1545565a4b1b0a0615", "p": "050e 0545565a4b0b", "q": "555e 5515060a1b5b", "r": "0b05 07254556",
    "s": "56451506071848595a4b1b0a", "t": "222a3b4b5a 0555", "u": "050a1b3b59 555b", "v": "05082b5855", "w": "050b285b55",
    "x": "055b 550b", "y": "05091a5a 555d4e1e0d", "z": "05550b5b", "{": "42322326172828 2a3b4b 282a", "|": "222d",
    "}": "12223336473838 3a2b1b 383a", "~": "061424364654", "¢": "564515060a1b4b5a 232d", "£": "5342331b 0b5b 0747",
    "¥": "022652 262b 0656 0858", "ª": "144446 5818464818 0a5a", "º": "1444551807 05144455481805 0a5a", "¿": "2425 2729 080a1b4b5a",
    "¬": "0656 5659", "¡": "2425 272d", "«": "25072a 5538 385a", "»": "05280a 35585a", "ß": "0b041332434516 1646575a4b2b",
    "µ": "050e 0a1b3b59 555b", "±": "2428 0656 0b5b", "÷": "2525 0757 2a2a", "°": "1232341412", "·": "2727", "∙": "2627",
    "≡": "0555 0858 0b5b", "≥": "04460808 0a5a", "≤": "44060848 0a5a", "≈": "061424364654 0a18283a4a58", "√": "080b2b2252",
    "■": "1545 1646 1747 1848 1949", "•": "2535 1646 1747 2838", "↑": "222b 044422 2244", "↓": "222b 092b49", "→": "0757 345739",
    "←": "0757 240729", "↔": "0757 345739 240729", "↕": "222b 042244 092b49", "▲": "2232 1444 0656 0757", "▼": "0555 0656 1848 2a3a",
    "►": "030b 0416 0547 0657 0748 0a16", "◄": "525b 5341 4505 5606 4707 5a16", "ƒ": "5342332d1e 0646",
    "α": "55180a1b3b595b 550815", "Γ": "52020b", "π": "0555 151b 454b", "Σ": "52022606 0b5b 260b", "σ": "55150a1b3b49 3556",
    "Ω": "0b1b1803124253484b5b", "δ": "4212461617 0a1b4b5a5746", "∞": "06181a0806 4658 5a4846", "φ": "1545565a4b1b0a0615 222d",
    "ε": "5515060718 1838 18090a1b5b", "∩": "0b061545565b",
}  # fmt: skip
ACCENTS = {
    "\u0300": "1233", "\u0301": "4233", "\u0302": "132243", "\u0308": "1212 4242", "\u0303": "0312234352", "\u030a": "2131322221",
    "\u0327": "2c3d2e",
}  # fmt: skip
"""Combining grave, acute, circumflex, diaeresis, tilde, ring, cedilla; two rows higher over capitals."""
CEDILLA = "\u0327"
DOTLESS_I = "15252b 1b4b"
SHADES = {"░": (0x22, 0x88), "▒": (0x55, 0xAA), "▓": (0xDD, 0x77)}
"""Two rows that repeat."""
BLOCKS = {"█": (0xFF, 0xFF), "▀": (0xFF, 0), "▄": (0, 0xFF), "▌": (0xF0, 0xF0), "▐": (0x0F, 0x0F)}
"""The upper and the lower eight rows."""
EMPTY_BOX = (0, 0, 0x7E, *[0x42] * 9, 0x7E, 0, 0, 0)
DIRECTIONS = {
    "UP": ("up",), "DOWN": ("down",), "LEFT": ("left",), "RIGHT": ("right",), "VERTICAL": ("up", "down"), "HORIZONTAL": ("left", "right"),
}  # fmt: skip
WEIGHTS = {"LIGHT": 1, "SINGLE": 1, "DOUBLE": 2}
CHARACTERS = (
    " ☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼" + bytes(range(32, 127)).decode("ascii") + "⌂" + bytes(range(128, 255)).decode("cp437") + " "
)
"""What each code looks like, as Unicode has it."""


@cache
def glyph(code: int) -> Rows:
    """The dots of a character code."""
    character = CHARACTERS[code]
    if character in SHADES:
        return SHADES[character] * (HEIGHT // 2)
    if character in BLOCKS:
        upper, lower = BLOCKS[character]
        return (upper,) * (HEIGHT // 2) + (lower,) * (HEIGHT // 2)
    name = unicodedata.name(character)
    if name.startswith("BOX DRAWINGS "):
        return _lines(name.removeprefix("BOX DRAWINGS ").split())
    if character in {" ", "\xa0"}:
        return (0,) * HEIGHT
    base, *accents = list(unicodedata.normalize("NFD", character))
    if base not in STROKES or any(accent not in ACCENTS for accent in accents):
        return EMPTY_BOX
    rows = [0] * HEIGHT
    _draw(rows, DOTLESS_I if base == "i" and accents else STROKES[base])
    for accent in accents:
        _draw(rows, ACCENTS[accent], raised=2 if base.isupper() and accent != CEDILLA else 0)
    return tuple(rows)


def _draw(rows: list[int], strokes: str, raised: int = 0) -> None:
    for stroke in strokes.split():
        points = [(int(stroke[at], 16), int(stroke[at + 1], 16)) for at in range(0, len(stroke), 2)]
        for start, end in zip(points, points[1:] or points, strict=False):
            for x, y in _line(start, end):
                rows[max(y - raised, 0)] |= 0b1100_0000 >> x


def _line(start: tuple[int, int], end: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """The points between two points, ends included."""
    (x, y), (to_x, to_y) = start, end
    steps = max(abs(to_x - x), abs(to_y - y), 1)
    for step in range(steps + 1):
        yield x + round((to_x - x) * step / steps), y + round((to_y - y) * step / steps)


def _lines(words: list[str]) -> Rows:
    """A box-drawing character by its Unicode name: LIGHT DOWN AND RIGHT, UP SINGLE AND HORIZONTAL DOUBLE, …"""
    arms: dict[str, int] = {}
    weight = WEIGHTS.get(words[0], 0)
    for word, following in zip(words, [*words[1:], ""], strict=True):
        for arm in DIRECTIONS.get(word, ()):
            arms[arm] = weight or WEIGHTS[following]
    rows = [0] * HEIGHT
    for arm, columns in (("up", range(8)), ("down", range(7, HEIGHT))):
        for row in columns:
            rows[row] |= {0: 0, 1: 0b0001_1000, 2: 0b0010_0100}[arms.get(arm, 0)]
    for arm, dots in (("left", 0b1111_1000), ("right", 0b0001_1111)):
        for row in {0: (), 1: (7,), 2: (6, 8)}[arms.get(arm, 0)]:
            rows[row] |= dots
    return tuple(rows)
