"""INT 09h and INT 16h: from keys to keystrokes."""

import pytest

from tests.machine.firmware.caller import ZF, Caller
from vmxon.devices.keyboard.scancodes import encoded, keys_of


@pytest.fixture
def caller() -> Caller:
    return Caller()


def feed(caller: Caller, *codes: int) -> None:
    """Scan codes, as IRQ 1 brings them."""
    for code in codes:
        caller.call(0x09, al=code)


def press(caller: Caller, chord: str) -> None:
    codes = keys_of(chord)
    for code in codes:
        feed(caller, *encoded(code, released=False, scan_set=1))
    for code in reversed(codes):
        feed(caller, *encoded(code, released=True, scan_set=1))


def strokes(caller: Caller, function: int = 0x10) -> list[int]:
    taken = []
    while not caller.call(0x16, ah=function + 1).flags & ZF:
        taken.append(caller.call(0x16, ah=function).ax)
    return taken


@pytest.mark.parametrize(
    ("chord", "enhanced", "old"),
    [
        ("a", 0x1E61, 0x1E61),
        ("shift-a", 0x1E41, 0x1E41),
        ("shift_r-a", 0x1E41, 0x1E41),
        ("ctrl-a", 0x1E01, 0x1E01),
        ("alt-a", 0x1E00, 0x1E00),
        ("1", 0x0231, 0x0231),
        ("shift-1", 0x0221, 0x0221),
        ("ret", 0x1C0D, 0x1C0D),
        ("kp_enter", 0xE00D, 0x1C0D),
        ("kp_divide", 0xE02F, 0x352F),
        ("up", 0x48E0, 0x4800),
        ("ctrl-left", 0x73E0, 0x7300),
        ("alt-delete", 0xA300, None),
        ("kp_8", 0x4800, 0x4800),
        ("shift-kp_8", 0x4838, 0x4838),
        ("f1", 0x3B00, 0x3B00),
        ("shift-f10", 0x5D00, 0x5D00),
        ("f11", 0x8500, None),
        ("alt-f12", 0x8C00, None),
        ("esc", 0x011B, 0x011B),
        ("tab", 0x0F09, 0x0F09),
        ("shift-tab", 0x0F00, 0x0F00),
        ("spc", 0x3920, 0x3920),
        ("backspace", 0x0E08, 0x0E08),
        ("less", 0x565C, 0x565C),
        ("ctrl-2", 0x0300, 0x0300),
    ],
)
def test_keystrokes_of_both_keyboards(caller: Caller, chord: str, enhanced: int, old: int | None) -> None:
    press(caller, chord)
    assert strokes(caller) == [enhanced]
    press(caller, chord)
    assert strokes(caller, 0x00) == ([] if old is None else [old])


def test_a_combination_without_a_keystroke(caller: Caller) -> None:
    press(caller, "ctrl-1")
    assert strokes(caller) == []


def test_caps_lock_shifts_letters_only(caller: Caller) -> None:
    press(caller, "caps_lock")
    for chord in ("a", "shift-a", "1"):
        press(caller, chord)
    assert strokes(caller) == [0x1E41, 0x1E61, 0x0231]
    assert caller.call(0x16, ah=2).al == 0x40


def test_num_lock_shifts_the_keypad(caller: Caller) -> None:
    press(caller, "num_lock")
    for chord in ("kp_7", "shift-kp_7", "home"):
        press(caller, chord)
    assert strokes(caller) == [0x4737, 0x4700, 0x47E0]


def test_alt_with_digits_types_a_number(caller: Caller) -> None:
    feed(caller, 0x38, 0x4D, 0xCD, 0x4C, 0xCC, 0xB8)  # Alt, 6, 5
    assert strokes(caller) == [0x0041]


def test_the_shift_states(caller: Caller) -> None:
    feed(caller, 0x2A, 0x1D, 0xE0, 0x38)  # left Shift, left Ctrl, right Alt
    call = caller.call(0x16, ah=0x12)
    assert (call.al, call.ah) == (0b1110, 0b1001)
    feed(caller, 0xAA, 0x9D, 0xE0, 0xB8)
    assert caller.call(0x16, ah=0x12).ax == 0


def test_reading_an_empty_buffer_waits_until_a_key_comes(caller: Caller) -> None:
    call = caller.call(0x16, ax=0x0000)
    assert (call.waiting, call.ax) == (1, 0)
    press(caller, "b")
    call = caller.call(0x16, ax=0x0000, waiting=1)
    assert (call.waiting, call.ax) == (0, 0x3062)


def test_looking_leaves_the_keystroke(caller: Caller) -> None:
    assert caller.call(0x16, ah=1).flags & ZF
    press(caller, "c")
    for _ in range(2):
        call = caller.call(0x16, ah=1, flags=ZF)
        assert (call.flags & ZF, call.ax) == (0, 0x2E63)


def test_keystrokes_can_be_stored_until_the_buffer_is_full(caller: Caller) -> None:
    answers = [caller.call(0x16, ah=5, cx=0x1000 + number).al for number in range(17)]
    assert answers == [0] * 15 + [1, 1]
    assert strokes(caller) == [0x1000 + number for number in range(15)]


def test_pause_is_no_key(caller: Caller) -> None:
    press(caller, "pause")
    press(caller, "x")
    assert strokes(caller) == [0x2D78]


def test_ctrl_break_empties_the_buffer(caller: Caller) -> None:
    press(caller, "x")
    feed(caller, 0x1D, 0xE0, 0x46, 0xE0, 0xC6, 0x9D)
    assert strokes(caller) == [0]
    assert caller.memory[0x471] == 0x80


def test_ctrl_alt_del_resets(caller: Caller) -> None:
    press(caller, "ctrl-alt-delete")
    assert caller.resets == 1


def test_a_key_that_came_before_the_self_test_is_kept(caller: Caller) -> None:
    caller.board.keyboard.send_key("ret")
    caller.board.clock.run_until(0)
    assert caller.board.pic.lines[1].level
    caller.bios.power_on()
    assert not caller.board.pic.lines[1].level
    assert strokes(caller) == [0x1C0D]


def test_a_ring_whose_ends_never_meet_is_emptied(caller: Caller) -> None:
    caller.write(0x41A, b"\x1e\x00\x21\x00" + b"\x00\x85" * 16)  # F11, which function 01h cannot express
    assert caller.call(0x16, ah=1).flags & ZF
    press(caller, "a")
    assert strokes(caller) == [0x1E61]


def test_a_damaged_buffer_does_no_harm(caller: Caller) -> None:
    caller.write(0x41A, b"\xff\xff\xf0\xff")
    for chord in "abc":
        press(caller, chord)
    caller.call(0x16, ah=0)
    caller.call(0x16, ah=1)
