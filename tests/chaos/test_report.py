"""Figures, tables and the report of a run, from episodes made by hand."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis.strategies import floats, integers, lists

from config.chaos.checker import Finding
from config.chaos.episode import Episode, Outcome
from config.chaos.machine import MachineState, machine_watch, memory_mb
from config.chaos.measures import Measures
from config.chaos.report import write_report
from config.chaos.stack import wait_until
from config.chaos.statistics import percentile, upper_bound
from config.chaos.summary import EpisodeRow, as_plain, from_plain, row_of, time_lines, totals
from config.chaos.table import machine_cells
from tests.chaos.test_checker import HALF_OPEN, NOON, OPENED, SCENARIO, clean

FACTS = {
    "command": "chaos run test",
    "began_at": "2026-11-26T12:00:00+00:00",
    "commit": "0123456789abcdef",
    "machine": {"cpu": "some <processor>", "cores": 2, "kernel": "Linux", "python": "3.11"},
}


def episode(outcome: Outcome = Outcome.PASSED, **times: list[float]) -> Episode:
    made = Episode(SCENARIO, 1, outcome, records=clean(circuits=[OPENED, HALF_OPEN]), measures=Measures(times))
    made.began_at, made.began = NOON, 99.0
    return made


def rows(*episodes: Episode) -> list[EpisodeRow]:
    return [row_of(one) for one in episodes]


def test_a_time_is_judged_by_all_its_tries_and_never_counts() -> None:
    lines = {
        line.name: line
        for line in time_lines(
            rows(episode(recovery=[2.0]), episode(recovery=[inf]), episode(recovery=[3.0], detection=[0.5]))
        )
    }
    assert (lines["recovery"].n, lines["recovery"].over, lines["recovery"].most) == (3, 1, inf)
    assert not lines["recovery"].is_met
    assert lines["detection"].is_met


def test_void_and_sabotaged_episodes_count_for_nothing() -> None:
    sabotaged = replace(episode(recovery=[inf]), sabotaged=True)
    sums = totals(rows(episode(Outcome.VOID), episode(Outcome.NOT_RUN), sabotaged, episode()))
    assert (sums.episodes, sums.void, sums.not_run) == (1, 1, 1)
    assert time_lines(rows(episode(Outcome.VOID, recovery=[1.0]), sabotaged)) == []


def test_a_row_comes_back_from_a_file_as_it_was() -> None:
    (row,) = rows(episode(recovery=[inf, 1.0]))
    assert from_plain(json.loads(json.dumps(as_plain(row)))) == row


def test_a_row_of_an_older_file_has_no_figures_of_the_machine() -> None:
    (row,) = rows(episode())
    older = {name: value for name, value in as_plain(row).items() if name not in ("memory_mb", "load", "busy")}
    assert machine_cells(from_plain(older)) == ("", "", "")


def test_the_machine_is_watched_with_all_that_runs_below_a_process() -> None:
    argv = [sys.executable, "-c", "print('ready', flush=True); input()"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        with machine_watch(os.getpid()) as state:
            alone = memory_mb(child.pid)
            wait_until(lambda: state.memory_mb, "the watch has looked")
        child.communicate(b"\n")
    assert state.memory_mb >= state.memory_first_mb > alone > 0
    assert 0 <= state.busy <= 1
    assert memory_mb(child.pid) == 0


def test_memory_and_load_are_in_the_report(tmp_path: Path) -> None:
    watched = episode(recovery=[2.0])
    watched.machine = MachineState(410.0, 455.4, 3.25, 0.8)
    write_report(tmp_path, [watched], FACTS)

    page = (tmp_path / "report.html").read_text()
    assert "<td>455</td><td>3.2</td><td>80%</td>" in page
    assert "410 MB at first and 455 MB at most" in page
    assert json.loads((tmp_path / "report.json").read_text())["episodes"][0]["memory_mb"] == 455.4


def test_the_report_is_one_page_that_asks_for_nothing_outside(tmp_path: Path) -> None:
    bad = episode(Outcome.FAILED, recovery=[inf])
    bad.findings = [Finding("I2", "order <b> doubled: twice")]
    bad.unready = [(99.5, "503")]
    load = {"accepted_rate": 49.5, "drain_seconds": None}
    write_report(tmp_path, [episode(recovery=[2.0]), bad], {**FACTS, "load": load})

    page = (tmp_path / "report.html").read_text()
    assert "order &lt;b&gt; doubled" in page
    assert "some &lt;processor&gt;" in page
    assert "<td>accepted rate</td><td>49.5</td>" in page
    assert page.count("<svg") == 2
    assert not re.findall(r'(?:src|href)="(?!#)', page)
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["totals"]["doubled"] == 1
    assert content["episodes"][1]["times"]["recovery"] == [None]


@pytest.mark.parametrize(
    ("misses", "tries", "bound"), [(0, 59, 0.0495), (0, 299, 0.00997), (0, 2995, 0.001), (1, 93, 0.05)]
)
def test_bounds_are_those_of_the_rule_of_three(misses: int, tries: int, bound: float) -> None:
    assert upper_bound(misses, tries) == pytest.approx(bound, rel=0.02)


@given(integers(0, 20), integers(1, 200))
def test_a_bound_is_above_what_was_seen_and_falls_with_more_tries(misses: int, tries: int) -> None:
    seen = min(misses, tries)
    assert seen / tries <= upper_bound(seen, tries) <= 1
    assert upper_bound(seen, tries + 50) <= upper_bound(seen, tries)


@given(lists(floats(0, 1e6), min_size=1), floats(0.01, 1))
def test_a_percentile_is_one_of_the_values_and_not_exceeded_by_its_share(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-6
