"""Attempts of jobs that failed, as errors: recorded in the transaction of the attempt."""

from collections.abc import Mapping, Sequence

from reliability.core.catalog import CATALOG
from reliability.core.fingerprint import ErrorFacts
from reliability.core.jobs import AttemptOutcome, ClaimedJob
from reliability.models import JobAttempt
from reliability.services.error_recorder import record_errors

SOURCE = "jobs"
_UNHEARD_OF = "SYSTEM_UNEXPECTED"


def record_failed_attempts(jobs: Mapping[int, ClaimedJob], attempts: Sequence[JobAttempt]) -> None:
    """Record the attempts that failed or ended their job; waiting and late answers are no errors."""
    failed = [one for one in attempts if one.outcome in (AttemptOutcome.FAILED, AttemptOutcome.DEAD)]
    if failed:
        record_errors([_facts(jobs[one.job_id], one) for one in failed])


def _facts(job: ClaimedJob, attempt: JobAttempt) -> ErrorFacts:
    definition = CATALOG.get(attempt.error_code, CATALOG[_UNHEARD_OF])
    return ErrorFacts(
        source=SOURCE,
        operation=job.kind,
        code=attempt.error_code,
        category=definition.category,
        severity=definition.severity,
        message=attempt.error_message,
        correlation_id=job.correlation_id,
        subject=str(job.subject or ""),
        details={"job": job.id, "attempt": attempt.attempt, "outcome": str(attempt.outcome), "detail": attempt.detail},
    )
