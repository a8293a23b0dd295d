"""The rule campaign: valid VMCSs with one to three fields changed; the compiled and the Python book name the same first broken rule."""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from tests.fuzz.campaign import Outcome, Report
from tests.fuzz.valid_entries import Target, ValidEntry, target_of, valid_entries
from tests.vmx.vmx_bench import VmxBench
from tests.vmx.witnesses import UNREACHABLE
from vmxon.vmx.fields import VmcsField as F
from vmxon.vmx.rules import RULES, EntryRule, Snapshot
from vmxon.vmx.state import CACHES, field_offset

LARGEST_BATCH = 500
FIELDS = list(F)
CASES_FOR_ONE = 10_000
"""So many cases make each reachable rule the first to fail once, at least."""
LEAST_ENTERED = 0.2
TARGETED = 0.4
"""Share of the batches that aim at one rule."""


@dataclass(slots=True)
class RuleTally:
    """What a campaign came to."""

    cases: int = 0
    entered: int = 0
    first: Counter[str] = field(default_factory=Counter)
    """How often each rule was the first to fail."""
    failures: list[str] = field(default_factory=list)

    def rare(self, below: int) -> dict[str, int]:
        """Reachable rules that were first less often than that."""
        return {r.name: self.first[r.name] for r in RULES if r.name not in UNREACHABLE and self.first[r.name] < below}


class Listener(Snapshot):
    """A snapshot that notes which fields are read."""

    reads: set[F]

    def field(self, which: F) -> int:
        self.reads.add(which)
        return super().field(which)


class Start:
    """A valid entry loaded into the processor, and for each field the rules that look at it.

    A rule whose inputs are what they were takes the same way to the same answer, so only rules that read a changed field run again.
    """

    def __init__(self, books: Books, entry: ValidEntry) -> None:
        self.entry = entry
        self.fields = {name: entry.fields.get(name, 0) & ((1 << name.bits) - 1) for name in F}
        plain = entry.snapshot(books.quad, self.fields)
        self.snapshot = plain
        listener = Listener(**{name: getattr(plain, name) for name in plain.__dataclass_fields__})
        self.readers: dict[F, set[int]] = {}
        for rule in RULES:
            object.__setattr__(listener, "reads", set())
            if not rule.holds(listener):
                raise ValueError(f"{entry.name} breaks {rule.name}")
            for name in listener.reads:
                self.readers.setdefault(name, set()).add(rule.number)

    def first_broken(self, changes: Mapping[F, int]) -> int:
        """What the Python book says of the entry with these fields changed; 0 where it enters."""
        numbers: set[int] = set().union(*(self.readers.get(name, ()) for name in changes))
        kept = {name: self.fields[name] for name in changes}
        self.fields.update(changes)
        broken = next((number for number in sorted(numbers) if not RULES[number - 1].holds(self.snapshot)), 0)
        self.fields.update(kept)
        return broken


class Books:
    """Both books over one machine's memory."""

    def __init__(self) -> None:
        self.bench = VmxBench()
        self.quad: Callable[[int], int] = self.bench.quad
        engine = self.bench.engine
        self.compiled = engine.library.functions["first_broken"]
        self.processor = engine.arena.base
        self.capabilities: Mapping[int, int] = {}
        start = engine.arena.address("vmx_memory") + CACHES
        self.places = {name: ctypes.c_uint64.from_address(start + field_offset(name)) for name in F}
        self.bench.vmcs.fields[F.HOST_RIP.slot] = 0x1234
        assert self.places[F.HOST_RIP].value == 0x1234, "the current VMCS is in the first slot"

    def load(self, entry: ValidEntry) -> None:
        """Make the processor's state that of an entry."""
        state = self.bench.state
        if self.capabilities is not entry.capabilities:
            self.capabilities = entry.capabilities
            for address, value in entry.capabilities.items():
                state.vmx_capability[address - 0x480] = value
        state.efer, state.physical_width = 0x500 if entry.long_mode else 0, entry.physical_width
        for name, place in self.places.items():
            place.value = entry.fields.get(name, 0) & ((1 << name.bits) - 1)

    def accepts(self, entry: ValidEntry) -> bool:
        """The compiled book finds nothing broken; `Start` asks the other book."""
        self.load(entry)
        return self.compiled(self.processor) == 0

    def compare(self, start: Start, changes: Mapping[F, int], tally: RuleTally, label: str) -> None:
        """One case; the processor's VMCS is put back."""
        for name, value in changes.items():
            self.places[name].value = value
        compiled = self.compiled(self.processor)
        for name in changes:
            self.places[name].value = start.fields[name]
        broken = start.first_broken(changes)
        tally.cases += 1
        if broken:
            tally.first[RULES[broken - 1].name] += 1
        else:
            tally.entered += 1
        if compiled != broken:
            text = ", ".join(f"{name.name} {value:#x}" for name, value in changes.items())
            tally.failures.append(f"{label}: {start.entry.name} with {text}: compiled {compiled}, Python {broken}")


