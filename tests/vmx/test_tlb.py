"""Cached translations: what a missing INVEPT, INVVPID or INVLPG shows under each policy (Vol. 3C §29.4)."""

import struct

import pytest

from tests.vmx.test_ept import ALL, EPTP, OTHER, PD, TARGET, WB, EptBench
from tests.vmx.vmx_bench import VmxBench
from tests.vmx.witness import LONG, SecondaryProcessorBased, changed, having
from vmxon.errors import ConfigurationError
from vmxon.machine.configuration import PcConfiguration
from vmxon.machine.pc import Pc
from vmxon.machine.root import bare_processor
from vmxon.machine.translations import parse_policy
from vmxon.processor.tlb_policy import TlbPolicy
from vmxon.vmx.exit_reasons import ExitReason as R
from vmxon.vmx.fields import VmcsField as F

VPID = SecondaryProcessorBased.enable_vpid
DESCRIPTOR = 0x20200


def invalidate(bench, mnemonic, kind, first, second):
    """INVEPT, INVVPID or INVPCID in the host, with all registers of the guest but RCX kept."""
    bench.engine.write_physical(DESCRIPTOR, struct.pack("<2Q", first, second))
    bench.state.activity = 0
    bench.state.gpr[1] = kind
    assert bench.steps(f"{mnemonic} rcx, [{DESCRIPTOR:#x}]") & 0x41 == 0


# EPT


def remap(*controls, policy="keep", invalidation=None):
    """Value that a guest loads after its page was remapped in EPT between two entries: 1 is stale."""
    bench = EptBench()
    bench.processor.keep_translations(policy)
    bench.engine.write_physical(TARGET, struct.pack("<Q", 1))
    bench.engine.write_physical(0x300000, struct.pack("<Q", 2))
    bench.entry(PD + 8, OTHER | ALL)
    bench.entry(OTHER, TARGET | ALL | WB)
    code = f"mov rbx, {TARGET:#x}\nmov rax, [rbx]\nvmcall\nmov rax, [rbx]\nvmcall"
    assert bench.run(code, *controls, VPID=7) == R.VMCALL
    assert bench.state.gpr[0] == 1
    bench.entry(OTHER, 0x300000 | ALL | WB)
    bench[F.GUEST_RIP] += 3
    if invalidation is not None:
        invalidate(bench, *invalidation)
    bench.launch("vmresume")
    return bench.state.gpr[0]


@pytest.mark.parametrize(
    ("invalidation", "value"),
    [
        (None, 1),
        (("invept", 1, EPTP, 0), 2),
        (("invept", 1, 0x5001E, 0), 1),
        (("invept", 2, 0, 0), 2),
        # INVVPID ends combined mappings; those of EPT alone live on.
        (("invvpid", 0, 7, TARGET), 1),
        (("invvpid", 1, 7, 0), 1),
        (("invvpid", 2, 0, 0), 1),
    ],
)
@pytest.mark.parametrize("controls", [(VPID,), ()], ids=["VPID", "no VPID"])
def test_mappings_of_ept_live_until_invept(invalidation, controls, value):
    assert remap(*controls, invalidation=invalidation) == value


@pytest.mark.parametrize("controls", [(VPID,), ()], ids=["VPID", "no VPID"])
def test_a_processor_that_keeps_nothing_hides_a_missing_invept(controls):
    assert remap(*controls, policy="nothing") == 2


def test_chance_decides_the_same_way_for_the_same_seed():
    values = [remap(VPID, policy=f"random:{seed}") for seed in range(30)]
    assert set(values) == {1, 2}
    assert [remap(VPID, policy=f"random:{seed}") for seed in range(30)] == values


def test_a_violation_ends_the_mappings_of_its_address():
    bench = EptBench()
    bench.engine.write_physical(TARGET, struct.pack("<Q", 1))
    bench.engine.write_physical(0x300000, struct.pack("<Q", 2))
    bench.entry(PD + 8, OTHER | ALL)
    bench.entry(OTHER, TARGET | 1 | WB)
    code = f"mov rbx, {TARGET:#x}\nmov rax, [rbx]\nmov [rbx+8], rax\nvmcall"
    assert bench.run(code, VPID, VPID=7) == R.EPT_VIOLATION
    bench.entry(OTHER, 0x300000 | ALL | WB)
    bench[F.GUEST_RIP] -= 3
    bench.launch("vmresume")
    assert (bench.reason, bench.state.gpr[0]) == (R.VMCALL, 2)


