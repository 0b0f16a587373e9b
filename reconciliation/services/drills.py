"""Drills in a running installation: cut the streams of a simulated broker, and see that recovery ends well in time.

Only an account that is marked as simulated, and whose broker answers as the simulator does, can be drilled: the fault
is its own control call, and nobody is told of what it makes (``reliability.services.quiet``). What
the drill makes is a real disconnection and a real recovery run; nothing is pretended on our side.
"""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from django.db import IntegrityError, transaction
from django.utils import timezone

from brokers.services.accounts import list_profiles
from reconciliation.core.recovery import RecoveryState
from reconciliation.models import Drill, RecoveryRun
from reliability.core.errors import ReliabilityError
from reliability.core.jobs import ClaimedJob, Disposition, Done, JobError, Performed, Snooze
from reliability.core.retry import RetryPolicy
from reliability.services.alerting import raise_alert, resolve_alert
from reliability.services.audit import record_audit
from reliability.services.drill_incidents import begin_drill_incident, end_drill_incident
from reliability.services.jobs.enqueue import NewJob, enqueue_job
from reliability.services.jobs.kinds import JobKind, Prepared

DRILL_KIND = "drills.step"
SCHEDULED_DRILL_KIND = "drills.schedule"
FAULT = "disconnect_streams"
AIM = timedelta(seconds=30)
LIMIT = timedelta(seconds=90)
_PAUSE = timedelta(seconds=1)
_TIMEOUT_SECONDS = 4


def start_drill(account: str, *, by: str) -> int:
    """Begin a drill on the account of that name; returns its id.

    Raises:
        ReliabilityError: there is no such account, it is not marked as simulated, or a drill runs there.
    """
    profile = next((one for one in list_profiles() if one.name == account), None)
    if profile is None:
        raise ReliabilityError("VALIDATION_NOT_FOUND", f"There is no account called {account!r}.")
    if not profile.is_simulated:
        text = f"{account} is not marked as simulated: a drill cuts its streams, and is run on simulated accounts only."
        raise ReliabilityError("VALIDATION_WRONG_STATE", text)
    try:
        with transaction.atomic():
            title = f"Drill on {account}: its streams are cut"
            incident = begin_drill_incident(account, title)
            drill = Drill.objects.create(account_id=profile.id, fault=FAULT, incident=incident, requested_by=by)
            enqueue_job(DRILL_KIND, NewJob(payload={"drill": drill.pk}, unique_key=f"drill:{drill.pk}"))
            record_audit(by, "start_drill", f"drill:{drill.pk}", after={"account": account, "fault": FAULT})
    except IntegrityError:
        raise ReliabilityError("VALIDATION_WRONG_STATE", f"A drill runs on {account} already.") from None
    return drill.pk


def drillable_accounts() -> list[str]:
    """Return the accounts that scheduled drills are run on: those in use that are marked as simulated."""
    return [profile.name for profile in list_profiles() if profile.enabled and profile.is_simulated]


@dataclass(frozen=True, slots=True)
class _Request:
    drill: int
    base_url: str


class DrillJob(JobKind):
    """Makes the fault once, then looks once a second how the recovery goes."""

    name: ClassVar[str] = DRILL_KIND
    lane: ClassVar[str] = "recovery"
    retry: ClassVar[RetryPolicy] = RetryPolicy(max_attempts=3, delay_initial=timedelta(seconds=1))
    timeout: ClassVar[timedelta] = timedelta(seconds=9)

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        return {job.id: _prepared(job) for job in jobs}

    async def perform(self, request: _Request) -> str:
        return await asyncio.to_thread(_cut_streams, request.base_url)

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        return {outcome.job.id: _injected(outcome) for outcome in outcomes}


