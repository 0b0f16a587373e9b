"""Orders with exits: the exits become orders of ours once the broker names them, and are never taken for strangers."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from brokers.core.reports import ReportedStatus
from brokers.models import Account, ExternalOrder, Fill, Order, OrderEvent, Position
from brokers.selectors.orders import find_order, hangs_together, order_summary
from brokers.services.cancellation import request_cancel
from brokers.services.history.rebuilding import compare_orders
from brokers.services.order_legs import waits_for_legs
from brokers.services.replacement import request_replace
from brokers.services.submission import OrderSubmission, accept_order
from brokers.services.synchronization import record_evidence
from brokers.templatetags.orders import terms
from reliability.core.errors import ReliabilityError
from reliability.core.taxonomy import FailureKind
from reliability.models import Job
from tests.brokers.services.orders import state, sync
from tests.factories import make_user
from tests.fakes import FakeBroker, call_error, make_due, run_due

pytestmark = pytest.mark.django_db

BODY: dict[str, Any] = {
    "symbol": "AAPL",
    "side": "buy",
    "quantity": "10",
    "take_profit": {"limit_price": "120"},
    "stop_loss": {"stop_price": "90", "limit_price": "89.5"},
}


def submit(**changes: Any) -> Order:
    accepted = accept_order(owner_id=make_user().pk, actor="desk", submission=OrderSubmission("k1", BODY | changes))
    return Order.objects.get(pk=accepted.id)


def exits_of(entry: Order) -> dict[str, Order]:
    return {order.exit_role: order for order in Order.objects.filter(entry=entry)}


def require_rebuildable() -> None:
    assert [str(one) for progress in compare_orders() for one in progress.differences] == []


def test_the_exits_are_orders_of_ours_from_the_reply_on(broker: FakeBroker, account: Account) -> None:
    entry = submit()
    assert exits_of(entry) == {}, "nobody has them yet"
    run_due("orders")

    exits = exits_of(entry)
    profit, loss = exits["take_profit"], exits["stop_loss"]
    assert (profit.side, profit.order_type, profit.limit_price, profit.quantity) == ("sell", "limit", 120, 10)
    assert (loss.order_type, loss.stop_price, loss.limit_price) == ("stop_limit", 90, 89.5)
    assert {profit.state, loss.state, state(entry.pk)} == {"working"}
    assert {profit.broker_order_id, loss.broker_order_id} == {"b-2", "b-3"}
    assert broker.calls == ["submit"], "the broker places them, not we"
    require_rebuildable()


def test_fills_of_entry_and_exit_move_one_position(broker: FakeBroker, account: Account) -> None:
    entry = submit()
    run_due("orders")
    profit, loss = exits_of(entry)["take_profit"], exits_of(entry)["stop_loss"]
    broker.execute(entry.client_order_id, 10)
    broker.execute(profit.client_order_id, 10, price=120)
    ended = replace(broker.orders[loss.client_order_id], status=ReportedStatus.CANCELED)
    broker.orders[loss.client_order_id] = ended
    for source in ("stream", "poll", "stream"):
        record_evidence(account.pk, list(broker.orders.values()), broker.fills, source)

    assert [state(one.pk) for one in (entry, profit, loss)] == ["filled", "filled", "canceled"]
    position = Position.objects.get()
    assert (position.quantity, position.realized_profit, Fill.objects.filter(order=None).count()) == (0, 200, 0)
    require_rebuildable()


def test_exits_of_an_order_whose_reply_was_lost_are_asked_for_and_never_strangers(
    broker: FakeBroker, account: Account
) -> None:
    Account.objects.update(synced_at=timezone.now())
    broker.fail("submit", call_error(FailureKind.AMBIGUOUS), carried_out=True)
    entry = submit()
    run_due("orders")
    legs = [broker.orders[name] for name in broker.legs[entry.client_order_id]]
    record_evidence(account.pk, legs, [], "stream")
    assert (ExternalOrder.objects.count(), exits_of(entry)) == (0, {}), "nobody knows yet whose they are"

    make_due(lane="orders")
    run_due("orders")
    assert state(entry.pk) == "working"
    broker.execute(entry.client_order_id, 10)
    broker.execute(legs[0].client_order_id, 10)
    sync(account)

    assert {order.state for order in exits_of(entry).values()} == {"filled", "working"}
    assert (ExternalOrder.objects.count(), Fill.objects.filter(order=None).count()) == (0, 0)
    assert Position.objects.get().quantity == 0
    require_rebuildable()


def test_exits_named_twice_are_there_once(broker: FakeBroker, account: Account) -> None:
    entry = submit()
    run_due("orders")
    nested = broker._with_legs(broker.orders[entry.client_order_id])
    for source in ("poll", "stream"):
        record_evidence(account.pk, [nested], [], source)
    assert (len(exits_of(entry)), Order.objects.count()) == (2, 3)
    assert OrderEvent.objects.filter(kind="legs_named").count() == 1


def test_an_exit_is_canceled_as_any_order(broker: FakeBroker, account: Account) -> None:
    entry = submit()
    run_due("orders")
    loss = exits_of(entry)["stop_loss"]
    request_cancel(loss.pk, actor="desk")
    make_due(lane="orders")
    run_due("orders")
    assert broker.canceled == [loss.broker_order_id]


def test_orders_that_hang_together_are_not_replaced(broker: FakeBroker, account: Account) -> None:
    entry = submit()
    run_due("orders")
    for order in (entry, exits_of(entry)["take_profit"]):
        with pytest.raises(ReliabilityError, match="hang together"):
            request_replace(
                order.pk, owner_id=order.owner_id, actor="desk", submission=OrderSubmission("r1", {"quantity": "5"})
            )


def test_a_broker_without_exits_refuses_them_with_one_clear_error(broker: FakeBroker, account: Account) -> None:
    broker.capabilities = replace(broker.capabilities, exit_classes=frozenset())
    with pytest.raises(ReliabilityError) as caught:
        submit()
    assert (caught.value.code, list(caught.value.details)) == ("VALIDATION_INVALID_ORDER", ["order_class"])
    assert not Order.objects.exists()


def test_the_api_shows_what_hangs_together(broker: FakeBroker, account: Account) -> None:
    entry = submit()
    run_due("orders")
    found = find_order(entry.pk)
    assert found is not None
    told = order_summary(found)
    assert (told["order_class"], told["take_profit"]) == ("bracket", {"limit_price": "120"})
    assert told["stop_loss"] == {"stop_price": "90", "limit_price": "89.5"}
    assert set(told["exits"]) == {str(order.pk) for order in exits_of(entry).values()}
    profit = order_summary(exits_of(entry)["take_profit"])
    assert terms(found) == "buy 10 AAPL market (profit 120, loss 90)"
    assert {pk for pk, _ in hangs_together(found)} == {order.pk for order in exits_of(entry).values()}
    assert hangs_together(exits_of(entry)["stop_loss"]) == [(entry.pk, "The order it is an exit of")]
    assert (profit["entry"], profit["exit_role"], profit["exits"]) == (str(entry.pk), "take_profit", [])


def refuse_an_exit(broker: FakeBroker) -> Order:
    """Submit a bracket whose entry the broker takes without its stop loss, and has told us so."""
    broker.fail("submit", call_error(FailureKind.AMBIGUOUS, "BROKER_EXIT_REFUSED"), carried_out=True)
    entry = submit()
    run_due("orders")
    refused = broker.legs[entry.client_order_id].pop()
    del broker.orders[refused]
    return entry


def take_back_job(entry: Order) -> Job:
    return Job.objects.get(kind="orders.take_back", subject=entry.pk)


def go_on(rounds: int = 1) -> None:
    for _ in range(rounds):
        make_due(lane="orders")
        run_due("orders")


def end(broker: FakeBroker, account: Account, entry: Order, **changes: Any) -> None:
    ended = replace(broker.orders[entry.client_order_id], status=ReportedStatus.CANCELED, **changes)
    record_evidence(account.pk, [ended], [], "stream")


def test_an_entry_whose_exit_is_refused_is_canceled_until_the_broker_shows_its_end(
    broker: FakeBroker, account: Account
) -> None:
    entry = refuse_an_exit(broker)
    broker.fail("cancel", call_error(FailureKind.AMBIGUOUS))
    broker.fail("cancel", call_error(FailureKind.REJECTED, "BROKER_ORDER_NOT_CANCELABLE"))
    assert (state(entry.pk), take_back_job(entry).state) == ("unknown", "ready"), "committed with the finding"

    go_on(6)
    assert broker.calls.count("cancel") >= 3
    assert (take_back_job(entry).state, len(set(broker.canceled))) == ("ready", 1), "taken is not yet ended"

    end(broker, account, entry)
    go_on()
    assert (state(entry.pk), take_back_job(entry).state) == ("canceled", "succeeded")
    assert not waits_for_legs(account.pk), "nothing of it is expected any more"
    require_rebuildable()


def test_an_entry_that_the_worker_died_over_is_taken_back_when_it_is_found_without_an_exit(
    broker: FakeBroker, account: Account
) -> None:
    broker.fail("submit", call_error(FailureKind.AMBIGUOUS), carried_out=True)
    entry = submit()
    run_due("orders")
    broker.names_exits_when_asked = True
    del broker.orders[broker.legs[entry.client_order_id].pop()]
    go_on(3)
    assert (state(entry.pk), len(set(broker.canceled)), take_back_job(entry).state) == ("working", 1, "ready")


def test_what_an_entry_without_its_exits_filled_goes_to_a_person(broker: FakeBroker, account: Account) -> None:
    entry = refuse_an_exit(broker)
    go_on()
    fill = broker.execute(entry.client_order_id, 4)
    record_evidence(account.pk, [], [fill], "stream")
    end(broker, account, entry)
    go_on()
    job = take_back_job(entry)
    assert (state(entry.pk), job.state, job.error_code) == ("canceled", "dead", "BROKER_EXIT_REFUSED")


def test_an_entry_that_will_not_go_becomes_a_dead_letter(broker: FakeBroker, account: Account) -> None:
    entry = refuse_an_exit(broker)
    broker.fail("cancel", call_error(FailureKind.REJECTED, "BROKER_ORDER_NOT_CANCELABLE"), times=9)
    go_on(2)
    job = take_back_job(entry)
    assert job.state == "ready"
    long_ago = (timezone.now() - timedelta(minutes=2)).isoformat()
    Job.objects.filter(pk=job.pk).update(payload={"asked_at": long_ago})
    go_on(2)
    assert (take_back_job(entry).state, state(entry.pk)) == ("dead", "working")
