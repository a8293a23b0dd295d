"""The decoder beside iced-x86: what is an instruction, how long it is, where its operands are; in 16, 32 and 64-bit mode."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from iced_x86 import Code, CpuidFeature, Decoder, DecoderOptions, Instruction, OpKind, Register

from tests.harness import Bench
from vmxon.arch.models import MAX
from vmxon.engine.encoding import forms
from vmxon.engine.sources import load_all
from vmxon.engine.units import tables_of_sources
from vmxon.isa.form import Form, Mandatory, Map, parse_opcode
from vmxon.isa.record import Record
from vmxon.microcode.layout import Memory
from vmxon.processor.state import CodeSize, Segment

SEQUENCES = 210_000
RIP = 0x7000
ZERO_REGISTER = 16 * 8
MODES = {16: CodeSize.BITS16, 32: CodeSize.BITS32, 64: CodeSize.BITS64}
LEGACY = bytes([0x66, 0x67, 0xF2, 0xF3, 0x2E, 0x36, 0x26, 0x3E, 0x64, 0x65, 0xF0])
ESCAPES = {
    Map.ONE_BYTE: b"", Map.TWO_BYTE: b"\x0f", Map.MAP_38: b"\x0f\x38", Map.MAP_3A: b"\x0f\x3a",
    Map.VEX_TWO_BYTE: b"\x01", Map.VEX_38: b"\x02", Map.VEX_3A: b"\x03",
}  # fmt: skip
MANDATORY = {Mandatory.P66: 0x66, Mandatory.F3: 0xF3, Mandatory.F2: 0xF2}

ANNOUNCED = {
    "INTEL8086", "INTEL8086_ONLY", "INTEL186", "INTEL286", "INTEL386", "INTEL486", "X64", "FPU287", "FPU387", "CPUID", "CLFSH",
    "CMPXCHG16B", "INVEPT", "INVVPID", "RDPMC", "PAUSE", "MULTIBYTENOP", "MMX", *(feature.name for feature in MAX.features),
}  # fmt: skip
"""iced-x86's names of what the model `max` has: most are those of CPUID."""

LACKING = {
    "SALC": "undocumented: the SDM has no such instruction",
    "UD0": "always #UD",
    "UD1": "always #UD",
}
"""Instructions of iced-x86 that ours decodes as none."""

RAISED_LATER = {
    "MOV from CR": "CR1, CR5, CR6, CR7 and CR9 up: the meaning raises #UD",
    "MOV to CR": "the same",
    "MOV from DR": "DR8 and up: the meaning raises #UD",
    "MOV to DR": "the same",
    "MOV from Sreg": "there are six segment registers: the meaning raises #UD",
    "MOV m, Sreg": "the same",
    "MOV to Sreg": "the same, and CS cannot be loaded",
}
"""Instructions of ours that iced-x86 refuses."""


def by_number(names: type) -> dict[int, str]:
    """Names of the constants of an iced-x86 module."""
    return {getattr(names, name): name for name in dir(names) if name[0].isupper()}


FEATURES, CODES = by_number(CpuidFeature), by_number(Code)
SEGMENTS = {Register.ES: 0, Register.CS: 1, Register.SS: 2, Register.DS: 3, Register.FS: 4, Register.GS: 5}


@dataclass(frozen=True, slots=True)
class Decoded:
    """What ours made of some bytes."""

    is_instruction: bool
    too_long: bool
    record: Record


class Ours:
    """The native decoder, called directly."""

    def __init__(self) -> None:
        self.bench = Bench(64)
        engine = self.bench.engine
        self.engine, self.state = engine, engine.state
        self.bytes, self.pointer = engine.arena.part("python_code", 64), engine.arena.address("python_code")
        self.place = engine.arena.address("records")
        self.record = Record(Memory(engine.arena.part("records", 512), self.place))
        self.undefined, self.too_long = engine.library.handlers[:2]
        self.mnemonics = tables_of_sources().mnemonics

    def decode(self, bits: int, data: bytes, rip: int = RIP) -> Decoded:
        self.state.code_size = MODES[bits]
        self.bytes[: len(data)] = data
        self.engine.call("decode", self.pointer, len(data), rip, self.place)
        handler = self.record.handler
        known = handler not in (self.undefined, self.too_long)
        return Decoded(known, handler == self.too_long, self.record)

    def mnemonic(self) -> str:
        return str(self.mnemonics[self.record.entry])


