"""One batch of jobs from claim to finish: what runs in which transaction, and what is recorded."""

import errno
import logging
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from django.db import InterfaceError, OperationalError, transaction
from psycopg.errors import IdleInTransactionSessionTimeout, QueryCanceled

from reliability.core.jobs import (
    AttemptOutcome,
    ClaimedJob,
    Dead,
    Disposition,
    Done,
    JobError,
    JobState,
    JobTimeoutError,
    NotStartedError,
    Performed,
    Retry,
    Snooze,
    Suspicion,
    Wait,
)
from reliability.core.retry import backoff_delay
from reliability.models import JobAttempt
from reliability.services.jobs.dead_alerts import tell_dead
from reliability.services.jobs.failed_attempts import record_failed_attempts
from reliability.services.jobs.kinds import Call, JobKind, Prepared, get_kind, kinds_of
from reliability.services.jobs.table import Finish, claim_jobs, finish_jobs, lock_current

logger = logging.getLogger(__name__)

DatabaseUnavailable: tuple[type[OperationalError], type[InterfaceError]] = (OperationalError, InterfaceError)
_NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})
_DISPOSITIONS = (Done, Retry, Snooze, Wait, Dead)
_DEADLINE_PASSED = Dead(JobError("SYSTEM_DEADLINE_PASSED", "The job could not be done before its deadline."))


def is_outage(error: Exception) -> bool:
    """Return whether the same work will succeed once the database is back, its locks or descriptors are free.

    A statement that ran into its time limit is not one of these: it would block for good. A transaction
    that this process left waiting too long, on a busy machine or frozen, is: its connection is gone. So is
    a lack of file descriptors, which says nothing about the job it happened to.
    """
    if isinstance(error, OSError) and error.errno in _NO_DESCRIPTORS:
        return True
    if isinstance(error.__cause__, IdleInTransactionSessionTimeout):
        return True
    return isinstance(error, DatabaseUnavailable) and not isinstance(error.__cause__, QueryCanceled)


_Prepare = Callable[[JobKind, Sequence[ClaimedJob]], Mapping[int, Prepared]]


def claim_and_prepare(lane: str, worker: int, limit: int, suspicion: Suspicion | None = None) -> tuple[list[Call], int]:
    """Claim due jobs and prepare their requests in one transaction, committed before any call.

    Returns the calls to make, and how many jobs were claimed in all: some need no call and
    are finished in the same transaction. If a batch cannot be prepared, its jobs are
    prepared one at a time, and only the broken ones fail.
    """
    begun, others_are_due = ([], True) if suspicion else _claim_express(lane, worker, limit)
    if not others_are_due:
        return begun, len(begun)
    try:
        calls, claimed = _claim_generally(lane, worker, limit - len(begun), suspicion)
    except Exception as error:
        if not begun or not is_outage(error):
            raise
        return begun, len(begun)  # these are committed and must be called; the next claim will tell of the outage
    return begun + calls, len(begun) + claimed


def _claim_express(lane: str, worker: int, limit: int) -> tuple[list[Call], bool]:
    """Claim what some kind of the lane claims in one statement; returns whether others may be due."""
    for kind in kinds_of(lane):
        try:
            claim = kind.claim_express(lane, worker, limit)
        except Exception as error:
            if is_outage(error):
                raise
            logger.exception("express claim failed", extra={"lane": lane, "kind": kind.name})
            continue
        if claim is not None:
            return [Call(job, kind, request) for job, request in claim.begun], claim.others_are_due
    return [], True


def _claim_generally(lane: str, worker: int, limit: int, suspicion: Suspicion | None) -> tuple[list[Call], int]:
    try:
        return _claim_and_prepare(lane, worker, limit, suspicion, _prepare_together)
    except Exception as error:
        if is_outage(error):
            raise
        logger.warning("a batch cannot be prepared", extra={"lane": lane, "error": repr(error)})
    return _claim_and_prepare(lane, worker, limit, suspicion, _prepare_each)


