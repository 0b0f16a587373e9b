"""Playing episodes by number: the number alone decides the scenario, what happens in it, and every chance."""

from collections.abc import Iterator, Sequence
from random import Random

from config.simulation.bars import BAR_SCENARIOS
from config.simulation.calls import CALL_SCENARIOS
from config.simulation.episodes import EPISODES_PER_SEED, Episode, Judged, Sabotage, Scenario, Truth, judge
from config.simulation.failures import FAILURE_SCENARIOS
from config.simulation.freezes import FREEZE_SCENARIOS
from config.simulation.ledgers import LEDGER_SCENARIOS
from config.simulation.orders import ORDER_SCENARIOS
from config.simulation.streams import STREAM_SCENARIOS

SCENARIOS: tuple[Scenario, ...] = (
    *CALL_SCENARIOS,
    *STREAM_SCENARIOS,
    *FAILURE_SCENARIOS,
    *ORDER_SCENARIOS,
    *LEDGER_SCENARIOS,
    *BAR_SCENARIOS,
    *FREEZE_SCENARIOS,
)
_KINDS = tuple((scenario, truth) for scenario in SCENARIOS for truth in Truth)


def play(number: int, sabotage: Sabotage = Sabotage.NONE) -> Judged:
    """Play the episode of that number, from nothing but it."""
    scenario, truth = kind_of(number)
    episode = Episode(number, truth, sabotage, Random(number))  # noqa: S311  chance of a test, not of a secret
    finding, expected = scenario.play(episode)
    problems = judge(scenario, truth, finding, expected)
    return Judged(number, scenario, truth, finding, expected, problems, tuple(episode.lines))


def kind_of(number: int) -> tuple[Scenario, Truth]:
    """Return what the episode of that number is about."""
    return _KINDS[number % EPISODES_PER_SEED % len(_KINDS)]


def numbers(seed: int, episodes: int, only: Sequence[str] = ()) -> Iterator[int]:
    """Yield the numbers of a run: so many with a fault and as many without, spread evenly over the scenarios.

    Raises:
        ValueError: there is no such scenario, or too many episodes for one seed.
    """
    known = {scenario.name for scenario in SCENARIOS}
    if unknown := sorted(set(only) - known):
        raise ValueError(f"there is no scenario called {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    left = dict.fromkeys(Truth, episodes)
    for place in range(EPISODES_PER_SEED):
        number = seed * EPISODES_PER_SEED + place
        scenario, truth = kind_of(number)
        if (only and scenario.name not in only) or not left[truth]:
            continue
        left[truth] -= 1
        yield number
        if not any(left.values()):
            return
    raise ValueError("too many episodes for one seed")
