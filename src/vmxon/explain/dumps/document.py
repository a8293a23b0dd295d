"""Reading our JSON: fields by name or encoding, with what is known of the processor and of who wrote them.

{"GUEST_CR0": "0x80000031", "0x681E": 4096}
{"fields": {…}, "capabilities": {"0x480": "0x…"}, "physical_width": 46, "provenance": {"GUEST_CR0": {"rip": "0x…", "instruction": 7}}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from vmxon.errors import VmxonError
from vmxon.explain.dumps.dump import Dump, Processor
from vmxon.explain.names import find_field, find_msr, integer, nearest
from vmxon.explain.record import CAPABILITY_MSRS, LINEAR_WIDTHS, NARROWEST, WIDEST, Writer
from vmxon.vmx.fields import VmcsField

WIDTHS = {"physical_width": range(NARROWEST, WIDEST + 1), "linear_width": range(LINEAR_WIDTHS[0], LINEAR_WIDTHS[1] + 1)}
PARTS = {"fields", "capabilities", "provenance", *WIDTHS}


def parse(text: str, where: str) -> dict[str, object]:
    """A JSON object.

    Raises:
        VmxonError: not JSON, or not an object.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 0)
        raise VmxonError(f"it is not JSON{f' (line {line})' if line else ''}", where=where, expected="a JSON object of fields") from None
    if not isinstance(found, dict):
        raise VmxonError(f"it is a JSON {type(found).__name__}", where=where, expected="an object of fields such as {“GUEST_CR0”: “0x31”}")
    return found


def read_json(text: str, where: str) -> Dump:
    """A dump in our JSON.

    Raises:
        VmxonError: not JSON, an unknown field, or a value that does not fit.
    """
    found = parse(text, where)
    nested = "fields" in found
    fields = {}
    for key, value in (_object(found["fields"], "fields", where) if nested else found).items():
        if key in PARTS - {"fields"} and not nested:
            continue
        which = _field(key, where)
        if value is not None:
            fields[which] = number_of(value, which.name, which.bits, where)
    if not fields:
        raise VmxonError("the dump has no field", where=where, expected="an object of fields such as {“GUEST_CR0”: “0x31”}")
    provenance = found.get("provenance")
    return Dump(
        "JSON",
        fields,
        None if provenance is None else _writers(_object(provenance, "provenance", where), where),
        processor_of(found, where) if {"capabilities", *WIDTHS} & set(found) else None,
    )


def processor_of(found: Mapping[str, object], where: str) -> Processor:
    """What an object says about the processor: `capabilities`, `physical_width`, `linear_width`."""
    capabilities = {}
    for key, value in _object(found.get("capabilities", {}), "capabilities", where).items():
        msr = find_msr(key)
        if msr is None or msr.address not in CAPABILITY_MSRS:
            raise VmxonError(f"{key!r} is no VMX capability MSR", where=where, expected="0x480 to 0x493, or a name such as IA32_VMX_BASIC")
        if value is not None:
            capabilities[msr.address] = number_of(value, msr.name, 64, where)
    widths: dict[str, int | None] = dict.fromkeys(WIDTHS)
    for name, allowed in WIDTHS.items():
        if found.get(name) is not None:
            widths[name] = number_of(found[name], name, 8, where)
            if widths[name] not in allowed:
                raise VmxonError(f"{name} is {widths[name]}", where=where, expected=f"{allowed[0]} to {allowed[-1]} bits")
    return Processor(capabilities, **widths)


def _writers(found: Mapping[str, object], where: str) -> dict[VmcsField, Writer]:
    writers = {}
    for key, value in found.items():
        parts = _object(value, key, where)
        rip, number = (number_of(parts.get(name), f"{key}.{name}", 64, where) for name in ("rip", "instruction"))
        writers[_field(key, where)] = Writer(rip, number)
    return writers


def _field(name: str, where: str) -> VmcsField:
    which = find_field(name)
    if which is None:
        close = nearest(name, VmcsField.__members__)
        raise VmxonError(
            f"{name[:80]!r} is no VMCS field", where=where, advice=f"nearest: {', '.join(close)}" if close else "see vmxon explain"
        )
    return which


def _object(value: object, name: str, where: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise VmxonError(f"{name[:80]!r} is a {type(value).__name__}", where=where, expected="an object")
    return value


def number_of(value: object, name: str, bits: int, where: str) -> int:
    """A number, or a string with one in it.

    Raises:
        VmxonError: it is neither, or too wide.
    """
    found = integer(value) if isinstance(value, str) else value
    if isinstance(found, bool) or not isinstance(found, int):
        raise VmxonError(f"{name} is {str(value)[:60]!r}", where=where, expected="a number or a string such as “0x31”")
    if found < 0 or found >> bits:
        raise VmxonError(f"{name} is {str(value)[:60]}", where=where, expected=f"a value of {bits} bits")
    return found
