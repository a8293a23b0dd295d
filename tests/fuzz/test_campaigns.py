"""A small share of every campaign of `make fuzz`; instructions have tests/isa/test_against_unicorn.py."""

from __future__ import annotations

import pytest

from tests.fuzz import devices, firmware, guests, images, kernels, rules, vmx
from tests.vmx.witnesses import UNREACHABLE
from vmxon.vmx.rules import RULES


def test_both_rule_books_agree():
    outcome = rules.run(5000, 1, lambda cases, failures: None)
    assert outcome.failures == []
    assert outcome.cases == 5000


def test_every_reachable_rule_is_aimed_at():
    targets = rules.RuleCampaign().targets
    assert {target.rule.name for target in targets} == {rule.name for rule in RULES} - set(UNREACHABLE)


@pytest.mark.parametrize("kind", vmx.KINDS)
def test_vmx_campaigns_find_nothing(kind):
    outcome = vmx.run(kind, 5000, 1, lambda cases, failures: None)
    assert outcome.failures == []
    assert outcome.cases >= 5000


@pytest.mark.parametrize("campaign", [images, devices, kernels, firmware])
def test_damaged_images_and_hostile_ports_find_nothing(campaign):
    outcome = campaign.run(5000, 1, lambda cases, failures: None)
    assert outcome.failures == []
    assert outcome.cases == 5000


def test_hostile_guests_find_nothing():
    outcome = guests.run(150_000, 1, lambda cases, failures: None)
    assert outcome.failures == []
    assert outcome.cases >= 150_000


def test_a_hostile_guest_that_sees_the_secret_is_found_out():
    host = guests.Host()
    host.hide_secrets()
    guest = host.hypervisor.create(guests.MEMORY, "thief")
    guest.memory.view[:] = bytes(guests.MEMORY)
    before = host.others()
    assert guests.inspect(host, guest, before) is None
    guest.memory.write(0x1000, guests.SECRET)
    assert guests.inspect(host, guest, before) == "the secret is in guest memory at 0x1000"
    guest.memory.write(0x1000, bytes(8))
    host.neighbour.memory.write(0x1000, b"x")
    assert guests.inspect(host, guest, before) == "memory of others has changed"
    guest.memory.address_space.map_page(0x40_0000, host.neighbour.memory.base, 2 << 20)
    assert "maps memory that is not the guest's" in guests.inspect(host, guest, host.others())
