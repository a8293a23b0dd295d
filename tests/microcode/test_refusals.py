"""What the front end refuses, and that it says where: every message begins with file and line."""

# ruff: noqa: F821, F841, PLC3002, PLR0133, PLW0120, RET503, RET504, SIM105  wrong code is the subject
from __future__ import annotations

import inspect
from typing import NoReturn

import pytest

from tests.microcode.both import Cell, Point, location
from vmxon.microcode import (
    attempt,
    fault,
    implements,
    inline,
    load,
    microcode,
    popcount,
    select,
    slot,
    store,
    u8,
    u16,
    u32,
    u64,
    u128,
)
from vmxon.microcode.golden import PythonEmitter
from vmxon.microcode.llvm import LlvmEmitter
from vmxon.microcode.program import Program
from vmxon.microcode.values import MicrocodeError

REFUSED: list[tuple[object, str]] = []


def refused(message: str):
    """Collect a function with the message that it must earn; the line meant ends in `# here`."""

    def add(function):
        REFUSED.append((microcode(function), message))
        return function

    return add


@refused("u8 add u16: convert one side")
def mixed_types(cpu: Cell, a: u8, b: u16) -> u8:
    return a + b  # here


@refused("u16 where u8 is needed")
def wrong_result(cpu: Cell, a: u16) -> u8:
    return a  # here


@refused("a condition must be bool, not u8: compare with != 0")
def bare_condition(cpu: Cell, a: u8) -> u8:
    if a:  # here
        return u8(1)
    return u8(0)


@refused("a condition must be bool, not u8")
def bare_loop(cpu: Cell, a: u8) -> None:
    while a:  # here
        cpu.byte = a


@refused("a condition must be bool, not u8")
def bare_choice(cpu: Cell, a: u8) -> u8:
    return u8(1) if a else u8(2)  # here


@refused("a condition must be bool, not u8")
def bare_select(cpu: Cell, a: u8) -> u8:
    return select(a, u8(1), u8(2))  # here


@refused("and/or of u8: compare with 0")
def bare_and(cpu: Cell, a: u8, b: u8) -> u8:
    return a and b  # here


@refused("and/or of u8: compare with 0")
def bare_right_of_or(cpu: Cell, a: bool, b: u8) -> bool:
    return a or b  # here


@refused("u8 where bool is needed")
def bare_call_of_and(cpu: Cell, a: bool, b: u8) -> bool:
    return a and popcount(b)  # here


@refused("not of u8: compare with 0")
def bare_not(cpu: Cell, a: u8) -> bool:
    return not a  # here


@refused("add of bool: convert it")
def sum_of_bools(cpu: Cell, a: bool, b: bool) -> bool:
    return a + b  # here


@refused("division of u128 has no runtime form")
def wide_division(cpu: Cell, a: u128) -> u128:
    return a // 3  # here


@refused("division by zero")
def zero_division(cpu: Cell, a: u32) -> u32:
    return a % 0  # here


@refused("shift by 32 of u32")
def long_shift(cpu: Cell, a: u32) -> u32:
    return a << 32  # here


@refused("a shifted constant needs a type")
def untyped_shift(cpu: Cell, a: u32) -> u32:
    return 1 << a  # here


@refused("Pow has no place in microcode")
def power(cpu: Cell, a: u32) -> u32:
    return a**2  # here


@refused("popcount of bool: convert it")
def count_of_bool(cpu: Cell, a: bool) -> bool:
    return popcount(a)  # here


@refused("x has no value on some way here")
def one_branch(cpu: Cell, a: u32) -> u32:
    if a == 0:
        x = a
        x = x + 1
    return x  # here


@refused("x has no value on some way here")
def other_branch(cpu: Cell, a: u32) -> u32:
    if a == 0:
        cpu.double = a
    else:
        x = a
        x = x + 1
    return x  # here


@refused("x has no value on some way here")
def only_in_loop(cpu: Cell, a: u32) -> u32:
    while cpu.double != a:
        x = a
        x = x + 1
    return x  # here


@refused("x has no value on some way here")
def break_before(cpu: Cell, a: u32) -> u32:
    while True:
        if cpu.double == a:
            break
        x = a
        x = x + 1
    return x  # here


