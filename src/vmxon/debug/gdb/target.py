"""The target description that gdb reads: every register with its type (gdb manual, appendix “Target Descriptions”)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import groupby

from vmxon.arch.bits import Word
from vmxon.arch.control import Cr0, Cr4, Efer
from vmxon.arch.flags import Rflags
from vmxon.debug.registers import CORE, REGISTERS, SSE, SYSTEM

MXCSR = ("IE", "DE", "ZE", "OE", "UE", "PE", "DAZ", "IM", "DM", "ZM", "OM", "UM", "PM", "", "", "FZ")
VECTORS = (
    ("v4f", "ieee_single", 4), ("v2d", "ieee_double", 2), ("v16i8", "int8", 16), ("v8i16", "int16", 8), ("v4i32", "int32", 4),
    ("v2i64", "int64", 2),
)  # fmt: skip
VECTOR_FIELDS = ("v4_float", "v2_double", "v16_int8", "v8_int16", "v4_int32", "v2_int64")


def _flags(name: str, size: int, fields: Iterable[tuple[str, int, int]]) -> str:
    """A flags type; gdb shows the names of the bits that are set."""
    rows = "".join(f'<field name="{field}" start="{low}" end="{high}"/>' for field, low, high in fields)
    return f'<flags id="{name}" size="{size}">{rows}</flags>'


def _word(name: str, size: int, word: type[Word]) -> str:
    fields = sorted(word.layout.fields, key=lambda item: item.low)
    shown = [item for item in fields if item.high < 8 * size]
    return _flags(name, size, (("" if item.name == "fixed" else item.title.upper(), item.low, item.high) for item in shown))


def _types(feature: str) -> str:
    if feature == CORE:
        return _word("i386_eflags", 4, Rflags)
    if feature == SSE:
        vectors = "".join(f'<vector id="{name}" type="{element}" count="{count}"/>' for name, element, count in VECTORS)
        fields = "".join(f'<field name="{field}" type="{row[0]}"/>' for field, row in zip(VECTOR_FIELDS, VECTORS, strict=True))
        union = f'<union id="vec128">{fields}<field name="uint128" type="uint128"/></union>'
        return vectors + union + _flags("i386_mxcsr", 4, ((name, bit, bit) for bit, name in enumerate(MXCSR) if name))
    if feature == SYSTEM:
        return _word("cr0_flags", 8, Cr0) + _word("cr4_flags", 8, Cr4) + _word("efer_flags", 8, Efer)
    return ""


@cache
def description() -> bytes:
    """The whole description, as XML."""
    parts = ['<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target><architecture>i386:x86-64</architecture>']
    for feature, registers in groupby(REGISTERS, key=lambda register: register.feature):
        parts.append(f'<feature name="{feature}">{_types(feature)}')
        for register in registers:
            group = f' group="{register.group}"' if register.group else ""
            parts.append(f'<reg name="{register.name}" bitsize="{register.bits}" type="{register.kind}"{group}/>')
        parts.append("</feature>")
    return "".join([*parts, "</target>"]).encode()