def _claim_and_prepare(
    lane: str, worker: int, limit: int, suspicion: Suspicion | None, prepare: _Prepare
) -> tuple[list[Call], int]:
    with transaction.atomic():
        jobs = claim_jobs(lane, worker, limit, suspicion)
        calls: list[Call] = []
        settled: dict[int, Disposition] = {}
        for kind_name, group in _by_kind(jobs).items():
            kind = get_kind(kind_name)
            alive = [job for job in group if not job.is_overdue]
            settled.update({job.id: _DEADLINE_PASSED for job in group if job.is_overdue})
            prepared = prepare(kind, alive)
            for job in alive:
                request = prepared[job.id]
                if isinstance(request, _DISPOSITIONS):
                    settled[job.id] = request
                else:
                    calls.append(Call(job, kind, request))
        _settle([job for job in jobs if job.id in settled], settled)
    return calls, len(jobs)


def _prepare_together(kind: JobKind, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
    return kind.prepare(jobs) if jobs else {}


def _prepare_each(kind: JobKind, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
    prepared: dict[int, Prepared] = {}
    for job in jobs:
        try:
            with transaction.atomic():
                prepared.update(kind.prepare([job]))
        except Exception as error:
            if is_outage(error):
                raise
            logger.exception("job cannot be prepared", extra={"job": job.id, "kind": kind.name})
            prepared[job.id] = Retry(JobError("SYSTEM_UNEXPECTED", repr(error)[:1000]))
    return prepared


def apply_outcomes(outcomes: Sequence[Performed]) -> None:
    """Write what came of a batch of calls: one transaction for each kind of job, a statement of its own for plain ones.

    A kind locks its rows in an order of its own, so two kinds in one transaction could wait
    for each other. Outcomes of attempts whose fence has moved are kept as late evidence:
    their kind merges what they say, and each gets an attempt row. One outcome that cannot
    be applied makes a dead letter of its own job only. Raises only when the database is
    away; the caller keeps the outcomes and comes again.
    """
    for kind_name, group in _group(outcomes).items():
        kind = get_kind(kind_name)
        left = _apply_express(kind, group)
        for together in [left] if kind.applied_together else [[outcome] for outcome in left]:
            if together:
                _apply_or_fail(kind, together)


def _apply_express(kind: JobKind, outcomes: list[Performed]) -> list[Performed]:
    """Write what the kind writes in one statement; returns the outcomes that are left."""
    try:
        done = set(kind.apply_express(outcomes))
    except Exception as error:
        if is_outage(error):
            raise
        logger.exception("express outcomes failed", extra={"kind": kind.name})
        return outcomes
    return [outcome for outcome in outcomes if outcome.job.claim not in done]


def _apply_or_fail(kind: JobKind, outcomes: Sequence[Performed]) -> None:
    try:
        _apply(kind, outcomes)
    except Exception as error:
        if is_outage(error):
            raise
        if len(outcomes) > 1:
            for outcome in outcomes:
                _apply_or_fail(kind, [outcome])
            return
        job = outcomes[0].job
        logger.exception("outcome of a job cannot be applied", extra={"job": job.id, "kind": job.kind})
        _fail_unapplied(outcomes[0], error)


def _fail_unapplied(outcome: Performed, error: Exception) -> None:
    """Record that what came back could not be written: the answer stays in the attempt's row."""
    detail = {"result": repr(outcome.result), "error": repr(outcome.error)}
    dead = Dead(JobError("SYSTEM_UNEXPECTED", f"The outcome could not be applied: {error!r}"[:1000], detail))
    with transaction.atomic():
        if lock_current([outcome.job]):
            _settle([outcome.job], {outcome.job.id: dead})
        else:
            _record_late([outcome])


def _apply(kind: JobKind, outcomes: Sequence[Performed]) -> None:
    with transaction.atomic():
        current = lock_current(outcome.job for outcome in outcomes)
        held = [outcome for outcome in outcomes if outcome.job.claim in current]
        late = [outcome for outcome in outcomes if outcome.job.claim not in current]
        if late:
            kind.apply_late(late)
            _record_late(late)
        if held:
            _settle([outcome.job for outcome in held], kind.apply(held))


def failure_disposition(outcome: Performed) -> Disposition:
    """Return the usual end of an attempt that raised: kinds call it for errors they do not know."""
    if isinstance(outcome.error, NotStartedError):
        return Snooze(timedelta(0), JobError("SYSTEM_WORKER_STOPPING", "The call was not begun."))
    if isinstance(outcome.error, JobTimeoutError):
        return Retry(JobError("SYSTEM_JOB_TIMEOUT", "The call took too long."))
    return Retry(JobError("SYSTEM_UNEXPECTED", repr(outcome.error)[:1000]))


def _settle(jobs: Sequence[ClaimedJob], settled: Mapping[int, Disposition]) -> None:
    finishes: list[Finish] = []
    attempts: list[JobAttempt] = []
    for job in jobs:
        disposition = settled[job.id]
        finish, outcome = _finish(job, disposition)
        finishes.append(finish)
        error = getattr(disposition, "error", None)
        if outcome is not None and error is not None:
            attempts.append(_attempt_row(job, outcome, error))
    finish_jobs(finishes)
    if attempts:
        JobAttempt.objects.bulk_create(attempts)
        record_failed_attempts({job.id: job for job in jobs}, attempts)
    tell_dead([(job.kind, finish.error_message) for job, finish in zip(jobs, finishes, strict=True) if finish.is_dead])


def _finish(job: ClaimedJob, disposition: Disposition) -> tuple[Finish, AttemptOutcome | None]:
    match disposition:
        case Done():
            return Finish(job.id, JobState.SUCCEEDED), None
        case Snooze(delay, error, priority, is_sound):
            again = _ready(job, delay, error, refund=1, snoozed=1, priority=priority, is_sound=is_sound)
            return again, AttemptOutcome.SNOOZED
        case Wait(delay, error, circuit):
            return _ready(job, delay, error, refund=1, waits_for=circuit), None
        case Retry(error) if job.attempt < job.max_attempts:
            delay = backoff_delay(get_kind(job.kind).retry, job.attempt, random.random())  # noqa: S311  # jitter
            return _ready(job, delay, error), AttemptOutcome.FAILED
        case Retry(error) | Dead(error):
            dead = Finish(job.id, JobState.DEAD, error_code=error.code, error_message=error.message[:1000])
            return dead, AttemptOutcome.DEAD


def _ready(
    job: ClaimedJob,
    delay: timedelta,
    error: JobError | None,
    *,
    refund: int = 0,
    snoozed: int = 0,
    waits_for: str = "",
    priority: int | None = None,
    is_sound: bool = False,
) -> Finish:
    code, message = (error.code, error.message[:1000]) if error else ("", "")
    return Finish(job.id, JobState.READY, delay, refund, snoozed, code, message, waits_for, priority, is_sound)


def _record_late(outcomes: Sequence[Performed]) -> None:
    rows = []
    for outcome in outcomes:
        text = repr(outcome.error) if outcome.error is not None else repr(outcome.result)
        error = JobError("SYSTEM_LEASE_EXPIRED", f"An answer came after the job was handed on: {text}"[:1000])
        rows.append(_attempt_row(outcome.job, AttemptOutcome.LATE, error))
    JobAttempt.objects.bulk_create(rows)


def _attempt_row(job: ClaimedJob, outcome: AttemptOutcome, error: JobError) -> JobAttempt:
    return JobAttempt(
        job_id=job.id,
        attempt=job.attempt,
        fence=job.fence,
        outcome=outcome,
        error_code=error.code,
        error_message=error.message[:1000],
        detail=error.detail,
    )


def _by_kind(jobs: Sequence[ClaimedJob]) -> dict[str, list[ClaimedJob]]:
    groups: dict[str, list[ClaimedJob]] = defaultdict(list)
    for job in jobs:
        groups[job.kind].append(job)
    return groups


def _group(outcomes: Sequence[Performed]) -> dict[str, list[Performed]]:
    groups: dict[str, list[Performed]] = defaultdict(list)
    for outcome in outcomes:
        groups[outcome.job.kind].append(outcome)
    return groups
