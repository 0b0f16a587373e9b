"""The two statements of a usual order do what the general way does, and leave to it what needs a decision."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction

from brokers.core.orders import OrderState, Side
from brokers.core.reports import OrderReport, ReportedStatus
from brokers.models import Account, Order, OrderEvent
from brokers.services.order_batch import OrderBatch
from brokers.services.order_express import acknowledge_and_finish, claim_and_send
from brokers.services.submission import SUBMIT_KIND, OrderSubmission, accept_orders
from brokers.services.submit_job import SubmitOrderJob
from reliability.core.correlation import correlated
from reliability.core.jobs import ClaimedJob, Performed
from reliability.models import Job, Lane
from reliability.services.jobs.execution import apply_outcomes, claim_and_prepare
from reliability.services.jobs.rescue import rescue_lost_jobs

pytestmark = pytest.mark.django_db

_LIMIT = {"symbol": "AAPL", "side": "buy", "quantity": "10", "type": "limit", "limit_price": "99.5"}
_WORKER = 7
# What differs between two orders, or tells when and by whom something was done.
_OWN = {"id", "idempotency_key", "client_order_id", "broker_order_id", "accepted_at", "submit_before", "sent_at"}
_OWN |= {"acknowledged_at"}
_OWN_OF_EVENT = {"broker_order_id", "set"}  # the general way names instants that are not the statement's
_OWN_OF_JOB = {"id", "subject_id", "subject", "run_at", "created_at", "finished_at", "lease_until"}


@pytest.fixture
def accept(account: Account) -> Callable[..., list[UUID]]:
    owner = get_user_model().objects.create_user("desk")

    def accept_named(*keys: str) -> list[UUID]:
        submissions = [OrderSubmission(key, _LIMIT) for key in keys]
        return [order.id for order in accept_orders(owner_id=owner.pk, actor="desk", submissions=submissions)]  # type: ignore[union-attr]

    return accept_named


def row_of(model: Any, pk: object, own: set[str]) -> dict[str, Any]:
    (row,) = model.objects.filter(pk=pk).values()
    return {name: value for name, value in row.items() if name not in own}


def events_of(order_id: UUID) -> list[tuple[Any, ...]]:
    events = OrderEvent.objects.filter(order_id=order_id).exclude(kind="accepted").order_by("sequence")
    told = [{name: value for name, value in e.evidence.items() if name not in _OWN_OF_EVENT} for e in events]
    return [
        (e.sequence, e.kind, e.from_state, e.to_state, e.source, e.actor, evidence)
        for e, evidence in zip(events, told, strict=True)
    ]


def job_of(order_id: UUID) -> Job:
    return Job.objects.get(subject=order_id)


def reply_for(order_id: UUID, **values: Any) -> OrderReport:
    facts: dict[str, Any] = {
        "client_order_id": Order.objects.get(pk=order_id).client_order_id,
        "broker_order_id": f"broker-{order_id}",
        "status": ReportedStatus.WORKING,
        "symbol": "AAPL",
        "side": Side.BUY,
        "filled_quantity": Decimal(0),
        "reported_at": datetime(2026, 1, 5, 14, 30, tzinfo=UTC),
    }
    return OrderReport(**{**facts, **values})


def claim(limit: int = 10, narrow: tuple[int, ...] = ()) -> tuple[dict[UUID, ClaimedJob], bool]:
    begun, others = claim_and_send(SUBMIT_KIND, "orders", _WORKER, limit, narrow=narrow)
    return {order.id: job for job, order in begun}, others


def test_both_ways_leave_the_same_orders_events_and_jobs(
    accept: Callable[..., list[UUID]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with correlated("desk-1"):
        (fast,) = accept("fast")
    claimed, others = claim()
    assert (set(claimed), others) == ({fast}, False)
    running = row_of(Job, job_of(fast).pk, _OWN_OF_JOB)
    assert acknowledge_and_finish([(claimed[fast], fast, reply_for(fast))]) == {claimed[fast].claim}

    with correlated("desk-1"):
        (general,) = accept("general")
    monkeypatch.setattr(SubmitOrderJob, "claim_express", lambda *_: None)
    monkeypatch.setattr(SubmitOrderJob, "apply_express", lambda *_: ())
    (call,), _ = claim_and_prepare("orders", _WORKER, 10)
    assert running == row_of(Job, job_of(general).pk, _OWN_OF_JOB)
    apply_outcomes([Performed(call.job, call.request, reply_for(general))])

    assert row_of(Job, job_of(fast).pk, _OWN_OF_JOB) == row_of(Job, job_of(general).pk, _OWN_OF_JOB)
    assert row_of(Order, fast, _OWN) == row_of(Order, general, _OWN)
    assert events_of(fast) == events_of(general)
    sent, acknowledged = Order.objects.filter(pk=fast).values_list("sent_at", "acknowledged_at")[0]
    assert sent <= acknowledged


def test_it_claims_in_order_up_to_its_limit_and_tells_of_nothing_more(accept: Callable[..., list[UUID]]) -> None:
    orders = accept("k1", "k2", "k3")
    assert claim(limit=2) == ({order: job_claimed(order) for order in orders[:2]}, False)
    assert set(claim()[0]) == {orders[2]}
    assert claim() == ({}, False)


def job_claimed(order_id: UUID) -> Any:
    """Equal to any claim of the order's job."""

    class Same:
        def __eq__(self, other: object) -> bool:
            return isinstance(other, ClaimedJob) and other.id == job_of(order_id).pk

        __hash__ = None  # type: ignore[assignment]

    return Same()


