"""The coverage page: every row of the list has a rule or a reason, and the page in docs/ says what is so."""

from pathlib import Path

from vmxon.explain.coverage import coverage, main, missing, page
from vmxon.explain.keys import NOTES, REASONS, SECTIONS, all_keys
from vmxon.vmx.rules import RULES

PAGE = Path(__file__).parents[2] / "docs" / "entry-checks.md"


def test_the_list_has_306_rows_in_14_sections():
    assert len(all_keys()) == 306
    assert len(SECTIONS) == 14
    assert len(set(all_keys())) == 306


def test_every_row_has_a_rule_or_a_reason():
    assert missing() == []


def test_every_key_of_a_rule_is_in_the_list():
    assert {key for rule in RULES for key in rule.keys} <= set(all_keys())


def test_reasons_and_notes_are_about_rows_of_the_list():
    assert set(REASONS) | set(NOTES) <= set(all_keys())


def test_no_row_has_both_rule_and_reason():
    assert {key for key, rules in coverage().items() if rules} & set(REASONS) == set()


def test_the_page_is_true():
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m vmxon.explain.coverage docs/entry-checks.md"


def test_the_page_names_every_rule_and_every_row():
    text = page()
    assert "MISSING" not in text
    assert all(f"`{rule.name}`" in text for rule in RULES)
    assert all(f"\n| {key} | " in text for key in all_keys())


def test_the_command_writes_the_page(tmp_path, capsys):
    assert main([str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == page()
    assert main([]) == 0
    assert capsys.readouterr().out == page()
