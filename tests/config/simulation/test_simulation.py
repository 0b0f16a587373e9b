"""Episodes under a virtual clock: all judged rightly, replayed by number, and a judge that can say no."""

import io
import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from config.simulation.episodes import Finding, Sabotage, Truth, judge
from config.simulation.runner import SCENARIOS, kind_of, numbers, play
from config.simulation.statistics import quantile, rate_at_least, rate_at_most

NAMES = [scenario.name for scenario in SCENARIOS]


@pytest.mark.parametrize("name", NAMES)
def test_faults_are_noticed_and_what_looks_like_one_is_not(name: str) -> None:
    wrong = {number: judged.problems for number in numbers(7, 6, [name]) if not (judged := play(number)).is_right}

    assert wrong == {}, "play them again: manage.py simulate --replay NUMBER"


@pytest.mark.parametrize("name", NAMES)
def test_without_the_protection_the_judge_says_no(name: str) -> None:
    few = 20 if name == "stream.lost" else 6  # an event is in the backlog of some switches only
    blind = [play(number, Sabotage.BLIND) for number in numbers(7, few, [name])]

    assert any(not one.is_right for one in blind if one.truth is Truth.FAULT)


@pytest.mark.parametrize("name", [scenario.name for scenario in SCENARIOS if scenario.can_be_eager])
def test_where_ghosts_are_seen_the_judge_says_no(name: str) -> None:
    eager = [play(number, Sabotage.EAGER) for number in numbers(7, 6, [name])]

    assert any(not one.is_right for one in eager if one.truth is Truth.HEALTHY)


@pytest.mark.parametrize("name", NAMES)
def test_a_number_is_the_whole_episode(name: str) -> None:
    number = next(numbers(11, 1, [name]))

    first, second = play(number), play(number)

    assert (first.lines, first.finding, first.problems) == (second.lines, second.finding, second.problems)
    assert kind_of(number)[0].name == name


def test_a_run_has_as_many_faults_as_healthy_episodes_spread_over_the_scenarios() -> None:
    kinds = [kind_of(number) for number in numbers(1, 120)]

    for truth in Truth:
        for scenario in SCENARIOS:
            assert kinds.count((scenario, truth)) == 10
    with pytest.raises(ValueError, match="no scenario called nothing"):
        list(numbers(1, 1, ["nothing"]))


@pytest.mark.parametrize(
    ("truth", "finding", "is_right"),
    [
        (Truth.FAULT, Finding("NETWORK_STREAM_SILENT", 0.9), True),
        (Truth.FAULT, Finding("NETWORK_STREAM_SILENT", 1.1), False),
        (Truth.FAULT, Finding("NETWORK_STREAM_SILENT", -0.1), False),
        (Truth.FAULT, Finding("NETWORK_STREAM_SILENT", 0.9, ("an order was lost",)), False),
        (Truth.FAULT, Finding("OTHER", 0.9), False),
        (Truth.FAULT, Finding(), False),
        (Truth.HEALTHY, Finding(), True),
        (Truth.HEALTHY, Finding("NETWORK_STREAM_SILENT", 0.9), False),
    ],
)
def test_only_the_right_alarm_in_time_is_right(truth: Truth, finding: Finding, is_right: bool) -> None:
    scenario = next(one for one in SCENARIOS if one.name == "stream.silent")

    assert (not judge(scenario, truth, finding, "NETWORK_STREAM_SILENT")) is is_right


@pytest.mark.parametrize(
    ("misses", "tries", "rate"),
    [
        (0, 2995, 0.999),
        (1, 4742, 0.999),
        (2, 6294, 0.999),
        (0, 299, 0.99),
        (1, 473, 0.99),
        (0, 59, 0.95),
        (3, 153, 0.95),
    ],
)
def test_so_many_tries_prove_so_much_and_one_fewer_does_not(misses: int, tries: int, rate: float) -> None:
    assert rate_at_least(tries - misses, tries) >= rate
    assert rate_at_least(tries - 1 - misses, tries - 1) < rate


@given(st.integers(1, 200).flatmap(lambda tries: st.tuples(st.integers(0, tries), st.just(tries))))
def test_what_is_proved_lies_on_the_safe_side_of_what_was_seen(pair: tuple[int, int]) -> None:
    hits, tries = pair

    assert rate_at_least(hits, tries) <= hits / tries <= rate_at_most(hits, tries)


def test_a_quantile_is_a_value_that_was_seen() -> None:
    assert quantile([], 0.5) is None
    assert [quantile([3.0, 1.0, 2.0, 4.0], share) for share in (0.0, 0.5, 0.95, 1.0)] == [1.0, 2.0, 4.0, 4.0]


def test_the_command_judges_writes_and_plays_again(tmp_path: Path) -> None:
    out = io.StringIO()
    call_command("simulate", "--episodes", "24", "--seed", "5", "--json", str(tmp_path / "run.json"), stdout=out)

    facts = json.loads((tmp_path / "run.json").read_text())
    assert (facts["faults"], facts["missed"], facts["healthy"], facts["false_alarms"]) == (24, [], 24, [])
    assert "(0 of 24 missed)" in out.getvalue()
    assert "not met" in out.getvalue()  # 24 episodes prove little
    with pytest.raises(CommandError, match="judged wrongly"):
        call_command("simulate", "--episodes", "6", "--only", "freezes", "--sabotage", "blind", stdout=io.StringIO())
    log = io.StringIO()
    number = next(number for number in numbers(5, 1, ["freezes"]) if kind_of(number)[1] is Truth.FAULT)
    with pytest.raises(CommandError, match="not noticed"):
        call_command("simulate", "--replay", str(number), "--sabotage", "blind", stdout=log)
    assert "truth: " in log.getvalue()
