"""The campaign of hostile guests: under both ways of paging, beside a neighbour whose result must not change.

After each slice of a guest, its tables must lead to its own frames only, no byte of the guarding frames or of the neighbour may have
changed, and their secret must not be in the guest's memory or registers. Whatever the guest does, the hypervisor goes on: only its own
errors end a guest. Steps are instructions of hostile guests; one that fails, or no longer starts new pieces of code, is reset and gets
another program.
"""

from __future__ import annotations

import hashlib
import struct
import traceback
from collections import Counter
from dataclasses import dataclass
from random import Random

from tests.fuzz.campaign import Outcome, Report
from tests.fuzz.hostile import COUNTER, MEMORY, RESTORES, image
from tests.hypervisor.guests import image_of
from vmxon.errors import VmxonError
from vmxon.hypervisor.hypervisor import Guest, Hypervisor
from vmxon.hypervisor.memory.isolation import find_leaks
from vmxon.hypervisor.memory.page_manager import PAGE
from vmxon.hypervisor.memory.virtual_memory import PagingMode
from vmxon.hypervisor.scheduler import Condition
from vmxon.vmx.exit_reasons import ExitReason

SECRET = struct.pack("<Q", 0x5EC2_E75E_C2E7_B17E)
SLICE = 2_000
"""Instructions between two inspections."""
MOST_SLICES, LIVES = 20, 40
GUESTS_PER_HOST = 20
GUARDS = 64
NEIGHBOUR = """
    mov ecx, 0x7FFFFFFF
    mov esi, 0x180000
    again:
    imul eax, eax, 69069
    inc eax
    mov [esi], eax
    xor esi, 0x5554
    loop again
    jmp good
"""


class Host:
    """A hypervisor whose free memory holds the secret, a neighbour that computes, and frames that nobody may write, around the guest's."""

    def __init__(self) -> None:
        self.hypervisor = Hypervisor(memory=16 << 20)
        self.neighbour = self.hypervisor.create(MEMORY, "neighbour")
        self.neighbour.load(image_of(NEIGHBOUR))
        self.neighbour.memory.write(0x1C_0000, SECRET * (0x4_0000 // len(SECRET)))
        self.frames = self.hypervisor.host.pages
        self.place = self.frames.allocate(MEMORY // PAGE + GUARDS, align=MEMORY // PAGE)
        self.frames.release(self.place, MEMORY // PAGE)

    def hide_secrets(self) -> None:
        """Fill the guarding frames and every free one."""
        write, taken, frame = self.hypervisor.host.root.engine.write_physical, self.frames.taken, 0
        while (frame := taken.find(0, frame)) >= 0:
            end = taken.find(1, frame)
            end = len(taken) if end < 0 else end
            write(frame * PAGE, SECRET * ((end - frame) * PAGE // len(SECRET)))
            frame = end
        write(self.place + MEMORY, SECRET * (GUARDS * PAGE // len(SECRET)))

    def others(self) -> bytes:
        """A digest of what a guest must leave alone: the guards, and its neighbour's memory, which ends where the guest's begins."""
        guards = self.hypervisor.host.root.engine.read_physical(self.place + MEMORY, GUARDS * PAGE)
        return hashlib.blake2b(guards + self.neighbour.memory.view).digest()


def inspect(host: Host, guest: Guest, before: bytes) -> str | None:
    """What is wrong after a slice."""
    leaks = find_leaks(guest.memory, guest.machine.paging)
    if leaks:
        return f"leak: {leaks[0]}"
    if SECRET in bytes(guest.memory.view):
        return f"the secret is in guest memory at {bytes(guest.memory.view).index(SECRET):#x}"
    words = {guest.machine.registers[number].to_bytes(8, "little") for number in range(16)}
    if any(word in SECRET * 2 for word in words):
        return "the secret is in a register"
    return None if host.others() == before else "memory of others has changed"


@dataclass(slots=True)
class Life:
    """What a guest did between two resets."""

    pieces: int = 0
    failure: str | None = None


def live(host: Host, guest: Guest, code: bytes, before: bytes) -> Life:
    """Give a guest a program and let it run until it fails, is caught in a loop, or has had enough."""
    life = Life()
    guest.machine.reset()
    guest.load(code)
    guest.memory.write(COUNTER, bytes(4))
    guest.job.condition, guest.machine.exit_value = Condition.READY, None
    for _ in range(MOST_SLICES):
        guest.job.run_slice(SLICE)
        life.failure = inspect(host, guest, before)
        started = int.from_bytes(guest.memory.read(COUNTER, 4), "little")
        if life.failure or not guest.job.alive or guest.status is not None or not 0 < started - life.pieces < SLICE:
            break
        life.pieces = started
    if isinstance(guest.job.error, VmxonError):
        str(guest.job.error)
    return life


def run_guest(host: Host, seed: int, paging: PagingMode, exits: Counter[int]) -> tuple[int, int, str | None]:
    """One guest with its lives: instructions, pieces of code that it started, and what went wrong."""
    host.hide_secrets()
    guest = host.hypervisor.create(MEMORY, f"{seed}", paging=paging)
    choose, pieces, failure, kind = Random(seed), 0, None, ""
    try:
        assert guest.memory.base == host.place
        guest.memory.view[:] = bytes(MEMORY)
        before = host.others()
        for _ in range(LIVES):
            kind = choose.choice(tuple(RESTORES))
            life = live(host, guest, image(choose.getrandbits(32), kind), before)
            pieces += life.pieces
            if life.failure:
                failure = life.failure
                break
        exits.update(guest.machine.accounting.counts)
    except Exception:  # noqa: BLE001 - whatever it is, it is a finding
        failure = traceback.format_exc()
    steps = guest.machine.time.instructions
    host.hypervisor.close(guest)
    host.neighbour.machine.run_slice(SLICE // 5)
    return steps, pieces, failure and f"seed {seed}, {kind}, {paging.value}: {failure}"


def alone(ticks: int) -> str:
    """The neighbour's memory after so much of its time, without anybody else."""
    host = Host()
    while host.neighbour.machine.time.now < ticks:
        host.neighbour.machine.run_slice(SLICE // 5)
    return hashlib.sha256(host.neighbour.memory.view).hexdigest()


def run(count: int, seed: int, report: Report) -> Outcome:
    """Run guests, half under EPT and half under shadow paging, until there have been `count` steps."""
    outcome, exits = Outcome(0), Counter[int]()
    pieces = guests = 0
    steps = Counter[str]()
    host = Host()
    while outcome.cases < count:
        paging = PagingMode.EPT if seed % 2 else PagingMode.SHADOW
        done, started, failure = run_guest(host, seed, paging, exits)
        outcome.cases, pieces, guests, seed = outcome.cases + done, pieces + started, guests + 1, seed + 1
        steps[paging.value] += done
        failures = [failure] if failure else []
        if guests % GUESTS_PER_HOST == 0 or outcome.cases >= count:
            neighbour = host.neighbour.machine
            if hashlib.sha256(neighbour.memory.view).hexdigest() != alone(neighbour.time.now):
                failures.append(f"the neighbour of the guests up to seed {seed} ended differently")
            host = Host()
        outcome.failures += failures
        report(outcome.cases, failures)
    common = ", ".join(f"{ExitReason(reason).name} {number:,}" for reason, number in exits.most_common(12))
    outcome.notes = [
        f"{guests:,} guests; {', '.join(f'{paging} {number:,}' for paging, number in sorted(steps.items()))}; {pieces:,} pieces of code",
        f"{sum(exits.values()):,} exits: {common}",
    ]
    return outcome
