"""Dead letters: jobs that a person decides on. Nothing is dropped, everything is recorded."""

import logging
import time
from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from reliability import dispatch
from reliability.core.errors import ReliabilityError
from reliability.core.jobs import AttemptOutcome, ClaimedJob, JobState
from reliability.core.text import storable
from reliability.models import Job, JobAttempt
from reliability.services.audit import record_audit
from reliability.services.jobs.dead_alerts import tell_dead, tell_decided
from reliability.services.jobs.kinds import UnknownKindError, get_kind

MESSAGE_KIND = "celery.message"
MOST_AT_ONCE = 1000

logger = logging.getLogger(__name__)


def replay_dead_letters(ids: Sequence[int], *, actor: str, reason: str) -> int:
    """Let dead jobs run again with fresh attempts; returns how many were dead and now are ready.

    A job keeps its identity: an order's job looks the order up at the broker before anything
    is sent again. Its payload gets ``replayed_at``, from which the kind's own deadlines count.
    Raises ``ReliabilityError`` for more than 1,000 at once, none dead, or work that is under way already.
    """
    _check_size(ids)
    try:
        return _replay(ids, actor, reason)
    except IntegrityError as error:  # somebody replayed the same work in this very moment
        raise ReliabilityError("VALIDATION_WRONG_STATE", "The same work is under way already.") from error


def _replay(ids: Sequence[int], actor: str, reason: str) -> int:
    with transaction.atomic():
        jobs = list(Job.objects.select_for_update().filter(pk__in=ids, state=JobState.DEAD).order_by("pk"))
        if not jobs:
            raise ReliabilityError("VALIDATION_WRONG_STATE", "None of these is a dead letter any more.")
        _require_unique(jobs)
        for job in jobs:
            _note(job, AttemptOutcome.REPLAYED, actor, reason)
            record_audit(actor, "replay_dead_letter", f"job:{job.pk}", before=_facts(job), reason=reason)
        now = timezone.now()
        for job in jobs:
            job.payload = {**job.payload, "replayed_at": now.isoformat()}
        Job.objects.bulk_update(jobs, ["payload"])
        Job.objects.filter(pk__in=[job.pk for job in jobs]).update(
            state=JobState.READY, attempt=0, crashes=0, run_at=now, finished_at=None, deadline_at=None
        )
        for lane in {job.lane for job in jobs}:
            dispatch.nudge_on_commit(lane)
        tell_decided({job.kind for job in jobs}, actor=actor, reason=reason)
    return len(jobs)


def discard_dead_letters(ids: Sequence[int], *, actor: str, reason: str) -> int:
    """Give dead jobs up, with a reason; their kind writes what that means. Returns how many."""
    _check_size(ids)
    if not reason.strip():
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", "Discarding needs a reason.", {"reason": ["required"]})
    with transaction.atomic():
        jobs = list(Job.objects.select_for_update().filter(pk__in=ids, state=JobState.DEAD).order_by("pk"))
        if not jobs:
            raise ReliabilityError("VALIDATION_WRONG_STATE", "None of these is a dead letter any more.")
        for job in jobs:
            _kind_discard(job, actor, reason)
            _note(job, AttemptOutcome.DISCARDED, actor, reason)
            record_audit(actor, "discard_dead_letter", f"job:{job.pk}", before=_facts(job), reason=reason)
        Job.objects.filter(pk__in=[job.pk for job in jobs]).update(state=JobState.DISCARDED, finished_at=timezone.now())
        tell_decided({job.kind for job in jobs}, actor=actor, reason=reason)
    return len(jobs)


def record_dead_message(code: str, message: str, detail: dict[str, Any]) -> None:
    """Keep a Celery message or task that failed outside the jobs as a dead letter.

    Raises whatever the database raises: the caller decides what happens to the message.
    """
    message, detail = storable(message), storable(detail)
    with transaction.atomic():
        job = Job.objects.create(
            kind=MESSAGE_KIND,
            lane="default",
            state=JobState.DEAD,
            payload=detail,
            attempt=1,
            max_attempts=1,
            error_code=code,
            error_message=message[:1000],
            finished_at=timezone.now(),
        )
        JobAttempt.objects.create(
            job=job, attempt=1, fence=0, outcome=AttemptOutcome.DEAD, error_code=code, error_message=message[:1000]
        )
        tell_dead([(MESSAGE_KIND, message)])


def _check_size(ids: Sequence[int]) -> None:
    if len(ids) > MOST_AT_ONCE:
        raise ReliabilityError("VALIDATION_INVALID_REQUEST", f"At most {MOST_AT_ONCE} at once.")


def _require_unique(jobs: Sequence[Job]) -> None:
    """Refuse a replay whose unique key is taken by a job that is under way."""
    keys = [job.unique_key for job in jobs if job.unique_key]
    taken = Job.objects.filter(unique_key__in=keys, state__in=[JobState.READY, JobState.RUNNING]).first()
    if taken is not None or len(set(keys)) != len(keys):
        which = taken.pk if taken else "one of these"
        raise ReliabilityError("VALIDATION_WRONG_STATE", f"The same work is under way already: job {which}.")


def _kind_discard(job: Job, actor: str, reason: str) -> None:
    try:
        kind = get_kind(job.kind)
    except UnknownKindError:
        logger.warning("discarding a job of an unknown kind", extra={"job": job.pk, "kind": job.kind})
        return
    claimed = ClaimedJob(
        id=job.pk,
        kind=job.kind,
        lane=job.lane,
        subject=job.subject,
        payload=job.payload,
        attempt=job.attempt,
        max_attempts=job.max_attempts,
        crashes=job.crashes,
        snoozes=job.snoozes,
        fence=job.fence,
        correlation_id=job.correlation_id,
        is_overdue=False,
        claimed_monotonic=time.monotonic(),
        lease_seconds=0.0,
    )
    kind.discard(claimed, actor, reason)


def _note(job: Job, outcome: AttemptOutcome, actor: str, reason: str) -> None:
    JobAttempt.objects.create(
        job=job,
        attempt=job.attempt,
        fence=job.fence,
        outcome=outcome,
        error_code=job.error_code,
        error_message=reason[:1000],
        actor=actor,
    )


def _facts(job: Job) -> dict[str, Any]:
    return {"kind": job.kind, "attempt": job.attempt, "error_code": job.error_code, "error": job.error_message}