@refused("x is not known here")
def bound_under_condition(cpu: Cell, a: u32) -> u32:
    if a == 0:
        x = a
    return x  # here


@refused("n changes under a dynamic condition; start it as a typed value")
def static_changed(cpu: Cell, a: u32) -> u32:
    n = 0
    if a == 0:
        n = 1  # here
    return u32(n)


@refused("n is static outside this condition")
def static_to_value(cpu: Cell, a: u32) -> u32:
    n = 0
    if a == 0:
        n = a  # here
    return u32(n)


@refused("u64 where u32 is needed")
def changed_type(cpu: Cell, a: u32) -> u32:
    n = u32(0)
    n = u64(a)  # here
    return n


@refused("a loop with else has no place in microcode")
def loop_with_else(cpu: Cell, a: u32) -> None:
    while cpu.double != a:  # here
        cpu.double = a
    else:
        cpu.double = u32(0)


@refused("a loop with else has no place in microcode")
def for_with_else(cpu: Cell) -> None:
    for index in range(2):  # here
        cpu.numbers[index] = u32(0)
    else:
        cpu.double = u32(0)


@refused("break outside a dynamic while")
def break_of_for(cpu: Cell, a: u32) -> None:
    while cpu.double != a:
        for index in range(2):
            if cpu.numbers[index] == a:
                break  # here
        cpu.double = a


@refused("continue outside a dynamic while")
def continue_of_for(cpu: Cell, a: u32) -> None:
    for index in range(2):
        if cpu.numbers[index] == a:
            continue  # here


@refused("this loop never runs")
def never_runs(cpu: Cell) -> None:
    while False:  # here
        cpu.double = u32(0)


@refused("control reaches the end without a return")
def no_return(cpu: Cell, a: u32) -> u32:  # here
    if a == 0:
        return a


@refused("2 results declared, 1 returned")
def too_few(cpu: Cell, a: u32) -> tuple[u32, u32]:
    return a  # here


@refused("is NoReturn but never faults")
def comes_back(cpu: Cell) -> NoReturn:  # here
    while True:
        cpu.double = u32(0)


@inline
def leaves_loop(cpu: Cell) -> int:
    while cpu.double != 0:
        return u32(1)  # here
    return u32(2)


@inline
def falls_off(cpu: Cell, a: u32) -> int:  # here
    if a == 0:
        return u32(1)


@inline
def untyped_early(cpu: Cell, a: u32) -> int:
    if a == 0:
        return 1  # here
    return 2


@refused("an inline function cannot return out of a dynamic while")
def calls_leaves_loop(cpu: Cell) -> u32:
    return leaves_loop(cpu)


@refused("control reaches the end without a return")
def calls_falls_off(cpu: Cell, a: u32) -> u32:
    return falls_off(cpu, a)


@refused("an early return of an inline function must give typed values")
def calls_untyped(cpu: Cell, a: u32) -> u32:
    return untyped_early(cpu, a)


def plain(value: int) -> int:
    return value


@refused("is no microcode; mark it @inline or @microcode")
def calls_plain(cpu: Cell, a: u32) -> u32:
    return plain(a)  # here


@refused("argument missing is missing")
def too_few_arguments(cpu: Cell) -> None:
    wants(cpu)  # here


@refused("argument nonsense is unknown, or given twice")
def unknown_name(cpu: Cell) -> None:
    wants(cpu, nonsense=1)  # here


@microcode
def wants(cpu: Cell, missing: int) -> None:
    cpu.numbers[missing] = u32(0)


@refused("missing must be known at compile time")
def runtime_for_static(cpu: Cell, a: u32) -> None:
    wants(cpu, a)  # here


@refused("argument b is unknown, or given twice")
def twice(cpu: Cell, a: u32) -> u32:
    return falls_off_not(cpu, a, b=a)  # here


@inline
def falls_off_not(cpu: Cell, a: u32) -> u32:
    return a


@refused("calls itself through")
def recursive(cpu: Cell) -> None:
    again(cpu)  # elsewhere: the call inside `again`


@microcode
def again(cpu: Cell) -> None:
    again(cpu)  # here


@refused("attempt() takes an out-of-line function")
def attempt_of_inline(cpu: Cell, a: u32) -> bool:
    return attempt(falls_off_not, cpu, a)  # here


