"""The table of VM exits: plain, drawn, and as JSON."""

import io
import json

import pytest

from vmxon.cli.report import ExitCount, duration, print_exits, print_json

COUNTS = [
    ExitCount("CPUID", 12, 36e-6),
    ExitCount("EPT violation", 2048, 0.0125),
    ExitCount("HLT", 0, 0.0),
    ExitCount("I/O instruction", 12, 2.5),
]


class TerminalText(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.00 ns"),
        (76e-9, "76.0 ns"),
        (999.4e-9, "999 ns"),
        (999.6e-9, "1.00 µs"),
        (4.2149e-6, "4.21 µs"),
        (13.04e-3, "13.0 ms"),
        (0.99951, "1.00 s"),
        (2.5, "2.50 s"),
        (123.4, "123 s"),
    ],
)
def test_durations_have_three_digits(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_plain_columns_when_piped() -> None:
    stream = io.StringIO()
    print_exits(COUNTS, stream)
    assert stream.getvalue() == (
        "VM exit          count     time     each\n"
        "EPT violation    2,048  12.5 ms  6.10 µs\n"
        "CPUID               12  36.0 µs  3.00 µs\n"
        "I/O instruction     12   2.50 s   208 ms\n"
        "total            2,072   2.51 s  1.21 ms\n"
    )


def test_no_exit_is_a_table_with_a_total() -> None:
    stream = io.StringIO()
    print_exits([], stream)
    assert stream.getvalue() == "VM exit  count     time  each\ntotal        0  0.00 ns\n"


def test_a_terminal_gets_the_same_cells_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = TerminalText()
    print_exits([ExitCount("[bold]", 1, 1.0), *COUNTS], stream)
    text = stream.getvalue()
    assert "\x1b[1m" in text
    assert "─" in text
    for cell in ("VM exit", "EPT violation", "2,048", "6.10 µs", "I/O instruction", "[bold]", "total"):
        assert cell in text
    assert "HLT" not in text


def test_json_is_one_line_with_exact_numbers() -> None:
    stream = io.StringIO()
    print_json(COUNTS[:2], stream, status=0, guest="kernel.x", seconds=1.25)
    assert stream.getvalue().count("\n") == 1
    assert json.loads(stream.getvalue()) == {
        "status": 0,
        "guest": "kernel.x",
        "seconds": 1.25,
        "exits": [
            {"reason": "CPUID", "count": 12, "seconds": 36e-6},
            {"reason": "EPT violation", "count": 2048, "seconds": 0.0125},
        ],
    }
