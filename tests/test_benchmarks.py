"""The benchmarks measure what they say: results of the workloads, ratios, goals, and both forms of the report."""

import json

import pytest

from benchmarks import here, report
from benchmarks.paging import MIB, Subject, section
from benchmarks.results import BOCHS, QEMU, VMXON, Goal, Results, Row, geometric_mean
from benchmarks.workloads import WORKLOADS, Workload


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda workload: workload.name)
def test_a_quick_workload_prints_its_result(workload: Workload) -> None:
    measured = here.run(workload.build(quick=True), workload.name, timeout=60)
    assert measured.run.printed == b"S%016xE" % workload.quick.result
    assert measured.run.seconds is not None
    assert measured.instructions > workload.quick.count


@pytest.fixture
def results() -> Results:
    """Two workloads, one of them on every system."""
    rows = [
        Row("alu", 1_000_000, False, {VMXON: 0.5, BOCHS: 4.0, QEMU: 0.25}),
        Row("vmexit", 1000, True, {VMXON: 0.1, BOCHS: 0.2}),
    ]
    return Results(rows, warm_start=0.25)


def test_ratios_say_how_many_times_as_fast_vmxon_is(results: Results) -> None:
    assert results.ratios(BOCHS, round_trips=False) == [8.0]
    assert results.ratios(QEMU, round_trips=False) == [0.5]
    assert results.ratios(QEMU, round_trips=True) == []
    assert geometric_mean([2, 8]) == pytest.approx(4)
    assert geometric_mean([]) is None


def test_goals_are_met_missed_or_not_measured(results: Results) -> None:
    assert [goal.met for goal in results.goals()] == [True, True, False, None, True]
    assert str(Goal("start", 0.7, 0.5, " s", at_least=False)) == "start: 0.70 s (goal ≤ 0.5 s: MISSED)"


def test_the_report_in_a_pipe_is_plain(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    report.show(results)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["alu", "2.0", "M/s", "0.2", "M/s", "8.00×", "4.0", "M/s", "0.50×"]
    assert lines[2].split() == ["vmexit", "10", "k/s", "5", "k/s", "2.00×", "–", "–"]


def test_the_report_for_machines_has_null_where_nothing_was_measured(results: Results, capsys: pytest.CaptureFixture[str]) -> None:
    report.show_json(results)
    document = json.loads(capsys.readouterr().out)
    assert document["workloads"][1]["ratios"] == {BOCHS: 2.0, QEMU: None}
    assert document["cold_start_seconds"] is None


def test_the_page_on_paging_has_a_row_for_each_figure() -> None:
    lines = section(Subject("The bundled guest", None, 8 * MIB)).splitlines()
    assert lines[:4] == ["## The bundled guest", "", "|  | ept | shadow |", "|---|---:|---:|"]
    figures = {name.strip(): cells for name, *cells in (line.strip("|").split("|") for line in lines[4:])}
    assert figures["ended"] == [" status 0 "] * 2
    assert len(set(figures["memory at the end"])) == 1
    assert {"page-table memory", "faults handled", "exits, all", "processor time"} < set(figures)