@pytest.fixture(scope="module")
def ours() -> Ours:
    return Ours()


def theirs(bits: int, data: bytes, rip: int = RIP) -> Instruction:
    return Decoder(bits, data, DecoderOptions.NONE, ip=rip).decode()


HINTS = ("PREFETCH", "CLDEMOTE", "ENDBR", "WBNOINVD")
"""What processors without the feature run as NOP or WBINVD."""
IMPLICIT = ("XLAT",)
"""Memory operands that the opcode implies: the meaning makes the address."""


# Sequences.
def random_bytes(source: random.Random) -> bytes:
    """Prefixes, then an opcode of any map, then anything."""
    prefixes = bytes(
        source.choice(LEGACY) if source.random() < 0.6 else source.randrange(0x40, 0x50)
        for _ in range(source.choice((0, 0, 0, 1, 1, 2, 3)))
    )
    escape = source.choice((b"", b"", b"\x0f", b"\x0f", b"\x0f\x38", b"\x0f\x3a", b"\x0f\x01", b"\x0f\xae", b"\xc4", b"\xc5"))
    return (prefixes + escape + source.randbytes(16))[:16]


def encodings(form: Form, source: random.Random, bits: int) -> bytes:
    """Bytes that a form of the table describes, with random operands."""
    opcode = parse_opcode(form.opcode)
    byte = opcode.byte + (source.randrange(8) if opcode.in_opcode else 0)
    modrm = source.randrange(256)
    if opcode.digit is not None:
        modrm = modrm & 0xC7 | opcode.digit << 3
    if opcode.modrm_byte is not None:
        modrm = opcode.modrm_byte
    tail = (bytes([modrm]) if opcode.has_modrm else b"") + source.randbytes(14)
    w = opcode.w if opcode.w is not None else source.randrange(2)
    if opcode.map >= Map.VEX_TWO_BYTE:
        packed = (Mandatory.NONE, Mandatory.P66, Mandatory.F3, Mandatory.F2).index(opcode.mandatory)
        inverted = source.randrange(8) << 5 if bits == 64 else 0xE0
        last = w << 7 | source.randrange(16) << 3 | (opcode.vex_length or 0) << 2 | packed
        return (bytes([0xC4, inverted | ESCAPES[opcode.map][0], last, byte]) + tail)[:16]
    prefixes = bytes([MANDATORY[opcode.mandatory]]) if opcode.mandatory in MANDATORY else b""
    if source.random() < 0.4:
        prefixes = bytes([source.choice(LEGACY)]) + prefixes
    if bits == 64 and (w or source.random() < 0.3):
        prefixes += bytes([0x40 | w << 3 | source.randrange(8)])
    return (prefixes + ESCAPES[opcode.map] + bytes([byte]) + tail)[:16]


def sequences() -> Iterator[tuple[int, bytes]]:
    """Half anything, half from the table."""
    source = random.Random("decoder")
    load_all()
    table = [form for _, form in forms()]
    for number in range(SEQUENCES):
        bits = (16, 32, 64, 64)[number & 3]
        if number & 4:
            yield bits, random_bytes(source)
        else:
            yield bits, encodings(source.choice(table), source, bits)


# Comparison.
def register_number(register: int, bits: int) -> int | None:
    """Number of a general-purpose register of iced-x86."""
    first = {16: Register.AX, 32: Register.EAX, 64: Register.RAX}[bits]
    return register - first if first <= register < first + 16 else None


