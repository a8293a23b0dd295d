"""Explanations as objects: text, rich, HTML and JSON say the same, and certainty is told."""

import json
from fnmatch import fnmatchcase
from io import StringIO

from rich.console import Console

from tests.explain.test_pains import VALID, record
from vmxon.explain import EntryRecord, explain_entry
from vmxon.explain.advice import ADVICE
from vmxon.explain.document import Document, Line, Style, Table, counted, listed
from vmxon.vmx.fields import VmcsField as F
from vmxon.vmx.rules import RULES

BROKEN = explain_entry(record({F.HOST_TR_SELECTOR: 0, F.GUEST_RFLAGS: 0}))


def test_text_rich_and_html_show_every_broken_rule():
    stream = StringIO()
    Console(file=stream, force_terminal=True, width=200).print(BROKEN)
    html = BROKEN._repr_html_()
    for shown in (str(BROKEN), stream.getvalue(), html):
        assert "host_tr_selector.null" in shown
        assert "guest.rflags.bit_1" in shown
        assert "27.3.1.4" in shown
    assert "\x1b[1;31m" in stream.getvalue()
    assert html.startswith('<div class="vmxon"><h4>VM entry fails')


def test_plain_data_can_be_dumped_and_read_again():
    data = json.loads(json.dumps(BROKEN.to_json()))
    assert data["reported"] == "host_tr_selector.null"
    assert data["certain"] is True
    assert [rule["rule"] for rule in data["broken"]] == ["host_tr_selector.null", "guest.rflags.bit_1"]
    assert data["broken"][0]["fields"][0]["value"] == "0x0"
    assert data["broken"][0]["keys"] == ["27.2.3#3"]


def test_qualifications_are_told():
    explanation = explain_entry(record({F.VMCS_LINK_POINTER: 0x123}))
    assert explanation.outcome.endswith("due to invalid guest state, exit qualification 4")


def test_an_uncertain_first_rule_says_so():
    explanation = explain_entry(EntryRecord({**VALID, F.HOST_TR_SELECTOR: 0}))
    text = str(explanation)
    assert not explanation.certain
    assert "1. host_tr_selector.null (hardware may report this one)" in text
    assert "A rule that cannot be told comes earlier in the book; hardware may report that one instead." in text


def test_a_record_of_nothing_tells_nothing():
    explanation = explain_entry(EntryRecord({}))
    assert explanation.failures == ()
    assert explanation.outcome == "cannot tell"
    told = len(RULES) - len(explanation.undecided)
    assert str(explanation).startswith(f"No broken rule among the {told} that can be told\n\nCannot tell: ")


def test_a_field_is_decoded_once():
    explanation = explain_entry(record({F.GUEST_CS_ACCESS_RIGHTS: 0xA013}))
    lines = str(explanation).splitlines()
    assert sum("GUEST_CS_ACCESS_RIGHTS = " in line for line in lines) > 1
    assert sum(line.strip().startswith("bit 13 L = 1") for line in lines) == 1


def test_reserved_bits_that_are_set_stand_out():
    explanation = explain_entry(record({F.GUEST_RFLAGS: 1 << 15 | 2}))
    assert "bit 15 reserved = 1 (reserved, should be 0)" in str(explanation)
    red = [line for line in explanation.document().blocks if isinstance(line, Line) and line.style is Style.BAD]
    assert any("bit 15 reserved" in line.text for line in red)


def test_documents_escape_html_and_align_columns():
    document = Document("a < b", (Line("<script>", 1), Table(("x", "y"), (("1", "<"), ("22", "")), 1)))
    assert "<script>" not in document.html()
    assert "<h4>a &lt; b</h4>" in document.html()
    assert document.text() == "a < b\n  <script>\n  x   y\n  1   <\n  22"


def test_words():
    assert (counted(1, "rule"), counted(2, "rule")) == ("1 rule", "2 rules")
    assert (listed([]), listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])) == ("", "a", "a and b", "a, b and c")


def test_every_rule_has_advice_of_its_own_and_every_row_of_advice_a_rule():
    used = set()
    for rule in RULES:
        matches = [pattern for pattern, _ in ADVICE if fnmatchcase(rule.name, pattern)]
        assert matches, f"{rule.name}: add a row to explain/advice.py"
        used.add(matches[0])
    assert used == {pattern for pattern, _ in ADVICE}


class Terminal(StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_documents_are_drawn_on_a_terminal_and_plain_in_a_pipe(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    document = BROKEN.document()
    terminal, pipe = Terminal(), StringIO()
    document.write(terminal)
    document.write(pipe)
    assert "\x1b[" in terminal.getvalue()
    assert pipe.getvalue() == str(BROKEN) + "\n"
