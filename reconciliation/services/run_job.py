"""The job behind a run: it asks the broker a page at a time, compares, looks again, and comes to a verdict.

A run is one attempt where the account is small, and many where it is not: each asks for some pages, keeps them
and the place it has come to in one transaction, and comes again. So a run of a million orders holds a few pages
of them, a crash costs those, and work for other accounts goes on between.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, ClassVar

from django.utils import timezone

from brokers.adapters.errors import BrokerCallError
from brokers.services.account_signs import note_login_refused
from brokers.services.accounts import AccountProfile, get_profile, list_profiles
from brokers.services.fills import book_told_fees
from brokers.services.guards import CallClass, refused_here, waiting
from brokers.services.holdings import record_balance
from brokers.services.sessions import get_session
from reconciliation.core.runs import FINISHED, GRACE, RunKind, RunState, RunStep
from reconciliation.models import ReconciliationRun
from reconciliation.services import staging
from reconciliation.services.asking import Answers, ask
from reconciliation.services.cash_movements import book_movements, movements_wanted_since
from reconciliation.services.comparing import compare_all
from reconciliation.services.runs import (
    RUN_KIND,
    begin,
    end_inconclusive,
    end_with_verdict,
    get_mark,
    give_up_stuck,
    request_run,
    runs_before,
)
from reconciliation.services.second_look import Questions, SecondLook, ask_again, judge, next_questions
from reliability.core.jobs import ClaimedJob, Dead, Disposition, Done, JobError, NotStartedError, Performed, Snooze
from reliability.core.taxonomy import FailureKind
from reliability.services.jobs.execution import failure_disposition
from reliability.services.jobs.kinds import JobKind, Prepared

SCHEDULE_KIND = "reconciliation.schedule"
_PATIENCE = timedelta(minutes=1)  # how long a run waits for a broker that takes no questions
_TURN = timedelta(milliseconds=500)
_NOW = timedelta(0)


@dataclass(frozen=True, slots=True)
class Request:
    """One part of a run: where it stands, from which execution on it reads, and what it asks again."""

    profile: AccountProfile
    step: RunStep
    token: str
    fill_cursor: str
    questions: Questions
    cash_since: date | None = None


class ReconcileAccountJob(JobKind):
    """One run of one account; runs of an account follow one another."""

    name: ClassVar[str] = RUN_KIND
    lane: ClassVar[str] = "recovery"
    timeout: ClassVar[timedelta] = timedelta(seconds=60)
    lease: ClassVar[timedelta | None] = timedelta(seconds=200)
    applied_together: ClassVar[bool] = False

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        return {job.id: self._request(job) for job in jobs}

    async def perform(self, request: Request) -> Answers | SecondLook:
        session = get_session(request.profile)
        if request.step is RunStep.LOOK_AGAIN:
            return await ask_again(session, request.questions)
        return await ask(session, request.step, request.token, request.fill_cursor, request.cash_since)

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        return {outcome.job.id: self._apply_one(outcome) for outcome in outcomes}

    def discard(self, job: ClaimedJob, actor: str, reason: str) -> None:
        run = ReconciliationRun.objects.get(pk=job.payload["run"])
        if run.state not in FINISHED:
            end_inconclusive(run, "SYSTEM_UNEXPECTED", f"Given up by {actor}: {reason}")

    def _request(self, job: ClaimedJob) -> Prepared:
        run = ReconciliationRun.objects.select_for_update().get(pk=job.payload["run"])
        if run.state in FINISHED:
            return Done()
        if run.state == RunState.QUEUED:
            give_up_stuck(run)
            if runs_before(run).exists():
                return Snooze(_TURN)
        profile = get_profile(run.account_id)
        held = waiting(profile, CallClass.READS)
        if held is not None:
            return self._hold(run, held)
        if run.state == RunState.QUEUED:
            begin(run)
        cursor = "" if run.reads_all else get_mark(run.account_id).fill_cursor
        questions = next_questions(run) if run.step == RunStep.LOOK_AGAIN else Questions()
        return Request(profile, RunStep(run.step), run.token, cursor, questions, movements_wanted_since(profile))

    def _hold(self, run: ReconciliationRun, held: Any) -> Disposition:
        """Wait for the broker to take questions, for a while."""
        if timezone.now() - run.requested_at < _PATIENCE:
            return held  # type: ignore[no-any-return]
        end_inconclusive(run, held.error.code, held.error.message)
        return Done()

    def _apply_one(self, outcome: Performed) -> Disposition:
        run = ReconciliationRun.objects.select_for_update().get(pk=outcome.job.payload["run"])
        if run.state in FINISHED:
            return Done()
        answers = outcome.result
        if not isinstance(answers, Answers | SecondLook):
            return self._fail(run, outcome)
        run.progress_at = timezone.now()
        run.calls += answers.calls
        if isinstance(answers, SecondLook):
            return _go_on(run, judge(run, answers))
        keep_answers(run, answers)
        if answers.account is None:
            run.save()
            return Snooze(_NOW)
        return _compare(run)

    def _fail(self, run: ReconciliationRun, outcome: Performed) -> Disposition:
        """End the run without a verdict, unless the question was not even asked."""
        error = outcome.error
        if isinstance(error, NotStartedError):
            return failure_disposition(outcome)
        if isinstance(error, BrokerCallError):
            held = refused_here(error)
            if held is not None:
                return self._hold(run, held)
            if error.kind is FailureKind.THROTTLED and timezone.now() - run.requested_at < _PATIENCE:
                return Snooze(timedelta(seconds=max(1.0, error.retry_after_seconds or 0.0)))
            note_login_refused(run.account_id, error)
            end_inconclusive(run, error.code, error.message)
            return Done()
        end_inconclusive(run, "SYSTEM_UNEXPECTED", repr(error))
        return Dead(JobError("SYSTEM_UNEXPECTED", repr(error)[:1000]))


class ReconcileAllJob(JobKind):
    """On schedule: ask for a run of every account."""

    name: ClassVar[str] = SCHEDULE_KIND
    lane: ClassVar[str] = "recovery"

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        for job in jobs:
            kind = RunKind(job.payload.get("kind", RunKind.INCREMENTAL))
            for profile in list_profiles():
                request_run(profile.id, kind=kind, trigger="schedule", by="schedule")
        return {job.id: Done() for job in jobs}

    async def perform(self, request: object) -> None:
        raise AssertionError("there is no call: prepare does it all")

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        raise AssertionError("there is no call: prepare does it all")


def keep_answers(run: ReconciliationRun, answers: Answers) -> None:
    """Put aside what the broker reported, and the place the run has come to."""
    assert run.asked_at is not None
    run.orders_reported += staging.put_orders(run.pk, answers.orders)
    run.fills_reported += staging.put_fills(run.pk, answers.fills)
    book_told_fees(run.account_id, answers.fills)
    run.positions_reported += staging.put_positions(run.pk, answers.positions)
    settled = [one.cursor for one in answers.fills if one.cursor and one.executed_at <= run.asked_at - GRACE]
    if settled:
        run.marks["fill_cursor"] = settled[-1]
    if answers.account is not None:
        run.marks["account"] = {"currency": answers.account.currency, "cash": str(answers.account.cash)}
        record_balance(run.account_id, answers.account, run.asked_at)
        book_movements(run.account_id, answers.movements)
    run.step, run.token = answers.step, answers.token


def _compare(run: ReconciliationRun) -> Disposition:
    """Have the first look, now that everything is there."""
    if staging.count_staged(run.pk) != (run.orders_reported, run.fills_reported):
        end_inconclusive(run, "SYSTEM_DATABASE_UNAVAILABLE", "What the broker had reported was lost with the database.")
        return Done()
    capabilities = get_profile(run.account_id).adapter.capabilities
    run.suspected = compare_all(run, get_mark(run.account_id), capabilities)
    run.looks, run.step, run.token = 1, RunStep.LOOK_AGAIN, ""
    return _go_on(run, next_questions(run))


def _go_on(run: ReconciliationRun, questions: Questions) -> Disposition:
    """Look again at what is left, once what was in flight had time to arrive; else come to the verdict."""
    if not questions.subjects:
        end_with_verdict(run)
        return Done()
    run.save()
    return Snooze(questions.wait)
