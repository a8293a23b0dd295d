"""Repeated string instructions: REP MOVS, STOS, LODS and REPE, REPNE CMPS, SCAS (Vol. 2B “REP/REPE/REPZ/REPNE/REPNZ”).

They run until the count register is 0 or the condition fails, and may stop earlier with the registers advanced and RIP
still at the instruction: when the budget is spent, or when a device access has to complete first.
"""

from __future__ import annotations

from vmxon.isa.bursts import allowance, minimum, must_stop, run_at
from vmxon.isa.operands import FormVariant
from vmxon.isa.record import Record
from vmxon.isa.registers import RAX, RCX, RDI, RSI, read_register, step_register, write_register
from vmxon.isa.strings import extra_segment, offset_of, stride
from vmxon.isa.table import Form, instruction
from vmxon.microcode import IntType, inline, load, microcode, select, store, u64, unsigned
from vmxon.processor.flags import set_flags_sub
from vmxon.processor.state import ProcessorState as Cpu

BLOCK = 32
"""Bytes that copies and fills move at once."""


@instruction("REP MOVSB", Form("F3 A4"), Form("F2 A4"), flow="system")
def rep_movsb(cpu: Cpu, record: Record) -> None:
    """Copy a string; bytes."""
    copy_string(cpu, record, unsigned(8))


@instruction("REP MOVS", Form("F3 A5"), Form("F2 A5"), flow="system")
def rep_movs(cpu: Cpu, record: Record, form: FormVariant) -> None:
    """Copy a string; elements of the operand size."""
    copy_string(cpu, record, form.kind)


@instruction("REP STOSB", Form("F3 AA"), Form("F2 AA"), flow="system")
def rep_stosb(cpu: Cpu, record: Record) -> None:
    """Fill a string with rAX; bytes."""
    fill_string(cpu, record, unsigned(8))


@instruction("REP STOS", Form("F3 AB"), Form("F2 AB"), flow="system")
def rep_stos(cpu: Cpu, record: Record, form: FormVariant) -> None:
    """Fill a string with rAX; elements of the operand size."""
    fill_string(cpu, record, form.kind)


@instruction("REP LODSB", Form("F3 AC"), Form("F2 AC"), flow="system")
def rep_lodsb(cpu: Cpu, record: Record) -> None:
    """Load a string into rAX, one element after the other; bytes."""
    load_string(cpu, record, unsigned(8))


@instruction("REP LODS", Form("F3 AD"), Form("F2 AD"), flow="system")
def rep_lods(cpu: Cpu, record: Record, form: FormVariant) -> None:
    """Load a string into rAX, one element after the other; elements of the operand size."""
    load_string(cpu, record, form.kind)


@instruction("REPE CMPSB", Form("F3 A6"), flow="system", writes="of sf zf af pf cf")
def repe_cmpsb(cpu: Cpu, record: Record) -> None:
    """Compare strings until they differ; bytes."""
    compare_strings(cpu, record, unsigned(8), 1)


@instruction("REPE CMPS", Form("F3 A7"), flow="system", writes="of sf zf af pf cf")
def repe_cmps(cpu: Cpu, record: Record, form: FormVariant) -> None:
    """Compare strings until they differ; elements of the operand size."""
    compare_strings(cpu, record, form.kind, 1)


@instruction("REPNE CMPSB", Form("F2 A6"), flow="system", writes="of sf zf af pf cf")
def repne_cmpsb(cpu: Cpu, record: Record) -> None:
    """Compare strings until they agree; bytes."""
    compare_strings(cpu, record, unsigned(8), 0)


@instruction("REPNE CMPS", Form("F2 A7"), flow="system", writes="of sf zf af pf cf")
def repne_cmps(cpu: Cpu, record: Record, form: FormVariant) -> None:
    """Compare strings until they agree; elements of the operand size."""
    compare_strings(cpu, record, form.kind, 0)


@instruction("REPE SCASB", Form("F3 AE"), flow="system", writes="of sf zf af pf cf")
def repe_scasb(cpu: Cpu, record: Record) -> None:
    """Look for an element other than rAX; bytes."""
    scan_string(cpu, record, unsigned(8), 1)


@instruction("REPE SCAS", Form("F3 AF"), flow="system", writes="of sf zf af pf cf")
def repe_scas(cpu: Cpu, record: Record, form: FormVariant) -> None:
    """Look for an element other than rAX; elements of the operand size."""
    scan_string(cpu, record, form.kind, 1)


@instruction("REPNE SCASB", Form("F2 AE"), flow="system", writes="of sf zf af pf cf")
def repne_scasb(cpu: Cpu, record: Record) -> None:
    """Look for an element equal to rAX; bytes."""
    scan_string(cpu, record, unsigned(8), 0)


@instruction("REPNE SCAS", Form("F2 AF"), flow="system", writes="of sf zf af pf cf")
def repne_scas(cpu: Cpu, record: Record, form: FormVariant) -> None:
    """Look for an element equal to rAX; elements of the operand size."""
    scan_string(cpu, record, form.kind, 0)


@microcode
def copy_string(cpu: Cpu, record: Record, kind: IntType) -> None:
    """REP MOVS."""
    while offset_of(cpu, RCX, record) != 0:
        source, ahead = run_at(cpu, record, kind, u64(record.segment), offset_of(cpu, RSI, record), False)
        target, room = run_at(cpu, record, kind, extra_segment(cpu), offset_of(cpu, RDI, record), True)
        count = minimum(minimum(ahead, room), allowance(cpu, offset_of(cpu, RCX, record)))
        copy_elements(kind, source, target, count)
        advance(cpu, record, RSI, kind, count)
        advance(cpu, record, RDI, kind, count)
        if finished(cpu, record, count, False):
            break


