"""What a guest may see and do: one table each for CPUID, MSRs, ports and control registers, and everything else is refused."""

from __future__ import annotations

import pytest

from tests.hypervisor.guests import HANDLER, MIB, TABLES, image_of
from vmxon.arch.control import Cr4
from vmxon.arch.features import Feature
from vmxon.hypervisor.hypervisor import Hypervisor
from vmxon.hypervisor.memory.page_manager import PageManager
from vmxon.hypervisor.memory.virtual_memory import PagingMode
from vmxon.hypervisor.operation.guest_time import GuestTime
from vmxon.hypervisor.operation.vmcs import new_bitmaps
from vmxon.hypervisor.policy import ports
from vmxon.hypervisor.policy.control_bits import CR4_PASSED
from vmxon.hypervisor.policy.cpuid import HYPERVISOR_PRESENT, LEAVES, SHOWN, CpuidPolicy
from vmxon.hypervisor.policy.msrs import CONSTANTS, IGNORED, PASSED, TSC, MsrPolicy
from vmxon.machine.root import RootProcessor, bare_processor

GENERAL_PROTECTION, UNDEFINED = 13, 6


@pytest.fixture(scope="module")
def root() -> RootProcessor:
    return bare_processor(16 * MIB)


def raises(text: str, vector: int, paging: PagingMode) -> None:
    """The text must raise the exception in a guest."""
    guest = Hypervisor(memory=16 * MIB).create(4 * MIB, paging=paging)
    guest.load(image_of(f"{HANDLER.format(vector=vector)} \n {text} \n jmp bad \n caught: jmp good \n {TABLES}"))
    assert guest.run(20) == 0


@pytest.mark.parametrize("feature", Feature)
def test_a_feature_that_is_not_in_the_table_does_not_exist(root: RootProcessor, feature: Feature) -> None:
    policy = CpuidPolicy(root, 1)
    seen = bool(policy.answer(feature.leaf, feature.subleaf)[feature.register] & feature.mask)
    real = bool(root.cpuid(feature.leaf, feature.subleaf)[feature.register] & feature.mask)
    assert seen == (real and feature in SHOWN)


def test_leaves_outside_the_table_are_empty(root: RootProcessor) -> None:
    policy = CpuidPolicy(root, 1)
    for leaf in (*range(0x30), *range(0x8000_0000, 0x8000_0030), 0x4000_0002, 0xC000_0000):
        if leaf not in LEAVES:
            assert policy.answer(leaf, 0) == (0, 0, 0, 0)


def test_only_one_bit_is_more_than_the_processor_has(root: RootProcessor) -> None:
    policy = CpuidPolicy(root, 1)
    for leaf in LEAVES:
        more = [ours & ~theirs for ours, theirs in zip(policy.answer(leaf, 0), root.cpuid(leaf, 0), strict=True)]
        assert more == [0, 0, HYPERVISOR_PRESENT if leaf == 1 else 0, 0]


def test_vmx_and_what_has_unswitched_state_is_not_in_the_table() -> None:
    assert not SHOWN & {Feature.VMX, Feature.SMX, Feature.XSAVE, Feature.AVX, Feature.PKU, Feature.PKS, Feature.SPEC_CTRL, Feature.MTRR}
    assert Feature.APIC in SHOWN
    assert Feature.X2APIC not in SHOWN


def test_every_msr_but_those_of_the_table_exits(root: RootProcessor) -> None:
    pages = PageManager(16 * MIB, root.free)
    bitmaps = new_bitmaps(root, pages)
    policy = MsrPolicy(root, bitmaps, GuestTime(root))
    bits = int.from_bytes(root.read(bitmaps.msr, 4096), "little")
    low, high = ({number for number in range(0x2000) if not bits >> 8 * start + number & 1} for start in (0, 1024))
    assert low | {0xC000_0000 + number for number in high} == set(PASSED)
    written = bits >> 8 * 2048
    assert {number for number in range(0x2000) if not written >> number & 1} == low
    for msr in (*range(0x1000), *range(0xC000_0000, 0xC000_1000)):
        known = msr in CONSTANTS or msr == TSC
        assert (policy.read(msr) is not None) is known
        if msr not in IGNORED and msr != TSC:
            assert policy.write(msr, 1 << 63 | 1) is False


def test_every_port_but_those_of_the_table_exits(root: RootProcessor) -> None:
    bitmaps = new_bitmaps(root, PageManager(16 * MIB, root.free))
    ports.open_ports(root, bitmaps)
    bits = int.from_bytes(root.read(bitmaps.io_a, 4096) + root.read(bitmaps.io_b, 4096), "little")
    assert [port for port in range(0x1_0000) if not bits >> port & 1] == list(ports.PASSED)


@pytest.mark.parametrize("paging", PagingMode)
@pytest.mark.parametrize("bit", [number for number in range(32) if not CR4_PASSED >> number & 1])
def test_a_bit_of_cr4_that_is_not_in_the_table_faults(paging: PagingMode, bit: int) -> None:
    raises(f"mov eax, {1 << bit:#x} \n mov cr4, eax", GENERAL_PROTECTION, paging)


@pytest.mark.parametrize("paging", PagingMode)
def test_the_bits_of_the_table_can_be_set(paging: PagingMode) -> None:
    bits = CR4_PASSED & ~Cr4.pcide.mask
    guest = Hypervisor(memory=16 * MIB).create(4 * MIB, paging=paging)
    guest.load(image_of(f"mov eax, {bits:#x} \n mov cr4, eax \n mov ebx, cr4 \n cmp eax, ebx \n jne bad \n jmp good"))
    assert guest.run(20) == 0


@pytest.mark.parametrize("paging", PagingMode)
@pytest.mark.parametrize(
    ("text", "vector"),
    [
        ("xor ecx, ecx \n rdpmc", GENERAL_PROTECTION),
        ("mov ecx, 0x3A \n rdmsr", GENERAL_PROTECTION),
        ("mov ecx, 0x480 \n rdmsr", GENERAL_PROTECTION),
        ("mov ecx, 0x1B \n xor eax, eax \n xor edx, edx \n wrmsr", GENERAL_PROTECTION),
        ("xor ecx, ecx \n mov eax, 7 \n xor edx, edx \n xsetbv", UNDEFINED),
        ("monitor", UNDEFINED),
        ("mwait", UNDEFINED),
        ("vmxoff", UNDEFINED),
        ("vmlaunch", UNDEFINED),
        ("getsec", UNDEFINED),
    ],
)
def test_an_instruction_that_no_guest_has(text: str, vector: int, paging: PagingMode) -> None:
    raises(text, vector, paging)
