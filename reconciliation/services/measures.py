"""What this app measures: reconciliations, recoveries, differences and gaps."""

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.utils import timezone

from reconciliation.core.discrepancy import DiscrepancyKind
from reconciliation.selectors.gaps import count_open_gaps
from reconciliation.selectors.recovery import read_figures
from reconciliation.selectors.runs import count_open_by_kind, last_ended_by_account
from reliability.core.metrics import Metric, MetricKind, Sample
from reliability.services.metrics import register_source

RECONCILED_AGE = Metric(
    "stanchion_reconciliation_age_seconds",
    MetricKind.GAUGE,
    "Time since a reconciliation of the account last ended with a verdict; missing for an account without one.",
    ("account",),
)
DIFFERENCES = Metric("stanchion_open_differences", MetricKind.GAUGE, "Differences that are open, by kind.", ("kind",))
RECOVERIES = Metric(
    "stanchion_recovery_runs",
    MetricKind.GAUGE,
    "Recovery runs that began within 30 days, by how they ended; by_person: recovered after a person asked.",
    ("outcome",),
)
RECOVERY_RATIO = Metric(
    "stanchion_recovery_success_ratio",
    MetricKind.GAUGE,
    "Share of the recovery runs of 30 days that recovered without a person; missing while there were none.",
)
RECOVERY_MEAN = Metric(
    "stanchion_recovery_mean_seconds",
    MetricKind.GAUGE,
    "MTTR: mean time from a disruption to the end of its recovery, over 30 days; missing while there were none.",
)
GAPS = Metric(
    "stanchion_open_gaps", MetricKind.GAUGE, "Gaps in market data that are not settled, by state.", ("state",)
)

Values = Mapping[Metric, Iterable[Sample]]


def connect_measures() -> None:
    """Have this app's metrics declared and read."""
    register_source("reconciliation", (RECONCILED_AGE, DIFFERENCES), read_reconciliations)
    register_source("recovery", (RECOVERIES, RECOVERY_RATIO, RECOVERY_MEAN), read_recoveries)
    register_source("market data", (GAPS,), read_gaps)


def read_reconciliations() -> Values:
    now = timezone.now()
    return {
        RECONCILED_AGE: [Sample((name,), _age(at, now)) for name, at in last_ended_by_account().items()],
        DIFFERENCES: _all({kind.value: 0 for kind in DiscrepancyKind} | count_open_by_kind()),
    }


def read_recoveries() -> Values:
    figures = read_figures()
    outcomes = {
        "recovered": figures.recovered,
        "by_person": figures.by_person,
        "failed": figures.failed,
        "superseded": figures.superseded,
        "running": figures.running,
    }
    rate, mean = figures.automatic_rate, figures.mttr_seconds
    return {
        RECOVERIES: _all(outcomes),
        RECOVERY_RATIO: [] if rate is None else [Sample((), rate)],
        RECOVERY_MEAN: [] if mean is None else [Sample((), mean)],
    }


def read_gaps() -> Values:
    return {GAPS: _all(count_open_gaps())}


def _all(counts: Mapping[str, int]) -> list[Sample]:
    return [Sample((label,), float(number)) for label, number in counts.items()]


def _age(moment: datetime, now: datetime) -> float:
    return max(0.0, (now - moment).total_seconds())
