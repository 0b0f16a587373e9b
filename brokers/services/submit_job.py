"""Sending an accepted order, once in effect.

The order's row decides what an attempt does: an accepted order is sent; one that was being
sent by a process that died, or whose outcome is unknown, is looked up by client order id
first, and sent again under the same id only after its absence is proven.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from brokers.adapters.errors import BrokerCallError
from brokers.conf import get_conf
from brokers.core.exits import missing_exits
from brokers.core.lookup import absence_is_proven, delay_after_miss, lookup_delay
from brokers.core.orders import OrderState, OrderTerms
from brokers.core.reports import OrderReport
from brokers.core.routing import WhenUnavailable
from brokers.services.account_signs import note_login_refused
from brokers.services.accounts import AccountProfile, get_profile, list_profiles
from brokers.services.guards import CallClass, get_guard, refused_here, waiting
from brokers.services.halts import halt_text
from brokers.services.kill_switch import cancel_unsent
from brokers.services.measures import note_acknowledged
from brokers.services.order_batch import OrderBatch, OrderRow
from brokers.services.order_express import acknowledge_and_finish, claim_and_send
from brokers.services.order_gate import OrderGate
from brokers.services.order_statements import (
    SendingOrder,
    is_plain_acknowledgement,
    mark_sending,
)
from brokers.services.repeats import paid_delay, repeat_delay
from brokers.services.sessions import get_session
from brokers.services.submission import SUBMIT_KIND
from brokers.services.synchronization import want_sync
from brokers.services.taking_back import take_back
from reliability.core.classification import Operation
from reliability.core.jobs import (
    URGENT_PRIORITY,
    ClaimedJob,
    Dead,
    Disposition,
    Done,
    JobError,
    NotStartedError,
    Performed,
    Snooze,
    Wait,
)
from reliability.core.taxonomy import FailureKind
from reliability.services.jobs.kinds import Call, ExpressClaim, JobKind, Prepared

_NO_ACCOUNT = JobError("BROKER_ACCOUNT_UNAVAILABLE", "No account that may take it can take it now.")
_DUPLICATE = "BROKER_DUPLICATE_CLIENT_ORDER_ID"
_EXIT_REFUSED = "BROKER_EXIT_REFUSED"
_UNKNOWN_LATELY_SECONDS = 30.0
_unknown_at: dict[str, float] = {}  # when an order of each broker was last unknown here, on the monotonic clock


@dataclass(frozen=True, slots=True)
class SubmitRequest:
    profile: AccountProfile
    client_order_id: str
    terms: OrderTerms
    correlation_id: str


@dataclass(frozen=True, slots=True)
class LookUpRequest:
    profile: AccountProfile
    client_order_id: str
    symbol: str


class SubmitOrderJob(JobKind):
    name: ClassVar[str] = SUBMIT_KIND
    operation: ClassVar[Operation] = Operation.SUBMIT
    lane: ClassVar[str] = "orders"

    def room(self, under_way: Sequence[Call]) -> int:
        """As many as every broker takes whose calls are under way and end: its places become free by themselves.

        A broker that hangs holds nobody up; what is claimed for it goes back and waits its turn. Places
        belong to brokers, for whatever is called; calls that were claimed but have not begun count. Where orders
        have taken all that they may, look-ups still have places of their own: they come first in a claim.
        """
        begun: dict[str, list[float]] = defaultdict(list)
        for call in under_way:
            profile = getattr(call.request, "profile", None)
            if profile is not None:
                begun[profile.broker].append(call.job.claimed_monotonic)
        moving: list[int] = []
        others: list[int] = []
        for profile in list_profiles():
            guard, since = get_guard(profile, CallClass.ORDERS), begun[profile.broker]
            left = max(0, min(guard.places(), guard.all_places - len(since))) or _look_ups_left(profile)
            (moving if since and not guard.hangs_since(min(since)) else others).append(left)
        return min(moving) if moving else max(others, default=sys.maxsize)

    def claim_express(self, lane: str, worker: int, limit: int) -> ExpressClaim:
        narrow = OrderGate.look().narrow(limit)
        claimed, others = claim_and_send(SUBMIT_KIND, lane, worker, limit, narrow=narrow)
        return ExpressClaim([(job, _submission(order)) for job, order in claimed], others)

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        gate = OrderGate.look()
        fresh = [job for job in jobs if not job.snoozes]
        evidence = {_subject(job): {"attempt": job.attempt, "fence": job.fence} for job in fresh}
        sending = mark_sending(evidence, narrow=gate.narrow(len(fresh)))
        prepared: dict[int, Prepared] = {
            job.id: _submission(sending[_subject(job)]) for job in jobs if _subject(job) in sending
        }
        others = [job for job in jobs if job.id not in prepared]
        if others:
            batch = OrderBatch.lock([_subject(job) for job in others])
            prepared.update({job.id: self._prepare_one(batch, batch.rows[_subject(job)], job, gate) for job in others})
            batch.save()
        return prepared

    async def perform(self, request: SubmitRequest | LookUpRequest) -> OrderReport | None:
        session = get_session(request.profile)
        if isinstance(request, LookUpRequest):
            return await session.find_order(request.client_order_id, request.symbol)
        return await session.submit_order(request.client_order_id, request.terms, request.correlation_id)

    def apply_express(self, outcomes: Sequence[Performed]) -> Collection[tuple[int, int]]:
        plain = [(outcome.job, _subject(outcome.job), outcome.result) for outcome in outcomes if _is_plain(outcome)]
        done = acknowledge_and_finish(plain)
        _note_acknowledged([outcome for outcome in outcomes if outcome.job.claim in done])
        return done

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        _note_acknowledged(outcomes)
        batch = OrderBatch.lock([_subject(outcome.job) for outcome in outcomes])
        settled: dict[int, Disposition] = {}
        for outcome in outcomes:
            row = batch.rows[_subject(outcome.job)]
            apply_one = self._apply_lookup if isinstance(outcome.request, LookUpRequest) else self._apply_submit
            settled[outcome.job.id] = apply_one(batch, row, outcome)
        want_sync(batch.accounts_missing_fills(), delay=timedelta(seconds=1))
        batch.save()
        return settled

    def apply_late(self, outcomes: Sequence[Performed]) -> None:
        """A late acknowledgement is a real order: what it says is merged like any evidence."""
        batch = OrderBatch.lock([_subject(outcome.job) for outcome in outcomes])
        for outcome in outcomes:
            if isinstance(outcome.result, OrderReport):
                batch.report(batch.rows[_subject(outcome.job)], outcome.result, "late_reply")
        want_sync(batch.accounts_missing_fills(), delay=timedelta(seconds=1))
        batch.save()

    def discard(self, job: ClaimedJob, actor: str, reason: str) -> None:
        """Cancel what was never sent, end what is provably absent; an order that may exist stays as evidence has it."""
        batch = OrderBatch.lock([_subject(job)])
        row = batch.rows[_subject(job)]
        if row.state == OrderState.ACCEPTED:
            batch.move(row, OrderState.CANCELED, "discarded", "operator", actor=actor, reason=reason)
        elif row.state == OrderState.UNKNOWN and row.absence_proven_at is not None:
            self._end_absent(batch, row, reason, "operator", actor)
        else:
            batch.note(row, "job_discarded", "operator", actor=actor, reason=reason)
        batch.save()

    # -- inside -------------------------------------------------------------------------

    def _prepare_one(self, batch: OrderBatch, row: OrderRow, job: ClaimedJob, gate: OrderGate) -> Prepared:
        profile = get_profile(row.account_id)
        state = OrderState(row.state)
        if state is OrderState.ACCEPTED:
            if row.cancel_requested_at is not None:
                batch.move(row, OrderState.CANCELED, "canceled_before_sending", "worker")
                return Done()
            halt = gate.halt_of(row.account_id)
            if halt is not None:
                cancel_unsent(batch, row, halt)
                return Done()
            if _is_overdue(batch, row, job):
                return Dead(JobError("SYSTEM_DEADLINE_PASSED", "It could not be sent in time, and never was."))
            return self._prepare_accepted(batch, row, job, gate)
        if state is OrderState.SENDING:
            batch.move(row, OrderState.UNKNOWN, "sender_lost", "worker", attempt=job.attempt)
            state = OrderState.UNKNOWN
        if state is not OrderState.UNKNOWN:
            return Done()
        if row.absence_proven_at is not None:
            return self._prepare_absent(batch, row, profile, job, gate)
        _unknown_at[profile.broker] = time.monotonic()
        return waiting(profile, CallClass.LOOK_UPS) or LookUpRequest(profile, row.client_order_id, row.symbol)

    def _prepare_accepted(self, batch: OrderBatch, row: OrderRow, job: ClaimedJob, gate: OrderGate) -> Prepared:
        """No broker has it, so the first account of its route that can take it may; no other order ever moves."""
        route = row.route or [row.account_id]
        account_id = gate.take(route, row, is_retry=bool(job.snoozes))
        if account_id is None:
            return self._hold_or_refuse(batch, row, gate.wait(route, row, _NO_ACCOUNT))
        if account_id != row.account_id:
            batch.reroute(row, account_id, f"{get_profile(row.account_id).name} cannot take it")
        return self._send(batch, row, get_profile(account_id), job)

    def _hold_or_refuse(self, batch: OrderBatch, row: OrderRow, wait: Wait) -> Prepared:
        if row.when_unavailable == WhenUnavailable.REFUSE:
            row.error_code, row.error_message = wait.error.code, wait.error.message[:500]
            batch.move(row, OrderState.REFUSED, "refused_unavailable", "worker", **wait.error.detail)
            return Done()
        return wait

    def _prepare_absent(
        self, batch: OrderBatch, row: OrderRow, profile: AccountProfile, job: ClaimedJob, gate: OrderGate
    ) -> Prepared:
        """The broker provably never got it: it is sent again if it is still wanted, in time, and safe to."""
        halt = gate.halt_of(row.account_id)
        if halt is not None:
            self._end_absent(batch, row, f"The broker never got it. {halt_text(halt)}", "worker", "")
            return Done()
        if row.cancel_requested_at is not None:
            self._end_absent(batch, row, "It was canceled, and the broker never got it.", "worker", "")
            return Done()
        if _is_overdue(batch, row, job):
            return Dead(JobError("SYSTEM_DEADLINE_PASSED", "The broker never got it, and its time to be sent is over."))
        if not profile.adapter.capabilities.dedupes_client_order_id:
            text = "The broker does not know it, and would not refuse it a second time: a person decides."
            return Dead(JobError("BROKER_ORDER_NOT_FOUND", text))
        if gate.take([row.account_id], row, is_retry=True) is None:
            return gate.wait([row.account_id], row, _NO_ACCOUNT)
        return self._send(batch, row, profile, job)

    def _end_absent(self, batch: OrderBatch, row: OrderRow, reason: str, source: str, actor: str) -> None:
        """Refused, not canceled: should it turn up at the broker after all, that evidence still moves it."""
        row.error_code, row.error_message = "BROKER_ORDER_NOT_FOUND", reason[:500]
        batch.move(row, OrderState.REFUSED, "given_up_absent", source, actor=actor, reason=reason)

    def _send(self, batch: OrderBatch, row: OrderRow, profile: AccountProfile, job: ClaimedJob) -> SubmitRequest:
        row.sent_at = batch.now
        row.lookup_misses, row.absence_proven_at = 0, None
        batch.move(row, OrderState.SENDING, "sending", "worker", attempt=job.attempt, fence=job.fence)
        return SubmitRequest(profile, row.client_order_id, row.terms, row.correlation_id)

    def _apply_submit(self, batch: OrderBatch, row: OrderRow, outcome: Performed) -> Disposition:
        if isinstance(outcome.result, OrderReport):
            self._take(batch, row, outcome.result, "reply")
            return Done()
        if row.state != OrderState.SENDING:
            return Done()  # evidence from the stream was faster than the failure of the call
        error = outcome.error
        if isinstance(error, NotStartedError):
            batch.move(row, OrderState.ACCEPTED, "not_sent", "worker", reason="not started")
            return Snooze(timedelta(0), JobError("SYSTEM_WORKER_STOPPING", "The call was not begun."))
        if isinstance(error, BrokerCallError) and error.kind is not FailureKind.AMBIGUOUS:
            return self._apply_definite(batch, row, error, outcome.job)
        found = error if isinstance(error, BrokerCallError) else None
        code = found.code if found else "SYSTEM_UNEXPECTED"
        message = found.message if found else repr(error)
        batch.move(row, OrderState.UNKNOWN, "unknown", "reply", code=code, message=message[:500])
        _unknown_at[get_profile(row.account_id).broker] = time.monotonic()
        if code == _EXIT_REFUSED:
            take_back(batch, row, "reply", message)
        delay = timedelta(0) if code == _DUPLICATE else lookup_delay(0)
        return Snooze(delay, JobError(code, message), URGENT_PRIORITY)

    def _apply_definite(self, batch: OrderBatch, row: OrderRow, error: BrokerCallError, job: ClaimedJob) -> Disposition:
        """The broker provably did not carry it out: refused for good, or to be sent later."""
        evidence = {"code": error.code, "message": error.message, "raw_code": error.raw_code}
        if error.kind is FailureKind.REJECTED:
            row.error_code, row.error_message = error.code, error.message[:500]
            note_login_refused(row.account_id, error, is_read=False)
            batch.move(row, OrderState.REFUSED, "refused", "reply", **evidence)
            return Done()
        batch.move(row, OrderState.ACCEPTED, "not_sent", "reply", **evidence)
        held = refused_here(error)
        if held is not None:
            return held
        left = _send_until(row, job) - batch.now
        delay = repeat_delay(error, self.operation, job.snoozes + 1, left)
        return Snooze(delay, JobError(error.code, error.message, {"raw_code": error.raw_code}))

    def _apply_lookup(self, batch: OrderBatch, row: OrderRow, outcome: Performed) -> Disposition:
        if isinstance(outcome.result, OrderReport):
            return self._adopt(batch, row, outcome.result)  # whatever was decided meanwhile: it is there
        if row.state != OrderState.UNKNOWN:
            return Done()
        if outcome.error is not None:
            held = refused_here(outcome.error)
            if held is not None:
                return held
            known = outcome.error if isinstance(outcome.error, BrokerCallError) else None
            profile, failures = get_profile(row.account_id), outcome.job.snoozes + 1
            delay = paid_delay(profile, CallClass.LOOK_UPS, outcome.error, Operation.QUERY, failures)
            code = known.code if known else "SYSTEM_UNEXPECTED"
            return Snooze(delay, JobError(code, f"The look-up failed: {outcome.error}"))
        return self._miss(batch, row)

    def _miss(self, batch: OrderBatch, row: OrderRow) -> Disposition:
        row.lookup_misses += 1
        age = batch.now - (row.sent_at or batch.now)
        capabilities = get_profile(row.account_id).adapter.capabilities
        settle_time = max(capabilities.settle_time, get_conf().settle_time)
        if absence_is_proven(misses=row.lookup_misses, age=age, settle_time=settle_time):
            row.absence_proven_at = batch.now
            batch.note(row, "absence_proven", "lookup", misses=row.lookup_misses, age_seconds=age.total_seconds())
            return Snooze(timedelta(0), JobError("BROKER_ORDER_NOT_FOUND", "Absence is proven; it is sent again."))
        batch.note(row, "lookup_missed", "lookup", misses=row.lookup_misses)
        delay = delay_after_miss(misses=row.lookup_misses, age=age, settle_time=settle_time)
        return Snooze(delay, JobError("BROKER_ORDER_NOT_FOUND", "The broker does not know it yet."))

    def _adopt(self, batch: OrderBatch, row: OrderRow, report: OrderReport) -> Disposition:
        """Take an order found under our id as ours, if its terms are ours."""
        same_size = report.quantity is None or row.quantity is None or report.quantity == row.quantity
        if report.symbol != row.symbol or report.side != row.side or not same_size:
            terms = f"{report.side} {report.quantity} {report.symbol}"
            batch.note(row, "terms_differ", "lookup", broker_order_id=report.broker_order_id, terms=terms)
            return Dead(JobError("DATA_ORDER_TERMS_DIFFER", f"The broker holds {terms} under {row.client_order_id}."))
        self._take(batch, row, report, "lookup")
        return Done()

    def _take(self, batch: OrderBatch, row: OrderRow, report: OrderReport, source: str) -> None:
        """Merge what the broker says of an order of ours; one that stands there without its exits is taken back."""
        batch.report(row, report, source)
        missing = missing_exits(row.terms.exits, report)
        if missing:
            take_back(batch, row, source, f"The broker does not have its exits: {', '.join(sorted(missing))}.")


def _look_ups_left(profile: AccountProfile) -> int:
    """Return how many look-ups fit, 0 where this process knows of no order that was unknown lately."""
    if time.monotonic() - _unknown_at.get(profile.broker, -_UNKNOWN_LATELY_SECONDS) >= _UNKNOWN_LATELY_SECONDS:
        return 0
    return get_guard(profile, CallClass.LOOK_UPS).places()


def _submission(order: SendingOrder) -> SubmitRequest:
    return SubmitRequest(get_profile(order.account_id), order.client_order_id, order.terms, order.correlation_id)


def _note_acknowledged(outcomes: Sequence[Performed]) -> None:
    for outcome in outcomes:
        if isinstance(outcome.result, OrderReport) and isinstance(outcome.request, SubmitRequest | LookUpRequest):
            note_acknowledged(outcome.request.profile.broker, _subject(outcome.job))


def _is_plain(outcome: Performed) -> bool:
    is_reply = isinstance(outcome.request, SubmitRequest) and isinstance(outcome.result, OrderReport)
    return is_reply and is_plain_acknowledgement(outcome.result)


def _is_overdue(batch: OrderBatch, row: OrderRow, job: ClaimedJob) -> bool:
    """Return whether it is too late to send; a person who replays the job gives it as long again."""
    return _send_until(row, job) <= batch.now


def _send_until(row: OrderRow, job: ClaimedJob) -> datetime:
    replayed_at = job.payload.get("replayed_at")
    return row.submit_before if replayed_at is None else datetime.fromisoformat(replayed_at) + get_conf().submit_within


def _subject(job: ClaimedJob) -> UUID:
    assert job.subject is not None
    return job.subject
