"""The figures of a run: each number asked for, how often it was tried, what came out, and what that can say."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from config.chaos.episode import Episode, Outcome
from config.chaos.measures import LIMITS
from config.chaos.statistics import percentile, upper_bound

SEED_TEXTS = {
    "detection": "detection < 1 s",
    "reaction": "circuit breaker reaction < 100 ms",
    "failover": "failover < 5 s",
    "recovery": "full recovery < 30 s",
    "reconciliation": "data reconciliation < 1 min",
}


@dataclass(frozen=True, slots=True)
class TimeLine:
    """One of the seed's times over a run. ``invalid`` were measured while the machine itself was late; they count."""

    name: str
    limit: float
    n: int
    p50: float
    p95: float
    most: float
    over: int
    invalid: int
    bound: float

    @property
    def is_met(self) -> bool:
        return self.over == 0


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts over a run; ``unrecovered`` of ``recoverable`` episodes needed a hand or never became well."""

    episodes: int
    passed: int
    failed: int
    void: int
    not_run: int
    orders: int
    faults: int
    lost: int
    doubled: int
    unknown: int
    differing: int
    detectable: int
    undetected: int
    recoverable: int
    unrecovered: int


def time_lines(episodes: Sequence[Episode]) -> list[TimeLine]:
    """Return a line for each time that was measured at all."""
    lines = []
    for name, limit in LIMITS.items():
        tried = [
            (value, one.measures.is_valid) for one in _counted(episodes) for value in one.measures.times.get(name, ())
        ]
        if not tried:
            continue
        values = [value for value, _ in tried]
        over = sum(value > limit for value in values)
        invalid = sum(not valid for _, valid in tried)
        figures = (percentile(values, 0.5), percentile(values, 0.95), max(values))
        lines.append(TimeLine(name, limit, len(values), *figures, over, invalid, upper_bound(over, len(values))))
    return lines


def totals(episodes: Sequence[Episode]) -> Totals:
    counted = _counted(episodes)
    texts = [finding.text for one in counted for finding in one.findings]
    noticeable = [fault for one in counted for fault in one.records.faults if fault.detect]
    seen = sum(len(one.records.seen) for one in counted)
    recoverable = [one for one in counted if not one.scenario.needs_person and one.records.faults]
    outcomes = [one.outcome for one in episodes]
    return Totals(
        episodes=len(counted),
        passed=outcomes.count(Outcome.PASSED),
        failed=outcomes.count(Outcome.FAILED),
        void=outcomes.count(Outcome.VOID),
        not_run=outcomes.count(Outcome.NOT_RUN),
        orders=sum(len(one.records.orders) for one in counted),
        faults=sum(len(one.records.faults) for one in counted),
        lost=sum(" lost: " in text for text in texts),
        doubled=sum(" doubled: " in text or "taken twice" in text for text in texts),
        unknown=sum(" unknown: " in text for text in texts),
        differing=sum(" differs: " in text or text.startswith(("position of", "fill ")) for text in texts),
        detectable=len(noticeable),
        undetected=len(noticeable) - seen,
        recoverable=len(recoverable),
        unrecovered=sum(one.records.recovered_seconds is None for one in recoverable),
    )


def as_json(episodes: Sequence[Episode], facts: dict[str, Any]) -> dict[str, Any]:
    """Return a whole run as plain values."""
    return {
        **facts,
        "totals": asdict(totals(episodes)),
        "times": [{**asdict(line), "seed": SEED_TEXTS[line.name], "met": line.is_met} for line in time_lines(episodes)],
        "episodes": [episode_row(one) for one in episodes],
    }


def episode_row(episode: Episode) -> dict[str, Any]:
    records = episode.records
    return {
        "scenario": episode.scenario.name,
        "number": episode.scenario.number,
        "seed": episode.seed,
        "outcome": episode.outcome.value,
        "sabotaged": episode.sabotaged,
        "reason": episode.reason,
        "began_at": episode.began_at.isoformat() if episode.began_at else None,
        "seconds": round(episode.seconds, 2),
        "orders": len(records.orders),
        "unknown_outcomes": sum(outcome == "unknown" for _, _, outcome in records.history),
        "findings": [str(finding) for finding in episode.findings],
        "times": episode.measures.times,
        "noise_ms": round(episode.measures.noise_ms, 1),
        "valid_for_timing": episode.measures.is_valid,
        "faults": [fault.as_dict() for fault in records.faults],
        "seen": [asdict(one) for one in records.seen],
        "circuits": [
            {"circuit": one.circuit, "to": one.to_state, "at": one.at.isoformat()} for one in records.circuits
        ],
        "needs_person": episode.scenario.needs_person,
    }


def _counted(episodes: Sequence[Episode]) -> list[Episode]:
    return [one for one in episodes if one.outcome in (Outcome.PASSED, Outcome.FAILED) and not one.sabotaged]
