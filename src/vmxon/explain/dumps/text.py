"""Reading the text dumps: what the log put before each line is dropped, then each section is searched for its fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest

from vmxon.errors import VmxonError
from vmxon.explain.decode import number
from vmxon.explain.dumps.dump import Dump
from vmxon.explain.dumps.grammar import SECTIONS
from vmxon.vmx.fields import VmcsField

HEADING = re.compile(r"\*\*\* (Guest|Host|Control) State \*\*\*")
PREFIX = re.compile(
    r"\s*(?:[>|]|<\d{1,3}>|\(XEN\)|\[[^\]\n]{0,40}\]|kvm(?:_intel)?:|kernel:"
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d\S{0,20} \S{1,80}(?= kernel:)|\d{4}-\d\d-\d\dT\S{1,40} \S{1,80}(?= kernel:))"
)
"""One thing that dmesg, journalctl, Xen's console or a mail puts before a line."""


def read_text(text: str, where: str, wanted: int | None = None) -> Dump:
    """The last dump of a log, or the one with number `wanted`.

    Raises:
        VmxonError: no dump, no dump of that number, or a value that does not fit its field.
    """
    lines = [_without_prefix(line) for line in text.splitlines()]
    dumps = list(_split("\n".join(lines)))
    if not dumps:
        raise VmxonError("there is no VMCS dump in it", where=where, expected="“*** Guest State ***” of Linux KVM or Xen, or JSON")
    chosen = wanted or len(dumps)
    if chosen > len(dumps):
        raise VmxonError(f"there is no dump number {chosen}", where=where, expected=f"a number from 1 to {len(dumps)}")
    fields: dict[VmcsField, int] = {}
    for heading, body in dumps[chosen - 1]:
        fields |= _search(heading, " ".join(body.split()), where)
    if not fields:
        raise VmxonError("the dump shows no field", where=where, expected="lines such as “CR0: actual=0x…, shadow=0x…, gh_mask=…”")
    format_name = "Xen" if "(XEN)" in text or re.search(r"\bsel\s+attr\s+limit\s+base", text) else "Linux KVM"
    return Dump(format_name, fields, number=chosen, count=len(dumps))


def _without_prefix(line: str) -> str:
    """The line as the hypervisor wrote it."""
    start = 0
    while found := PREFIX.match(line, start):
        start = found.end()
    return line[start:]


def _split(text: str) -> Iterator[list[tuple[str, str]]]:
    """The sections of each dump, a dump starting at each guest section."""
    found = list(HEADING.finditer(text))
    dump: list[tuple[str, str]] = []
    for heading, following in zip_longest(found, found[1:]):
        if heading[1] == "Guest" and dump:
            yield dump
            dump = []
        dump.append((heading[1], text[heading.end() : following.start() if following else len(text)]))
    if dump:
        yield dump


def _search(heading: str, body: str, where: str) -> dict[VmcsField, int]:
    """The fields of one section."""
    fields: dict[VmcsField, int] = {}
    for expression, names in SECTIONS[heading]:
        found = expression.search(body)
        if found is None:
            continue
        for name, digits in zip(names, found.groups(), strict=True):
            value = int(digits, 16)
            if value >> name.bits:
                raise VmxonError(f"{name.name} is {number(value, 64)}", where=where, expected=f"a value of {name.bits} bits")
            fields[name] = value
    return fields
