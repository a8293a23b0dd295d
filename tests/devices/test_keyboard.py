import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmxon.devices.bus import Bus
from vmxon.devices.clock import VirtualClock
from vmxon.devices.interrupt import Line
from vmxon.devices.keyboard import KeyboardController
from vmxon.devices.keyboard.scancodes import KEYS, SET_2_TO_1, chord_of, encoded

DATA, COMMAND = 0x60, 0x64


class Machine:
    def __init__(self) -> None:
        self.clock, self.irq1, self.irq12, self.bus = VirtualClock(), Line(), Line(), Bus("port")
        self.a20: list[bool] = []
        self.resets = 0
        self.controller = KeyboardController(self.clock, self.irq1, self.irq12, self.a20.append, self.reset)
        self.controller.connect(self.bus)

    def reset(self) -> None:
        self.resets += 1

    def command(self, *values: int) -> "Machine":
        self.bus.write(COMMAND, 1, values[0])
        for value in values[1:]:
            self.bus.write(DATA, 1, value)
        return self

    def keyboard(self, *values: int) -> "Machine":
        for value in values:
            self.bus.write(DATA, 1, value)
        return self

    def drain(self) -> bytes:
        got = bytearray()
        while self.bus.read(COMMAND, 1) & 1:
            got.append(self.bus.read(DATA, 1))
        return bytes(got)

    def type(self, seconds: int = 10) -> bytes:
        """Let time pass and read each byte when its interrupt comes."""
        got = bytearray()
        for _ in range(seconds * 1000):
            self.clock.run_until(self.clock.now + 1_000_000)
            got += self.drain()
        return bytes(got)


@pytest.fixture
def m() -> Machine:
    return Machine()


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        ((0xED, 0x07), "fa fa"),
        ((0xEE,), "ee"),
        ((0xF0, 0x00), "fa fa 41"),  # set 2, translated
        ((0xF0, 0x01), "fa fa"),
        ((0xF0, 0x03), "fa fe"),
        ((0xF2,), "fa ab 41"),  # as a translating controller shows it
        ((0xF3, 0x20), "fa fa"),
        ((0xF4,), "fa"),
        ((0xF5,), "fa"),
        ((0xF6,), "fa"),
        ((0xFA,), "fa"),
        ((0xFF,), "fa aa"),
        ((0x12,), "fe"),
        ((0xED, 0xF4), "fa fa"),  # a command in place of the parameter
    ],
)
def test_keyboard_commands(m: Machine, sent: tuple[int, ...], answer: str) -> None:
    m.keyboard(*sent)
    assert m.drain().hex(" ") == answer


def test_resend_repeats_the_last_byte(m: Machine) -> None:
    m.keyboard(0xEE)
    m.drain()
    assert m.keyboard(0xFE).drain() == b"\xee"


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        ((0x20,), "45"),
        ((0xAA,), "55"),
        ((0xAB,), "00"),
        ((0xA9,), "00"),
        ((0xD0,), "c3"),
        ((0xE0,), "00"),
        ((0xC0,), "a0"),
        ((0xD2, 0x77), "77"),
        ((0x21,), "00"),
        ((0xA8,), ""),
        ((0x99,), ""),
    ],
)
def test_controller_commands(m: Machine, sent: tuple[int, ...], answer: str) -> None:
    assert m.command(*sent).drain().hex(" ") == answer


def test_status_tells_the_last_write_and_the_source(m: Machine) -> None:
    assert m.bus.read(COMMAND, 1) == 0x14
    m.command(0xD3, 0x5A)
    assert m.bus.read(COMMAND, 1) == 0x35
    assert m.drain() == b"\x5a"
    m.command(0xA8)
    assert m.bus.read(COMMAND, 1) == 0x1C


def test_configuration_and_memory_round_trip(m: Machine) -> None:
    assert m.command(0x60, 0x47).command(0x20).drain() == b"\x47"
    assert m.command(0x65, 0x99).command(0x25).drain() == b"\x99"
    assert m.command(0xA7).command(0x20).drain() == b"\x67"
    assert m.command(0xAD).command(0x20).drain() == b"\x77"
    assert m.command(0xAE).command(0xA8).command(0x20).drain() == b"\x47"


