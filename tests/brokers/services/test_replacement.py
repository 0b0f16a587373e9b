"""Replacing orders: one new order at most, and evidence decides which of the two lives."""

import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone

from brokers.core.reports import ReportedStatus
from brokers.models import Account, Order, OrderEvent, Position
from brokers.selectors.orders import find_order, order_summary
from brokers.services.cancellation import request_cancel
from brokers.services.decisions import end_absent
from brokers.services.history.rebuilding import compare_orders
from brokers.services.replacement import request_replace
from brokers.services.submission import AcceptedOrder, OrderSubmission, accept_order
from brokers.services.synchronization import record_evidence
from reliability.core.errors import ReliabilityError
from reliability.core.taxonomy import FailureKind
from reliability.models import Job
from reliability.services.jobs.execution import apply_outcomes, claim_and_prepare
from tests.factories import make_user
from tests.fakes import FakeBroker, call_error, make_due, perform_calls, run_due

pytestmark = pytest.mark.django_db

BODY: dict[str, Any] = {"symbol": "AAPL", "side": "buy", "quantity": "10", "type": "limit", "limit_price": "99"}


@pytest.fixture
def old(account: Account) -> Order:
    """One order that works at the broker."""
    accepted = accept_order(owner_id=make_user().pk, actor="desk", submission=OrderSubmission("k1", BODY))
    run_due("orders")
    return Order.objects.get(pk=accepted.id)


def ask(order: Order, key: str = "r1", **changes: Any) -> AcceptedOrder:
    submission = OrderSubmission(key, changes or {"limit_price": "98"})
    return request_replace(order.pk, owner_id=order.owner_id, actor="desk", submission=submission)


def read(order_id: UUID) -> Order:
    return Order.objects.get(pk=order_id)


def work(times: int = 1) -> None:
    for _ in range(times):
        make_due(lane="orders")
        run_due("orders")


def hear(account: Account, broker: FakeBroker, source: str = "stream") -> None:
    with transaction.atomic():
        record_evidence(account.pk, list(broker.orders.values()), broker.fills, source)


def summary(order_id: UUID) -> dict[str, Any]:
    order = find_order(order_id)
    assert order is not None
    return order_summary(order)


def require_rebuildable() -> None:
    assert [str(one) for progress in compare_orders() for one in progress.differences] == []


def test_the_new_order_works_only_when_the_old_one_is_replaced(
    broker: FakeBroker, account: Account, old: Order
) -> None:
    new = ask(old, quantity="7", limit_price="98")
    assert (summary(old.pk)["replace_pending"], summary(old.pk)["replaced_by"]) == (True, str(new.id))

    work()
    hear(account, broker)
    assert (read(old.pk).state, read(new.id).state, broker.calls.count("replace")) == ("working", "working", 1)

    broker.settle_replacement(old.client_order_id, new.client_order_id)
    hear(account, broker)
    assert (read(old.pk).state, summary(old.pk)["replace_pending"]) == ("replaced", False)
    assert (read(new.id).quantity, read(new.id).limit_price, summary(new.id)["replaces"]) == (7, 98, str(old.pk))
    require_rebuildable()


def test_a_replacement_that_loses_to_a_fill_leaves_one_filled_order(
    broker: FakeBroker, account: Account, old: Order
) -> None:
    new = ask(old)
    work()
    broker.execute(old.client_order_id, 10)
    broker.settle_replacement(old.client_order_id, new.client_order_id)
    hear(account, broker)

    assert (read(old.pk).state, read(new.id).state) == ("filled", "rejected")
    assert Position.objects.get().quantity == 10
    assert summary(old.pk)["replaced_by"] is None
    require_rebuildable()


def test_fills_of_both_orders_move_the_position_once(broker: FakeBroker, account: Account, old: Order) -> None:
    broker.execute(old.client_order_id, 3)
    hear(account, broker)
    new = ask(old)
    work()
    broker.settle_replacement(old.client_order_id, new.client_order_id)
    broker.execute(new.client_order_id, 5)
    for source in ("stream", "poll", "stream"):
        hear(account, broker, source)

    assert read(new.id).quantity == 7, "what was left"
    assert (read(old.pk).state, read(old.pk).filled_quantity) == ("replaced", 3)
    assert (read(new.id).state, read(new.id).filled_quantity) == ("partially_filled", 5)
    assert Position.objects.get().quantity == 8


def test_what_filled_after_the_request_is_not_ordered_again(broker: FakeBroker, account: Account, old: Order) -> None:
    new = ask(old)
    broker.execute(old.client_order_id, 4)
    hear(account, broker)
    work()

    assert (read(new.id).state, read(new.id).error_code) == ("refused", "VALIDATION_WRONG_STATE")
    assert "replace" not in broker.calls