# Linear mappings of a VPID. The guest has 4-KiB pages at FIRST and SECOND.

TABLE, FIRST, SECOND, GLOBAL = 0x50000, 0x400000, 0x401000, 1 << 8
PAGES = {"old": (0x60000, 0x61000), "new": (0x62000, 0x63000)}


class PagesBench(VmxBench):
    """A guest with VPID 7 that loads from its two pages, once in each entry."""

    def __init__(self, policy="keep", flags=(0, 0), cr4=0, vpid=7):
        super().__init__()
        self.processor.keep_translations(policy)
        self.flags = flags
        for number, page in enumerate((*PAGES["old"], *PAGES["new"])):
            self.engine.write_physical(page, struct.pack("<Q", number))
        self.engine.write_physical(0x3010, struct.pack("<Q", TABLE | 7))
        self.map("old")
        loop = f"again:\nmov rax, [{FIRST:#x}]\nmov rbx, [{SECOND:#x}]\nvmcall\njmp again"
        changes = {F.VPID: vpid, F.GUEST_CR4: LONG[F.GUEST_CR4] | cr4}
        self.guest(loop, changed(having(LONG, VPID), changes))
        self.launch()
        assert self.reason == R.VMCALL
        assert self.loaded == (0, 1)

    def map(self, which):
        """Point the pages to the old or the new frames."""
        entries = [page | 7 | flags for page, flags in zip(PAGES[which], self.flags, strict=True)]
        self.engine.write_physical(TABLE, struct.pack("<2Q", *entries))

    @property
    def loaded(self):
        """0 and 1 from the old frames, 2 and 3 from the new ones."""
        return self.state.gpr[0], self.state.gpr[3]

    def again(self, *invalidation):
        """Remap, invalidate and resume."""
        self.map("new")
        if invalidation:
            invalidate(self, *invalidation)
        self[F.GUEST_RIP] += 3
        self.launch("vmresume")
        assert self.reason == R.VMCALL
        return self.loaded


@pytest.mark.parametrize(
    ("invalidation", "loaded"),
    [
        ((), (0, 1)),
        (("invvpid", 0, 7, FIRST), (2, 1)),
        (("invvpid", 0, 7, SECOND + 0xFFF), (0, 3)),
        (("invvpid", 0, 8, FIRST), (0, 1)),
        (("invvpid", 1, 7, 0), (2, 3)),
        (("invvpid", 1, 8, 0), (0, 1)),
        (("invvpid", 2, 0, 0), (2, 3)),
        (("invvpid", 3, 7, 0), (2, 3)),
        (("invept", 2, 0, 0), (0, 1)),
        (("invpcid", 2, 0, 0), (0, 1)),
    ],
)
def test_invvpid_drops_what_it_names(invalidation, loaded):
    assert PagesBench().again(*invalidation) == loaded


@pytest.mark.parametrize(("invalidation", "loaded"), [(("invvpid", 3, 7, 0), (2, 1)), (("invvpid", 1, 7, 0), (2, 3))])
def test_invvpid_type_3_keeps_global_pages(invalidation, loaded):
    assert PagesBench(flags=(0, GLOBAL), cr4=1 << 7).again(*invalidation) == loaded


def test_a_page_is_global_only_with_cr4_pge():
    assert PagesBench(flags=(0, GLOBAL)).again("invvpid", 3, 7, 0) == (2, 3)


def test_invlpg_of_the_host_leaves_the_guest_alone():
    bench = PagesBench()
    bench.state.activity = 0
    bench.steps(f"invlpg [{FIRST:#x}]", f"invlpg [{SECOND:#x}]")
    assert bench.again() == (0, 1)


def test_a_processor_that_keeps_nothing_hides_a_missing_invvpid():
    assert PagesBench("nothing").again() == (2, 3)


# Outside VMX operation


class PlainBench(VmxBench):
    """The same two pages in the host."""

    def __init__(self, flags=(0, 0), cr4=0, policy="keep"):
        super().__init__(current=False)
        self.processor.keep_translations(policy)
        self.flags = flags
        self.state.cr4 |= cr4
        self.processor.refresh()
        for number, page in enumerate((*PAGES["old"], *PAGES["new"])):
            self.engine.write_physical(page, struct.pack("<Q", number))
        self.engine.write_physical(0x3010, struct.pack("<Q", TABLE | 7))
        self.map("old")
        assert self.load_both() == (0, 1)
        self.map("new")

    map = PagesBench.map

    def load_both(self):
        """What the pages hold."""
        self.steps(f"mov rax, [{FIRST:#x}]", f"mov rbx, [{SECOND:#x}]")
        return self.state.gpr[0], self.state.gpr[3]


