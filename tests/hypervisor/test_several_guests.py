"""Several guests on one processor: each ends as it does alone, whatever becomes of the others."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache

import pytest

from tests.hypervisor.guests import HANDLER, MIB, TABLES, image_of
from vmxon.arch.models import MAX
from vmxon.errors import TimedOut, TripleFault
from vmxon.hypervisor.guest import bundled_guest
from vmxon.hypervisor.memory.isolation import find_leaks
from vmxon.hypervisor.memory.virtual_memory import PagingMode
from vmxon.hypervisor.operation.host import Host
from vmxon.hypervisor.scheduler import Condition, Job, Scheduler
from vmxon.hypervisor.virtual_machine import VirtualMachine
from vmxon.machine.loader import load_multiboot
from vmxon.vmx.exit_reasons import ExitReason

SLICE = 20_000
COUNT = """
    mov ecx, {count}
    mov esi, 0x180000
    again:
    imul eax, eax, 69069
    add eax, {seed}
    mov [esi], eax
    xor esi, 0x5554
    loop again
    jmp good
"""
FLOATING = """
    mov eax, cr4
    or eax, 0x600
    mov cr4, eax
    fninit
    fldpi
    mov eax, {seed}
    movd xmm3, eax
    mov eax, 0x180000
    mov dr1, eax
    mov eax, {seed} * 4096
    mov cr2, eax
    mov ecx, 0xC0000081
    mov eax, {seed}
    mov edx, {seed} + 1
    wrmsr
    mov ecx, 200000
    spin: loop spin
    fld st(0)
    fstp qword ptr [0x180000]
    cmp dword ptr [0x180004], 0x400921FB
    jne bad
    movd eax, xmm3
    cmp eax, {seed}
    jne bad
    mov eax, dr1
    cmp eax, 0x180000
    jne bad
    mov eax, cr2
    cmp eax, {seed} * 4096
    jne bad
    mov ecx, 0xC0000081
    rdmsr
    cmp eax, {seed}
    jne bad
    cmp edx, {seed} + 1
    jne bad
    jmp good
