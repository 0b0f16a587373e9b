"""All metrics at one instant: what was counted, and what sources read now. One source that fails hides no other."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.db import connection

from reliability.core.metrics import Distribution, Metric, MetricKind, Sample

logger = logging.getLogger(__name__)

Reader = Callable[[], Mapping[Metric, Iterable[Sample]]]

SOURCE_UP = Metric(
    "stanchion_metric_source_up",
    MetricKind.GAUGE,
    "Whether a source of metrics could be read: 1, or 0 and its metrics are missing.",
    ("source",),
)

_COUNTED = """
SELECT name, labels, sum(value), coalesce((SELECT array_agg(number ORDER BY place) FROM (
    SELECT place, sum(number)::bigint AS number
    FROM reliability_metrictotal AS one, unnest(one.counts) WITH ORDINALITY AS bucket(number, place)
    WHERE one.name = total.name AND one.labels = total.labels GROUP BY place) AS buckets), '{}')
FROM reliability_metrictotal AS total GROUP BY name, labels ORDER BY name, labels
"""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with all its values."""

    metric: Metric
    samples: list[Sample] = field(default_factory=list)
    distributions: list[Distribution] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Source:
    """Reads the values of some metrics at the moment it is asked."""

    name: str
    metrics: tuple[Metric, ...]
    read: Reader


_sources: dict[str, Source] = {}
_counted: dict[str, Metric] = {}


def declare_counted(*metrics: Metric) -> None:
    """Say which metrics are counted with the meter; call it once, as the app starts."""
    _counted.update({metric.name: metric for metric in metrics})


def register_source(name: str, metrics: Sequence[Metric], read: Reader) -> None:
    """Have ``read`` called for every collection; it returns values of these metrics and of no others."""
    _sources[name] = Source(name, tuple(metrics), read)


def list_metrics() -> list[Metric]:
    """Return every metric there is, by name."""
    found = [SOURCE_UP, *_counted.values(), *(metric for source in _sources.values() for metric in source.metrics)]
    return sorted(found, key=lambda metric: metric.name)


def collect() -> list[Family]:
    """Return all metrics, those of a source that fails left out and reported as missing."""
    families: list[Family] = []
    up: list[Sample] = []
    for source in (Source("counted", tuple(_counted.values()), _no_gauges), *_sources.values()):
        try:
            families += _read_counted() if source.name == "counted" else _read(source)
        except Exception:
            logger.exception("metrics cannot be read", extra={"source": source.name})
            up.append(Sample((source.name,), 0))
        else:
            up.append(Sample((source.name,), 1))
    return [*families, Family(SOURCE_UP, up)]


def _no_gauges() -> Mapping[Metric, Iterable[Sample]]:
    return {}


def _read(source: Source) -> list[Family]:
    values = source.read()
    strange = [metric.name for metric in values if metric not in source.metrics]
    if strange:
        raise ValueError(f"the source {source.name} does not declare {strange}")
    return [Family(metric, list(values.get(metric, ()))) for metric in source.metrics]


def _read_counted() -> list[Family]:
    families = {name: Family(metric) for name, metric in _counted.items()}
    with connection.cursor() as cursor:
        cursor.execute(_COUNTED)
        for name, labels, value, counts in cursor.fetchall():
            family = families.get(name)
            if family is None or len(labels) != len(family.metric.labels):
                continue  # counted by a version that had another metric of this name
            if family.metric.kind is MetricKind.HISTOGRAM:
                if len(counts) == len(family.metric.bounds) + 1:
                    family.distributions.append(Distribution(tuple(labels), tuple(counts), value))
            else:
                family.samples.append(Sample(tuple(labels), value))
    return list(families.values())
