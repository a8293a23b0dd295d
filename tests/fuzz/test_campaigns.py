"""A small share of every campaign of `make fuzz`; instructions have tests/isa/test_against_unicorn.py."""

from __future__ import annotations

import pytest

from tests.fuzz import rules, vmx
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
