"""The VGA text screen: glyphs, colours, what is redrawn, and what stays behind."""

import os
import re
import threading

import pytest

from vmxon.cli.screen import COLUMNS, GLYPHS, ROWS, LiveScreen, TextScreen, colours, draw_row
from vmxon.cli.terminal import GuestOutput

BLANK = b" \x07" * (COLUMNS * ROWS)


def screen(*lines: bytes, attribute: int = 7, cursor: int | None = None) -> TextScreen:
    """A screen with these lines at its top."""
    rows = [line.ljust(COLUMNS) for line in lines] + [b" " * COLUMNS] * (ROWS - len(lines))
    return TextScreen(b"".join(bytes((c, attribute)) for row in rows for c in row), cursor)


class Pipe:
    """A stream for `GuestOutput`, a terminal or not, whose bytes can be read back."""

    def __init__(self, terminal: bool) -> None:
        self._read, self._write = os.pipe()
        self._terminal = terminal

    def fileno(self) -> int:
        return self._write

    def flush(self) -> None:
        """Nothing is buffered."""

    def isatty(self) -> bool:
        return self._terminal

    def text(self) -> str:
        os.close(self._write)
        with os.fdopen(self._read, "rb") as stream:
            return stream.read().decode()


@pytest.fixture(autouse=True)
def terminal_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of just the screen's size."""
    monkeypatch.setenv("COLUMNS", str(COLUMNS))
    monkeypatch.setenv("LINES", str(ROWS))


def test_there_is_a_glyph_of_one_column_for_each_byte() -> None:
    assert len(GLYPHS) == 256
    assert GLYPHS[0x41] == "A"
    assert (GLYPHS[0x01], GLYPHS[0x7F], GLYPHS[0xB0], GLYPHS[0xDB], GLYPHS[0xFE]) == ("☺", "⌂", "░", "█", "■")
    assert all(glyph.isprintable() or glyph == "\xa0" for glyph in GLYPHS)


@pytest.mark.parametrize(
    ("attribute", "sequence"),
    [
        (0x07, "\x1b[0;37;40m"),
        (0x0F, "\x1b[0;97;40m"),
        (0x01, "\x1b[0;34;40m"),
        (0x04, "\x1b[0;31;40m"),
        (0x1E, "\x1b[0;93;44m"),
        (0x70, "\x1b[0;30;47m"),
        (0x87, "\x1b[0;37;40;5m"),
    ],
)
def test_colours(attribute: int, sequence: str) -> None:
    assert colours(attribute) == sequence


def test_a_row_changes_colour_only_where_the_attribute_changes() -> None:
    row = b"S\x04W\x04E\x02B\x02" + b" \x02" * (COLUMNS - 4)
    assert draw_row(row) == "\x1b[0;31;40mSW\x1b[0;32;40mEB" + " " * 76 + "\x1b[0m"
    assert draw_row(row, 3) == "\x1b[0;31;40mSW\x1b[0;32;40mE\x1b[0m"


def test_a_screen_must_be_whole() -> None:
    with pytest.raises(ValueError, match="cells must be 4000 bytes, not 3"):
        TextScreen(b"abc")


def test_the_text_has_no_trailing_blanks() -> None:
    assert screen(b"Booting...", b"", b"SWEB: />").text() == "Booting...\n\nSWEB: />"
    assert TextScreen(BLANK).text() == ""


def test_only_changed_rows_are_drawn() -> None:
    shown = [screen(b"one", b"two")]
    pipe = Pipe(terminal=True)
    live = LiveScreen(lambda: shown[0], GuestOutput(pipe))  # type: ignore[arg-type] # a stream in all that is used
    live.draw()
    live.draw()
    shown[0] = screen(b"one", b"2", cursor=COLUMNS + 1)
    live.draw()
    first, second = pipe.text().split("\x1b[?25l")[1:]
    assert len(re.findall(r"\x1b\[\d+;1H", first)) == ROWS
    assert second.startswith("\x1b[2;1H\x1b[0;37;40m2 ")
    assert second.endswith("\x1b[0m\x1b[2;2H\x1b[?25h")
    assert "one" not in second


def test_a_small_terminal_shows_the_upper_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "10")
    monkeypatch.setenv("LINES", "2")
    pipe = Pipe(terminal=True)
    LiveScreen(lambda: screen(b"0123456789abc", cursor=12), GuestOutput(pipe)).draw()  # type: ignore[arg-type]
    text = pipe.text()
    assert "0123456789\x1b[0m" in text
    assert "\x1b[3;" not in text
    assert not text.endswith("\x1b[?25h"), "the cursor is outside"


def test_a_terminal_is_given_back_with_the_last_screen_as_text() -> None:
    pipe = Pipe(terminal=True)
    calls = iter(range(1000))
    drawn = threading.Event()

    def provider() -> TextScreen:
        if next(calls) == 2:  # asked on entry, for the first frame, and for the next
            drawn.set()
        return screen(b"SWEB: /> ")

    with LiveScreen(provider, GuestOutput(pipe)):  # type: ignore[arg-type]
        assert drawn.wait(10)
    text = pipe.text()
    assert text.startswith("\x1b[?1049h")
    assert "\x1b[1;1H\x1b[0;37;40mSWEB: /> " in text
    assert text.endswith("\x1b[0m\x1b[?25h\x1b[?1049lSWEB: />\n")


def test_a_pipe_gets_the_last_screen_only() -> None:
    pipe = Pipe(terminal=False)
    with LiveScreen(lambda: screen(b"done"), GuestOutput(pipe)):  # type: ignore[arg-type]
        pass
    assert pipe.text() == "done\n"


def test_a_provider_that_fails_ends_the_run_with_its_own_error() -> None:
    screens = iter([screen(b"one"), screen(b"two")])
    pipe = Pipe(terminal=True)
    waiting = threading.Event()

    def provider() -> TextScreen:
        found = next(screens, None)
        if found is None:
            raise ValueError("no such screen")
        return found

    with (
        pytest.raises(ValueError, match="no such screen"),
        LiveScreen(provider, GuestOutput(pipe)),  # type: ignore[arg-type]
    ):
        waiting.wait(10)
    assert pipe.text().endswith("\x1b[?1049l"), "the terminal is given back all the same"


def test_a_provider_that_fails_at_once_leaves_the_terminal_alone() -> None:
    def provider() -> TextScreen:
        raise ValueError("no such screen")

    pipe = Pipe(terminal=True)
    with (
        pytest.raises(ValueError, match="no such screen"),
        LiveScreen(provider, GuestOutput(pipe)),  # type: ignore[arg-type]
    ):
        pytest.fail("it must not start")
    assert pipe.text() == ""
