"""The two fast statements do exactly what the general way does."""

from datetime import UTC, datetime
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
from brokers.services.order_statements import is_plain_acknowledgement, mark_sending, record_acknowledged
from brokers.services.submission import OrderSubmission, accept_orders

pytestmark = pytest.mark.django_db

BODY: dict[str, Any] = {"symbol": "AAPL", "side": "buy", "quantity": "10", "type": "limit", "limit_price": "99.5"}
NOTE = {"attempt": 1, "fence": 1}
OWN = {"id", "idempotency_key", "client_order_id", "broker_order_id", "accepted_at", "submit_before"}


@pytest.fixture
def twins(account: Account) -> tuple[UUID, UUID]:
    """Two accepted orders that differ in their names only."""
    owner = get_user_model().objects.create_user("desk")
    submissions = [OrderSubmission(key, BODY) for key in ("fast", "general")]
    fast, general = accept_orders(owner_id=owner.pk, actor="desk", submissions=submissions)
    return fast.id, general.id  # type: ignore[union-attr]


def report_for(order_id: UUID) -> OrderReport:
    return OrderReport(
        client_order_id=Order.objects.get(pk=order_id).client_order_id,
        broker_order_id=f"broker-{order_id}",
        status=ReportedStatus.WORKING,
        symbol="AAPL",
        side=Side.BUY,
        filled_quantity=Decimal(0),
        reported_at=datetime(2026, 1, 5, 14, 30, tzinfo=UTC),
    )


def send_and_acknowledge_generally(order_id: UUID) -> None:
    with transaction.atomic():
        batch = OrderBatch.lock([order_id])
        row = batch.rows[order_id]
        row.sent_at = batch.now
        batch.move(row, OrderState.SENDING, "sending", "worker", **NOTE)
        batch.save()
    with transaction.atomic():
        batch = OrderBatch.lock([order_id])
        batch.report(batch.rows[order_id], report_for(order_id), "reply")
        batch.save()


def row_of(order_id: UUID) -> dict[str, Any]:
    """The row without its names; of instants only whether they are set."""
    row = Order.objects.filter(pk=order_id).values().get()
    return {
        name: value is not None if isinstance(value, datetime) else value
        for name, value in row.items()
        if name not in OWN
    }


def events_of(order_id: UUID) -> list[tuple[Any, ...]]:
    """The history after acceptance, without the broker's own name of the order and the instants set."""
    events = OrderEvent.objects.filter(order_id=order_id, sequence__gt=1).order_by("sequence")
    return [
        (
            event.sequence,
            event.kind,
            event.from_state,
            event.to_state,
            event.source,
            event.actor,
            {name: value for name, value in event.evidence.items() if name not in ("broker_order_id", "set")},
            event.broker_at,
        )
        for event in events
    ]


def test_the_fast_way_and_the_general_way_leave_the_same_rows_and_events(twins: tuple[UUID, UUID]) -> None:
    fast, general = twins
    send_and_acknowledge_generally(general)

    sent = mark_sending({fast: NOTE})
    recorded = record_acknowledged([(fast, report_for(fast))])

    assert (set(sent), recorded) == ({fast}, {fast})
    assert row_of(fast) == row_of(general)
    assert events_of(fast) == events_of(general)


def test_a_reply_that_says_more_than_working_goes_the_general_way(twins: tuple[UUID, UUID]) -> None:
    working = report_for(twins[0])
    filled = OrderReport("c", "b", ReportedStatus.FILLED, "AAPL", Side.BUY, Decimal(10))

    assert is_plain_acknowledgement(working)
    assert not is_plain_acknowledgement(filled)


def test_an_order_the_stream_moved_first_is_left_to_the_general_way(twins: tuple[UUID, UUID]) -> None:
    fast, _ = twins
    mark_sending({fast: NOTE})
    with transaction.atomic():
        batch = OrderBatch.lock([fast])
        batch.report(batch.rows[fast], report_for(fast), "stream")
        batch.save()

    assert record_acknowledged([(fast, report_for(fast))]) == set()