def mouse(m: Machine, *values: int) -> bytes:
    """Commands to the mouse, and all that it answers."""
    answer = b""
    for value in values:
        m.command(0xD4, value)
        assert m.irq12.level == bool(m.bus.read(COMMAND, 1) & 0x21 == 0x21)
        answer += m.drain()
    return answer


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        ((0xFF,), "fa aa 00"),
        ((0xF2,), "fa 00"),
        ((0xE9,), "fa 00 02 64"),
        ((0xE8, 3, 0xE9), "fa fa fa 00 03 64"),
        ((0xE8, 4), "fa fe"),
        ((0xF3, 200, 0xE9), "fa fa fa 00 02 c8"),
        ((0xF3, 7), "fa fe"),
        ((0xE7, 0xE9), "fa fa 10 02 64"),
        ((0xE7, 0xE6, 0xE9), "fa fa fa 00 02 64"),
        ((0xF4, 0xE9), "fa fa 20 02 64"),
        ((0xF4, 0xF5, 0xE9), "fa fa fa 00 02 64"),
        ((0xF0, 0xE9), "fa fa 40 02 64"),
        ((0xF0, 0xEA, 0xE9), "fa fa fa 00 02 64"),
        ((0xF4, 0xE8, 0, 0xF6, 0xE9), "fa fa fa fa fa 00 02 64"),
        ((0xEB,), "fa 08 00 00"),
        ((0xEE, 0xF2, 0x55), "fa f2 55"),
        ((0xEE, 0xEC, 0xF2), "fa fa fa 00"),
        ((0xEE, 0xFF), "fa fa aa 00"),
        ((0xE1,), "fe"),
        ((0xED,), "fe"),
        ((0xF7,), "fe"),
        ((0xF2, 0xFE), "fa 00 00"),
    ],
)
def test_mouse_commands(m: Machine, sent: tuple[int, ...], answer: str) -> None:
    m.command(0x60, 0x47)
    assert mouse(m, *sent).hex(" ") == answer


def moved(m: Machine, across: int, up: int, buttons: int | None = None) -> str:
    m.controller.mouse.move(across, up, buttons)
    return m.drain().hex(" ")


def test_the_mouse_tells_movement_and_buttons(m: Machine) -> None:
    m.command(0x60, 0x47)
    assert moved(m, 1, 1) == ""
    mouse(m, 0xF4)
    m.controller.mouse.across = m.controller.mouse.up = 0
    assert moved(m, 5, -3) == "28 05 fd"
    assert moved(m, -1, 0, 0b101) == "1d ff 00"
    assert moved(m, 300, 0) == "0d ff 00"
    assert moved(m, 0, 0, 0) == "08 2d 00"
    assert mouse(m, 0xE9)[1] == 0x20
    mouse(m, 0xF0)
    assert moved(m, 2, 2) == ""
    assert mouse(m, 0xEB).hex(" ") == "fa 08 02 02"


def test_a_mouse_that_is_off_keeps_its_bytes(m: Machine) -> None:
    m.command(0x60, 0x47)
    mouse(m, 0xF4)
    m.command(0xA7)
    assert moved(m, 1, 1) == ""
    for _ in range(20):
        m.controller.mouse.move(1, 1)
    assert m.command(0xA8).drain().hex(" ") == "08 01 01 08 01 01 08 01 01 08 01 01 08 01 01"
    assert moved(m, 0, 0) == "08 10 10"


def test_keys_come_before_the_mouse(m: Machine) -> None:
    m.command(0x60, 0x47)
    mouse(m, 0xF4)
    m.command(0xA7)
    moved(m, 1, 1)
    m.command(0xAD)
    m.controller.send_key("a")
    m.clock.run_until(m.clock.now + 1)
    m.command(0xA8)
    assert m.bus.read(COMMAND, 1) & 0x21 == 0x21
    m.command(0xAE)
    assert m.drain().hex(" ") == "08 1e 01 01"


