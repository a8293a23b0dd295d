"""INT 10h on the text screen."""

import pytest

from tests.machine.firmware.caller import Caller
from vmxon.machine.firmware.areas import Bda

TEXT = 0xB8000


@pytest.fixture
def caller() -> Caller:
    return Caller()


def say(caller: Caller, text: str) -> None:
    for character in text.encode():
        caller.call(0x10, ah=0x0E, al=character, bl=7)


def cursor(caller: Caller, page: int = 0) -> tuple[int, int]:
    call = caller.call(0x10, ah=3, bh=page)
    return call.dh, call.dl


def cell(caller: Caller, row: int, column: int) -> bytes:
    return caller.read(TEXT + 160 * row + 2 * column, 2)


def test_power_on_leaves_an_empty_colour_screen(caller: Caller) -> None:
    call = caller.call(0x10, ah=0x0F)
    assert (call.al, call.ah, call.bh) == (3, 80, 0)
    assert caller.screen() == []
    assert caller.board.vga.cursor == (0, 0)


def test_teletype_moves_the_cursor_of_the_card_too(caller: Caller) -> None:
    say(caller, "Hello\r\nwor\x07\bld")
    assert caller.screen() == ["Hello", "wold"]
    assert cursor(caller) == caller.board.vga.cursor == (1, 4)


def test_teletype_wraps_and_scrolls(caller: Caller) -> None:
    say(caller, "".join(f"line {number}\r\n" for number in range(24)) + "x" * 81)
    rows = caller.screen()
    assert rows[0] == "line 1"
    assert rows[-2:] == ["x" * 80, "x"]
    assert cursor(caller) == (24, 1)


def test_backspace_stops_at_the_margin(caller: Caller) -> None:
    say(caller, "\b\b")
    assert cursor(caller) == (0, 0)


def test_write_and_read_cells(caller: Caller) -> None:
    caller.call(0x10, ah=2, dh=3, dl=78)
    caller.call(0x10, ah=9, al=ord("A"), bl=0x1E, cx=4)
    assert cursor(caller) == (3, 78)
    assert caller.call(0x10, ah=8).ax == 0x1E41
    assert [cell(caller, 3, 79), cell(caller, 4, 1), cell(caller, 4, 2)] == [b"A\x1e", b"A\x1e", b" \x07"]
    caller.call(0x10, ah=0x0A, al=ord("B"), bl=0x55, cx=1)
    assert cell(caller, 3, 78) == b"B\x1e"


def test_a_repeat_ends_with_the_screen(caller: Caller) -> None:
    caller.call(0x10, ah=2, dh=24, dl=79)
    caller.call(0x10, ah=9, al=ord("Z"), bl=7, cx=0xFFFF)
    assert cell(caller, 24, 79) == b"Z\x07"
    assert caller.read(TEXT + 4000, 2) == b" \x07"


@pytest.mark.parametrize(
    ("function", "lines", "expected"),
    [
        (6, 1, "ab1cd|ab2cd|ab cd"),
        (7, 1, "ab cd|ab0cd|ab1cd"),
        (6, 2, "ab2cd|ab cd|ab cd"),
        (6, 0, "ab cd|ab cd|ab cd"),
        (7, 9, "ab cd|ab cd|ab cd"),
    ],
)
def test_scroll_a_window(caller: Caller, function: int, lines: int, expected: str) -> None:
    say(caller, "ab0cd\r\nab1cd\r\nab2cd")
    caller.call(0x10, ah=function, al=lines, bh=0x70, ch=0, cl=2, dh=2, dl=2)
    assert "|".join(caller.screen()) == expected
    blank = expected.split("|").index("ab cd")
    assert cell(caller, blank, 2) == b" \x70"


@pytest.mark.parametrize(("window", "touched"), [((2, 0, 1, 79), False), ((0, 5, 24, 4), False), ((0, 0, 255, 255), True)])
def test_scroll_of_odd_windows(caller: Caller, window: tuple[int, int, int, int], touched: bool) -> None:
    say(caller, "text")
    top, left, bottom, right = window
    caller.call(0x10, ah=6, al=0, bh=7, ch=top, cl=left, dh=bottom, dl=right)
    assert (caller.screen() == []) == touched


def test_pages(caller: Caller) -> None:
    say(caller, "first")
    caller.call(0x10, ah=5, al=2)
    say(caller, "third")
    assert caller.screen() == ["third"]
    assert caller.call(0x10, ah=0x0F).bh == 2
    assert (cursor(caller, 0), cursor(caller, 2)) == ((0, 5), (0, 5))
    caller.call(0x10, ah=5, al=9)
    assert caller.call(0x10, ah=0x0F).bh == 2


