"""`vmxon explain` and `vmxon rules`: on a terminal, in a pipe, as JSON, and without the engine."""

import json
import subprocess
from collections.abc import Callable

import pytest

from vmxon.vmx.rules import RULES

Python = Callable[..., subprocess.CompletedProcess[str]]


def test_an_item_of_several_words(invoke):
    outcome = invoke("explain", "ept-violation", "0x181")
    assert outcome.status == 0
    assert outcome.out.startswith("EPT VIOLATION (exit qualification)\n")
    assert invoke("explain", "unrestricted guest").out == invoke("explain", "unrestricted", "guest").out


def test_several_meanings_are_apart(invoke):
    out = invoke("explain", "7").out
    assert "INTERRUPT WINDOW (exit reason 7)" in out
    assert "\n\nENTRY CONTROLS (VM-instruction error 7)\n" in out


def test_json_has_the_same(invoke):
    (topic,) = json.loads(invoke("explain", "--json", "error", "5").out)
    assert topic["kind"] == "VM-instruction error 5"
    assert topic["action"] == "use VMLAUNCH for the first entry"
    assert set(topic) == {"kind", "title", "meaning", "source", "cause", "action", "facts", "parts"}


def test_an_unknown_item_is_one_line_with_the_nearest(invoke):
    outcome = invoke("explain", "GUEST_CRO")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err == "vmxon: nothing is called 'GUEST_CRO'; nearest: GUEST_CR4, GUEST_CR3, GUEST_CR0, GUEST_RSP\n"


def test_the_list_of_rules(invoke):
    lines = invoke("rules", "list").out.splitlines()
    assert lines[0] == f"{len(RULES)} rules"
    assert len(lines) == len(RULES) + 2
    assert [line.split()[1] for line in lines[2:]] == [rule.name for rule in RULES]


def test_the_list_of_one_area(invoke):
    rules = json.loads(invoke("rules", "list", "--area", "host", "--json").out)
    assert {rule["area"] for rule in rules} == {"host"}
    assert {rule["outcome"] for rule in rules} == {"VMfailValid with error 8: VM entry with invalid host-state fields"}


def test_json_gives_each_rule_its_keys(invoke):
    rules = json.loads(invoke("rules", "list", "--json").out)
    assert [(rule["id"], rule["number"]) for rule in rules] == [(rule.name, rule.number) for rule in RULES]
    assert all(rule["keys"] and rule["section"] and rule["title"] and rule["fields"] and rule["explanation"] for rule in rules)
    assert {rule["id"]: rule["keys"] for rule in rules}["guest.rflags.bit_1"] == ["27.3.1.4#4"]


def test_one_rule_by_id_number_and_key(invoke):
    shown = invoke("rules", "show", "guest.rflags.bit_1")
    assert shown.out.startswith("guest.rflags.bit_1 (entry rule ")
    assert "If broken: VM exit with reason 33" in shown.out
    number = next(str(rule.number) for rule in RULES if rule.name == "guest.rflags.bit_1")
    assert invoke("rules", "show", number).out == shown.out
    assert invoke("rules", "show", "27.3.1.4#4").out == shown.out
    assert len(json.loads(invoke("rules", "show", "--json", "27.2.1.1#8").out)) == 2


def test_an_unknown_rule_is_one_line(invoke):
    outcome = invoke("rules", "show", "guest.rflags.bit_2")
    assert outcome.status == 2
    assert outcome.err.startswith(
        "vmxon: there is no entry rule 'guest.rflags.bit_2', expected an ID, a number or a key such as 27.2.1.1#35; nearest: "
    )


@pytest.mark.parametrize("words", ["['explain', '48']", "['rules', 'list']", "['explain', 'cr0', '0x31']"])
def test_explaining_needs_neither_llvmlite_nor_the_machine(python: Python, words: str) -> None:
    program = (
        f"import sys; from vmxon.cli.main import main; main({words}); "
        "heavy = {'rich', 'llvmlite', 'elftools', 'vmxon.machine', 'vmxon.engine', 'vmxon.devices'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    result = python(program)
    assert result.returncode == 0, result.stderr
