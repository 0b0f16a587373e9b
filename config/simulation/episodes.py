"""One episode: a world of its own under a virtual clock, made from a number, and what the judge says of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

EPISODES_PER_SEED = 1_000_000


class Truth(StrEnum):
    """What really happens in an episode: a fault that must be noticed, or nothing but what looks like one."""

    FAULT = "fault"
    HEALTHY = "healthy"


class Sabotage(StrEnum):
    """A protection taken away, to show that the judge notices: one that sees nothing, or one that sees ghosts."""

    NONE = "none"
    BLIND = "blind"
    EAGER = "eager"


@dataclass(slots=True)
class Episode:
    """What a scenario is given: chance of its own, whether to break something, and a log with virtual seconds."""

    number: int
    truth: Truth
    sabotage: Sabotage
    random: Random
    lines: list[str] = field(default_factory=list)

    @property
    def is_fault(self) -> bool:
        return self.truth is Truth.FAULT

    @property
    def is_blind(self) -> bool:
        return self.sabotage is Sabotage.BLIND

    @property
    def is_eager(self) -> bool:
        return self.sabotage is Sabotage.EAGER

    def note(self, at: float, text: str) -> None:
        self.lines.append(f"{at:10.3f} s  {text}")


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of an episode.

    ``seen``: the alarm that was raised, empty for none. ``delay``: virtual seconds from the first effect that could be
    seen to the alarm, where the scenario has a clock. ``broken``: promises that were not kept, in words.
    """

    seen: str = ""
    delay: float | None = None
    broken: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of episode. ``limit`` is the longest delay that counts as noticed, None where there is no clock.

    ``play`` returns the finding and, for a fault, the alarm that would be right.
    """

    name: str
    stratum: str
    about: str
    play: Callable[[Episode], tuple[Finding, str]]
    limit: float | None = None
    can_be_eager: bool = True


@dataclass(frozen=True, slots=True)
class Judged:
    """An episode with its verdict; right is a fault noticed in time and rightly named, or no alarm without one."""

    number: int
    scenario: Scenario
    truth: Truth
    finding: Finding
    expected: str
    problems: tuple[str, ...]
    lines: tuple[str, ...]

    @property
    def is_right(self) -> bool:
        return not self.problems


def judge(scenario: Scenario, truth: Truth, finding: Finding, expected: str) -> tuple[str, ...]:
    """Return what is wrong about a finding, beside what really happened."""
    problems = list(finding.broken)
    if truth is Truth.HEALTHY:
        problems += [f"false alarm: {finding.seen}"] if finding.seen else []
        return tuple(problems)
    if not finding.seen:
        problems.append(f"not noticed: {expected}")
    elif finding.seen != expected:
        problems.append(f"noticed as {finding.seen}, it was {expected}")
    elif finding.delay is not None and finding.delay < 0:
        problems.append(f"noticed {-finding.delay} s before it happened")
    elif scenario.limit is not None and (finding.delay is None or finding.delay > scenario.limit):
        problems.append(f"noticed after {finding.delay} s, the limit is {scenario.limit} s")
    return tuple(problems)
