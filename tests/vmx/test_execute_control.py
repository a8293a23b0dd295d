"""Mode-based execute control for EPT (Vol. 3C §29.3.2, §29.3.3): fetches of supervisor and of user pages have a bit each."""

import struct

import pytest

from tests.vmx.test_ept import EXECUTE, FETCH, LARGE, LOAD, PD, READ, TARGET, WB, WRITE, EptBench
from tests.vmx.witness import SecondaryProcessorBased
from vmxon.vmx.exit_reasons import ExitReason as R

USER = 1 << 10
CONTROL = SecondaryProcessorBased.mode_based_execute
VMCALL = b"\x0f\x01\xc1"


def executable():
    """A bench whose EPT allows all fetches but for TARGET; the harness's linear pages are user pages."""
    bench = EptBench()
    bench.engine.write_physical(TARGET, VMCALL)
    for place in (0x100000, 0x101000, PD, *range(0x103000, 0x104000, 8)):
        bench.entry(place, bench.entry(place) | USER)
    return bench


@pytest.fixture
def bench():
    return executable()


def guest_page(bench, user):
    """Make the linear pages at TARGET user or supervisor pages."""
    place = TARGET
    table = bench.state.cr3
    for shift in (39, 30, 21):
        entry_at = table + (place >> shift & 511) * 8
        entry = bench.quad(entry_at)
        if entry & LARGE or shift == 21:
            break
        bench.engine.write_physical(entry_at, struct.pack("<Q", entry | 4))
        table = entry & ~0xFFF
    bench.engine.write_physical(entry_at, struct.pack("<Q", entry & ~4 | user << 2))


@pytest.mark.parametrize("user", [False, True])
@pytest.mark.parametrize("bits", [READ, READ | EXECUTE, READ | USER, READ | EXECUTE | USER, EXECUTE, USER, WRITE | READ | USER])
def test_fetches(bench, user, bits):
    guest_page(bench, user)
    bench.entry(PD + 8, TARGET | bits | LARGE | WB)
    reason = bench.run(FETCH, CONTROL)
    if bits & (USER if user else EXECUTE):
        assert reason == R.VMCALL
    else:
        assert reason == R.EPT_VIOLATION
        assert bench.qualification & 0x7F == 4 | (bits & 7) << 3 | (bits >> 10 & 1) << 6


def test_without_the_control_bit_10_is_ignored(bench):
    bench.entry(PD + 8, TARGET | READ | USER | LARGE | WB)
    assert bench.run(FETCH) == R.EPT_VIOLATION
    assert bench.qualification & 0x7F == 4 | 1 << 3
    again = executable()
    again.entry(PD + 8, TARGET | USER | LARGE | WB)
    assert again.run(LOAD) == R.EPT_VIOLATION, "not present"
    assert again.qualification & 0x7F == 1


def test_an_entry_with_bit_10_alone_is_present(bench):
    bench.entry(PD + 8, TARGET | USER | 7 << 3 | LARGE)
    assert bench.run(LOAD, CONTROL) == R.EPT_MISCONFIGURATION


def test_user_execute_only_needs_its_capability(bench):
    bench.entry(PD + 8, TARGET | USER | LARGE | WB)
    assert bench.run(LOAD, CONTROL) == R.EPT_VIOLATION
    again = executable()
    again.state.vmx_capability[12] &= ~1
    again.entry(PD + 8, TARGET | USER | LARGE | WB)
    assert again.run(LOAD, CONTROL) == R.EPT_MISCONFIGURATION