def test_a_refused_replacement_leaves_the_old_order_with_the_reason(
    broker: FakeBroker, account: Account, old: Order
) -> None:
    broker.fail("replace", call_error(FailureKind.REJECTED, "BROKER_INSUFFICIENT_FUNDS"))
    new = ask(old)
    work()

    assert (read(new.id).state, read(old.pk).state) == ("refused", "working")
    assert not summary(old.pk)["replace_pending"]
    told = OrderEvent.objects.get(order_id=old.pk, kind="replace_refused").evidence
    assert (told["code"], told["replaced_by"]) == ("BROKER_INSUFFICIENT_FUNDS", str(new.id))
    assert ask(old, "r2").id != new.id, "it may be asked for again"
    require_rebuildable()


@pytest.mark.parametrize("carried_out", [True, False], ids=["reply lost", "request lost"])
def test_an_unknown_outcome_is_looked_up_and_there_is_one_new_order(
    broker: FakeBroker, account: Account, old: Order, carried_out: bool
) -> None:
    broker.fail("replace", call_error(FailureKind.AMBIGUOUS), carried_out=carried_out)
    new = ask(old)
    work()
    assert read(new.id).state == "unknown"

    work(3)
    if not carried_out:
        assert (read(new.id).state, broker.calls.count("replace")) == ("unknown", 1), "absence is not proven yet"
        Order.objects.filter(pk=new.id).update(sent_at=timezone.now() - timedelta(seconds=6))
        OrderEvent.objects.filter(order_id=new.id)
        work(3)
    assert (read(new.id).state, broker.calls.count("replace")) == ("working", 1 if carried_out else 2)
    assert len(broker.orders) == 2


def test_a_lost_request_is_not_repeated_once_the_old_order_is_over(
    broker: FakeBroker, account: Account, old: Order
) -> None:
    broker.fail("replace", call_error(FailureKind.AMBIGUOUS))
    new = ask(old)
    work()
    broker.execute(old.client_order_id, 10)
    hear(account, broker)
    Order.objects.filter(pk=new.id).update(sent_at=timezone.now() - timedelta(seconds=6))
    work(5)

    assert (read(new.id).state, read(old.pk).state, broker.calls.count("replace")) == ("refused", "filled", 1)


def test_a_sender_that_died_is_followed_by_a_look_up(broker: FakeBroker, account: Account, old: Order) -> None:
    new = ask(old)
    calls, _ = claim_and_prepare("orders", 1, 10)
    perform_calls(calls)  # its reply dies with the process
    Job.objects.filter(state="running").update(state="ready", worker=None, lease_until=None)
    work(2)

    assert (read(new.id).state, broker.calls.count("replace")) == ("working", 1)


def test_an_order_that_was_not_sent_is_replaced_without_a_call(broker: FakeBroker, account: Account) -> None:
    first = accept_order(owner_id=make_user().pk, actor="desk", submission=OrderSubmission("k1", BODY))
    new = ask(read(first.id), quantity="4")
    work(2)

    assert (read(first.id).state, read(new.id).state) == ("replaced", "working")
    assert (list(broker.orders), broker.calls) == ([new.client_order_id], ["submit"])
    require_rebuildable()


def test_the_same_request_gives_the_same_order(broker: FakeBroker, account: Account, old: Order) -> None:
    new = ask(old, limit_price="98.0")
    again = ask(old, limit_price="98")
    assert (again.id, again.replayed, again.terms, again.accepted_at) == (new.id, True, new.terms, new.accepted_at)
    assert Job.objects.filter(kind="orders.replace").count() == 1

    with pytest.raises(ReliabilityError, match="IDEMPOTENCY"):
        ask(old, limit_price="97")
    with pytest.raises(ReliabilityError, match="WRONG_STATE"):
        ask(old, "r2", limit_price="97")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"stop_price": "5"}, "stop_price"),
        ({"limit_price": "-5"}, "limit_price"),
        ({"symbol": "MSFT"}, "symbol"),
        ({"quantity": None}, "order"),
        ({"time_in_force": "never"}, "time_in_force"),
    ],
)
def test_changes_that_do_not_fit_are_refused_by_name(old: Order, changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ReliabilityError) as caught:
        ask(old, **changes)
    assert (caught.value.code, list(caught.value.details)) == ("VALIDATION_INVALID_ORDER", [field])
    assert Order.objects.count() == 1


def test_an_order_that_is_over_or_being_canceled_is_not_replaced(
    broker: FakeBroker, account: Account, old: Order
) -> None:
    request_cancel(old.pk, actor="desk")
    with pytest.raises(ReliabilityError, match="WRONG_STATE"):
        ask(old)
    broker.execute(old.client_order_id, 10)
    hear(account, broker)
    with pytest.raises(ReliabilityError, match="ORDER_FINAL"):
        ask(old)


