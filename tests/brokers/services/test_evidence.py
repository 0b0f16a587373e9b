"""Evidence from streams and polls: each execution is booked once, and moves its position with it."""

import random
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from brokers.core.reports import FillReport, OrderReport, ReportedStatus
from brokers.models import Account, Fill, Order, OrderEvent, Position, PositionEvent
from brokers.services.submission import OrderSubmission, accept_order
from brokers.services.synchronization import record_evidence
from reliability.core.taxonomy import FailureKind
from reliability.models import Alert, Job
from tests.brokers.services.orders import BODY, sync
from tests.factories import make_user
from tests.fakes import FakeBroker, call_error, make_due, run_due

pytestmark = pytest.mark.django_db


@pytest.fixture
def order_id(account: Account) -> UUID:
    """One order that works at the broker."""
    owner = make_user()
    order_id = accept_order(owner_id=owner.pk, actor="desk", submission=OrderSubmission("k1", BODY)).id
    run_due("orders")
    Order.objects.update(acknowledged_at=timezone.now() - timedelta(seconds=10))
    return order_id


def order(order_id: UUID) -> Order:
    return Order.objects.get(pk=order_id)


def client_id(order_id: UUID) -> str:
    return order(order_id).client_order_id


def quantity(account: Account, symbol: str = "AAPL") -> Decimal:
    return Position.objects.get(account=account, symbol=symbol).quantity


def stream(account: Account, broker: FakeBroker, *fills: FillReport) -> None:
    record_evidence(account.pk, list(broker.orders.values()), fills, "stream")


def test_a_fill_moves_the_order_and_the_position_together(broker: FakeBroker, account: Account, order_id: UUID) -> None:
    stream(account, broker, broker.execute(client_id(order_id), 4, 100))
    assert (order(order_id).state, order(order_id).filled_quantity, quantity(account)) == ("partially_filled", 4, 4)

    stream(account, broker, broker.execute(client_id(order_id), 6, 110))
    assert (order(order_id).state, quantity(account)) == ("filled", 10)
    assert order(order_id).filled_notional == 4 * 100 + 6 * 110
    assert Position.objects.get().average_price == 106
    assert order(order_id).finished_at is not None


def test_repeated_and_shuffled_evidence_books_each_fill_once(
    broker: FakeBroker, account: Account, order_id: UUID
) -> None:
    ours = client_id(order_id)
    pieces: list[tuple[list[OrderReport], list[FillReport]]] = []
    for part in (1, 2, 3, 4):
        fill = broker.execute(ours, part)
        pieces.append(([broker.orders[ours]], [fill]))
    chance = random.Random(7)
    for _ in range(30):
        reports, fills = chance.choice(pieces)
        record_evidence(account.pk, reports, fills, chance.choice(("stream", "poll")))
    for reports, fills in pieces:
        record_evidence(account.pk, reports, fills, "poll")

    assert (order(order_id).state, order(order_id).filled_quantity, quantity(account)) == ("filled", 10, 10)
    assert Fill.objects.count() == PositionEvent.objects.count() == 4
    assert list(PositionEvent.objects.order_by("sequence").values_list("sequence", flat=True)) == [1, 2, 3, 4]


def test_one_execution_under_two_ids_is_one_fill(broker: FakeBroker, account: Account, order_id: UUID) -> None:
    """The stream and the list of activities name executions differently; the cumulative quantity tells."""
    fill = broker.execute(client_id(order_id), 4)
    stream(account, broker, replace(fill, execution_id="of-the-stream"))
    record_evidence(account.pk, [], [replace(fill, execution_id="of-the-list")], "poll")

    assert (Fill.objects.count(), quantity(account)) == (1, 4)


def test_a_fill_faster_than_the_acknowledgement_finds_its_order(broker: FakeBroker, account: Account) -> None:
    owner = make_user()
    accepted = accept_order(owner_id=owner.pk, actor="desk", submission=OrderSubmission("k1", BODY))

    def fill_on_the_stream() -> None:
        fill = broker.execute(accepted.client_order_id, 10)
        both = [broker.orders[accepted.client_order_id]]
        record_evidence(account.pk, both, [replace(fill, client_order_id=accepted.client_order_id)], "stream")

    broker.fail("submit", call_error(FailureKind.AMBIGUOUS), carried_out=True)
    from reliability.services.jobs.execution import apply_outcomes, claim_and_prepare
    from tests.fakes import perform_calls

    calls, _ = claim_and_prepare("orders", 1, 10)
    outcomes = perform_calls(calls)
    fill_on_the_stream()
    apply_outcomes(outcomes)

    assert (order(accepted.id).state, quantity(account)) == ("filled", 10)
    assert Job.objects.get(subject=accepted.id).state == "succeeded"


def test_a_fill_after_a_final_state_is_booked_and_marked(broker: FakeBroker, account: Account, order_id: UUID) -> None:
    ours = client_id(order_id)
    broker.orders[ours] = replace(broker.orders[ours], status=ReportedStatus.CANCELED)
    stream(account, broker)
    assert order(order_id).state == "canceled"
    broker.orders[ours] = replace(broker.orders[ours], status=ReportedStatus.WORKING)
    fill = broker.execute(ours, 3)
    for _ in range(2):
        record_evidence(account.pk, [], [fill], "stream")

    assert (order(order_id).state, order(order_id).filled_quantity, quantity(account)) == ("canceled", 3, 3)
    alert = Alert.objects.get()
    assert (alert.condition, alert.scope, alert.occurrences) == ("order.fill_after_final", f"order:{order_id}", 1)
    assert alert.details["quantity"] == "3"
    assert OrderEvent.objects.filter(order_id=order_id, kind="fill_after_final").exists()


