"""The page of the numbers asked for says what the kept results say, and no more."""

import json
from pathlib import Path
from typing import Any

import pytest

from config.seed_numbers.asked import ASKED, BY_KEY
from config.seed_numbers.files import INDEX_BEGIN, INDEX_END, read_all, readme_page
from config.seed_numbers.measurement import Measurement, Source, Verdict, bound, judge, tries_for
from config.seed_numbers.page import seed_numbers_page
from config.seed_numbers.readers import read
from config.seed_numbers.settings_asked import SETTINGS

HERE = Source("some.json")


def measured(key: str, n: int, misses: int) -> Verdict:
    return judge(BY_KEY[key], Measurement(key, "cases", n, misses, HERE))


def campaign(**changes: Any) -> dict[str, Any]:
    totals = dict.fromkeys(
        ("lost", "doubled", "unknown", "differing", "undetected", "unrecovered", "detectable", "recoverable"), 0
    )
    control = {"scenario": "control", "outcome": "passed", "seconds": 35.0, "findings": []}
    line = {"name": "detection", "n": 120, "p50": 0.2, "p95": 0.6, "most": 0.9, "over": 0, "invalid": 3}
    return {
        "command": "chaos campaign",
        "began_at": "2026-11-27T10:00:00+00:00",
        "commit": "0123456789abcdef+",
        "machine": {"cores": 2, "cpu": "some", "kernel": "Linux 6"},
        "totals": {**totals, "episodes": 60, "faults": 90, "orders": 5000, "detectable": 80, "recoverable": 58},
        "times": [line],
        "episodes": [control],
        **changes,
    }


@pytest.mark.parametrize(
    ("key", "n", "misses", "verdict"),
    [
        ("recovery", 59, 0, Verdict.MET),
        ("recovery", 58, 0, Verdict.TOO_FEW),
        ("recovery", 10_000, 1, Verdict.MISSED),
        ("noticed", 2995, 0, Verdict.MET),
        ("noticed", 2994, 0, Verdict.TOO_FEW),
        ("noticed", 4742, 1, Verdict.MET),
        ("noticed", 3000, 3, Verdict.TOO_FEW),
        ("noticed", 3000, 4, Verdict.MISSED),
        ("false_alarms", 2995, 0, Verdict.MET),
        ("false_alarms", 299, 0, Verdict.TOO_FEW),
        ("automatic", 59, 0, Verdict.MET),
        ("lost", 1, 0, Verdict.MET),
        ("lost", 1_000_000, 1, Verdict.MISSED),
    ],
)
def test_a_number_is_met_when_enough_cases_say_so(key: str, n: int, misses: int, verdict: Verdict) -> None:
    assert measured(key, n, misses) is verdict


def test_bounds_are_rounded_to_the_careful_side() -> None:
    assert [tries_for(share) for share in (0.95, 0.99, 0.999)] == [59, 299, 2995]
    assert bound(BY_KEY["noticed"], Measurement("noticed", "", 2995, 0, HERE)) == "at least 99.9 %"
    assert bound(BY_KEY["lost"], Measurement("lost", "", 100_000, 0, HERE)) == "at most 0.003 %"
    assert bound(BY_KEY["lost"], Measurement("lost", "", 4, 9, HERE)) == "at most 100 %"


def test_without_a_file_nothing_is_measured(tmp_path: Path) -> None:
    page = seed_numbers_page(tmp_path)

    assert page.count("\nNot measured.\n") == len(ASKED)
    assert "Nothing that was measured." in page
    assert f"Not measured: {', '.join(one.text for one in ASKED)}" in page


def test_a_new_file_is_followed_and_its_misses_stand_at_the_top(tmp_path: Path) -> None:
    slow = {"name": "recovery", "n": 60, "p50": 3.0, "p95": 28.0, "most": None, "over": 1, "invalid": 0}
    (tmp_path / "any-name.json").write_text(json.dumps(campaign(times=[*campaign()["times"], slow])))
    (tmp_path / "of-no-known-kind.json").write_text(json.dumps({"benchmark": "tea", "results": []}))

    page = seed_numbers_page(tmp_path)

    top = page.partition("## What is missed")[2].partition("## All numbers")[0]
    assert "full recovery, RTO < 30 s**, chaos episodes: 1 of 60 over the limit" in top
    assert "max never" in top
    assert "detection" not in top.partition("Not measured")[0]
    assert "p95 0.600, max 0.900 s; 3 while the machine itself was late" in page
    assert "0123456789+, 2026-11-27, 2 cores, some, Linux 6" in page


def test_a_campaign_answers_for_rates_losses_and_healthy_windows() -> None:
    harmed = campaign()["episodes"][0] | {"outcome": "failed", "findings": ["I6: 2 circuits opened", "I1: one lost"]}
    found = {one.key: one for one in read(campaign(episodes=[harmed, harmed]), HERE)}

    assert (found["noticed"].n, found["automatic"].n, found["lost"].n, found["doubled"].n) == (80, 58, 5000, 5000)
    assert (found["false_alarms"].n, found["false_alarms"].misses) == (12, 2)


def test_load_under_failure_counts_everything_that_went_wrong() -> None:
    load = {"minutes": 10.0, "asked_rate": 50.0, "accepted_rate": 49.8, "slowest_window_rate": 31.0}
    load |= {"acknowledged_p95": 2.0, "acknowledged_max": 9.0, "largest_backlog": 400, "drain_seconds": None}
    (one,) = (one for one in read(campaign(load=load), HERE) if one.key == "load")

    assert (one.n, one.misses) == (5000, 0)
    assert "never drained" in one.figures
    assert "90 faults" in one.what


def test_every_kept_file_is_in_the_index_with_its_command() -> None:
    table = readme_page().partition(INDEX_BEGIN)[2].partition(INDEX_END)[0]
    rows = {row.split("|")[1].strip(" `"): row for row in table.splitlines() if row.startswith("| `")}

    assert list(rows) == list(read_all())
    assert [name for name, row in rows.items() if row.split("|")[3].strip() == "not said"] == []


def test_the_settings_asked_for_are_the_defaults() -> None:
    assert [what for what, asked, ours in SETTINGS if asked != ours] == []


def trial(scenario: str, **changes: Any) -> dict[str, Any]:
    counts = dict.fromkeys(("lost", "doubled", "unknown", "differing"), 0)
    times = {"detection_seconds": [0.2], "healthy_seconds": 3.0, "strikes": 1}
    return {"scenario": scenario, "orders": 150, **counts, **times, **changes}


def test_acceptance_trials_are_told_apart_by_what_carried_their_messages() -> None:
    rows = [trial("killed"), trial("stopped", lost=1), trial("teeth: killed", lost=90)]
    content = {"benchmark": "acceptance", "parameters": {"messages": "RabbitMQ"}, "results": rows}
    found = {one.key: one for one in read(content, HERE)}
    assert (found["lost"].what, found["lost"].n, found["lost"].misses) == ("2 acceptance trials on RabbitMQ", 300, 1)
    assert found["doubled"].misses == 0
    assert found["detection"].n == found["recovery"].n == 2