"""
TICKING = (
    HANDLER.format(vector=0x20)
    + """
    mov al, 0x11
    out 0x20, al
    mov al, 0x20
    out 0x21, al
    mov al, 4
    out 0x21, al
    mov al, 1
    out 0x21, al
    mov al, 0xFE
    out 0x21, al
    mov al, 0x34
    out 0x43, al
    mov al, 0xA9
    out 0x40, al
    mov al, 4
    out 0x40, al
    mov edi, 0x180000
    sti
    more: inc ebp
    jmp more
    caught:
    mov [edi], ebp
    add edi, 4
    rdtsc
    mov [edi], eax
    add edi, 4
    mov al, 0x20
    out 0x20, al
    cmp edi, 0x180200
    je good
    iretd
    """
    + TABLES
)
"""Every interrupt of the timer writes down how far the guest had come, and its time-stamp counter."""
SLEEPER = TICKING.replace("more: inc ebp", "more: hlt").replace("cmp edi, 0x180200", "cmp edi, 0")
CRASH = "mov ecx, 50000 \n wait: loop wait \n lidt [none] \n ud2 \n none: .quad 0"
LOOP = "cli \n again: inc eax \n jmp again"


@dataclass(frozen=True)
class Result:
    """What must not depend on other guests."""

    status: int | None
    memory: str
    instructions: int
    ticks: int
    output: bytes


class Guests:
    """A host with a scheduler."""

    def __init__(self, memory: int = 64 * MIB) -> None:
        self.host, self.scheduler = Host(MAX, memory), Scheduler(SLICE)
        self.output: dict[str, bytearray] = {}

    def add(self, name: str, image: bytes, memory: int = 2 * MIB, paging: PagingMode = PagingMode.EPT) -> Job:
        out = self.output[name] = bytearray()
        machine = VirtualMachine(MAX, memory, serial=out.append, debug_console=out.append, host=self.host, paging=paging)
        machine.load(load_multiboot(image, name, memory))
        return self.scheduler.add(name, machine)

    def result(self, job: Job) -> Result:
        machine = job.machine
        digest = hashlib.sha256(machine.memory.view).hexdigest()
        return Result(job.exit_value, digest, job.instructions, machine.time.now, bytes(self.output[job.name]))


def image(name: str) -> bytes:
    kind, _, seed = name.partition("-")
    match kind:
        case "bundled":
            return bundled_guest()
        case "count":
            return image_of(COUNT.format(count=60_000 + 7_000 * int(seed), seed=seed))
        case "floating":
            return image_of(FLOATING.format(seed=seed))
        case "ticking":
            return image_of(TICKING)
        case "crash":
            return image_of(CRASH)
        case "reset":
            return image_of("mov ecx, 3000 \n wait: loop wait \n mov al, 0xFE \n out 0x64, al")
        case _:
            return image_of(LOOP)


def size(name: str) -> int:
    return (8 if name == "bundled" else 2) * MIB


@cache
def alone(name: str, paging: PagingMode = PagingMode.EPT) -> Result:
    """On a host of its own, without a scheduler."""
    out = bytearray()
    machine = VirtualMachine(MAX, size(name), serial=out.append, debug_console=out.append, paging=paging)
    machine.load(load_multiboot(image(name), name, size(name)))
    status = machine.run(60)
    digest = hashlib.sha256(machine.memory.view).hexdigest()
    return Result(status, digest, machine.time.instructions, machine.time.now, bytes(out))


EIGHT = ("bundled", "count-1", "count-2", "floating-3", "ticking", "floating-5", "count-6", "count-7")


MIXED = tuple(PagingMode.SHADOW if number % 2 else PagingMode.EPT for number in range(8))


@pytest.mark.parametrize("modes", [(PagingMode.EPT,) * 8, (PagingMode.SHADOW,) * 8, MIXED], ids=["ept", "shadow", "mixed"])
def test_eight_guests_at_once_end_as_alone(modes: tuple[PagingMode, ...]) -> None:
    guests = Guests()
    jobs = [guests.add(name, image(name), size(name), paging) for name, paging in zip(EIGHT, modes, strict=True)]
    guests.scheduler.run(60)
    assert [job.condition for job in jobs] == [Condition.FINISHED] * 8
    assert {job.name: guests.result(job) for job in jobs} == {name: alone(name, paging) for name, paging in zip(EIGHT, modes, strict=True)}
    assert guests.host.switches > 30
    assert [find_leaks(job.machine.memory, job.machine.paging) for job in jobs] == [[]] * 8
    assert len({job.machine.vpid for job in jobs}) == 8


@pytest.mark.parametrize("paging", PagingMode)
def test_what_becomes_of_others_changes_no_result(paging: PagingMode) -> None:
    """One is paused for a while, one is killed, one crashes, one resets its machine for ever; the rest end as they do alone."""
    guests = Guests()
    names = ("ticking", "loop", "crash", "reset", "bundled", "count-2", "floating-4", "count-5")
    jobs = {name: guests.add(name, image(name), size(name), paging) for name in names}
    paused, others = jobs["ticking"], [jobs[name] for name in ("bundled", "count-2", "floating-4", "count-5")]
    seen: list[int] = []

    def act(job: Job) -> None:
        if paused.slices == 2 and not seen:
            guests.scheduler.pause(paused)
            seen.append(paused.slices)
        if all(other.condition is Condition.FINISHED for other in others) and jobs["loop"].alive:
            seen.append(paused.slices)
            guests.scheduler.resume(paused)
            for name in ("loop", "reset"):
                guests.scheduler.kill(jobs[name])

    guests.scheduler.on_slice = act
    guests.scheduler.run(60)
    assert seen == [2, 2]
    assert [job.condition.value for job in jobs.values()] == ["finished", "killed", "failed", "killed", *["finished"] * 4]
    assert [guests.result(job) for job in (paused, *others)] == [alone(job.name, paging) for job in (paused, *others)]


@pytest.mark.parametrize("slice_ticks", [3_001, 50_000, 10_000_000])
def test_the_length_of_a_slice_changes_nothing(slice_ticks: int) -> None:
    guests = Guests()
    guests.scheduler.slice_ticks = slice_ticks
    jobs = [guests.add(name, image(name), size(name)) for name in ("ticking", "bundled", "floating-9")]
    guests.scheduler.run(60)
    assert [guests.result(job) for job in jobs] == [alone(job.name) for job in jobs]


def test_a_crash_is_explained() -> None:
    guests = Guests()
    job = guests.add("crash", image("crash"))
    guests.scheduler.run(60)
    assert isinstance(job.error, TripleFault)


def test_a_guest_that_has_ended_cannot_be_resumed() -> None:
    guests = Guests()
    job = guests.add("loop", image("loop"))
    guests.scheduler.kill(job)
    with pytest.raises(ValueError, match="guest loop has ended: killed"):
        guests.scheduler.resume(job)


@pytest.mark.parametrize("paging", PagingMode)
def test_a_loop_with_interrupts_off_loses_the_processor(paging: PagingMode) -> None:
    guests = Guests()
    loop, other = (guests.add(name, image(name), paging=paging) for name in ("loop", "count-1"))
    with pytest.raises(TimedOut, match="loop: not all guests ended within"):
        guests.scheduler.run(0.3)
    assert other.condition is Condition.FINISHED
    assert guests.result(other) == alone("count-1", paging)
    assert 0 <= loop.machine.time.now - loop.slices * SLICE < 64 * loop.slices
    assert loop.machine.accounting.counts[ExitReason.PREEMPTION_TIMER] >= loop.slices


def test_a_guest_that_only_sleeps_leaves_the_processor_to_others() -> None:
    """It wakes at each tick of its timer and sleeps again: its time passes as that of the one that computes."""
    guests = Guests()
    sleeper = guests.add("sleeper", image_of(SLEEPER))
    worker = guests.add("count-1", image("count-1"))
    guests.scheduler.on_slice = lambda job: guests.scheduler.kill(sleeper) if worker.condition is Condition.FINISHED else None
    guests.scheduler.run(60)
    assert guests.result(worker) == alone("count-1")
    assert abs(sleeper.machine.time.now - worker.machine.time.now) <= 2 * SLICE
    assert sleeper.instructions < sleeper.machine.time.now // 10


def test_fair_shares() -> None:
    guests = Guests()
    first, second = guests.add("loop", image("loop")), guests.add("loop-2", image("loop"))
    third: list[Job] = []

    def act(job: Job) -> None:
        if not third and first.slices == 10:
            third.append(guests.add("loop-3", image("loop")))
        if first.slices == 20:
            for each in (first, second, *third):
                guests.scheduler.kill(each)

    guests.scheduler.on_slice = act
    guests.scheduler.run(60)
    assert abs(first.instructions - second.instructions) <= 2 * SLICE
    assert abs(third[0].instructions - first.instructions // 2) <= 2 * SLICE


def test_the_checker_sees_a_page_of_another() -> None:
    guests = Guests()
    first, second = (guests.add(name, image("count-1")).machine for name in ("one", "two"))
    first.memory.address_space.map_page(0x40_0000, second.memory.base, 2 * MIB)
    first.memory.address_space.map_page(0x80_0000, first.vmcs)
    assert [leak.why for leak in find_leaks(first.memory, first.paging)] == ["maps memory that is not the guest's"] * 2
    assert find_leaks(second.memory, second.paging) == []