def test_missing_fills_are_asked_for(broker: FakeBroker, account: Account, order_id: UUID) -> None:
    broker.execute(client_id(order_id), 10)
    stream(account, broker)  # the report came, the fill did not
    assert order(order_id).state == "working", "filled is only what is booked"
    assert Job.objects.filter(unique_key=f"sync:{account.pk}", state="ready").exists()

    sync(account)
    assert (order(order_id).state, quantity(account)) == ("filled", 10)


def test_what_the_stream_missed_the_poll_finds(broker: FakeBroker, account: Account, order_id: UUID) -> None:
    ours = client_id(order_id)
    broker.execute(ours, 4)
    broker.orders[ours] = replace(broker.orders[ours], status=ReportedStatus.EXPIRED)
    sync(account)

    assert (order(order_id).state, order(order_id).filled_quantity, quantity(account)) == ("expired", 4, 4)


def test_an_order_placed_elsewhere_moves_the_position_and_no_order(broker: FakeBroker, account: Account) -> None:
    broker.place("by-hand", quantity=Decimal(5))
    broker.execute("by-hand", 5)
    sync(account)

    assert (Fill.objects.get().order_id, quantity(account), Order.objects.count()) == (None, 5, 0)
    sync(account)
    assert Fill.objects.count() == 1


def test_a_fill_of_an_order_whose_acknowledgement_was_lost_is_its_own(broker: FakeBroker, account: Account) -> None:
    """The list of fills names only the broker's id, which nobody here knows yet."""
    owner = make_user()
    accepted = accept_order(owner_id=owner.pk, actor="desk", submission=OrderSubmission("k1", BODY))
    broker.fail("submit", call_error(FailureKind.AMBIGUOUS), carried_out=True)
    run_due("orders")
    broker.execute(accepted.client_order_id, 10)
    sync(account)

    assert Fill.objects.get().order_id == accepted.id
    assert (order(accepted.id).state, quantity(account)) == ("filled", 10)


def test_one_order_the_broker_no_longer_knows_does_not_stop_the_others(
    broker: FakeBroker, account: Account, order_id: UUID
) -> None:
    owner = make_user()
    other = accept_order(owner_id=owner.pk, actor="desk", submission=OrderSubmission("k2", BODY))
    run_due("orders")
    Order.objects.update(acknowledged_at=timezone.now() - timedelta(seconds=10))
    broker.execute(other.client_order_id, 10)
    del broker.orders[client_id(order_id)]
    sync(account)

    assert order(other.id).state == "filled"
    assert order(order_id).state == "working", "not found is no evidence against what was acknowledged"


@pytest.mark.parametrize("operation", ["fills", "open", "get"])
def test_a_failed_poll_is_no_information(broker: FakeBroker, account: Account, order_id: UUID, operation: str) -> None:
    broker.execute(client_id(order_id), 10)
    broker.fail(operation, call_error(FailureKind.TRANSIENT))
    before = order(order_id).version
    from brokers.services.synchronization import want_sync

    want_sync({account.pk})
    run_due("recovery")
    assert order(order_id).version == before
    make_due()
    run_due("recovery")
    assert order(order_id).state == "filled"


def test_sells_reduce_and_cross(broker: FakeBroker, account: Account, order_id: UUID) -> None:
    stream(account, broker, broker.execute(client_id(order_id), 10, 100))
    owner = make_user()
    sell = accept_order(
        owner_id=owner.pk, actor="desk", submission=OrderSubmission("k2", {**BODY, "side": "sell", "quantity": "15"})
    )
    run_due("orders")
    stream(account, broker, broker.execute(sell.client_order_id, 15, 120))

    position = Position.objects.get()
    assert (position.quantity, position.average_price, position.realized_profit) == (-5, 120, 200)


def test_the_same_fills_from_stream_and_poll_at_once_are_booked_once(
    committed: None, broker: FakeBroker, account: Account
) -> None:
    """Two connections, no order of ours to lock: neither may fail for the other's sake."""
    when = datetime.now(UTC)
    fills = [
        FillReport(
            execution_id=f"x{number}",
            broker_order_id=f"elsewhere-{number}",
            symbol="AAPL",
            side=broker.place(f"c{number}").side,
            quantity=Decimal(1),
            price=Decimal(5),
            executed_at=when,
            cumulative_quantity=Decimal(1),
        )
        for number in range(30)
    ]
    external = {fill.broker_order_id for fill in fills}
    together, failures = threading.Barrier(4), []

    def book(number: int) -> None:
        try:
            together.wait(10)
            for _ in range(3):
                with transaction.atomic():
                    source = "poll" if number % 2 else "stream"
                    record_evidence(account.pk, [], fills, source, external=external)
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=book, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert failures == []
    assert (Fill.objects.count(), quantity(account)) == (30, 30)


@pytest.mark.parametrize("table", ["brokers_orderevent", "brokers_fill", "brokers_positionevent"])
@pytest.mark.parametrize("change", ["UPDATE {} SET id = id", "DELETE FROM {}"])
def test_what_happened_cannot_be_changed(
    broker: FakeBroker, account: Account, order_id: UUID, table: str, change: str
) -> None:
    stream(account, broker, broker.execute(client_id(order_id), 10))
    with (
        pytest.raises(IntegrityError, match="append-only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(change.format(table))
