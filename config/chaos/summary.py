"""The figures of a run: each number asked for, how often it was tried, what came out, and what that can say."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import inf
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


@dataclass(frozen=True, slots=True)
class EpisodeRow:
    """One episode in plain values, as it is kept in files; infinite times are null there."""

    scenario: str
    number: int
    seed: int
    outcome: str
    sabotaged: bool
    reason: str
    began_at: str | None
    seconds: float
    orders: int
    unknown_outcomes: int
    findings: list[str]
    times: dict[str, list[float]]
    noise_ms: float
    valid_for_timing: bool
    faults: list[dict[str, Any]]
    seen: list[dict[str, Any]]
    circuits: list[dict[str, Any]]
    needs_person: bool
    recovered: bool
    memory_first_mb: float = 0.0
    memory_mb: float = 0.0
    load: float = 0.0
    busy: float = 0.0

    @property
    def counts(self) -> bool:
        """A void, sabotaged or skipped episode says nothing about the system."""
        return self.outcome in (Outcome.PASSED, Outcome.FAILED) and not self.sabotaged


def row_of(episode: Episode) -> EpisodeRow:
    records = episode.records
    changes = [{"circuit": one.circuit, "to": one.to_state, "at": one.at.isoformat()} for one in records.circuits]
    return EpisodeRow(
        scenario=episode.scenario.name,
        number=episode.scenario.number,
        seed=episode.seed,
        outcome=episode.outcome.value,
        sabotaged=episode.sabotaged,
        reason=episode.reason,
        began_at=episode.began_at.isoformat() if episode.began_at else None,
        seconds=round(episode.seconds, 2),
        orders=len(records.orders),
        unknown_outcomes=sum(outcome == "unknown" for _, _, outcome in records.history),
        findings=[str(finding) for finding in episode.findings],
        times=episode.measures.times,
        noise_ms=round(episode.measures.noise_ms, 1),
        valid_for_timing=episode.measures.is_valid,
        faults=[fault.as_dict() for fault in records.faults],
        seen=[asdict(one) for one in records.seen],
        circuits=changes,
        needs_person=episode.scenario.needs_person,
        recovered=records.recovered_seconds is not None,
        memory_first_mb=round(episode.machine.memory_first_mb, 1),
        memory_mb=round(episode.machine.memory_mb, 1),
        load=round(episode.machine.load, 2),
        busy=round(episode.machine.busy, 3),
    )


def time_lines(rows: Sequence[EpisodeRow]) -> list[TimeLine]:
    """Return a line for each time that was measured at all."""
    lines = []
    for name, limit in LIMITS.items():
        tried = [(value, one.valid_for_timing) for one in rows if one.counts for value in one.times.get(name, ())]
        if not tried:
            continue
        values = [value for value, _ in tried]
        over = sum(value > limit for value in values)
        invalid = sum(not valid for _, valid in tried)
        figures = (percentile(values, 0.5), percentile(values, 0.95), max(values))
        lines.append(TimeLine(name, limit, len(values), *figures, over, invalid, upper_bound(over, len(values))))
    return lines


def totals(rows: Sequence[EpisodeRow]) -> Totals:
    counted = [one for one in rows if one.counts]
    texts = [text for one in counted for text in one.findings]
    noticeable = sum(bool(fault["detect"]) for one in counted for fault in one.faults)
    recoverable = [one for one in counted if not one.needs_person and one.faults]
    outcomes = [one.outcome for one in rows if not one.sabotaged]
    return Totals(
        episodes=len(counted),
        passed=outcomes.count(Outcome.PASSED),
        failed=outcomes.count(Outcome.FAILED),
        void=outcomes.count(Outcome.VOID),
        not_run=outcomes.count(Outcome.NOT_RUN),
        orders=sum(one.orders for one in counted),
        faults=sum(len(one.faults) for one in counted),
        lost=sum(" lost: " in text for text in texts),
        doubled=sum(" doubled: " in text or "taken twice" in text for text in texts),
        unknown=sum(" unknown: " in text for text in texts),
        differing=sum(" differs: " in text or text.startswith(("I4: position of", "I4: fill ")) for text in texts),
        detectable=noticeable,
        undetected=noticeable - sum(len(one.seen) for one in counted),
        recoverable=len(recoverable),
        unrecovered=sum(not one.recovered for one in recoverable),
    )


def as_json(rows: Sequence[EpisodeRow], facts: dict[str, Any]) -> dict[str, Any]:
    """Return a whole run as plain values that JSON can hold."""
    return {
        **facts,
        "totals": asdict(totals(rows)),
        "times": [
            {"seed": SEED_TEXTS[line.name], "met": line.is_met, **_finite(asdict(line))} for line in time_lines(rows)
        ],
        "episodes": [as_plain(one) for one in rows],
    }


def as_plain(row: EpisodeRow) -> dict[str, Any]:
    plain: dict[str, Any] = _finite(asdict(row))
    return plain


def from_plain(fields: dict[str, Any]) -> EpisodeRow:
    """Return the row that ``as_plain`` made these values of."""
    times = {name: [inf if one is None else one for one in values] for name, values in fields["times"].items()}
    return EpisodeRow(**{**fields, "times": times})


def _finite(value: Any) -> Any:
    """JSON has no infinity: a time that never came is null."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if value == inf else value
