"""INT 09h and INT 16h: scan codes become keystrokes in a buffer, and programs take them out.

Source: IBM PS/2 and PC BIOS Interface Technical Reference, “Interrupt 09H”, “Interrupt 16H, Keyboard”.
"""

from __future__ import annotations

from collections.abc import Callable

from vmxon.arch.bits import Word, flag
from vmxon.machine.firmware.areas import Bda
from vmxon.machine.firmware.call import Call
from vmxon.machine.firmware.memory import BiosMemory
from vmxon.machine.firmware.services.key_codes import EXTENDED, KEYPAD, KEYS, LETTERS, KeyCodes, without_extension

DATA_SEGMENT = 0x400
RELEASED = 0x80
CTRL, LEFT_SHIFT, RIGHT_SHIFT, ALT, CAPS_LOCK, NUM_LOCK, SCROLL_LOCK = 0x1D, 0x2A, 0x36, 0x38, 0x3A, 0x45, 0x46
INSERT, DELETE = 0x52, 0x53
DIGITS = {code: digit for digit, code in enumerate((0x52, 0x4F, 0x50, 0x51, 0x4B, 0x4C, 0x4D, 0x47, 0x48, 0x49))}
"""Keypad codes of 0 to 9."""
FUNCTIONS_OFFERED = 0x30
"""INT 16h AH=09h: functions 0Ah and 10h to 12h."""
KEYBOARD_ID = 0x41AB
LARGEST_RING = 256
"""Keystrokes in the largest buffer that a program may have put in place of ours."""


class ShiftFlags(Word, width=8):
    """The byte at 40:17."""

    right_shift = flag(0, "right Shift is down")
    left_shift = flag(1, "left Shift is down")
    ctrl = flag(2, "a Ctrl key is down")
    alt = flag(3, "an Alt key is down")
    scroll_lock = flag(4, "Scroll Lock is on")
    num_lock = flag(5, "Num Lock is on")
    caps_lock = flag(6, "Caps Lock is on")
    insert = flag(7, "Insert is on")


class ShiftFlags2(Word, width=8):
    """The byte at 40:18."""

    left_ctrl = flag(0, "left Ctrl is down")
    left_alt = flag(1, "left Alt is down")
    system_request = flag(2, "SysRq is down")
    pause = flag(3, "Pause is in effect")
    scroll_lock = flag(4, "Scroll Lock is down")
    num_lock = flag(5, "Num Lock is down")
    caps_lock = flag(6, "Caps Lock is down")
    insert = flag(7, "Insert is down")


class KeyboardState(Word, width=8):
    """The byte at 40:96."""

    after_e1 = flag(0, "the last code was 0xE1")
    after_e0 = flag(1, "the last code was 0xE0")
    right_ctrl = flag(2, "right Ctrl is down")
    right_alt = flag(3, "right Alt is down")
    keys_101 = flag(4, "a keyboard of 101 keys")


LOCKS = {CAPS_LOCK: "caps_lock", NUM_LOCK: "num_lock", SCROLL_LOCK: "scroll_lock", INSERT: "insert"}