@pytest.mark.parametrize(
    ("mode", "text", "attributes", "end"),
    [
        (0, b"ab", b"\x1f\x1f", (0, 0)),
        (1, b"ab", b"\x1f\x1f", (5, 4)),
        (2, b"a\x21b\x32", b"\x21\x32", (0, 0)),
        (3, b"a\x21b\x32", b"\x21\x32", (5, 4)),
    ],
)
def test_write_string(caller: Caller, mode: int, text: bytes, attributes: bytes, end: tuple[int, int]) -> None:
    caller.write(0x3_0010, text)
    caller.call(0x10, ah=0x13, al=mode, bl=0x1F, cx=2, dh=5, dl=2, es=0x3000, bp=0x10)
    assert cell(caller, 5, 2) + cell(caller, 5, 3) == bytes((ord("a"), attributes[0], ord("b"), attributes[1]))
    assert cursor(caller) == end


def test_a_mode_with_40_columns(caller: Caller) -> None:
    caller.call(0x10, ax=0x0001)
    assert (caller.call(0x10, ah=0x0F).ah, caller.board.vga.columns) == (40, 40)
    say(caller, "y" * 41)
    assert caller.screen() == ["y" * 40, "y"]


def test_set_mode_clears_unless_told_otherwise(caller: Caller) -> None:
    say(caller, "kept")
    caller.call(0x10, ax=0x0083)
    assert caller.screen() == ["kept"]
    caller.call(0x10, ax=0x0003)
    assert caller.screen() == []


@pytest.mark.parametrize("mode", [0x04, 0x12, 0x13])
def test_graphics_modes_are_not_there(caller: Caller, mode: int) -> None:
    caller.call(0x10, ax=mode)
    assert caller.call(0x10, ah=0x0F).al == 3


@pytest.mark.parametrize(("shape", "first", "hidden"), [(0x0607, 14, False), (0x0007, 0, False), (0x2607, 0, True), (0x0D0E, 13, False)])
def test_cursor_shape(caller: Caller, shape: int, first: int, hidden: bool) -> None:
    caller.call(0x10, ah=1, cx=shape)
    assert caller.call(0x10, ah=3).cx == shape
    assert (caller.board.vga.cursor is None) == hidden
    if not hidden:
        assert caller.board.vga.crtc[0x0A] == first


def test_vbe_answers_that_it_is_not_there(caller: Caller) -> None:
    assert caller.call(0x10, ax=0x4F00, es=0x3000).ax == 0x0100


def test_adapter_questions(caller: Caller) -> None:
    call = caller.call(0x10, ah=0x12, bl=0x10)
    assert (call.bh, call.bl) == (0, 3)
    call = caller.call(0x10, ax=0x1A00)
    assert (call.al, call.bx) == (0x1A, 8)
    call = caller.call(0x10, ax=0x1130)
    assert (call.cx, call.dl) == (16, 24)
    assert caller.call(0x10, ah=0x12, bl=0x36).al == 0x12


def test_palette_and_colours(caller: Caller) -> None:
    caller.call(0x10, ax=0x1000, bl=1, bh=0x3F)
    assert caller.call(0x10, ax=0x1007, bl=1).bh == 0x3F
    caller.call(0x10, ax=0x1010, bx=5, dh=1, ch=2, cl=3)
    call = caller.call(0x10, ax=0x1015, bl=5)
    assert (call.dh, call.ch, call.cl) == (1, 2, 3)
    caller.write(0x3_0000, bytes((9, 8, 7, 6, 5, 4)))
    caller.call(0x10, ax=0x1012, bx=5, cx=2, es=0x3000)
    caller.call(0x10, ax=0x1017, bx=5, cx=2, es=0x3000, dx=0x100)
    assert caller.read(0x3_0100, 6) == bytes((9, 8, 7, 6, 5, 4))
    caller.call(0x10, ax=0x1009, es=0x3000, dx=0x200)
    assert caller.read(0x3_0200, 3) == bytes((0, 0x3F, 2))
    caller.call(0x10, ax=0x1003, bl=1)
    assert caller.board.vga.attribute[0x10] & 8


def test_a_damaged_data_area_does_no_harm(caller: Caller) -> None:
    caller.write(Bda.VIDEO_MODE, b"\xff" * 64)
    say(caller, "x" * 3000)
    caller.call(0x10, ah=6, al=1, ch=0, cl=0, dh=255, dl=255)
    assert caller.read(0xC_0000, 16) == bytes(16)
