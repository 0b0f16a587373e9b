"""The scenario files: each can be read, asks for what there is, and can be made to fail."""

import random
from pathlib import Path

import pytest

from config.chaos.checker import Finding
from config.chaos.expectations import EXPECTATIONS
from config.chaos.faults.registry import KINDS
from config.chaos.load import DRAWS
from config.chaos.measures import LIMITS
from config.chaos.sabotage import Protection
from config.chaos.scenario import CHECKER, Scenario, ScenarioError, read_all, read_scenario, select
from config.chaos.sightings import NAMES

SCENARIOS = read_all()
_INVARIANTS = {f"I{number}" for number in range(1, 13)}
_ODD = '[sabotage]\nprotections = []\nharm = ["I1"]\nshows = "much"'
_WRONG = 'number = 1\nname = "x"\ntitle = "x"\nexpected = "x"\nsharp = ["I1"]\n'


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_a_scenario_asks_for_nothing_that_is_not_there(scenario: Scenario) -> None:
    sabotage = scenario.sabotage
    plans = [*scenario.faults, *(sabotage.faults if sabotage else ())]
    assert {plan.kind for plan in plans} <= set(KINDS)
    assert {plan.detect.partition(":")[0] for plan in plans} <= {*NAMES, ""}
    assert {sentence.split()[0] for sentence in scenario.expect} <= set(EXPECTATIONS)
    assert {*scenario.sharp, *(sabotage.harm if sabotage else ())} <= _INVARIANTS
    assert scenario.load.draw in DRAWS
    assert set(scenario.measures) <= set(LIMITS)
    assert set(sabotage.protections if sabotage else ()) <= set(Protection)
    assert set(sabotage.give_back if sabotage else ()) <= set(sabotage.protections if sabotage else ())
    assert set(sabotage.give_back.values() if sabotage else ()) <= {plan.kind for plan in plans}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_a_scenario_that_runs_can_be_made_to_fail(scenario: Scenario) -> None:
    assert bool(scenario.not_run) != bool(scenario.sabotage)
    if scenario.sabotage and not scenario.sabotage.protections:
        other = scenario.sabotage.disabled or (scenario.sabotage.statement and scenario.sabotage.undo)
        assert scenario.sabotage.faults or other


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_a_sabotage_that_brings_all_harm_itself_claims_no_protection(scenario: Scenario) -> None:
    sabotage = scenario.sabotage
    takes_nothing = sabotage and not (sabotage.protections or sabotage.disabled or sabotage.statement)
    ignores_keys = sabotage and Protection.KEY in sabotage.protections
    if sabotage and (takes_nothing or ignores_keys):
        assert sabotage.shows == CHECKER


def test_all_numbers_of_the_list_are_there_and_twelve_run_in_ci() -> None:
    assert [one.number for one in SCENARIOS] == list(range(1, 35))
    assert len(select(["ci"], SCENARIOS)) == 12


def test_scenarios_are_chosen_by_name_and_by_number() -> None:
    assert [one.number for one in select(["worker-killed", "3"], SCENARIOS)] == [3, 11]
    with pytest.raises(ScenarioError):
        select(["no-such"], SCENARIOS)


def test_a_seed_decides_when_things_break() -> None:
    (scenario,) = select(["mixed-faults"], SCENARIOS)
    first, again, other = (scenario.drawn(random.Random(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    for fault in first:
        assert fault.plan.at[0] <= fault.at <= fault.plan.at[1]


@pytest.mark.parametrize(
    "text", ["", "number = 1", _WRONG + "surprise = 1", _WRONG + '[sabotage]\nharms = ["I1"]', _WRONG + _ODD]
)
def test_a_file_that_is_no_scenario_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=r"odd\.toml"):
        read_scenario(path)


def test_a_finding_names_its_invariant_first() -> None:
    assert str(Finding("I2", "order x doubled")) == "I2: order x doubled"
