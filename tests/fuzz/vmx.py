"""The campaigns of VMX: random VMCSs that are really entered, random VMX instructions, random EPT trees.

Whatever comes, the processor stays in a defined state, a run ends within its budget, and Python raises nothing. Steps are counted in
guest and host instructions.
"""

from __future__ import annotations

import struct
from collections import Counter
from random import Random

from tests.fuzz.campaign import Outcome, Report
from tests.fuzz.rules import random_changes
from tests.harness import assemble
from tests.vmx.vmx_bench import CODE, GUEST, HOST, VmxBench
from tests.vmx.witness import BASES, REAL, VMCS, Witness, changed, having
from vmxon.arch.models import MAX
from vmxon.processor.state import HostRequest
from vmxon.processor.tlb_policy import TlbPolicy
from vmxon.vmx.controls import VECTORS, SecondaryProcessorBased, TertiaryProcessorBased
from vmxon.vmx.exit_reasons import ExitReason
from vmxon.vmx.fields import VmcsField as F
from vmxon.vmx.rules import first_broken
from vmxon.vmx.state import VMX_MEMORY_SIZE, Operation

INSTRUCTIONS = (
    *("vmxon [rbx]", "vmxoff", "vmclear [rbx]", "vmptrld [rbx]", "vmptrst [rbx + 64]", "vmread rax, rcx", "vmwrite rcx, rdx"),
    *("vmlaunch", "vmresume", "vmcall", "vmfunc", "invept rsi, [rbx]", "invvpid rsi, [rbx]", "cpuid", "mov eax, 7", "rdtsc", "pushfq"),
)
RUN = 200
"""Instructions that a guest gets at a time."""
WORK = "mov rbx, 0x200000\nagain:\nmov rax, [rbx]\nmov [rbx + 8], rax\nadd rbx, 0x3008\nand rbx, 0x3FFFF8\ndec rcx\njnz again\nvmcall"
TREE = 0x50000
EPTP = TREE | 0x1E
ENTRIES_AT = (TREE, TREE + 0x1000, TREE + 0x2000, TREE + 0x2008, TREE + 0x3000)
POINTERS = 0x20800
VMXON_VMCS = ("vmxon [0x20000]", "vmclear [0x20008]", "vmptrld [0x20008]")
OPERATIONS = {operation.value for operation in Operation}


OFFERED = [VECTORS[vector].layout[name] for vector in VECTORS for name in sorted(getattr(MAX.vmx, vector))]
"""Controls that may be 1."""
WALKS = (TertiaryProcessorBased.enable_hlat, TertiaryProcessorBased.ept_paging_write, TertiaryProcessorBased.guest_paging_verification)


class Machine:
    """A processor that is put back into VMX root operation between cases."""

    def __init__(self) -> None:
        self.bench = VmxBench()
        self.low = self.bench.engine.read_physical(0, 0x60000)
        self.kept = bytes(self.bench.engine.arena.part("state", 0x4000))
        self.vmcss = bytes(self.bench.engine.arena.part("vmx_memory", VMX_MEMORY_SIZE))
        self.steps = 0

    def restore(self) -> None:
        """The state, the active VMCSs and the low memory of the beginning."""
        bench = self.bench
        bench.engine.arena.part("vmx_memory", VMX_MEMORY_SIZE)[:] = self.vmcss
        bench.engine.write_physical(0, self.low)
        bench.engine.arena.part("state", 0x4000)[:] = self.kept
        bench.engine.call("flush_blocks")
        bench.engine.call("invalidate_everything")
        bench.processor.refresh()

    def run(self, count: int) -> HostRequest:
        """Up to `count` instructions; what they end in has to be something that a machine can answer."""
        state = self.bench.state
        before = self.bench.processor.instructions
        stopped = self.bench.processor.run(count)
        done = self.bench.processor.instructions - before
        self.steps += max(1, done)
        if done > count + 1 or state.vmx_operation not in OPERATIONS:
            raise AssertionError(f"{done} instructions of {count}, operation {state.vmx_operation}, {stopped.name}")
        return stopped


def random_entry(machine: Machine, chance: Random, seen: Counter[str]) -> None:
    """A VMCS near a valid one is entered, and the processor does what the Python book says."""
    machine.restore()
    bench = machine.bench
    bench.state.tlb_policy = chance.randrange(len(TlbPolicy))
    base = BASES[chance.choice([name for name in BASES if name != "SHORT_HOST"])]
    base = having(base, *chance.sample(OFFERED, chance.choice((0, 0, 1, 4))))
    fields = {name: base.get(name, 0) for name in F}
    witness = Witness(changed(base, random_changes(chance, fields), {F.HOST_RIP: HOST}), REAL)
    bench.vmcs.launched = 0
    bench.fill(witness.fields)
    broken = first_broken(witness.snapshot(bench.quad))
    bench.engine.write_physical(CODE, b"\x0f\x01\xc2")
    bench.engine.write_physical(GUEST, chance.randbytes(64) if chance.random() < 0.5 else b"\x90\x0f\xa2" * 20)
    bench.state.rip, bench.state.vmx_broken_rule = CODE, 0
    machine.run(1)
    number = broken.number if broken else 0
    if bench.state.vmx_broken_rule != number:
        raise AssertionError(f"the processor reports rule {bench.state.vmx_broken_rule}, the book {number}")
    seen[broken.area.name if broken else "entered"] += 1
    for _ in range(3):
        if machine.run(RUN) in (HostRequest.TRIPLE_FAULT, HostRequest.HALT):
            break