@refused("has no member nothing")
def no_member(cpu: Cell) -> u32:
    return cpu.nothing  # here


@refused("index 8 is outside 0..7")
def outside(cpu: Cell) -> u32:
    return cpu.numbers[8]  # here


@refused("numbers is no scalar")
def whole_array(cpu: Cell) -> None:
    cpu.numbers = u32(0)  # here


@refused("a static container needs a static index")
def static_container(cpu: Cell, a: u32) -> u32:
    return u32((1, 2, 3)[a])  # here


@refused("a reference into state cannot be compared")
def compared_reference(cpu: Cell) -> None:
    if cpu.points[0] == 0:  # here
        cpu.byte = u8(0)


@refused("a reference into state is no condition")
def reference_as_condition(cpu: Cell) -> None:
    if cpu.numbers:  # here
        cpu.byte = u8(0)


@refused("tuples of runtime values cannot be compared")
def compared_tuples(cpu: Cell, a: u8) -> bool:
    return (a, a) == (a, a)  # here


@refused("a runtime value has no truth value at compile time")
def asserted(cpu: Cell, a: u8) -> None:
    assert a == 1  # here


@refused("static assertion failed: 1 == 2")
def asserted_static(cpu: Cell) -> None:
    assert 1 == 2  # here


@refused("a runtime u8 has no attribute bits")
def attribute_of_value(cpu: Cell, a: u8) -> u8:
    return a.bits  # here


@refused("load() takes a type and a pointer")
def load_without_type(cpu: Cell, a: u64) -> u64:
    return load(a, a)  # here


@refused("u32 where u64 is needed")
def narrow_pointer(cpu: Cell, a: u32) -> u64:
    return load(u64, a)  # here


@refused("u8 where u32 is needed")
def store_of_other(cpu: Cell, a: u64, b: u8) -> None:
    store(u32, a, b)  # here


@refused("u8() takes one value")
def two_to_convert(cpu: Cell, a: u64) -> u8:
    return u8(a, 1)  # here


@refused("Try has no place in microcode")
def with_try(cpu: Cell) -> None:
    try:  # here
        cpu.byte = u8(1)
    except ValueError:
        pass


@refused("Lambda has no place in microcode")
def with_lambda(cpu: Cell) -> None:
    cpu.byte = u8((lambda: 1)())  # here


@refused("nowhere is not known here")
def unknown(cpu: Cell) -> None:
    cpu.byte = nowhere  # here


@refused("result type str is no runtime type")
def strange_result(cpu: Cell) -> str:  # here
    return "x"


@refused("integer division or modulo by zero")
def static_error(cpu: Cell) -> None:
    cpu.byte = u8(1 // 0)  # here


@refused("cannot unpack")
def unpacked(cpu: Cell, a: u8) -> None:
    x, y = a, a, a  # here


@refused("wants a Point")
def wrong_pointer(cpu: Cell, a: u8) -> None:
    takes_point(cpu, a)  # here


@microcode
def takes_point(cpu: Cell, point: Point) -> None:
    cpu.byte = point.tag


@slot
def some_slot(cpu: Cell, a: u64, b: int) -> u64:
    return a


@implements(some_slot)
def some_body(cpu: Cell, a: u64, b: u64) -> u64:  # here
    return a + b


@refused("differs from its slot some_slot in parameters or results")
def calls_slot(cpu: Cell, a: u64) -> u64:
    return some_slot(cpu, a, 3)


@refused("only plain parameters have a place in microcode")
def many(cpu: Cell, *rest: u64) -> None:  # here
    fault()


@pytest.mark.parametrize("emitter", [LlvmEmitter, PythonEmitter], ids=["LLVM", "Python"])
@pytest.mark.parametrize(("function", "message"), REFUSED, ids=[f.__name__ for f, _ in REFUSED])
def test_refused(function, message: str, emitter) -> None:
    with pytest.raises(MicrocodeError) as caught:
        Program(emitter).require(function)
    text = str(caught.value)
    assert message in text
    place = location(text)
    assert place, text
    assert place[1] == __file__
    lines = inspect.getsource(inspect.getmodule(test_refused)).splitlines()
    assert lines[int(place[2]) - 1].endswith("# here"), f"{text} points at {lines[int(place[2]) - 1]!r}"