def test_a_replacement_canceled_before_it_is_sent_never_is(broker: FakeBroker, account: Account, old: Order) -> None:
    new = ask(old)
    request_cancel(new.id, actor="desk")
    work(2)

    assert (read(new.id).state, read(old.pk).state) == ("canceled", "working")
    assert "replace" not in broker.calls
    assert (summary(old.pk)["replace_pending"], summary(old.pk)["replaced_by"]) == (False, None)


@pytest.mark.parametrize("is_sent", [False, True], ids=["not sent yet", "sent"])
def test_canceling_an_order_cancels_what_was_to_take_its_place(
    broker: FakeBroker, account: Account, old: Order, is_sent: bool
) -> None:
    """Whichever of the two the broker goes on with, nothing of it may stay."""
    new = ask(old)
    if is_sent:
        work()
    request_cancel(old.pk, actor="desk")
    work(2)

    if is_sent:
        assert broker.canceled == [read(old.pk).broker_order_id, read(new.id).broker_order_id]
    else:
        assert (read(new.id).state, broker.canceled) == ("canceled", [read(old.pk).broker_order_id])
        assert "replace" not in broker.calls
    require_rebuildable()


def test_a_replacement_that_was_not_sent_is_not_replaced_itself(
    broker: FakeBroker, account: Account, old: Order
) -> None:
    """What took its place would be sent as an order of its own, beside the first one."""
    new = ask(old)
    with pytest.raises(ReliabilityError, match="not sent yet"):
        ask(read(new.id), "r2", limit_price="97")
    work()
    assert (broker.calls.count("submit"), broker.calls.count("replace"), len(broker.orders)) == (1, 1, 2)


def test_a_replacement_of_what_was_never_sent_is_replaced_as_any_order(broker: FakeBroker, account: Account) -> None:
    first = accept_order(owner_id=make_user().pk, actor="desk", submission=OrderSubmission("k1", BODY))
    second = ask(read(first.id), limit_price="98")
    third = ask(read(second.id), "r2", limit_price="97")
    work(2)
    assert (list(broker.orders), broker.calls) == ([third.client_order_id], ["submit"])


def test_the_leg_of_a_basket_is_not_replaced(broker: FakeBroker, account: Account) -> None:
    """The basket would take the replaced leg for lost and trade the others back, with the new order alive."""
    key = OrderSubmission("basket:11:2", BODY)
    leg = accept_order(owner_id=make_user().pk, actor="desk", submission=key)
    with pytest.raises(ReliabilityError, match="basket"):
        ask(read(leg.id))


@pytest.fixture
def cautious(broker: FakeBroker) -> FakeBroker:
    """A broker that replaces nothing itself."""
    broker.capabilities = replace(broker.capabilities, replaces_orders=False)
    return broker


def end_canceled(broker: FakeBroker, order: Order) -> None:
    broker.orders[order.client_order_id] = replace(broker.orders[order.client_order_id], status=ReportedStatus.CANCELED)


def test_where_nothing_is_replaced_the_new_order_follows_the_proven_cancel(
    cautious: FakeBroker, account: Account, old: Order
) -> None:
    new = ask(old, quantity="7", limit_price="98")
    work(3)
    assert (cautious.canceled, read(new.id).state) == ([read(old.pk).broker_order_id], "accepted")
    assert summary(old.pk)["replace_pending"]

    cautious.execute(old.client_order_id, 3)
    end_canceled(cautious, old)
    record_evidence(account.pk, list(cautious.orders.values()), [], "stream")
    work()
    assert (read(old.pk).state, read(new.id).state) == ("canceled", "accepted"), "a fill of the old one is missing"

    hear(account, cautious)
    work()
    assert (read(new.id).state, read(new.id).quantity, Position.objects.get().quantity) == ("working", 7, 3)
    assert (cautious.calls.count("submit"), cautious.calls.count("replace")) == (2, 0)
    require_rebuildable()


def test_where_nothing_is_replaced_a_fill_that_is_faster_leaves_one_order(
    cautious: FakeBroker, account: Account, old: Order
) -> None:
    new = ask(old)
    work()
    cautious.execute(old.client_order_id, 10)
    hear(account, cautious)
    work(2)
    assert (read(old.pk).state, read(new.id).state, len(cautious.orders)) == ("filled", "refused", 1)
    require_rebuildable()


def test_where_nothing_is_replaced_less_being_left_is_not_ordered_again(
    cautious: FakeBroker, account: Account, old: Order
) -> None:
    new = ask(old)
    work()
    cautious.execute(old.client_order_id, 4)
    end_canceled(cautious, old)
    hear(account, cautious)
    work(2)
    assert (read(old.pk).state, read(new.id).error_code) == ("canceled", "VALIDATION_WRONG_STATE")