def _want_cancel(order: Order) -> None:
    Order.objects.filter(pk=order.pk).update(cancel_requested_at=datetime.now(UTC))


def _be_late(order: Order) -> None:
    Order.objects.filter(pk=order.pk).update(submit_before=datetime.now(UTC) - timedelta(seconds=1))


def _have_been_sent(order: Order) -> None:
    Order.objects.filter(pk=order.pk).update(state=OrderState.UNKNOWN)


def _have_been_held(order: Order) -> None:
    Job.objects.filter(subject=order.pk).update(snoozes=1)


def _have_a_deadline(order: Order) -> None:
    Job.objects.filter(subject=order.pk).update(deadline_at=datetime.now(UTC) + timedelta(hours=1))


@pytest.mark.parametrize("change", [_want_cancel, _be_late, _have_been_sent, _have_been_held, _have_a_deadline])
def test_what_needs_a_decision_is_told_of_and_left_alone(
    accept: Callable[..., list[UUID]], change: Callable[[Order], None]
) -> None:
    odd, plain = accept("k1", "k2")
    change(Order.objects.get(pk=odd))
    before = row_of(Order, odd, set())

    claimed, others = claim()

    assert (set(claimed), others) == ({plain}, True)
    assert (row_of(Order, odd, set()), job_of(odd).state) == (before, "ready")


def test_an_account_without_room_is_left_to_the_general_way(
    accept: Callable[..., list[UUID]], account: Account
) -> None:
    accept("k1")
    assert claim(narrow=(account.pk,)) == ({}, True)


def test_a_paused_lane_has_nothing_due(accept: Callable[..., list[UUID]]) -> None:
    accept("k1")
    Lane.objects.filter(name="orders").update(paused_at=datetime.now(UTC))
    assert claim() == ({}, False)


def test_one_claim_takes_the_usual_and_the_unusual(accept: Callable[..., list[UUID]]) -> None:
    odd, plain = accept("k1", "k2")
    _want_cancel(Order.objects.get(pk=odd))

    calls, claimed = claim_and_prepare("orders", _WORKER, 10)

    assert ([call.job.subject for call in calls], claimed) == ([plain], 2)
    assert Order.objects.get(pk=odd).state == OrderState.CANCELED


def test_an_answer_whose_job_was_handed_on_is_not_taken(accept: Callable[..., list[UUID]]) -> None:
    (order_id,) = accept("k1")
    claimed, _ = claim()
    Job.objects.update(lease_until=datetime.now(UTC) - timedelta(seconds=1))
    rescue_lost_jobs()

    assert acknowledge_and_finish([(claimed[order_id], order_id, reply_for(order_id))]) == set()
    assert (Order.objects.get(pk=order_id).state, job_of(order_id).state) == (OrderState.SENDING, "ready")


def test_an_order_that_the_stream_moved_first_is_left_to_the_general_way(accept: Callable[..., list[UUID]]) -> None:
    (order_id,) = accept("k1")
    claimed, _ = claim()
    with transaction.atomic():
        batch = OrderBatch.lock([order_id])
        batch.report(batch.rows[order_id], reply_for(order_id), "stream")
        batch.save()

    assert acknowledge_and_finish([(claimed[order_id], order_id, reply_for(order_id))]) == set()
    assert job_of(order_id).state == "running"


def test_an_order_is_recorded_and_its_job_finished_together_or_not_at_all(
    accept: Callable[..., list[UUID]],
) -> None:
    first, second = accept("k1", "k2")
    claimed, _ = claim()
    Job.objects.filter(subject=first).update(fence=99)
    replies = [(claimed[order], order, reply_for(order)) for order in (first, second)]

    assert acknowledge_and_finish(replies) == {claimed[second].claim}
    assert (Order.objects.get(pk=first).state, job_of(first).state) == (OrderState.SENDING, "running")
    assert (Order.objects.get(pk=second).state, job_of(second).state) == (OrderState.WORKING, "succeeded")