def operand_difference(record: Record, instruction: Instruction, bits: int) -> str:
    """What differs in the memory operand or the branch target."""
    kinds = [instruction.op_kind(n) for n in range(instruction.op_count)]
    for kind, mask in ((OpKind.NEAR_BRANCH16, 0xFFFF), (OpKind.NEAR_BRANCH32, 0xFFFFFFFF), (OpKind.NEAR_BRANCH64, (1 << 64) - 1)):
        if kind in kinds and record.displacement & mask != instruction.near_branch_target & mask:
            return f"target {record.displacement:#x}, not {instruction.near_branch_target:#x}"
    if OpKind.MEMORY not in kinds or CODES[instruction.code].startswith(IMPLICIT):
        return ""
    width = 64 - record.address_shift
    base, index = instruction.memory_base, instruction.memory_index
    mask = (1 << width) - 1
    if base in (Register.RIP, Register.EIP):
        expected = (ZERO_REGISTER, ZERO_REGISTER, 0, instruction.ip_rel_memory_address)
    else:
        numbers = [register_number(r, width) for r in (base, index)]
        wanted = [ZERO_REGISTER if r == Register.NONE else -1 if n is None else n * 8 for r, n in zip((base, index), numbers, strict=True)]
        scale = {1: 0, 2: 1, 4: 2, 8: 3}[instruction.memory_index_scale] if index != Register.NONE else 0
        expected = (*wanted, scale, instruction.memory_displacement)
    found = (record.base, record.index, record.scale if record.index != ZERO_REGISTER else 0, record.displacement)
    if found[:3] != expected[:3] or (found[3] ^ expected[3]) & mask:
        return f"memory {found}, not {expected}"
    segment = SEGMENTS[instruction.memory_segment]
    if bits == 64 and segment < Segment.FS:
        return ""
    return "" if record.segment == segment else f"segment {record.segment}, not {segment}"


def difference(ours: Ours, bits: int, data: bytes) -> str:
    """How the two decoders differ; empty where they agree or an exception above applies."""
    decoded, instruction = ours.decode(bits, data), theirs(bits, data)
    if instruction.is_invalid:
        if not decoded.is_instruction or ours.mnemonic() in RAISED_LATER:
            return ""
        return f"ours accepts {ours.mnemonic()}"
    announced = {FEATURES[f] for f in instruction.cpuid_features()} <= ANNOUNCED
    name = CODES[instruction.code]
    if not decoded.is_instruction:
        return f"ours lacks {name}" if announced and name.split("_")[0] not in LACKING else ""
    if decoded.record.length != instruction.len:
        return f"{name}: length {decoded.record.length}, not {instruction.len}"
    if not announced and not name.startswith(HINTS):
        return f"ours accepts {name}, which CPUID does not announce"
    return f"{name}: {text}" if (text := operand_difference(decoded.record, instruction, bits)) else ""


def test_both_decoders_agree(ours: Ours) -> None:
    found: Counter[str] = Counter()
    example = {}
    for bits, data in sequences():
        text = difference(ours, bits, data)
        if text:
            found[text.split(":")[0]] += 1
            example.setdefault(text.split(":")[0], f"{bits} bits: {data.hex(' ')} ({text})")
    assert not found, "\n".join(f"{count} × {text}, e.g. {example[text]}" for text, count in found.most_common(40))


@pytest.mark.parametrize("bits", MODES)
def test_every_byte_of_every_map_alone(ours: Ours, bits: int) -> None:
    """Each opcode with each ModRM byte, without prefixes."""
    for escape in (b"", b"\x0f", b"\x0f\x38", b"\x0f\x3a"):
        for opcode in range(256):
            for modrm in (*range(0, 256, 7), 0xC0, 0xC1, 0xF8, 0xFF):
                data = (escape + bytes([opcode, modrm, 0x25]) + bytes(range(1, 14)))[:16]
                assert difference(ours, bits, data) == "", f"{bits} bits: {data.hex(' ')}"


