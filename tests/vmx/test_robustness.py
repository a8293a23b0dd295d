"""Random VMCSs, VMX instructions and EPT trees: whatever comes, the processor stays in a defined state and Python lives."""

import random
import struct

import pytest

from tests.vmx.vmx_bench import CODE, NO_EXIT, VmxBench
from tests.vmx.witness import BASES, REAL, VMCS, Witness, changed
from vmxon.processor.state import HostRequest
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.rules import first_broken
from vmxon.vmx.state import Operation

SEEDS = range(6)
INSTRUCTIONS = ("vmxon [rbx]", "vmxoff", "vmclear [rbx]", "vmptrld [rbx]", "vmptrst [rbx + 64]", "vmread rax, rcx",
                "vmwrite rcx, rdx", "vmlaunch", "vmresume", "vmcall", "invept rsi, [rbx]", "invvpid rsi, [rbx]", "cpuid",
                "mov eax, 7", "rdtsc", "pushfq")  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_random_vmcss_enter_or_fail_as_the_book_says(seed):
    chance = random.Random(seed)
    bench = VmxBench()
    tables = bench.engine.read_physical(0x1000, 0x3000)
    outcomes = set()
    for _ in range(60):
        name = chance.choice([base for base in BASES if base != "SHORT_HOST"])
        changes = {}
        for field in chance.sample(list(VmcsField), chance.randint(1, 3)):
            old = BASES[name].get(field, 0)
            changes[field] = chance.choice((chance.getrandbits(field.bits), old ^ 1 << chance.randrange(field.bits)))
        witness = Witness(changed(BASES[name], changes), REAL)
        bench.engine.write_physical(0x1000, tables)
        bench.enter(64)
        state = bench.state
        state.cr0, state.cr4, state.vmx_operation, state.vmx_abort = state.cr0 | 0x20, state.cr4 | 1 << 13, Operation.OUTSIDE, 0
        bench.processor.rflags, state.second_stage, state.vpid, state.vmx_secondary = 2, 0, 0, 0
        state.interruptibility = state.pending_debug = state.nmi_pending = state.delivering = 0
        bench.processor.refresh()
        bench.steps("vmxon [0x20000]", "vmclear [0x20008]", "vmptrld [0x20008]")
        bench.fill(witness.fields)
        broken = first_broken(witness.snapshot(bench.quad))
        bench.engine.write_physical(CODE, b"\x0f\x01\xc2")
        state.rip, state.vmx_broken_rule = CODE, 0
        bench.processor.run(1)
        assert state.vmx_broken_rule == (broken.number if broken else 0)
        for _ in range(5):
            if bench.processor.run(40) in (HostRequest.TRIPLE_FAULT, HostRequest.HALT):
                break
        outcomes.add(broken.area if broken else None)
    assert len(outcomes) >= 2


@pytest.mark.parametrize("seed", SEEDS)
def test_random_vmx_instructions(seed):
    chance = random.Random(seed)
    bench = VmxBench(current=False)
    bench.install_tables()
    for _ in range(300):
        state = bench.state
        region = chance.choice((0x40000, VMCS, 0x42000, 0x43000, 0x41008, 1 << 50, chance.getrandbits(64)))
        bench.engine.write_physical(0x20800, struct.pack("<2Q", region, chance.getrandbits(64)))
        state.gpr[3], state.gpr[4] = 0x20800, 0x38000
        state.gpr[1] = chance.choice((*VmcsField, chance.getrandbits(16), chance.getrandbits(64)))
        state.gpr[2], state.gpr[6], state.activity = chance.getrandbits(64), chance.randrange(5), 0
        bench.step(chance.choice(INSTRUCTIONS), chance.randint(1, 3))
        assert state.vmx_operation in (Operation.OUTSIDE, Operation.ROOT, Operation.NON_ROOT)
        assert state.segments[1].rights & 0x80


@pytest.mark.parametrize("seed", SEEDS)
def test_random_ept_trees(seed):
    from tests.vmx.test_ept import EPTP, PD, PDPT, PML4, PT, EptBench
    from tests.vmx.witness import LONG, SecondaryProcessorBased, having

    chance = random.Random(seed)
    for _ in range(12):
        bench = EptBench()
        bench.guest("mov rbx, 0x200000\nmov rax, [rbx]\nmov [rbx + 8], rax\nvmcall", having(LONG, SecondaryProcessorBased.enable_ept))
        bench[VmcsField.EPTP] = EPTP | chance.choice((0, 0x40))
        for _ in range(chance.randint(1, 4)):
            place = chance.choice((PML4, PDPT, PD, PD + 8, PT + 8 * chance.randrange(0x15)))
            old = bench.entry(place)
            bench.entry(place, chance.choice((chance.getrandbits(64), old ^ 1 << chance.randrange(64), old & ~chance.randrange(8))))
        bench.launch(count=200)
        # A tree that maps the code elsewhere may let the guest run on.
        assert bench.reason in ({R.VMCALL, R.EPT_VIOLATION, R.EPT_MISCONFIGURATION, R.TRIPLE_FAULT} if bench.in_host else {NO_EXIT})