class ScheduledDrillJob(JobKind):
    """On schedule: a drill on each simulated account, one after the other as they come due."""

    name: ClassVar[str] = SCHEDULED_DRILL_KIND
    lane: ClassVar[str] = "recovery"

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        for name in drillable_accounts():
            if not Drill.objects.filter(account__name=name, state="running").exists():
                start_drill(name, by="schedule")
        return {job.id: Done() for job in jobs}

    async def perform(self, request: object) -> None:
        raise AssertionError("there is no call: prepare does it all")

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        raise AssertionError("there is no call: prepare does it all")


def _prepared(job: ClaimedJob) -> Prepared:
    drill = Drill.objects.select_for_update().get(pk=job.payload["drill"])
    if drill.state != "running":
        return Done()
    if drill.injected_at is None:
        profile = next(one for one in list_profiles() if one.id == drill.account_id)
        return _Request(drill.pk, profile.settings.base_url)
    return _look(drill)


def _look(drill: Drill) -> Disposition:
    """Judge by the recovery run that began after the fault."""
    runs = RecoveryRun.objects.filter(account_id=drill.account_id, started_at__gte=drill.injected_at)
    run = runs.exclude(state__in=[RecoveryState.RUNNING, RecoveryState.SUPERSEDED]).order_by("-id").first()
    assert drill.injected_at is not None
    now = timezone.now()
    if run is None or run.finished_at is None:
        if now - drill.injected_at < LIMIT:
            return Snooze(_PAUSE, JobError("SYSTEM_JOB_TIMEOUT", "The recovery is under way."))
        return _end(drill, False, f"No recovery ended within {LIMIT.total_seconds():g} s.", None)
    took = (run.finished_at - drill.injected_at).total_seconds()
    passed = run.state == RecoveryState.RECOVERED and took <= AIM.total_seconds()
    verdict = f"The recovery {run.state} after {took:.1f} s; at most {AIM.total_seconds():g} s are wanted."
    return _end(drill, passed, verdict, run)


def _injected(outcome: Performed) -> Disposition:
    drill = Drill.objects.select_for_update().get(pk=outcome.request.drill)
    problem = repr(outcome.error) if outcome.error is not None else outcome.result
    if problem:
        return _end(drill, False, f"The fault could not be made: {problem}"[:500], None)
    drill.injected_at = timezone.now() - timedelta(milliseconds=500)
    drill.save(update_fields=["injected_at"])
    return Snooze(_PAUSE, JobError("SYSTEM_JOB_TIMEOUT", "The fault is made; the recovery is awaited."))


def _end(drill: Drill, passed: bool, verdict: str, run: RecoveryRun | None) -> Disposition:
    drill.state, drill.verdict, drill.ended_at = "passed" if passed else "failed", verdict[:500], timezone.now()
    if run is not None and run.finished_at is not None and drill.injected_at is not None:
        drill.recovery_run, drill.seconds = run.pk, (run.finished_at - drill.injected_at).total_seconds()
    drill.save()
    end_drill_incident(drill.incident, passed=passed, verdict=verdict)
    scope = f"account:{drill.account.name}"
    if passed:
        resolve_alert("drill.failed", scope, reason="a later drill passed")
    else:
        raise_alert("drill.failed", scope, message=f"A recovery drill failed: {verdict}", details={"drill": drill.pk})
    return Done()


def _cut_streams(base_url: str) -> str:
    """Return what went wrong, or an empty string; only a broker that answers as the simulator does is touched."""
    try:
        state = _call(f"{base_url}/sim/state", None)
        if "faults" not in state or "streams" not in state:
            return "this broker is no simulator"
        _call(f"{base_url}/sim/faults", {"kind": FAULT})
    except (urllib.error.URLError, OSError, ValueError) as error:
        return str(error)[:300]
    return ""


def _call(address: str, body: dict[str, Any] | None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})  # noqa: S310  # the account's own address
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310  # as above
        found = json.loads(answer.read(1_000_000))
    if not isinstance(found, dict):
        raise ValueError("no answer of a simulator")
    return found