@microcode
def fill_string(cpu: Cpu, record: Record, kind: IntType) -> None:
    """REP STOS."""
    value = read_register(cpu, RAX, kind)
    while offset_of(cpu, RCX, record) != 0:
        target, room = run_at(cpu, record, kind, extra_segment(cpu), offset_of(cpu, RDI, record), True)
        count = minimum(room, allowance(cpu, offset_of(cpu, RCX, record)))
        fill_elements(kind, target, value, count)
        advance(cpu, record, RDI, kind, count)
        if finished(cpu, record, count, False):
            break


@microcode
def load_string(cpu: Cpu, record: Record, kind: IntType) -> None:
    """REP LODS: only the last element of a sweep is seen."""
    while offset_of(cpu, RCX, record) != 0:
        source, ahead = run_at(cpu, record, kind, u64(record.segment), offset_of(cpu, RSI, record), False)
        count = minimum(ahead, allowance(cpu, offset_of(cpu, RCX, record)))
        write_register(cpu, RAX, kind, load(kind, source + (count - 1) * kind.bytes))
        advance(cpu, record, RSI, kind, count)
        if finished(cpu, record, count, False):
            break


@microcode
def compare_strings(cpu: Cpu, record: Record, kind: IntType, equal: int) -> None:
    """REPE CMPS (`equal` 1) and REPNE CMPS (0); the flags change at the end, so that a fault leaves the old ones."""
    while offset_of(cpu, RCX, record) != 0:
        first, ahead = run_at(cpu, record, kind, u64(record.segment), offset_of(cpu, RSI, record), False)
        second, room = run_at(cpu, record, kind, extra_segment(cpu), offset_of(cpu, RDI, record), False)
        most = minimum(minimum(ahead, room), allowance(cpu, offset_of(cpu, RCX, record)))
        count = u64(1)
        left, right = load(kind, first), load(kind, second)
        while count < most and (left == right) == (equal == 1):
            left = load(kind, first + count * kind.bytes)
            right = load(kind, second + count * kind.bytes)
            count = count + 1
        advance(cpu, record, RSI, kind, count)
        advance(cpu, record, RDI, kind, count)
        if finished(cpu, record, count, (left == right) != (equal == 1)):
            set_flags_sub(cpu, kind, left, right, left - right)
            break


@microcode
def scan_string(cpu: Cpu, record: Record, kind: IntType, equal: int) -> None:
    """REPE SCAS (`equal` 1) and REPNE SCAS (0)."""
    wanted = read_register(cpu, RAX, kind)
    while offset_of(cpu, RCX, record) != 0:
        source, ahead = run_at(cpu, record, kind, extra_segment(cpu), offset_of(cpu, RDI, record), False)
        most = minimum(ahead, allowance(cpu, offset_of(cpu, RCX, record)))
        count = u64(1)
        found = load(kind, source)
        while count < most and (found == wanted) == (equal == 1):
            found = load(kind, source + count * kind.bytes)
            count = count + 1
        advance(cpu, record, RDI, kind, count)
        if finished(cpu, record, count, (found == wanted) != (equal == 1)):
            set_flags_sub(cpu, kind, wanted, found, wanted - found)
            break


@inline
def advance(cpu: Cpu, record: Record, register: int, kind: IntType, count: int) -> None:
    """Move an index register over `count` elements."""
    step_register(cpu, register, record.address_shift, stride(cpu, kind) * count)


@inline
def finished(cpu: Cpu, record: Record, count: int, failed: bool) -> bool:
    """Commit `count` iterations; True where nothing is left to do (`failed`: the condition said so), or to do now.

    The block has paid for the first iteration, as for any instruction; whoever goes on pays for the next one, which a
    fault gives back. Where the budget is spent RIP stays, and entering the block again pays.
    """
    left = step_register(cpu, RCX, record.address_shift, 0 - count)
    cpu.budget = cpu.budget - (count - 1)
    complete = (left == 0) | failed
    pause = must_stop(cpu) & (not complete)
    if pause:
        cpu.next_rip = cpu.rip
    cpu.budget = cpu.budget - select(complete | pause, u64(0), u64(1))
    return complete | pause


@inline
def copy_elements(kind: IntType, source: int, target: int, count: int) -> None:
    """Copy upward, in blocks where no element would be written before it is read."""
    size = count * kind.bytes
    done = u64(0)
    if target - source >= BLOCK:
        while size - done >= BLOCK:
            words: tuple[int, ...] = ()
            for offset in range(0, BLOCK, 8):
                words += (load(u64, source + done + offset),)
            for index in range(len(words)):
                store(u64, target + done + 8 * index, words[index])
            done = done + BLOCK
    while done != size:
        store(kind, target + done, load(kind, source + done))
        done = done + kind.bytes


@inline
def fill_elements(kind: IntType, target: int, value: int, count: int) -> None:
    """Fill upward, in blocks."""
    size = count * kind.bytes
    done = u64(0)
    pattern = u64(value) * (0xFFFFFFFFFFFFFFFF // kind.mask)
    while size - done >= BLOCK:
        for offset in range(0, BLOCK, 8):
            store(u64, target + done + offset, pattern)
        done = done + BLOCK
    while done != size:
        store(kind, target + done, value)
        done = done + kind.bytes
