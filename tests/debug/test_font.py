"""The font for pictures."""

from __future__ import annotations

from vmxon.debug.font import CHARACTERS, EMPTY_BOX, HEIGHT, glyph


def test_every_code_has_sixteen_rows_of_eight_dots() -> None:
    for code in range(256):
        assert len(glyph(code)) == HEIGHT
        assert all(0 <= row <= 0xFF for row in glyph(code))


def test_printable_characters_differ_from_each_other() -> None:
    seen = {glyph(code): chr(code) for code in range(0x20, 0x7F)}
    assert len(seen) == 0x7F - 0x20
    assert EMPTY_BOX not in seen


def test_letters_keep_a_column_free_and_accents_leave_their_letter() -> None:
    for code in range(0x21, 0x7F):
        assert not any(row & 1 for row in glyph(code))
    accented, plain = glyph(CHARACTERS.index("é")), glyph(ord("e"))
    assert all(mine & row == row for mine, row in zip(accented, plain, strict=True))


def test_lines_join() -> None:
    corner, bar, line = (glyph(CHARACTERS.index(character)) for character in "┌─│")
    assert corner[15] == line[0]
    assert corner[7] & 1 == bar[7] & 1 == 1
    assert glyph(CHARACTERS.index("╔"))[8] & 1
    assert glyph(CHARACTERS.index("█")) == (0xFF,) * HEIGHT
