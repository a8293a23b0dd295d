"""Control: conditions with merged locals, loops, early returns, unrolled loops, faults, slots."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NoReturn

import pytest

from tests.microcode.both import Both, Cell
from vmxon.microcode import attempt, fault, implements, inline, microcode, slot, staged, u8, u32, u64

if TYPE_CHECKING:
    from vmxon.microcode.translator import Translator
    from vmxon.microcode.values import StateRef, Value


@microcode
def merged(cpu: Cell, a: u64, b: u64) -> tuple[u64, u64, bool]:
    """A variable from before, one that each branch declares, a flag that starts static."""
    total = a
    large = False
    if a < b:
        total = total + 1
        other = b
    elif a == b:
        large = True
        other = a + b
    else:
        total -= b
        large = True
        other = u64(3)
    return total, other, large


@microcode
def declared_in_one(cpu: Cell, a: u64) -> u64:
    """The other branch does not come back."""
    if a < 10:
        value = a
        value = value + 1
    else:
        return u64(77)
    return value


@microcode
def nested(cpu: Cell, a: u64, b: u64) -> u64:
    """Conditions inside conditions; a static one folds."""
    result = u64(0)
    if a & 1 != 0:
        if b & 1 != 0:
            result = u64(1)
        elif b & 2 != 0:
            result = u64(2)
    elif not (b & 1 != 0 or b & 4 != 0):
        if 1 > 2:  # noqa: PLR0133  static on purpose
            result = u64(99)
        else:
            result = u64(3)
    return result


@microcode
def loop(cpu: Cell, n: u64, stop: u64, skip: u64) -> tuple[u64, u64]:
    """break and continue."""
    index = u64(0)
    total = u64(0)
    while index < n:
        index += 1
        if index == skip:
            continue
        if index == stop:
            break
        square = index * index
        total = total + square
    return index, total


@microcode
def endless(cpu: Cell, n: u64) -> u64:
    """A loop without a condition, left by break and by return."""
    index = u64(0)
    while True:
        index = index + 1
        value = index * 3
        value = value + 1
        if index > n:
            break
        if index == 7:
            return u64(1000)
    return value


@microcode
def loops_inside(cpu: Cell, n: u64) -> u64:
    """A loop in a loop, with break of the inner one only."""
    total = u64(0)
    outer = u64(0)
    while outer < n:
        inner = u64(0)
        while inner < n:
            if inner > outer:
                break
            total = total + inner
            inner = inner + 1
        outer = outer + 1
    return total


@inline
def classify(value: u64) -> int:
    """Early returns of an inline function."""
    if value == 0:
        return u8(0)
    if value < 10:
        if value & 1 != 0:
            return u8(1)
        return u8(2)
    return u8(3)


@inline
def clamp_pair(low: u64, high: u64) -> tuple[int, int]:
    """The same with two values."""
    if low > high:
        return high, low
    return low, high


@inline
def collatz(cpu: Cell, start: u64) -> int:
    """A loop inside an inline function."""
    value = start
    steps = u64(0)
    while value > 1:
        value = value // 2 if value & 1 == 0 else value * 3 + 1
        steps = steps + 1
    return steps


@microcode
def inlined(cpu: Cell, a: u64, b: u64) -> tuple[u8, u8, u64, u64, u64]:
    """Inline functions, also inside a loop and under a condition."""
    first = classify(a)
    second = u8(9)
    if b != 5:
        second = classify(b)
    low, high = clamp_pair(a, b)
    steps = collatz(cpu, a & 0xFF)
    count = u64(0)
    while count < 3:
        steps = steps + u64(classify(count))
        count = count + 1
    return first, second, low, high, steps


@microcode
def helper(cpu: Cell, a: u64, times: int, extra: u64 = 5, twice: int = 2) -> tuple[u64, u64]:
    """An out-of-line function with static and runtime defaults."""
    return a * times + extra, a + twice


@microcode
def caller(cpu: Cell, a: u64) -> tuple[u64, u64, u64, u64]:
    """Calls by position, by name, past a default."""
    one, two = helper(cpu, a, 3)
    three, four = helper(cpu, a, 4, twice=7)
    five, _ = helper(cpu, a, times=1, extra=a)
    return one, two + three, four, five


@microcode
def unrolled(cpu: Cell, a: u64) -> tuple[u64, u64, u64]:
    """for over static things: numbers, pairs, a comprehension; one name shadows none."""
    item = a
    total = u64(0)
    for index in range(4):
        part = a >> index
        if part & 1 != 0:
            total = total + (1 << index)
    for name, weight in (("a", 2), ("b", 3)):
        if name == "b":
            total = total + a * weight
    for number in [item * 2 for item in (1, 2, 3) if item != 2]:
        total = total + number
    values = (a, a + 1, a + 2)
    for value in values:
        total = total ^ value
    text = f"{len(values)}"
    return total, item, u64(int(text))


@microcode
def refuse(cpu: Cell, code: u32) -> NoReturn:
    """Fault for a reason."""
    cpu.kind = code
    fault()


@microcode
def checked(cpu: Cell, a: u64) -> u64:
    """A fault before the change."""
    if a > 100:
        refuse(cpu, u32(3))
    cpu.quad = a
    return a * 2


@microcode
def changes_nothing(cpu: Cell, a: u64) -> None:
    """Cannot fault."""
    cpu.double = u32(a)


@microcode
def passes_on(cpu: Cell, a: u64) -> tuple[u64, u64]:
    """A fault below goes through."""
    first = checked(cpu, a)
    second = checked(cpu, a + 50)
    return first, second


@microcode
def catches(cpu: Cell, a: u64) -> tuple[u64, bool, bool]:
    """attempt() stops it."""
    result = u64(1)
    good = attempt(checked, cpu, a)
    if good:
        result = cpu.quad + 1
    elif cpu.kind == 3:
        result = u64(2)
    return result, good, attempt(changes_nothing, cpu, a)


@microcode
def chosen_or_fault(cpu: Cell, a: u64) -> u64:
    """An alternative that never comes back; and/or that guard a call."""
    cpu.quad = u64(1) if a < 5 or (a > 6 and safe(cpu, a)) else u64(0)
    return checked(cpu, a) if a < 200 else never(cpu)


@microcode
def safe(cpu: Cell, a: u64) -> bool:
    """Counts its calls."""
    cpu.byte = cpu.byte + 1
    return a & 1 != 0


@microcode
def never(cpu: Cell) -> NoReturn:
    """No value."""
    fault()


@slot
def hook(cpu: Cell, a: u64) -> u64:
    """Replaced below."""
    return a


@slot
def default_hook(cpu: Cell, a: u64) -> u64:
    """Not replaced."""
    return a + 1


@implements(hook)
def replacement(cpu: Cell, a: u64) -> u64:
    """Takes the place of `hook`."""
    return a * 10


@staged
def doubled_by_hand(t: Translator, cpu: StateRef, value: Value) -> Value:
    """Emits by itself."""
    return t.emitter.binary("add", value, value)


@microcode
def with_slots(cpu: Cell, a: u64) -> tuple[u64, u64, u64]:
    """Slots and staged functions."""
    return hook(cpu, a), default_hook(cpu, a), doubled_by_hand(cpu, a)


NUMBERS = [0, 1, 2, 3, 5, 6, 7, 9, 10, 11, 27, 55, 60, 99, 100, 101, 150, 199, 200, 1 << 40, (1 << 64) - 1]
FUNCTIONS = [
    (merged, 2), (declared_in_one, 1), (nested, 2), (endless, 1), (inlined, 2), (caller, 1), (unrolled, 1), (checked, 1),
    (passes_on, 1), (catches, 1), (chosen_or_fault, 1), (with_slots, 1),
]  # fmt: skip


@pytest.mark.parametrize(("function", "count"), FUNCTIONS, ids=lambda item: getattr(item, "__name__", ""))
def test_both_ways_agree(function: object, count: int) -> None:
    both = Both(function)  # type: ignore[arg-type]  # a function
    source = random.Random(function.__name__)  # type: ignore[attr-defined]
    for number in NUMBERS:
        both.outcome(b"", number, *(source.choice([*NUMBERS, number]) for _ in range(count - 1)))


MASK = (1 << 64) - 1


def test_merged_locals() -> None:
    both = Both(merged)
    assert both(1, 2) == (2, 2, False)
    assert both(4, 4) == (4, 8, True)
    assert both(9, 4) == (5, 3, True)
    assert [Both(declared_in_one)(n) for n in (3, 30)] == [4, 77]


def test_nested_conditions() -> None:
    both = Both(nested)
    assert [both(a, b) for a, b in ((1, 1), (1, 2), (1, 4), (0, 0), (0, 1), (0, 4))] == [1, 2, 0, 3, 0, 0]


def test_loops() -> None:
    both = Both(loop)
    assert both(5, 99, 99) == (5, 55)
    assert both(5, 3, 99) == (3, 5)
    assert both(5, 99, 2) == (5, 51)
    assert both(0, 0, 0) == (0, 0)
    assert [Both(endless)(n) for n in (0, 2, 50)] == [4, 10, 1000]
    assert Both(loops_inside)(6) == sum(sum(range(n + 1)) for n in range(6))


def test_inline_functions() -> None:
    both = Both(inlined)
    assert both(27, 5) == (3, 9, 5, 27, 111 + 0 + 1 + 2)
    assert both(0, 4) == (0, 2, 0, 4, 3)


def test_calls_by_name() -> None:
    assert Both(caller)(10) == (35, 12 + 45, 17, 20)


def test_unrolled_loops() -> None:
    total = 0b1011 + 0b1011 * 3 + 8
    assert Both(unrolled)(0b1011) == (total ^ 11 ^ 12 ^ 13, 0b1011, 3)


def test_faults() -> None:
    assert Both(passes_on)(20) == (40, 140)
    assert Both(passes_on)(60) is None
    assert Both(catches)(20) == (21, True, True)
    assert Both(catches)(200) == (2, False, True)
    state = Both(passes_on).outcome(b"", 60).state
    assert state[Cell.members["quad"].offset] == 60, "the first call is complete"
    assert state[Cell.members["kind"].offset] == 3, "the second said why it faulted"


def test_short_circuits_skip_the_call() -> None:
    both = Both(chosen_or_fault)
    for a, calls in ((3, 0), (6, 0), (7, 1)):
        outcome = both.outcome(b"", a)
        assert outcome.results == (2 * a,)
        assert outcome.state[Cell.members["byte"].offset] == calls
    assert both(250) is None


def test_slots() -> None:
    assert Both(with_slots)(4) == (40, 5, 8)


def test_a_slot_has_one_implementation() -> None:
    def second(cpu: Cell, a: u64) -> u64:
        return a

    with pytest.raises(TypeError, match="slot hook is implemented twice"):
        implements(hook)(second)
    with pytest.raises(TypeError, match="second is no slot"):
        implements(second)(second)