def random_changes(chance: Random, fields: Mapping[F, int]) -> dict[F, int]:
    """One to three fields with a bit flipped, random contents, or an edge."""
    changes = {}
    for name in chance.sample(FIELDS, chance.choice((1, 1, 1, 2, 2, 3))):
        kind = chance.random()
        if kind < 0.6:
            value = fields[name] ^ 1 << chance.randrange(name.bits)
        elif kind < 0.8:
            value = chance.getrandbits(name.bits)
        else:
            value = chance.choice((0, (1 << name.bits) - 1, 1 << chance.randrange(name.bits)))
        changes[name] = value
    return changes


def aimed_changes(chance: Random, target: Target) -> dict[F, int]:
    """The values that break the target's rule, sometimes with one bit flipped or one more field changed."""
    changes = dict(target.breaking)
    kind = chance.random()
    if kind < 0.5:
        name = chance.choice(list(changes))
        changes[name] ^= 1 << chance.randrange(name.bits)
    if len(changes) < 3 and kind > 0.7:
        name = chance.choice(FIELDS)
        changes.setdefault(name, chance.getrandbits(name.bits))
    return changes


class RuleCampaign:
    """Cases in batches, each from one valid entry; a batch is repeated by its seed."""

    def __init__(self) -> None:
        self.books = Books()
        self.starts: dict[int, Start] = {}
        self.entries = valid_entries(self.books.accepts)
        aims = [target_of(rule, self.books.accepts) for rule in RULES if rule.name not in UNREACHABLE]
        self.targets = [target for target in aims if target is not None]

    def start(self, entry: ValidEntry) -> Start:
        """The start that belongs to an entry, made once."""
        if id(entry) not in self.starts:
            self.starts[id(entry)] = Start(self.books, entry)
        return self.starts[id(entry)]

    def run(self, count: int, seed: int, progress: Callable[[RuleTally], None] = lambda tally: None) -> RuleTally:
        """`count` cases; batches go through the targets and the valid entries in turn."""
        tally = RuleTally()
        size = max(1, min(LARGEST_BATCH, count // (4 * len(self.targets))))
        number = aimed = 0
        while tally.cases < count:
            chance = Random(f"{seed}/{number}")
            target = None
            if chance.random() < TARGETED:
                target, aimed = self.targets[(seed + aimed) % len(self.targets)], aimed + 1
            start = self.start(target.start if target else self.entries[(seed + number) % len(self.entries)])
            self.books.load(start.entry)
            for _ in range(min(size, count - tally.cases)):
                changes = aimed_changes(chance, target) if target else random_changes(chance, start.fields)
                self.books.compare(start, changes, tally, f"seed {seed}, batch {number}")
            number += 1
            if number % 100 == 0:
                progress(tally)
        return tally


def unaimed(campaign: RuleCampaign) -> list[EntryRule]:
    """Reachable rules that no target was found for."""
    known = {target.rule.number for target in campaign.targets}
    return [rule for rule in RULES if rule.name not in UNREACHABLE and rule.number not in known]


def run(count: int, seed: int, report: Report) -> Outcome:
    """The campaign for `make fuzz`; a million cases have to make every reachable rule the first to fail a hundred times."""
    campaign = RuleCampaign()
    tally = campaign.run(count, seed, lambda so_far: report(so_far.cases, []))
    failures = list(tally.failures)
    least = count // CASES_FOR_ONE
    failures += [f"{name} was the first to fail only {times} times, not {least}" for name, times in tally.rare(least).items()]
    if tally.entered < tally.cases * LEAST_ENTERED:
        failures.append(f"only {tally.entered} of {tally.cases} entered")
    report(tally.cases, failures)
    notes = [f"{tally.entered / tally.cases:.1%} entered; {len(tally.first)} of {len(RULES)} rules were the first to fail; the rarest:"]
    notes += [f"{times:8,}  {name}" for name, times in reversed(tally.first.most_common()[-10:])]
    notes += [f"   never  {name}: {reason}" for name, reason in UNREACHABLE.items()]
    return Outcome(tally.cases, failures, notes)