class KeyboardServices:
    """The keystroke buffer in the data area; `reset` is what Ctrl-Alt-Del does."""

    def __init__(self, memory: BiosMemory, reset: Callable[[], None]) -> None:
        self.memory, self.reset = memory, reset

    def power_on(self) -> None:
        """An empty buffer."""
        memory, first = self.memory, Bda.KEY_BUFFER - DATA_SEGMENT
        memory.set_word(Bda.KEY_HEAD, first)
        memory.set_word(Bda.KEY_TAIL, first)
        memory.set_word(Bda.KEY_BUFFER_FIRST, first)
        memory.set_word(Bda.KEY_BUFFER_LAST, Bda.KEY_BUFFER_END - DATA_SEGMENT)
        memory.set_byte(Bda.KEYBOARD_STATE, KeyboardState.make(keys_101=1))

    # INT 09h.
    def scan_code(self, code: int) -> None:
        """IRQ 1 brought a code of set 1."""
        memory = self.memory
        state = KeyboardState(memory.byte(Bda.KEYBOARD_STATE))
        if code in (0xE0, 0xE1):
            memory.set_byte(Bda.KEYBOARD_STATE, state.replace(after_e0=code == 0xE0, after_e1=code == 0xE1))
            return
        if state.after_e1:  # Pause: E1 1D 45, E1 9D C5
            if code & 0x7F == NUM_LOCK:
                memory.set_byte(Bda.KEYBOARD_STATE, state.replace(after_e1=False))
            return
        extended = bool(state.after_e0)
        memory.set_byte(Bda.KEYBOARD_STATE, state.replace(after_e0=False))
        key, down = code & 0x7F, not code & RELEASED
        if not self._shift_key(key, down, extended) and down:
            self._key(key, extended)

    def _shift_key(self, key: int, down: bool, extended: bool) -> bool:
        """Shift, Ctrl, Alt and the locks; True if that is all the key does."""
        memory = self.memory
        flags, flags_2 = ShiftFlags(memory.byte(Bda.SHIFT_FLAGS)), ShiftFlags2(memory.byte(Bda.SHIFT_FLAGS_2))
        state = KeyboardState(memory.byte(Bda.KEYBOARD_STATE))
        consumed = True
        if extended and key in (LEFT_SHIFT, RIGHT_SHIFT):
            return True  # the keyboard's own shifts around its grey keys
        if key == LEFT_SHIFT:
            flags = flags.replace(left_shift=down)
        elif key == RIGHT_SHIFT:
            flags = flags.replace(right_shift=down)
        elif key in (CTRL, ALT):
            side, name = ("right" if extended else "left"), ("ctrl" if key == CTRL else "alt")
            if extended:
                state = state.replace(**{f"{side}_{name}": down})
            else:
                flags_2 = flags_2.replace(**{f"{side}_{name}": down})
            flags = flags.replace(
                ctrl=bool(state.right_ctrl or flags_2.left_ctrl), alt=bool(state.right_alt or flags_2.left_alt)
            )
            if key == ALT and not down:
                self._number_typed()
        elif key in LOCKS and not (key == SCROLL_LOCK and extended) and not flags.ctrl:
            name = LOCKS[key]
            if down and not getattr(flags_2, name):
                flags = flags.replace(**{name: not getattr(flags, name)})
            flags_2 = flags_2.replace(**{name: down})
            consumed = key != INSERT
        else:
            return False
        memory.set_byte(Bda.SHIFT_FLAGS, flags)
        memory.set_byte(Bda.SHIFT_FLAGS_2, flags_2)
        memory.set_byte(Bda.KEYBOARD_STATE, state)
        return consumed

    def _number_typed(self) -> None:
        """Alt with digits on the keypad types a character by its number."""
        number = self.memory.byte(Bda.ALT_NUMBER)
        if number:
            self._put(number)
            self.memory.set_byte(Bda.ALT_NUMBER, 0)

    def _key(self, key: int, extended: bool) -> None:
        flags = ShiftFlags(self.memory.byte(Bda.SHIFT_FLAGS))
        if key == DELETE and flags.ctrl and flags.alt:
            self.reset()
            return
        if extended and key == SCROLL_LOCK:  # Ctrl-Break
            self.memory.set_byte(Bda.BREAK, 0x80)
            self.memory.set_word(Bda.KEY_HEAD, self.memory.word(Bda.KEY_TAIL))
            self._put(0)
            return
        shifted = bool(flags.left_shift or flags.right_shift)
        if extended:
            codes = EXTENDED.get(key)
        elif key in KEYPAD:
            codes = KEYPAD[key]
            shifted ^= bool(flags.num_lock)
            if flags.alt and key in DIGITS:
                typed = self.memory.byte(Bda.ALT_NUMBER) * 10 + DIGITS[key]
                self.memory.set_byte(Bda.ALT_NUMBER, typed)
        else:
            codes = KEYS.get(key)
            shifted ^= bool(flags.caps_lock) and key in LETTERS
        stroke = None if codes is None else _stroke(codes, flags, shifted)
        if stroke is not None:
            self._put(stroke)

    def _put(self, stroke: int) -> bool:
        """Append a keystroke; False where the buffer is full."""
        memory, tail = self.memory, self.memory.word(Bda.KEY_TAIL)
        after = self._after(tail)
        if after == memory.word(Bda.KEY_HEAD):
            return False
        memory.set_word(DATA_SEGMENT + tail, stroke)
        memory.set_word(Bda.KEY_TAIL, after)
        return True

    def _after(self, place: int) -> int:
        """The next place of the ring."""
        return self.memory.word(Bda.KEY_BUFFER_FIRST) if place + 2 >= self.memory.word(Bda.KEY_BUFFER_LAST) else place + 2

    # INT 16h.
    def serve(self, call: Call) -> None:
        """INT 16h."""
        match call.ah:
            case 0x00 | 0x10:
                self._take(call, enhanced=call.ah == 0x10)
            case 0x01 | 0x11:
                self._look(call, enhanced=call.ah == 0x11)
            case 0x02:
                call.al = self.memory.byte(Bda.SHIFT_FLAGS)
            case 0x05:
                call.al = not self._put(call.cx)
            case 0x09:
                call.al = FUNCTIONS_OFFERED
            case 0x0A:
                call.bx = KEYBOARD_ID
            case 0x12:
                call.al, call.ah = self.memory.byte(Bda.SHIFT_FLAGS), self._shift_states()

    def _next(self, enhanced: bool) -> int | None:
        """The first keystroke that the asking function can express; those before it are dropped.

        A program may have put nonsense into the data area, and the ring's ends never meet: it is emptied then.
        """
        memory, tail = self.memory, self.memory.word(Bda.KEY_TAIL)
        for _ in range(LARGEST_RING):
            head = memory.word(Bda.KEY_HEAD)
            if head == tail:
                return None
            stroke = memory.word(DATA_SEGMENT + head)
            known = stroke if enhanced else without_extension(stroke)
            if known is not None:
                return known
            memory.set_word(Bda.KEY_HEAD, self._after(head))
        memory.set_word(Bda.KEY_HEAD, tail)
        return None

    def _take(self, call: Call, enhanced: bool) -> None:
        stroke = self._next(enhanced)
        if stroke is None:
            call.wait()
            return
        call.waiting = 0
        call.ax = stroke
        self.memory.set_word(Bda.KEY_HEAD, self._after(self.memory.word(Bda.KEY_HEAD)))

    def _look(self, call: Call, enhanced: bool) -> None:
        stroke = self._next(enhanced)
        call.answer_zero(stroke is None)
        if stroke is not None:
            call.ax = stroke

    def _shift_states(self) -> int:
        """AH of function 12h: left and right Ctrl and Alt, and the locks that are down."""
        flags_2 = ShiftFlags2(self.memory.byte(Bda.SHIFT_FLAGS_2))
        state = KeyboardState(self.memory.byte(Bda.KEYBOARD_STATE))
        return flags_2 & 0x73 | state.right_ctrl << 2 | state.right_alt << 3 | flags_2.system_request << 7


def _stroke(codes: KeyCodes, flags: ShiftFlags, shifted: bool) -> int | None:
    """Alt before Ctrl before Shift."""
    if flags.alt:
        return codes.alternate
    if flags.ctrl:
        return codes.control
    return codes.shifted if shifted else codes.plain
