"""What is measured: the name, unit and labels of every metric, and what was counted of it.

Names follow the conventions of Prometheus: a unit as suffix, ``_total`` for what only grows.
"""

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

PREFIX = "stanchion_"
_NAME = re.compile(r"stanchion(_[a-z0-9]+)+")
_LABEL = re.compile(r"[a-z][a-z0-9_]*")

LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of latency histograms, in seconds."""


class MetricKind(StrEnum):
    """How values of a metric behave: only growing, going up and down, or counted by size."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Raises:
        ValueError: the name or a label breaks the conventions, or bounds do not fit the kind.
    """

    name: str
    kind: MetricKind
    meaning: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is not a name of ours: stanchion_ and words of small letters")
        if (self.kind is MetricKind.COUNTER) != self.name.endswith("_total"):
            raise ValueError(f"{self.name}: counters, and they alone, end in _total")
        if (self.kind is MetricKind.HISTOGRAM) != bool(self.bounds) or list(self.bounds) != sorted(set(self.bounds)):
            raise ValueError(f"{self.name}: a histogram, and it alone, has bounds, each above the one before")
        if any(not _LABEL.fullmatch(label) or label == "le" for label in self.labels):
            raise ValueError(f"{self.name}: a label is not well named")


@dataclass(frozen=True, slots=True)
class Sample:
    """The value of a counter or gauge for one set of labels, in the order the metric names them."""

    labels: tuple[str, ...]
    value: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """How often values of each size were seen: ``counts`` has one place per bound and one for what is above."""

    labels: tuple[str, ...]
    counts: tuple[int, ...]
    total: float

    @property
    def count(self) -> int:
        return sum(self.counts)


@dataclass(slots=True)
class Tally:
    """What one process has counted of one set of labels since it began."""

    value: float = 0.0
    counts: list[int] = field(default_factory=list)

    def add(self, amount: float) -> None:
        self.value += amount

    def see(self, value: float, bounds: Sequence[float]) -> None:
        """Count a value in the first bucket whose bound it does not exceed."""
        if not self.counts:
            self.counts = [0] * (len(bounds) + 1)
        self.counts[bisect_left(bounds, value)] += 1
        self.value += value

    def minus(self, other: "Tally") -> "Tally":
        """Return what was counted since ``other`` was."""
        counts = [
            mine - theirs for mine, theirs in zip(self.counts, other.counts or [0] * len(self.counts), strict=True)
        ]
        return Tally(self.value - other.value, counts)

    def copy(self) -> "Tally":
        return Tally(self.value, list(self.counts))


def with_all_labels(metric: Metric, counts: Mapping[tuple[str, ...], float]) -> list[Sample]:
    """Return samples in a fixed order; raises ``ValueError`` for labels the metric does not have."""
    wrong = [labels for labels in counts if len(labels) != len(metric.labels)]
    if wrong:
        raise ValueError(f"{metric.name} has the labels {metric.labels}, not {wrong[0]}")
    return [Sample(labels, value) for labels, value in sorted(counts.items())]