PGE, PCIDE = 1 << 7, 1 << 17


@pytest.mark.parametrize(
    ("lines", "flags", "cr4", "loaded"),
    [
        ((), (0, 0), 0, (0, 1)),
        ((f"invlpg [{FIRST:#x}]",), (0, 0), 0, (2, 1)),
        ((f"invlpg [{FIRST:#x}]",), (GLOBAL, GLOBAL), PGE, (2, 1)),
        (("mov rcx, cr3", "mov cr3, rcx"), (0, 0), 0, (2, 3)),
        (("mov rcx, cr3", "mov cr3, rcx"), (0, GLOBAL), PGE, (2, 1)),
        (("mov rcx, cr3", "mov cr3, rcx"), (0, GLOBAL), 0, (2, 3)),
        (("mov rcx, cr4", "xor rcx, 0x80", "mov cr4, rcx"), (0, GLOBAL), PGE, (2, 3)),
        (("mov ecx, 3", f"invpcid rcx, [{DESCRIPTOR:#x}]"), (0, GLOBAL), PGE, (2, 1)),
        (("mov ecx, 2", f"invpcid rcx, [{DESCRIPTOR:#x}]"), (0, GLOBAL), PGE, (2, 3)),
        (("mov ecx, 1", f"invpcid rcx, [{DESCRIPTOR:#x}]"), (0, GLOBAL), PGE, (2, 1)),
    ],
)
def test_what_an_operating_system_must_invalidate(lines, flags, cr4, loaded):
    bench = PlainBench(flags, cr4)
    bench.engine.write_physical(DESCRIPTOR, bytes(16))
    bench.steps(*lines)
    assert bench.load_both() == loaded


def test_pcids_have_translations_of_their_own():
    """INVLPG under PCID 1 leaves PCID 0 its translation of a page that is not global."""
    bench = PlainBench((0, 0), PCIDE)
    bench.steps("mov rcx, 0x1001", "mov cr3, rcx", f"invlpg [{FIRST:#x}]", "mov rcx, 1 << 63 | 0x1000", "mov cr3, rcx")
    assert bench.load_both() == (0, 1)
    bench.steps(f"invlpg [{FIRST:#x}]")
    assert bench.load_both() == (2, 1)


def test_a_fault_ends_the_translation_that_it_contradicts():
    bench = PlainBench((0, 0))
    bench.install_tables()
    bench.engine.write_physical(TABLE, struct.pack("<Q", PAGES["new"][0] | 5))
    bench.state.cr0 |= 1 << 16
    bench.step(f"mov [{FIRST:#x}], rax", 2)
    assert bench.state.rip == 0x1A000 + 14 * 16 + 1
    bench.state.activity = 0
    bench.steps(f"mov rax, [{FIRST:#x}]")
    assert bench.state.gpr[0] == 2


# The option


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("keep", (TlbPolicy.KEEP, 0)),
        ("nothing", (TlbPolicy.NOTHING, 0)),
        ("random", (TlbPolicy.RANDOM, 0)),
        ("random:7", (TlbPolicy.RANDOM, 7)),
    ],
)
def test_policies_as_people_write_them(text, policy):
    assert parse_policy(text) == policy


@pytest.mark.parametrize("text", ["", "all", "keep:1", "random:", "random:x", "random:4294967296", "nothing "])
def test_other_words_are_refused(text):
    with pytest.raises(ConfigurationError, match=r"no TLB policy .*, expected keep, nothing, random or random:SEED"):
        parse_policy(text)


def test_bare_processors_take_the_policy():
    assert bare_processor("4M", tlb="random:3").state.tlb_policy == TlbPolicy.RANDOM
    assert bare_processor("4M").state.tlb_policy == TlbPolicy.KEEP


def test_pcs_take_the_policy():
    assert Pc(PcConfiguration(memory_size=4 << 20, tlb="nothing")).state.tlb_policy == TlbPolicy.NOTHING
    with pytest.raises(ConfigurationError, match="no TLB policy 'some'"):
        PcConfiguration(tlb="some")
