"""The page of VMX controls: what models offer is obeyed somewhere, what none offers has a reason, and the page says what is so."""

from pathlib import Path

from vmxon.arch.models import MODELS
from vmxon.explain.control_coverage import WORDS, main, obeyed_in, offered_by, page, unexplained
from vmxon.explain.control_reasons import REASONS
from vmxon.vmx.controls import VECTORS

PAGE = Path(__file__).parents[2] / "docs" / "vmx-coverage.md"


def test_what_no_model_offers_has_a_reason():
    assert unexplained() == []


def test_reasons_are_about_controls_that_no_model_offers():
    for name in REASONS:
        vector, control = name.split(".")
        assert control in {field.name for field in WORDS[vector].layout.fields}
        assert offered_by(vector, control) == [], f"{name} is offered now: delete its reason"


def test_what_a_model_offers_is_obeyed():
    offered = {(vector, name) for model in MODELS.values() if model.vmx for vector in VECTORS for name in getattr(model.vmx, vector)}
    assert {f"{vector}.{name}" for vector, name in offered if not obeyed_in(vector, name)} == set()


def test_the_page_is_true():
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m vmxon.explain.control_coverage docs/vmx-coverage.md"


def test_the_command_writes_the_page(tmp_path, capsys):
    assert main([str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == page()
    assert main([]) == 0
    assert capsys.readouterr().out == page()
