"""The kinds of rows of this app that are not kept for good.

Orders, their events and fills, positions, audit entries and failed attempts of jobs are: their seals reach back to
the first row. A job with a failed attempt stays with it.
"""

from datetime import datetime

from reliability.services.error_partitions import ensure_partitions
from reliability.services.retention.keepers import PartitionKeeper, RowKeeper, register_keeper


def _errors_ahead(now: datetime) -> list[str]:
    return ensure_partitions(now.date())


ERRORS = PartitionKeeper(
    kind="errors",
    description="single errors; groups and counts per minute stay",
    table="reliability_errorevent",
    keep_days=90,
    is_exported=True,
    ahead=_errors_ahead,
)
ERROR_COUNTS = RowKeeper(
    kind="error_counts",
    description="numbers of errors per minute",
    table="reliability_errorrollup",
    keep_days=400,
    is_exported=True,
    time="minute",
)
JOBS = RowKeeper(
    kind="jobs",
    description="jobs that ended without a failed attempt; what they did has rows of its own",
    table="reliability_job",
    keep_days=30,
    is_exported=False,
    time="finished_at",
    condition="one.state IN ('succeeded', 'discarded')"
    " AND NOT EXISTS (SELECT FROM reliability_jobattempt attempt WHERE attempt.job_id = one.id)",
)
PROCESSES = RowKeeper(
    kind="processes",
    description="processes that ended",
    table="reliability_heartbeat",
    keep_days=90,
    is_exported=False,
    time="ended_at",
)
SESSIONS = RowKeeper(
    kind="sessions",
    description="logins of the pages that expired",
    table="django_session",
    keep_days=1,
    is_exported=False,
    time="expire_date",
)
TOKENS = RowKeeper(
    kind="tokens",
    description="API tokens that expired",
    table="knox_authtoken",
    keep_days=90,
    is_exported=False,
    time="expiry",
)


def register_own_keepers() -> None:
    for keeper in (ERRORS, ERROR_COUNTS, JOBS, PROCESSES, SESSIONS, TOKENS):
        register_keeper(keeper)
