"""The rule book as Python: each rule has a witness that breaks it first, and says what it read."""

import pytest

from tests.vmx.witness import BASES, LONG, REAL, Witness
from tests.vmx.witnesses import UNREACHABLE, WITNESSES
from vmxon.vmx.fields import VmcsField
from vmxon.vmx.rules import RULES, Area, Snapshot, broken_rules, first_broken
from vmxon.vmx.rules.book import rule
from vmxon.vmx.rules.coverage import ELSEWHERE, NOT_HERE, covered_keys
from vmxon.vmx.rules.sections import EXIT

BY_NAME = {rule.name: rule for rule in RULES}


class Listener(Snapshot):
    """A snapshot that notes which fields are read."""

    def __init__(self, witness: Witness) -> None:
        base = witness.snapshot()
        super().__init__(**{name: getattr(base, name) for name in base.__dataclass_fields__})
        object.__setattr__(self, "read", set())

    def field(self, which: VmcsField) -> int:
        self.read.add(which)
        return super().field(which)


@pytest.mark.parametrize("name", BASES)
def test_valid_vmcs_breaks_no_rule(name):
    assert broken_rules(Witness(BASES[name], long_mode=name != "SHORT_HOST").snapshot()) == []


def test_the_real_processor_accepts_the_plain_guest():
    assert first_broken(Witness(LONG, REAL).snapshot()) is None


@pytest.mark.parametrize("name", [rule.name for rule in RULES if rule.name not in UNREACHABLE])
def test_witness_breaks_its_rule_first(name):
    broken = first_broken(WITNESSES[name].snapshot())
    assert broken is not None
    assert broken.name == name


def test_every_witness_names_a_rule_and_unreachable_ones_have_none():
    assert set(WITNESSES) | set(UNREACHABLE) == set(BY_NAME)
    assert not set(WITNESSES) & set(UNREACHABLE)


@pytest.mark.parametrize("name", [rule.name for rule in RULES if rule.name not in UNREACHABLE])
def test_a_rule_names_the_fields_that_decide(name):
    listener = Listener(WITNESSES[name])
    assert not BY_NAME[name].holds(listener)
    activators = {field for field in VmcsField if field.name.endswith("_CONTROLS")}
    assert listener.read - activators <= set(BY_NAME[name].reads) | DECIDING_ELSEWHERE


DECIDING_ELSEWHERE = {VmcsField.GUEST_RFLAGS, VmcsField.GUEST_CS_ACCESS_RIGHTS, VmcsField.GUEST_CR0}
"""Fields that only say whether a rule applies; some rules leave them out of their list."""


def test_explanations_are_sentences_and_name_their_subject():
    for entry_rule in RULES:
        assert entry_rule.explanation.endswith("."), entry_rule.name
        assert "{" not in entry_rule.explanation, entry_rule.name
    assert BY_NAME["guest.fs.present"].explanation == "FS has P = 1 in its access rights."
    assert BY_NAME["virtual_nmis.needs_nmi_exiting"].explanation == "“virtual NMIs” needs “NMI exiting”."


def test_rules_carry_keys_sections_and_areas():
    for number, entry_rule in enumerate(RULES, 1):
        assert entry_rule.number == number
        assert entry_rule.keys
        assert all(key.startswith(f"{entry_rule.source.section}#") for key in entry_rule.keys), entry_rule.name
    order = [list(Area).index(entry_rule.area) for entry_rule in RULES]
    assert order == sorted(order)


def test_qualifications_are_those_of_the_manual():
    assert {name: r.qualification for name, r in BY_NAME.items() if r.qualification} == {
        "guest.blocking.nmi_sti": 3,
        **dict.fromkeys(("link.aligned", "link.width", "link.revision", "link.shadow", "link.current"), 4),
        **dict.fromkeys(("guest.pdpte.memory", *(f"guest_pdpte{n}" for n in range(4))), 2),
    }


def test_all_broken_rules_are_listed_in_order():
    fields = {**LONG, VmcsField.HOST_TR_SELECTOR: 0, VmcsField.GUEST_RFLAGS: 0, VmcsField.CR3_TARGET_COUNT: 9}
    names = [entry_rule.name for entry_rule in broken_rules(Witness(fields).snapshot())]
    assert names == ["cr3_target.count", "host_tr_selector.null", "guest.rflags.bit_1"]


def test_the_book_refuses_what_would_confuse_its_readers():
    with pytest.raises(TypeError, match="has no docstring"):
        rule("new", Area.GUEST_STATE, EXIT, ("27.2.1.2#1",), ())(lambda entry: True)

    def again(entry):
        """Again."""

    with pytest.raises(TypeError, match="the area CONTROLS comes before GUEST_STATE"):
        rule("new", Area.CONTROLS, EXIT, ("27.2.1.2#1",), ())(again)
    with pytest.raises(TypeError, match="is defined twice"):
        rule("guest.rflags.bit_1", Area.GUEST_STATE, EXIT, ("27.2.1.2#1",), ())(again)
    assert RULES[-1].name == "guest_pdpte3"


ROWS = {
    "27.1": 12, "27.2.1.1": 76, "27.2.1.2": 10, "27.2.1.3": 24, "27.2.2": 23, "27.2.3": 5, "27.2.4": 15, "27.3.1.1": 38,
    "27.3.1.2": 49, "27.3.1.3": 2, "27.3.1.4": 10, "27.3.1.5": 34, "27.3.1.6": 2, "27.4": 6,
}  # fmt: skip
"""Rows of the acceptance list in each section."""


def test_every_row_of_the_acceptance_list_is_answered_for():
    wanted = {f"{section}#{number + 1}" for section, count in ROWS.items() for number in range(count)}
    assert len(wanted) == 306
    assert covered_keys() == wanted
    assert not ELSEWHERE.keys() & NOT_HERE.keys()


def test_reasons_point_at_code_that_exists():
    from pathlib import Path

    import vmxon

    for place in ELSEWHERE.values():
        path, name = place.split(": ")[1].split(", ")
        assert f"def {name}(" in (Path(vmxon.__file__).parent / path).read_text()


def test_the_book_needs_no_compiler():
    import subprocess
    import sys

    program = "import sys; sys.modules['llvmlite'] = None; import vmxon.vmx.rules as r; print(len(r.RULES))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(len(RULES)), done.stderr