def test_a_cancel_stops_a_replacement_that_waits_for_one(cautious: FakeBroker, account: Account, old: Order) -> None:
    new = ask(old)
    work(2)
    request_cancel(old.pk, actor="desk")
    end_canceled(cautious, old)
    hear(account, cautious)
    work(2)
    assert (read(old.pk).state, read(new.id).state, len(cautious.orders)) == ("canceled", "canceled", 1)


def test_a_request_that_a_broker_might_take_twice_is_not_repeated(
    broker: FakeBroker, account: Account, old: Order
) -> None:
    broker.capabilities = replace(broker.capabilities, dedupes_client_order_id=False)
    broker.fail("replace", call_error(FailureKind.AMBIGUOUS))
    new = ask(old)
    work()
    Order.objects.filter(pk=new.id).update(sent_at=timezone.now() - timedelta(seconds=6))
    work(5)
    assert (read(new.id).state, read(old.pk).state, broker.calls.count("replace")) == ("refused", "working", 1)
    assert OrderEvent.objects.filter(order_id=old.pk, kind="replace_refused").exists()


def test_a_look_up_that_finds_it_after_a_person_called_it_absent_counts(
    broker: FakeBroker, account: Account, old: Order
) -> None:
    broker.fail("replace", call_error(FailureKind.AMBIGUOUS), carried_out=True)
    new = ask(old)
    work()
    make_due(lane="orders")
    calls, _ = claim_and_prepare("orders", 1, 10)
    outcomes = perform_calls(calls)
    end_absent(new.id, actor="night", reason="their desk says so")
    apply_outcomes(outcomes)
    assert (read(new.id).state, read(new.id).broker_order_id) == ("working", "b-2")
    require_rebuildable()


def test_a_cancel_that_was_taken_and_not_acted_on_can_be_asked_for_again(
    broker: FakeBroker, account: Account, old: Order
) -> None:
    request_cancel(old.pk, actor="desk")
    work()
    request_cancel(old.pk, actor="desk")
    work()
    assert len(broker.canceled) == 1

    Order.objects.filter(pk=old.pk).update(cancel_requested_at=timezone.now() - timedelta(seconds=11))
    request_cancel(old.pk, actor="desk")
    work()
    assert len(broker.canceled) == 2
    assert OrderEvent.objects.filter(order_id=old.pk, kind="cancel_requested_again").count() == 1


def test_sixty_races_of_fills_with_cancels_and_replacements_end_as_the_broker_has_it(
    broker: FakeBroker, account: Account
) -> None:
    """Each race has its steps in an order of its own; the broker's word and ours are then the same."""
    owner, chance = make_user(), random.Random(11)
    orders: dict[str, UUID] = {}
    for number in range(60):
        accepted = accept_order(owner_id=owner.pk, actor="desk", submission=OrderSubmission(f"o{number}", BODY))
        orders[accepted.client_order_id] = accepted.id
    work()
    for number, (client_id, order_id) in enumerate(list(orders.items())):
        steps = _race(broker, account, orders, number, client_id, order_id, owner.pk)
        chance.shuffle(steps)
        for step in steps:
            step()
    work(3)
    for new_id in [one for one in broker.orders if one in orders]:
        replaces = read(orders[new_id]).replaces_id
        if replaces is not None:
            broker.settle_replacement(read(replaces).client_order_id, new_id)
    for source in ("stream", "poll"):
        hear(account, broker, source)

    filled = sum((report.filled_quantity for report in broker.orders.values()), Decimal(0))
    assert Position.objects.get().quantity == filled > 0
    for client_id, report in broker.orders.items():
        order = read(orders[client_id])
        assert (order.state, order.filled_quantity) == (report.status.value, report.filled_quantity)
    require_rebuildable()


def _race(
    broker: FakeBroker,
    account: Account,
    orders: dict[str, UUID],
    number: int,
    client_id: str,
    order_id: UUID,
    owner: int,
) -> list[Any]:
    def fill() -> None:
        if broker.orders[client_id].status in (ReportedStatus.WORKING, ReportedStatus.PARTIALLY_FILLED):
            broker.execute(client_id, 10 if number % 2 else 4)

    def change() -> None:
        if read(order_id).state == "filled":
            with pytest.raises(ReliabilityError, match="ORDER_FINAL"):
                request_cancel(order_id, actor="desk")
        elif number % 3:
            submission = OrderSubmission(f"r{number}", {"limit_price": "98"})
            new = request_replace(order_id, owner_id=owner, actor="desk", submission=submission)
            orders[new.client_order_id] = new.id
        else:
            request_cancel(order_id, actor="desk")

    return [fill, change, work, lambda: hear(account, broker)]
