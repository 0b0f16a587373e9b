"""Replacing an order: a new order asked for in the place of an old one, and evidence for which of them lives.

The intent is an order of its own that names the one it replaces, so that it is sent, looked up,
canceled and remembered as every order is. What the broker answers is only that it will try: the
old order is replaced, filled or canceled by evidence alone, and so is the new one working or refused.

Where a broker replaces nothing itself, the old order is canceled first, and the new one is sent as
any order once the cancel is proven and every fill of the old one is booked.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from django.db import connection, transaction

from brokers.conf import get_conf
from brokers.core.client_order_id import derive_client_order_id
from brokers.core.evidence import fills_are_missing
from brokers.core.identifiers import uuid7
from brokers.core.order_reader import OrderInvalidError
from brokers.core.order_requests import is_usable_idempotency_key
from brokers.core.orders import FINAL_STATES, OrderState, OrderTerms
from brokers.core.replacement import ReplaceTerms, parse_replacement, replaced_terms, replacement_fingerprint
from brokers.core.reports import OrderReport
from brokers.models import Order
from brokers.services.accounts import AccountProfile, choose_accounts, get_profile
from brokers.services.cancellation import ask_cancel
from brokers.services.halts import leave_out_halted
from brokers.services.order_batch import OrderBatch, OrderRow
from brokers.services.order_gate import OrderGate
from brokers.services.sessions import get_session
from brokers.services.submission import SUBMIT_KIND, AcceptedOrder, OrderSubmission
from brokers.services.submit_job import LookUpRequest, SubmitOrderJob, SubmitRequest
from brokers.services.synchronization import want_sync
from reliability.core.classification import Operation
from reliability.core.correlation import correlation_or_new
from reliability.core.errors import ReliabilityError
from reliability.core.jobs import ClaimedJob, Disposition, Done, Performed, Snooze
from reliability.services.jobs.enqueue import NewJob, enqueue_job
from reliability.services.jobs.kinds import Prepared

REPLACE_KIND = "orders.replace"
LEG_KEY = "basket:"  # how the keys of orders begin that a basket submits
_REVISION = 1
_WAIT_FOR_BROKER = timedelta(milliseconds=300)
_LONGEST_WAIT_FOR_BROKER = timedelta(seconds=10)
_OUTCOME_AFTER = timedelta(seconds=4)  # orders acknowledged a moment ago are not asked for yet

_INSERT = """
WITH accepted AS (
    INSERT INTO brokers_order (id, owner_id, account_id, idempotency_key, request_hash, client_order_id, correlation_id,
        symbol, side, order_type, time_in_force, quantity, limit_price, stop_price, extended_hours,
        state, version, broker_order_id, reported_status, reported_filled_quantity, filled_quantity, filled_notional,
        lookup_misses, error_code, error_message, submit_before, route, when_unavailable, replaces_id)
    SELECT %(id)s, %(owner)s, account_id, %(key)s, %(request_hash)s, %(client_order_id)s, %(correlation_id)s,
        symbol, side, order_type, %(time_in_force)s, %(quantity)s::numeric, %(limit_price)s::numeric,
        %(stop_price)s::numeric, extended_hours,
        'accepted', 1, '', '', 0, 0, 0, 0, '', '', clock_timestamp() + %(submit_within)s,
        CASE WHEN state = 'accepted' THEN route END, when_unavailable, id
    FROM brokers_order WHERE id = %(replaces)s
    ON CONFLICT (owner_id, idempotency_key) DO NOTHING
    RETURNING id, owner_id, account_id, idempotency_key, request_hash, client_order_id, correlation_id, symbol, side,
        order_type, time_in_force, quantity, notional, limit_price, stop_price, extended_hours, accepted_at,
        submit_before, route, when_unavailable, replaces_id
), noted AS (
    INSERT INTO brokers_orderevent (order_id, sequence, kind, from_state, to_state, source, actor, evidence)
    SELECT id, 1, 'accepted', '', 'accepted', 'api', %(actor)s, to_jsonb(accepted) FROM accepted
)
SELECT accepted_at, submit_before FROM accepted
"""


def request_replace(
    order_id: UUID,
    *,
    owner_id: int,
    actor: str,
    submission: OrderSubmission,
    within: Collection[int] | None = None,
) -> AcceptedOrder:
    """Accept a replacement and return the new order; its outcome comes as evidence.

    An order that was not sent is replaced at once, without a call. The same key with the same
    meaning gives the same new order again. For a caller that may reach the accounts ``within`` alone
    (ids; None: all), there are no orders of others.

    Raises:
        ReliabilityError: there is no such order, it is final, another change of it is pending, its
            broker replaces none, or the changes do not fit it.
    """
    key = submission.idempotency_key
    if not is_usable_idempotency_key(key):
        raise ReliabilityError("VALIDATION_MISSING_IDEMPOTENCY_KEY")
    assert isinstance(key, str)
    try:
        changes = parse_replacement(submission.body)
        with transaction.atomic():
            return _replace(order_id, changes, owner_id, actor, key, within)
    except OrderInvalidError as error:
        raise ReliabilityError("VALIDATION_INVALID_ORDER", details=dict(error.problems)) from error


def _replace(
    order_id: UUID,
    changes: ReplaceTerms,
    owner_id: int,
    actor: str,
    key: str,
    within: Collection[int] | None,
) -> AcceptedOrder:
    batch = OrderBatch.lock([order_id])
    row = batch.rows.get(order_id)
    if row is None or (within is not None and row.account_id not in within):
        raise ReliabilityError("VALIDATION_NOT_FOUND", "There is no such order.")
    request_hash = replacement_fingerprint(order_id, changes)
    known = _find_known(owner_id, key, request_hash, within)
    if known is not None:
        return known
    profile = get_profile(row.account_id)
    _require_replaceable(row, profile)
    filled = _filled(row)
    terms = replaced_terms(row.terms, filled, changes)
    new = _insert(row, terms, profile, owner_id=owner_id, actor=actor, key=key, request_hash=request_hash)
    if row.state == OrderState.ACCEPTED:
        batch.move(row, OrderState.REPLACED, "replaced_before_sending", "api", actor=actor, replaced_by=str(new.id))
        enqueue_job(SUBMIT_KIND, NewJob(subject=new.id, correlation_id=new.correlation_id))
    else:
        batch.note(row, "replace_requested", "api", actor=actor, replaced_by=str(new.id))
        expected = {} if changes.quantity is not None else {"filled_quantity": str(filled)}
        job = NewJob(
            subject=new.id, payload=expected, unique_key=f"replace:{new.id}", correlation_id=new.correlation_id
        )
        enqueue_job(REPLACE_KIND, job)
    batch.save()
    return new


def _require_replaceable(row: OrderRow, profile: AccountProfile) -> None:
    state = OrderState(row.state)
    if state in FINAL_STATES:
        raise ReliabilityError("VALIDATION_ORDER_FINAL", details={"state": state.value})
    if row.cancel_requested_at is not None:
        raise ReliabilityError("VALIDATION_WRONG_STATE", "A cancel of the order is pending.")
    if Order.objects.filter(replaces_id=row.id, finished_at=None).exists():
        raise ReliabilityError("VALIDATION_WRONG_STATE", "A replacement of the order is pending already.")
    if row.order_class or row.entry_id is not None:
        raise ReliabilityError("VALIDATION_WRONG_STATE", "Its exits hang together: cancel it and submit it anew.")
    if Order.objects.filter(pk=row.id, idempotency_key__startswith=LEG_KEY).exists():
        raise ReliabilityError("VALIDATION_WRONG_STATE", "It belongs to a basket, which would take it for lost.")
    if state is OrderState.ACCEPTED and row.replaces_id is not None and not _took_its_place(row.replaces_id):
        text = "It is itself a replacement that was not sent yet: cancel it, or replace it once it was sent."
        raise ReliabilityError("VALIDATION_WRONG_STATE", text)
    choose_accounts((profile.name,))
    leave_out_halted([profile])


def _took_its_place(old_id: UUID) -> bool:
    """Return whether an order was replaced before it was sent, so that the broker has nothing of it."""
    return Order.objects.filter(pk=old_id, state=OrderState.REPLACED).exists()


def _find_known(owner_id: int, key: str, request_hash: str, within: Collection[int] | None) -> AcceptedOrder | None:
    """Return the order accepted under this key before, if it was the same request."""
    order = Order.objects.filter(owner_id=owner_id, idempotency_key=key).first()
    if order is None:
        return None
    if within is not None and order.account_id not in within:
        raise ReliabilityError("VALIDATION_IDEMPOTENCY_CONFLICT")
    if order.request_hash != request_hash:
        raise ReliabilityError("VALIDATION_IDEMPOTENCY_CONFLICT", details={"order_id": str(order.pk)})
    (row,) = OrderBatch.lock([order.pk]).rows.values()
    account = get_profile(order.account_id).name
    return AcceptedOrder(
        order.pk, order.client_order_id, account, row.terms, order.accepted_at, order.submit_before,
        order.correlation_id, replayed=True,
    )  # fmt: skip


def _insert(
    old: OrderRow, terms: OrderTerms, profile: AccountProfile, *, owner_id: int, actor: str, key: str, request_hash: str
) -> AcceptedOrder:
    new_id = uuid7()
    client_id = derive_client_order_id(
        account=profile.name, owner=str(owner_id), idempotency_key=key, revision=_REVISION
    )
    correlation_id = correlation_or_new()
    values: dict[str, Any] = {
        "id": new_id,
        "owner": owner_id,
        "actor": actor,
        "key": key,
        "request_hash": request_hash,
        "client_order_id": client_id,
        "correlation_id": correlation_id,
        "time_in_force": terms.time_in_force.value,
        "quantity": terms.quantity,
        "limit_price": terms.limit_price,
        "stop_price": terms.stop_price,
        "submit_within": get_conf().submit_within,
        "replaces": old.id,
    }
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, values)
        inserted = cursor.fetchone()
    if inserted is None:  # the key was used for another order at this very moment
        raise ReliabilityError("VALIDATION_IDEMPOTENCY_CONFLICT")
    accepted_at, submit_before = inserted
    return AcceptedOrder(
        new_id, client_id, profile.name, terms, accepted_at, submit_before, correlation_id, replayed=False
    )


def _filled(row: OrderRow) -> Decimal:
    return max(row.filled_quantity, row.reported_filled_quantity)


@dataclass(frozen=True, slots=True)
class ReplaceRequest:
    profile: AccountProfile
    broker_order_id: str
    client_order_id: str
    terms: OrderTerms


@dataclass(frozen=True, slots=True)
class ReplaceLookUp(LookUpRequest):
    """The new order by our id, and the old one as the broker has it now."""

    broker_order_id: str


@dataclass(frozen=True, slots=True)
class Found:
    """``new`` None when the broker has no order under the new id."""

    new: OrderReport | None
    old: OrderReport


class ReplaceOrderJob(SubmitOrderJob):
    """Sends the new order of a replacement; its rules are those of a submission, under lock of both orders."""

    name: ClassVar[str] = REPLACE_KIND
    operation: ClassVar[Operation] = Operation.MODIFY

    def prepare(self, jobs: Sequence[ClaimedJob]) -> Mapping[int, Prepared]:
        gate = OrderGate.look()
        batch = _lock_pairs(jobs)
        prepared = {job.id: self._prepare_pair(batch, job, gate) for job in jobs}
        batch.save()
        return prepared

    async def perform(self, request: SubmitRequest | LookUpRequest | ReplaceRequest) -> OrderReport | Found | None:  # type: ignore[override]  # more requests, and one more answer
        session = get_session(request.profile)
        if isinstance(request, ReplaceRequest):
            return await session.replace_order(request.broker_order_id, request.client_order_id, request.terms)
        if not isinstance(request, ReplaceLookUp):
            return await super().perform(request)
        new = await session.find_order(request.client_order_id, request.symbol)
        return Found(new, await session.get_order(request.broker_order_id))

    def apply(self, outcomes: Sequence[Performed]) -> Mapping[int, Disposition]:
        batch = _lock_pairs([outcome.job for outcome in outcomes])
        settled = {outcome.job.id: self._apply_pair(batch, outcome) for outcome in outcomes}
        batch.save()
        accounts = {batch.rows[_subject(outcome.job)].account_id for outcome in outcomes}
        want_sync(accounts, delay=_OUTCOME_AFTER)
        return settled

    def apply_late(self, outcomes: Sequence[Performed]) -> None:
        super().apply_late([_about_new(outcome) for outcome in outcomes])

    def discard(self, job: ClaimedJob, actor: str, reason: str) -> None:
        super().discard(job, actor, reason)
        batch = _lock_pairs([job])
        self._tell_old(batch, batch.rows[_subject(job)])
        batch.save()

    # -- inside -------------------------------------------------------------------------

    def _prepare_pair(self, batch: OrderBatch, job: ClaimedJob, gate: OrderGate) -> Prepared:
        row = batch.rows[_subject(job)]
        old = _old(batch, row)
        at_once = _replaces_itself(row)
        lost = self._lost(batch, row, job)
        if row.state == OrderState.ACCEPTED and row.cancel_requested_at is None and lost:
            row.error_code, row.error_message = lost
            batch.move(row, OrderState.REFUSED, "replace_lost", "worker", code=lost[0], message=lost[1])
        elif not (self._is_known(row, old) if at_once else self._has_room(batch, row, old)):
            return Snooze(min(_WAIT_FOR_BROKER * 2 ** min(job.snoozes, 10), _LONGEST_WAIT_FOR_BROKER))
        prepared = self._prepare_one(batch, row, job, gate)
        if isinstance(prepared, SubmitRequest) and at_once:
            return ReplaceRequest(prepared.profile, old.broker_order_id, row.client_order_id, row.terms)
        if isinstance(prepared, LookUpRequest) and at_once:
            return ReplaceLookUp(prepared.profile, prepared.client_order_id, prepared.symbol, old.broker_order_id)
        self._tell_old(batch, row)
        return prepared

    def _is_known(self, row: OrderRow, old: OrderRow) -> bool:
        """Return whether the broker has named the old order, which it has to for asking it anything about it."""
        return bool(old.broker_order_id) or row.state not in (OrderState.ACCEPTED, OrderState.UNKNOWN)

    def _has_room(self, batch: OrderBatch, row: OrderRow, old: OrderRow) -> bool:
        """Return whether the old order is provably out of the way, having asked for its cancel if nobody did."""
        if row.state != OrderState.ACCEPTED or row.cancel_requested_at is not None:
            return True  # it was sent, or will never be
        if OrderState(old.state) not in FINAL_STATES and old.cancel_requested_at is None:
            ask_cancel(batch, old, "", "worker")
        return old.state == OrderState.CANCELED and not fills_are_missing(old.facts)

    def _lost(self, batch: OrderBatch, row: OrderRow, job: ClaimedJob) -> tuple[str, str] | None:
        """Return why a replacement that the broker does not have is not to be sent."""
        old = _old(batch, row)
        canceled_for_it = old.state == OrderState.CANCELED and not _replaces_itself(row)
        if OrderState(old.state) in FINAL_STATES and not canceled_for_it:
            return "VALIDATION_ORDER_FINAL", f"The order to be replaced is {old.state} already."
        if old.account_id != row.account_id:
            return "VALIDATION_WRONG_STATE", "The order to be replaced went to another account."
        if row.submit_before <= batch.now:
            return "SYSTEM_DEADLINE_PASSED", "It could not be sent in time, and never was."
        expected = job.payload.get("filled_quantity")
        if expected is not None and _filled(old) != Decimal(expected):
            return (
                "VALIDATION_WRONG_STATE",
                "The order filled meanwhile, so that less of it is left than was asked for.",
            )
        return None

    def _prepare_absent(
        self, batch: OrderBatch, row: OrderRow, profile: AccountProfile, job: ClaimedJob, gate: OrderGate
    ) -> Prepared:
        """The request provably never arrived: it is sent again only while there is something to replace."""
        lost = self._lost(batch, row, job)
        if lost is not None:
            self._end_absent(batch, row, lost[1], "worker", "")
            return Done()
        capabilities = profile.adapter.capabilities
        if capabilities.replaces_orders and not capabilities.dedupes_client_order_id:
            reason = "The broker never got it, and might take it twice: the old order stays, ask again."
            self._end_absent(batch, row, reason, "worker", "")
            return Done()
        return super()._prepare_absent(batch, row, profile, job, gate)

    def _apply_pair(self, batch: OrderBatch, outcome: Performed) -> Disposition:
        row = batch.rows[_subject(outcome.job)]
        if isinstance(outcome.result, Found):
            batch.report(_old(batch, row), outcome.result.old, "lookup")
            outcome = _about_new(outcome)
        is_look_up = isinstance(outcome.request, LookUpRequest)
        apply_one = self._apply_lookup if is_look_up else self._apply_submit
        settled = apply_one(batch, row, outcome)
        self._tell_old(batch, row)
        return settled

    def _tell_old(self, batch: OrderBatch, row: OrderRow) -> None:
        """Note with the old order that it stays: what was to take its place never became an order."""
        if row.state == OrderState.REFUSED:
            reason = {"code": row.error_code, "message": row.error_message}
            batch.note(_old(batch, row), "replace_refused", "worker", replaced_by=str(row.id), **reason)


def _replaces_itself(row: OrderRow) -> bool:
    """Return whether the order's broker puts it in the place of the old one, in one step."""
    return get_profile(row.account_id).adapter.capabilities.replaces_orders


def _about_new(outcome: Performed) -> Performed:
    found = outcome.result
    return Performed(outcome.job, outcome.request, found.new) if isinstance(found, Found) else outcome


def _lock_pairs(jobs: Sequence[ClaimedJob]) -> OrderBatch:
    """Lock the new orders of these jobs together with those they replace."""
    new = [_subject(job) for job in jobs]
    old = Order.objects.filter(pk__in=new).values_list("replaces_id", flat=True)
    return OrderBatch.lock([*new, *(one for one in old if one is not None)])


def _old(batch: OrderBatch, row: OrderRow) -> OrderRow:
    assert row.replaces_id is not None
    return batch.rows[row.replaces_id]


def _subject(job: ClaimedJob) -> UUID:
    assert job.subject is not None
    return job.subject
