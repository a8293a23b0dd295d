"""The comparison of two strings in XMM registers, by the immediate of PCMPESTRI and its kin (Vol. 2B §4.1 “Imm8 Control Byte …”)."""

from __future__ import annotations

from vmxon.microcode import i8, i16, i32, inline, microcode, u8, u16, u32, u64

WORDS, SIGNED, HIGHEST_OR_MASK = 1, 2, 1 << 6
EQUAL_ANY, RANGES, EQUAL_EACH, EQUAL_ORDERED = range(4)
POSITIVE, NEGATIVE, MASKED_POSITIVE, MASKED_NEGATIVE = range(4)


@inline
def element_count(order: int) -> int:
    """Elements in a register, as u32."""
    return u32(8) if order & WORDS != 0 else u32(16)


@microcode
def element(order: u32, low: u64, high: u64, index: u32) -> i32:
    """An element as the immediate says: byte or word, signed or not."""
    at = u64(index) << (u64(4) if order & WORDS != 0 else u64(3))
    half = (low if at < 64 else high) >> (at & 63)
    if order & WORDS != 0:
        return i32(i16(u16(half))) if order & SIGNED != 0 else i32(u16(half))
    return i32(i8(u8(half))) if order & SIGNED != 0 else i32(u8(half))


@microcode
def implicit_length(order: u32, low: u64, high: u64) -> u32:
    """Elements before the first that is zero."""
    index = u32(0)
    while index < element_count(order) and element(order, low, high, index) != 0:
        index = index + 1
    return index


@microcode
def explicit_length(order: u32, value: u64) -> u32:
    """The magnitude of a signed length, at most a register full."""
    size = u64(0) - value if value >> 63 != 0 else value
    return element_count(order) if size > u64(element_count(order)) else u32(size)


@microcode
def matches_at(order: u32, own_low: u64, own_high: u64, own: u32, low: u64, high: u64, length: u32, place: u32) -> bool:
    """Bit `place` of IntRes1: the aggregation of the comparisons of `place` in the second string."""
    aggregation = (order >> 2) & 3
    if aggregation == EQUAL_EACH:
        here = place < own
        there = place < length
        if not (here & there):
            return here == there
        return element(order, own_low, own_high, place) == element(order, low, high, place)
    index = u32(0)
    if aggregation == EQUAL_ORDERED:
        while index < own and place + index < element_count(order):
            at = place + index
            if at >= length:
                return False
            if element(order, own_low, own_high, index) != element(order, low, high, at):
                return False
            index = index + 1
        return True
    if place >= length:
        return False
    value = element(order, low, high, place)
    while index < own:
        first = element(order, own_low, own_high, index)
        if aggregation == EQUAL_ANY:
            if value == first:
                return True
            index = index + 1
        else:
            if index + 1 < own and value >= first and value <= element(order, own_low, own_high, index + 1):
                return True
            index = index + 2
    return False


@microcode
def compare_strings(order: u32, own_low: u64, own_high: u64, own: u32, low: u64, high: u64, length: u32) -> u32:
    """IntRes2: a bit for each element of the second string, after the polarity of the immediate."""
    result = u32(0)
    place = u32(0)
    while place < element_count(order):
        if matches_at(order, own_low, own_high, own, low, high, length, place):
            result = result | (u32(1) << place)
        place = place + 1
    polarity = (order >> 4) & 3
    if polarity == NEGATIVE:
        result = result ^ ((u32(1) << element_count(order)) - 1)
    elif polarity == MASKED_NEGATIVE:
        result = result ^ ((u32(1) << length) - 1)
    return result


@microcode
def chosen_index(order: u32, result: u32) -> u32:
    """The number of the lowest or highest one, as the immediate says; the number of elements where there is none."""
    count = element_count(order)
    index = u32(0)
    if order & HIGHEST_OR_MASK == 0:
        while index < count and (result >> index) & 1 == 0:
            index = index + 1
        return index
    index = count
    while index != 0:
        index = index - 1
        if (result >> index) & 1 != 0:
            return index
    return count


@microcode
def spread(order: u32, result: u32, start: u32) -> u64:
    """A half of the mask of PCMPESTRM: all ones in each element whose bit is 1, from bit `start` on."""
    width = u64(16) if order & WORDS != 0 else u64(8)
    mask = u64(0)
    place = u64(0)
    index = start
    while place < 64:
        if (result >> index) & 1 != 0:
            mask = mask | (((u64(1) << width) - 1) << place)
        place = place + width
        index = index + 1
    return mask
