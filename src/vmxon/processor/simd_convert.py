"""Conversions of whole XMM registers, with their exceptions reported together."""

from __future__ import annotations

from vmxon.microcode import i32, inline, microcode, u32, u64
from vmxon.processor.floating.convert import change_format, from_integer, to_integer
from vmxon.processor.floating.formats import DOUBLE, SINGLE, Format
from vmxon.processor.floating.simd import simd_control
from vmxon.processor.simd import LOW_SINGLE, element, report_simd, with_element
from vmxon.processor.state import ProcessorState as Cpu


@inline
def signed_element(half: int, position: int) -> int:
    """A signed doubleword, sign-extended to u64."""
    return u64(i32(u32(half >> position)))


@microcode
def scalar_from_integer(cpu: Cpu, target: Format, left: u64, value: u64) -> u64:
    """The lower half of the destination with a signed integer in its first element."""
    result, flags = from_integer(target, value, simd_control(cpu.mxcsr))
    report_simd(cpu, flags)
    return with_element(target, left, result)


@microcode
def scalar_to_integer(cpu: Cpu, source: Format, width: int, truncates: int, half: u64) -> u64:
    """The first element as a signed integer of `width` bits."""
    result, flags = to_integer(source, width, truncates, element(source, half, 0), simd_control(cpu.mxcsr))
    report_simd(cpu, flags)
    return result


@microcode
def scalar_change(cpu: Cpu, source: Format, target: Format, left: u64, right: u64) -> u64:
    """The lower half of the destination with the source's first element in the other precision."""
    result, flags = change_format(source, target, element(source, right, 0), simd_control(cpu.mxcsr))
    report_simd(cpu, flags)
    return with_element(target, left, result)


@microcode
def singles_to_doubles(cpu: Cpu, half: u64) -> tuple[u64, u64]:
    """CVTPS2PD."""
    control = simd_control(cpu.mxcsr)
    low, low_flags = change_format(SINGLE, DOUBLE, half & LOW_SINGLE, control)
    high, high_flags = change_format(SINGLE, DOUBLE, half >> 32, control)
    report_simd(cpu, low_flags | high_flags)
    return low, high


@microcode
def doubles_to_singles(cpu: Cpu, low: u64, high: u64) -> u64:
    """CVTPD2PS."""
    control = simd_control(cpu.mxcsr)
    first, first_flags = change_format(DOUBLE, SINGLE, low, control)
    second, second_flags = change_format(DOUBLE, SINGLE, high, control)
    report_simd(cpu, first_flags | second_flags)
    return first | (second << 32)


@microcode
def half_from_integers(half: u64, control: u32) -> tuple[u64, u32]:
    """Two signed doublewords as singles."""
    first, first_flags = from_integer(SINGLE, signed_element(half, 0), control)
    second, second_flags = from_integer(SINGLE, signed_element(half, 32), control)
    return first | (second << 32), first_flags | second_flags


@microcode
def integers_to_singles(cpu: Cpu, low: u64, high: u64) -> tuple[u64, u64]:
    """CVTDQ2PS."""
    control = simd_control(cpu.mxcsr)
    new_low, low_flags = half_from_integers(low, control)
    new_high, high_flags = half_from_integers(high, control)
    report_simd(cpu, low_flags | high_flags)
    return new_low, new_high


@microcode
def integer_pair_to_singles(cpu: Cpu, half: u64) -> u64:
    """CVTPI2PS."""
    result, flags = half_from_integers(half, simd_control(cpu.mxcsr))
    report_simd(cpu, flags)
    return result


@microcode
def integers_to_doubles(half: u64) -> tuple[u64, u64]:
    """CVTDQ2PD: always exact."""
    low, _ = from_integer(DOUBLE, signed_element(half, 0), u32(0))
    high, _ = from_integer(DOUBLE, signed_element(half, 32), u32(0))
    return low, high


@microcode
def half_to_integers(truncates: int, half: u64, control: u32) -> tuple[u64, u32]:
    """Two singles as signed doublewords."""
    first, first_flags = to_integer(SINGLE, 32, truncates, half & LOW_SINGLE, control)
    second, second_flags = to_integer(SINGLE, 32, truncates, half >> 32, control)
    return first | (second << 32), first_flags | second_flags


@microcode
def singles_to_integers(cpu: Cpu, truncates: int, low: u64, high: u64) -> tuple[u64, u64]:
    """CVTPS2DQ and CVTTPS2DQ."""
    control = simd_control(cpu.mxcsr)
    new_low, low_flags = half_to_integers(truncates, low, control)
    new_high, high_flags = half_to_integers(truncates, high, control)
    report_simd(cpu, low_flags | high_flags)
    return new_low, new_high


@microcode
def single_pair_to_integers(cpu: Cpu, truncates: int, half: u64) -> u64:
    """CVTPS2PI and CVTTPS2PI."""
    result, flags = half_to_integers(truncates, half, simd_control(cpu.mxcsr))
    report_simd(cpu, flags)
    return result


@microcode
def doubles_to_integers(cpu: Cpu, truncates: int, low: u64, high: u64) -> u64:
    """CVTPD2DQ and CVTTPD2DQ."""
    control = simd_control(cpu.mxcsr)
    first, first_flags = to_integer(DOUBLE, 32, truncates, low, control)
    second, second_flags = to_integer(DOUBLE, 32, truncates, high, control)
    report_simd(cpu, first_flags | second_flags)
    return first | (second << 32)
