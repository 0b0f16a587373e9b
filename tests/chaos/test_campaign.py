"""A campaign's file, and the figures of load under failure, from rows made by hand."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from config.chaos import campaign
from config.chaos.campaign import append, missing, read_file, run_campaign, write_summary
from config.chaos.endurance import FIRST_FAULT_SECONDS, answer_seconds, figures, scenario_of, slowest_window
from config.chaos.faults.registry import KINDS
from config.chaos.records import Records
from config.chaos.scenario import ScenarioError
from config.chaos.summary import as_plain, row_of
from tests.chaos.test_checker import FAULT, NOON, ORDER, SCENARIO, clean
from tests.chaos.test_report import FACTS, episode


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A campaign that finished seed 1 and was killed while it wrote seed 2."""
    path = tmp_path / "campaign.jsonl"
    append(path, {"kind": "campaign", **FACTS})
    append(path, {"kind": "episode", **as_plain(row_of(episode(recovery=[2.0])))})
    with path.open("ab") as torn:
        torn.write(b'{"kind": "episode", "scen')
    return path


def test_a_campaign_goes_on_where_it_was_killed(file: Path) -> None:
    _, rows = read_file(file)
    assert [(row.scenario, row.seed) for row in rows] == [("test", 1)]
    assert missing(rows, [SCENARIO], [1, 2, 3]) == [(SCENARIO, 2), (SCENARIO, 3)]
    append(file, {"kind": "episode", **as_plain(row_of(episode(recovery=[3.0])))})
    assert len(read_file(file)[1]) == 2


def test_a_campaign_runs_what_is_missing_and_keeps_it(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(campaign, "commit", lambda: FACTS["commit"])
    monkeypatch.setattr(campaign, "run_all", lambda left, say, go_on: asked.extend(left) or [episode(recovery=[9.0])])
    run_campaign(file, [SCENARIO], [1, 2], 1.0, lambda text: None)
    assert asked == [(SCENARIO, 2)]
    assert [row.times["recovery"] for row in read_file(file)[1]] == [[2.0], [9.0]]


def test_a_campaign_does_not_mix_two_programs(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "commit", lambda: "another")
    with pytest.raises(ScenarioError, match="another file"):
        run_campaign(file, [SCENARIO], [2], 1.0, lambda text: None)


def test_the_summary_names_machine_commit_and_seeds(file: Path, tmp_path: Path) -> None:
    target = tmp_path / "evidence" / "summary.json"
    write_summary(file, target)
    for named in (FACTS["commit"], "some <processor>", '"n": 1'):
        assert str(named) in target.read_text()
    with pytest.raises(ScenarioError):
        write_summary(tmp_path / "none", target)


def test_something_breaks_at_the_asked_pace_and_by_the_seed() -> None:
    scenario = scenario_of(50.0, 10.0, 20.0, 1)
    assert scenario.load.orders == 30_000
    assert [fault.at[0] for fault in scenario.faults] == [FIRST_FAULT_SECONDS + 20 * number for number in range(30)]
    assert {fault.kind for fault in scenario.faults} <= set(KINDS)
    assert scenario_of(50.0, 10.0, 20.0, 1) == scenario
    assert scenario_of(50.0, 10.0, 20.0, 2) != scenario


def test_answers_are_timed_over_all_repetitions() -> None:
    history = [(1.0, "k", "invoked"), (1.5, "k", "unknown"), (3.0, "k", "accepted"), (4.0, "other", "accepted")]
    assert answer_seconds(history) == [2.0]


def test_the_figures_of_a_load() -> None:
    orders = [
        {
            **ORDER,
            "id": str(number),
            "accepted_at": (NOON + timedelta(seconds=number)).isoformat(),
            "acknowledged_at": (NOON + timedelta(seconds=number + (8 if number < 5 else 1))).isoformat(),
        }
        for number in range(20)
    ]
    found = figures(clean(orders=orders, faults=[FAULT], history=[]), 1.0, 1 / 3)
    assert found.accepted_rate == pytest.approx(20 / 19)
    assert (found.acknowledged_max, found.acknowledged_p50) == (8.0, 1.0)
    assert found.largest_backlog == 6
    assert found.drain_seconds == 11.0  # from then on one order waits at a time
    assert slowest_window([]) == 0.0


def test_a_load_that_could_not_be_led_to_its_end_has_figures_all_the_same() -> None:
    empty = figures(Records(), 50.0, 10.0)
    assert (empty.accepted_rate, empty.largest_backlog, empty.drain_seconds) == (0.0, 0, 0.0)