def random_instructions(machine: Machine, chance: Random, seen: Counter[str]) -> None:
    """VMX instructions with random operands, one after the other on one processor."""
    machine.restore()
    bench, state = machine.bench, machine.bench.state
    bench.install_tables()
    if chance.random() < 0.5:
        bench.fill(BASES[chance.choice(list(BASES))])
    for _ in range(40):
        region = chance.choice((0x40000, VMCS, 0x42000, 0x43000, 0x41008, 1 << 50, chance.getrandbits(64)))
        bench.engine.write_physical(POINTERS, struct.pack("<2Q", region, chance.getrandbits(64)))
        state.gpr[3], state.gpr[4] = POINTERS, 0x38000
        state.gpr[1] = chance.choice((*F, chance.getrandbits(16), chance.getrandbits(64)))
        state.gpr[2], state.gpr[6], state.activity = chance.getrandbits(64), chance.randrange(5), 0
        text = chance.choice(INSTRUCTIONS)
        bench.engine.write_physical(CODE, assemble(text).ljust(64, b"\x90"))
        state.rip = CODE
        machine.run(chance.randint(1, 3))
        seen[text.split()[0]] += 1


def random_tree(machine: Machine, chance: Random, seen: Counter[str]) -> None:
    """A guest works over an EPT with damaged entries; the hypervisor resumes it a few times."""
    machine.restore()
    bench = machine.bench
    write = bench.engine.write_physical
    leaf, flags = 0xB7, chance.choice((0, 0x40))
    table = [TREE + 0x1007, TREE + 0x2007]
    write(TREE, struct.pack("<Q", table[0]).ljust(0x1000, b"\0"))
    write(TREE + 0x1000, struct.pack("<Q", table[1]).ljust(0x1000, b"\0"))
    write(TREE + 0x2000, struct.pack("<512Q", TREE + 0x3007, *((n << 21) | leaf for n in range(1, 512))))
    write(TREE + 0x3000, struct.pack("<512Q", *((n << 12) | 0x37 for n in range(512))))
    for _ in range(chance.randint(0, 4)):
        place = chance.choice((*ENTRIES_AT, TREE + 0x3000 + 8 * chance.randrange(0x40)))
        old = int.from_bytes(bench.engine.read_physical(place, 8), "little")
        value = chance.choice((chance.getrandbits(64), old ^ 1 << chance.randrange(64), old & ~chance.randrange(8)))
        write(place, struct.pack("<Q", value))
    bench.vmcs.launched = 0
    bench.state.tlb_policy = chance.randrange(len(TlbPolicy))
    fields = having(BASES["LONG"], SecondaryProcessorBased.enable_ept, *chance.sample(WALKS, chance.choice((0, 0, 1, 3))))
    bench.guest(WORK, {**fields, F.EPTP: EPTP | flags, F.HLATP: 0x1000, F.HLAT_PREFIX_SIZE: chance.choice((0, 1))})
    bench.state.gpr[1] = chance.choice((5, 50, 500))
    for mnemonic in (b"\x0f\x01\xc2", b"\x0f\x01\xc3", b"\x0f\x01\xc3"):
        write(CODE, mnemonic)
        bench.state.rip, bench.state.activity = CODE, 0
        machine.run(2 * RUN)
        reason = bench.reason & 0xFFFF
        names = {number.value: number.name for number in ExitReason}
        seen[names.get(reason, "no exit") if bench.in_host else "running on"] += 1
        if not bench.in_host or bench.state.activity > 1:
            break


KINDS = {"entries": random_entry, "instructions": random_instructions, "trees": random_tree}


def run(kind: str, count: int, seed: int, report: Report) -> Outcome:
    """At least `count` steps of one kind; a case is repeated by its seed and number."""
    machine, seen, failures, number = Machine(), Counter[str](), list[str](), 0
    while machine.steps < count:
        try:
            KINDS[kind](machine, Random(f"{kind}/{seed}/{number}"), seen)
        except Exception as error:  # noqa: BLE001  # any exception is a finding, and the campaign goes on
            failures.append(f"{kind}, seed {seed}, case {number}: {type(error).__name__}: {error}")
            report(machine.steps, failures[-1:])
            machine = _after(machine)
        number += 1
        if number % 200 == 0:
            report(machine.steps, [])
    return Outcome(machine.steps, failures, [f"{number:,} cases: " + ", ".join(f"{name} {n:,}" for name, n in seen.most_common())])


def _after(machine: Machine) -> Machine:
    """A new machine that goes on counting."""
    fresh = Machine()
    fresh.steps = machine.steps + 1
    return fresh