@pytest.mark.parametrize("bits", MODES)
def test_fifteen_bytes_are_the_limit(ours: Ours, bits: int) -> None:
    for count in range(12, 19):
        data = bytes([0x66] * count) + b"\x90" + b"\x00" * 16
        decoded = ours.decode(bits, data[:32])
        assert decoded.too_long == (count + 1 > 15)
        if not decoded.too_long:
            assert decoded.record.length == count + 1
    # An immediate that begins inside and ends outside.
    data = bytes([0x2E] * 11) + b"\xb8\x01\x02\x03\x04" + b"\x00" * 16
    assert ours.decode(bits, data).too_long == (bits != 16)


@pytest.mark.parametrize("bits", MODES)
@pytest.mark.parametrize("size", range(1, 8))
def test_too_few_bytes_are_no_instruction_yet(ours: Ours, bits: int, size: int) -> None:
    """A page ends inside the instruction: the decoder says so instead of reading on."""
    truncated = 2
    data = b"\x0f\xba\xa2\x44\x33\x22\x11\x05" if bits != 16 else b"\x2e\x66\x0f\xba\xa2\x44\x33\x05"
    ours.state.code_size = MODES[bits]
    ours.bytes[:8] = data
    flow = ours.engine.call("decode", ours.pointer, size, RIP, ours.place)
    assert flow == truncated
    assert ours.engine.call("decode", ours.pointer, 8, RIP, ours.place) != truncated
    assert ours.record.length == 8


@pytest.mark.parametrize(
    ("prefixes", "segment"),
    [("", 3), ("26", 0), ("2e", 1), ("36", 2), ("3e", 3), ("64", 4), ("65", 5), ("64 26", 0), ("26 64", 4)],
)
def test_the_last_segment_prefix_counts(ours: Ours, prefixes: str, segment: int) -> None:
    data = (bytes.fromhex(prefixes) + b"\x8b\x03").ljust(16, b"\x90")
    assert ours.decode(32, data).record.segment == segment
    flat = Segment.FLAT_DATA if segment < Segment.FS and "64" not in prefixes else Segment.FS if "64" in prefixes else segment
    assert ours.decode(64, data).record.segment == flat


def test_rip_relative(ours: Ours) -> None:
    """The displacement counts from the end of the instruction, immediate included; with 67 the sum has 32 bits."""
    for data, target in (
        ("8b 05 10 00 00 00", RIP + 6 + 0x10),
        ("c7 05 f0 ff ff ff 01 02 03 04", RIP + 10 - 0x10),
        ("48 81 05 00 00 00 80 01 02 03 04", RIP + 11 - (1 << 31)),
        ("80 3d 00 00 00 00 07", RIP + 7),
    ):
        record = ours.decode(64, bytes.fromhex(data).ljust(16, b"\x90")).record
        assert (record.base, record.displacement) == (ZERO_REGISTER, target & (1 << 64) - 1)
    record = ours.decode(64, bytes.fromhex("67 8b 05 00 00 00 80").ljust(16, b"\x90")).record
    assert (record.displacement & 0xFFFFFFFF, record.address_shift) == (RIP + 7 + 0x80000000, 32)


def test_a_rex_prefix_counts_only_before_the_opcode(ours: Ours) -> None:
    record = ours.decode(64, bytes.fromhex("48 66 89 c3").ljust(16, b"\x90")).record
    assert (record.length, record.operand_code) == (4, 0)
    record = ours.decode(64, bytes.fromhex("66 48 89 c3").ljust(16, b"\x90")).record
    assert (record.length, record.operand_code) == (4, 2)
    record = ours.decode(64, bytes.fromhex("40 88 e3").ljust(16, b"\x90")).record
    assert record.source == 4 * 8, "SPL with any REX"
    record = ours.decode(64, bytes.fromhex("88 e3").ljust(16, b"\x90")).record
    assert record.source == 1, "AH without"