def test_each_byte_raises_irq_1_anew(m: Machine) -> None:
    edges = []
    m.irq1.connect(edges.append)
    m.keyboard(0xF2)
    m.drain()
    assert edges == [True, False] * 3


def test_disabled_interface_keeps_keys_back(m: Machine) -> None:
    m.command(0xAD)
    m.controller.send_key("a")
    assert m.type(1) == b""
    m.command(0xAE)
    assert m.type(1).hex(" ") == "1e 9e"


def test_disabled_scanning_drops_keys(m: Machine) -> None:
    m.keyboard(0xF5)
    m.drain()
    m.controller.send_key("a")
    assert m.type(1) == b""


@pytest.mark.parametrize(
    ("chord", "set_1", "set_2"),
    [
        ("a", "1e 9e", "1c f0 1c"),
        ("ret", "1c 9c", "5a f0 5a"),
        ("kp_enter", "e0 1c e0 9c", "e0 5a e0 f0 5a"),
        ("shift-a", "2a 1e 9e aa", "12 1c f0 1c f0 12"),
        ("ctrl-alt-delete", "1d 38 e0 53 e0 d3 b8 9d", "14 11 e0 71 e0 f0 71 f0 11 f0 14"),
        ("f7", "41 c1", "83 f0 83"),
        ("pause", "e1 1d 45 e1 9d c5", "e1 14 77 e1 f0 14 f0 77"),
    ],
)
def test_keys_in_both_scan_sets(chord: str, set_1: str, set_2: str) -> None:
    translated, plain = Machine(), Machine()
    plain.command(0x60, 0x05)
    for machine, codes in ((translated, set_1), (plain, set_2)):
        machine.controller.send_key(chord)
        assert machine.type(1).hex(" ") == codes


@pytest.mark.parametrize("name", sorted(KEYS))
def test_translation_of_set_2_is_set_1(name: str) -> None:
    for released in (False, True):
        made, prefix = bytearray(), 0
        for value in encoded(KEYS[name], released, scan_set=2):
            if value == 0xF0:
                prefix = 0x80
            else:
                made.append(SET_2_TO_1[value] | prefix)
                prefix = 0
        assert bytes(made) == encoded(KEYS[name], released, scan_set=1)


@given(st.text(st.sampled_from([chr(c) for c in range(0x20, 0x7F)] + ["\n", "\t"]), max_size=40))
def test_type_text_loses_nothing(text: str) -> None:
    m = Machine()
    m.controller.type_text(text)
    shift, typed = False, ""
    shown = {chord_of(chr(c)): chr(c) for c in range(0x20, 0x7F)} | {"ret": "\n", "tab": "\t"}
    names = {KEYS[chord.removeprefix("shift-")]: chord.removeprefix("shift-") for chord in shown}
    for code in m.type(3):
        if code & 0x7F == 0x2A:
            shift = code == 0x2A
        elif code < 0x80:
            typed += shown[("shift-" if shift else "") + names[code]]
    assert typed == text


def test_unknown_keys_are_named() -> None:
    m = Machine()
    with pytest.raises(ValueError, match=r"no key is called 'entr' in 'entr'; keys with its first letter: e, end"):
        m.controller.send_key("entr")
    with pytest.raises(ValueError, match="'ü' is not on an American keyboard"):
        m.controller.type_text("abcü")
    assert m.type(1) == b""


def test_a20_and_reset(m: Machine) -> None:
    m.command(0xD1, 0xDD)
    m.command(0xDF)
    m.bus.write(0x92, 1, 0)
    assert m.bus.read(0x92, 1) == 0
    m.bus.write(0x92, 1, 2)
    assert m.a20 == [False, True, False, True]
    assert m.command(0xD0).drain() == b"\xc3"
    m.command(0xFF)
    assert m.resets == 0
    m.command(0xFE)
    m.command(0xD1, 0x02)
    m.bus.write(0x92, 1, 3)
    assert m.resets == 3
