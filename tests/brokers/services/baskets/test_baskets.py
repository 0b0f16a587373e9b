"""Baskets: all legs fill, or what was begun is taken back; a broker in memory counts every order."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import AbstractBaseUser
from django.utils import timezone

from brokers.core.orders import Side
from brokers.core.reports import OrderReport, ReportedStatus
from brokers.models import Basket, BasketLeg, Order
from brokers.services.baskets.acceptance import (
    accept_basket,
    cancel_basket,
    close_basket,
    offset_basket,
    resume_basket,
)
from brokers.services.synchronization import record_evidence
from reliability.core.errors import ReliabilityError
from reliability.core.taxonomy import FailureKind
from reliability.models import AuditEntry, Job, Saga, SagaEvent, SagaStep
from reliability.services.jobs.deadletters import replay_dead_letters
from reliability.services.jobs.execution import claim_and_prepare
from reliability.services.jobs.rescue import rescue_lost_jobs
from tests.fakes import FakeBroker, call_error, make_due, run_due

pytestmark = pytest.mark.django_db

LEG: dict[str, Any] = {"symbol": "AAPL", "side": "buy", "quantity": "10"}
BODY: dict[str, Any] = {"legs": [LEG, {**LEG, "quantity": "4"}]}


def accept(owner: AbstractBaseUser, key: object = "b1", **values: Any) -> UUID:
    body = {**BODY, **values}
    return accept_basket(owner_id=owner.pk, actor="desk", idempotency_key=key, body=body).id


def turn(times: int = 1) -> None:
    """Let every wait be over and run what is due."""
    for _ in range(times):
        make_due(lane="orders")
        run_due("orders")


def leg_order(basket: UUID, number: int) -> Order:
    order = BasketLeg.objects.get(basket=basket, number=number).order
    assert order is not None
    return order


def fill(broker: FakeBroker, order: Order, quantity: int | None = None) -> None:
    report = broker.orders[order.client_order_id]
    assert report.quantity is not None
    size = quantity or int(report.quantity - report.filled_quantity)
    record_evidence(order.account_id, [], [broker.execute(order.client_order_id, size)], "stream")


def end(order: Order, status: ReportedStatus, filled: int = 0) -> None:
    """Let the broker report the end of an order."""
    order.refresh_from_db()
    report = OrderReport(
        client_order_id=order.client_order_id,
        broker_order_id=order.broker_order_id,
        status=status,
        symbol=order.symbol,
        side=Side(order.side),
        filled_quantity=Decimal(filled),
        quantity=order.quantity,
    )
    record_evidence(order.account_id, [report], [], "stream")


def state(basket: UUID) -> str:
    return Saga.objects.get(pk=basket).state


def offsets(basket: UUID, number: int) -> list[Order]:
    found = BasketLeg.objects.get(basket=basket, number=number).offset_orders
    return sorted(Order.objects.filter(pk__in=found), key=lambda order: found.index(order.pk))


def first_filled_second_refused(broker: FakeBroker, owner: AbstractBaseUser, **values: Any) -> UUID:
    basket = accept(owner, **values)
    turn(2)
    fill(broker, leg_order(basket, 1))
    broker.fail("submit", call_error(FailureKind.REJECTED))
    turn(4)
    return basket


def test_legs_follow_one_another_until_all_are_filled(broker: FakeBroker, owner: AbstractBaseUser) -> None:
    basket = accept(owner)
    turn(4)
    assert Order.objects.count() == 1, "the second leg waits for the first"
    fill(broker, leg_order(basket, 1))
    turn(4)
    assert state(basket) == "running"
    fill(broker, leg_order(basket, 2))
    turn()

    assert state(basket) == "succeeded"
    assert set(SagaStep.objects.filter(saga=basket).values_list("state", flat=True)) == {"done"}
    assert not Job.objects.filter(state__in=["ready", "running", "dead"]).exists()
    assert broker.calls == ["submit", "submit"]


def test_parallel_legs_are_sent_together(broker: FakeBroker, owner: AbstractBaseUser) -> None:
    basket = accept(owner, leg_order="parallel")
    turn(2)
    assert Order.objects.count() == 2
    fill(broker, leg_order(basket, 2))
    fill(broker, leg_order(basket, 1))
    turn()
    assert state(basket) == "succeeded"


def test_what_filled_is_offset_with_consent(broker: FakeBroker, owner: AbstractBaseUser) -> None:
    basket = first_filled_second_refused(broker, owner, offset_fills=True)
    turn(3)

    (offset,) = offsets(basket, 1)
    assert (offset.side, offset.quantity, offset.order_type) == ("sell", 10, "market")
    assert state(basket) == "compensating"
    fill(broker, offset)
    turn()
    assert state(basket) == "compensated"


def test_without_consent_a_person_decides_and_may_consent(broker: FakeBroker, owner: AbstractBaseUser) -> None:
    basket = first_filled_second_refused(broker, owner)
    turn(3)
    assert state(basket) == "needs_person"
    assert not offsets(basket, 1)
    dead = Job.objects.get(state="dead")
    assert (dead.kind, dead.error_code) == ("saga.basket", "BROKER_OFFSET_UNDECIDED")

    offset_basket(basket, actor="night", reason="the desk agreed")
    turn(3)
    (offset,) = offsets(basket, 1)
    fill(broker, offset)
    turn()
    assert state(basket) == "compensated"
    assert AuditEntry.objects.filter(action="consent_to_offset", actor="night").count() == 1


def test_a_replayed_dead_letter_resumes_the_compensation(broker: FakeBroker, owner: AbstractBaseUser) -> None:
    basket = first_filled_second_refused(broker, owner)
    turn(3)
    Basket.objects.update(offset_fills=True)
    replay_dead_letters([Job.objects.get(state="dead").pk], actor="night", reason="agreed")
    turn(4)
    fill(broker, offsets(basket, 1)[0])
    turn()
    assert state(basket) == "compensated"


def test_a_person_closes_what_was_settled_by_hand(broker: FakeBroker, owner: AbstractBaseUser) -> None:
    basket = first_filled_second_refused(broker, owner)
    turn(3)
    with pytest.raises(ReliabilityError):
        close_basket(basket, actor="night", reason=" ")
    close_basket(basket, actor="night", reason="sold by phone")

    assert state(basket) == "closed"
    assert not Job.objects.filter(state="dead").exists()
    with pytest.raises(ReliabilityError):
        resume_basket(basket, actor="night", reason="again")


def test_open_legs_are_canceled_and_a_cancel_that_lost_is_offset(broker: FakeBroker, owner: AbstractBaseUser) -> None:
    basket = accept(owner, leg_order="parallel", offset_fills=True)
    turn(2)
    first, second = leg_order(basket, 1), leg_order(basket, 2)
    end(first, ReportedStatus.REJECTED)
    turn()
    second.refresh_from_db()
    assert second.cancel_requested_at is not None
    fill(broker, second)  # faster than the cancel
    turn(3)
    (offset,) = offsets(basket, 2)
    assert (offset.side, offset.quantity) == ("sell", 4)
    fill(broker, offset)
    turn(3)
    assert state(basket) == "compensated"
    assert not offsets(basket, 1)


def test_a_part_that_filled_before_the_end_is_offset(broker: FakeBroker, owner: AbstractBaseUser) -> None:
    basket = accept(owner, offset_fills=True)
    turn(2)
    order = leg_order(basket, 1)
    fill(broker, order, 3)
    end(order, ReportedStatus.CANCELED, filled=3)
    turn(4)
    (offset,) = offsets(basket, 1)
    assert (offset.side, offset.quantity) == ("sell", 3)


def test_nothing_is_offset_before_reported_fills_are_booked(broker: FakeBroker, owner: AbstractBaseUser) -> None:
    basket = accept(owner, offset_fills=True)
    turn(2)
    order = leg_order(basket, 1)
    execution = broker.execute(order.client_order_id, 3)
    end(order, ReportedStatus.CANCELED, filled=3)
    turn(4)
    assert (state(basket), offsets(basket, 1)) == ("compensating", [])
    record_evidence(order.account_id, [], [execution], "poll")
    turn(2)
    assert [offset.quantity for offset in offsets(basket, 1)] == [3]


def test_an_unknown_leg_is_never_offset_before_it_is_settled(broker: FakeBroker, owner: AbstractBaseUser) -> None:
    basket = accept(owner, offset_fills=True)
    broker.fail("submit", call_error(FailureKind.AMBIGUOUS), carried_out=True)
    broker.fail("find", call_error(FailureKind.TRANSIENT), times=50)
    turn(3)
    order = leg_order(basket, 1)
    assert order.state == "unknown"
    cancel_basket(basket, actor="desk")
    turn(4)
    assert (state(basket), offsets(basket, 1)) == ("compensating", [])
    execution = replace(broker.execute(order.client_order_id, 10), client_order_id=order.client_order_id)
    record_evidence(order.account_id, [], [execution], "stream")
    turn(2)
    assert [offset.quantity for offset in offsets(basket, 1)] == [10]


def test_an_offset_that_is_refused_goes_to_a_person_and_is_tried_once_per_decision(
    broker: FakeBroker, owner: AbstractBaseUser
) -> None:
    basket = first_filled_second_refused(broker, owner, offset_fills=True)
    broker.fail("submit", call_error(FailureKind.REJECTED))
    turn(6)
    assert (state(basket), len(offsets(basket, 1))) == ("needs_person", 1)
    resume_basket(basket, actor="night", reason="the halt is over")
    turn(4)
    assert [offset.state for offset in offsets(basket, 1)] == ["refused", "working"]
    fill(broker, offsets(basket, 1)[1])
    turn()
    assert state(basket) == "compensated"


def test_a_basket_that_takes_too_long_is_taken_back(broker: FakeBroker, owner: AbstractBaseUser) -> None:
    basket = accept(owner)
    turn(2)
    Saga.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    turn(2)
    order = leg_order(basket, 1)
    assert (state(basket), order.cancel_requested_at is not None) == ("compensating", True)
    end(order, ReportedStatus.CANCELED)
    turn(2)
    assert state(basket) == "compensated"
    assert Saga.objects.get(pk=basket).error_code == "SYSTEM_DEADLINE_PASSED"


def test_a_canceled_basket_stops_its_legs(broker: FakeBroker, owner: AbstractBaseUser) -> None:
    basket = accept(owner)
    assert cancel_basket(basket, actor="desk", reason="a mistake") == "compensating"
    assert cancel_basket(basket, actor="desk") == "compensating"
    turn(4)
    assert (state(basket), broker.calls) == ("compensated", [])
    with pytest.raises(ReliabilityError):
        cancel_basket(basket, actor="desk")


def test_the_same_intent_gives_the_same_basket(broker: FakeBroker, owner: AbstractBaseUser) -> None:
    assert accept(owner) == accept(owner)
    assert Basket.objects.count() == 1
    with pytest.raises(ReliabilityError) as caught:
        accept(owner, offset_fills=True)
    assert caught.value.code == "VALIDATION_IDEMPOTENCY_CONFLICT"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"legs": [LEG]}, "legs"),
        ({"legs": [LEG, {**LEG, "quantity": "0"}]}, "legs[1].quantity"),
        ({"legs": [LEG, {**LEG, "account": "nobody"}]}, "legs[1].account"),
        ({"mode": "best_effort"}, "mode"),
        ({"leg_order": "random"}, "leg_order"),
        ({"offset_fills": "yes"}, "offset_fills"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_basket_with_anything_wrong_leaves_nothing(owner: AbstractBaseUser, values: Any, field: str) -> None:
    with pytest.raises(ReliabilityError) as caught:
        accept(owner, **values)
    assert field in caught.value.details
    assert not any(model.objects.exists() for model in (Basket, Saga, Job))


def test_a_basket_that_waits_long_outlives_many_deaths_of_processes(
    broker: FakeBroker, owner: AbstractBaseUser
) -> None:
    basket = accept(owner)
    turn(2)
    for _ in range(8):
        make_due(lane="orders")
        claim_and_prepare("orders", 4711, 100)
        rescue_lost_jobs()
        turn()
    for number in (1, 2):
        fill(broker, leg_order(basket, number))
        turn(4)

    assert (state(basket), Job.objects.filter(state="dead").count()) == ("succeeded", 0)


@pytest.mark.parametrize("dies_at", range(1, 12))
def test_a_process_that_dies_between_any_two_transactions_changes_nothing(
    broker: FakeBroker, owner: AbstractBaseUser, dies_at: int
) -> None:
    """At each look a worker claims what is due, commits, and dies with its calls not begun; others go on."""
    basket = accept(owner, offset_fills=True)
    for look in range(1, 40):
        make_due(lane="orders")
        if look == dies_at:
            claim_and_prepare("orders", 4711, 100)
            rescue_lost_jobs()
            Order.objects.filter(state="sending").update(sent_at=timezone.now() - timedelta(minutes=1))
            continue
        run_due("orders")
        Order.objects.filter(state="unknown").update(sent_at=timezone.now() - timedelta(minutes=1))
        for order in Order.objects.filter(state="working"):
            leg = BasketLeg.objects.filter(order=order).first()
            if leg is not None and leg.number == 2:
                end(order, ReportedStatus.CANCELED)
            else:
                fill(broker, order)
        if state(basket) == "compensated":
            break
    assert state(basket) == "compensated"
    bought = sum(o.filled_quantity for o in Order.objects.filter(side="buy"))
    sold = sum(o.filled_quantity for o in Order.objects.filter(side="sell"))
    assert (bought, sold) == (10, 10)
    assert len(broker.orders) == 3, "two legs and one offset, each at the broker once"
    sequence = list(SagaEvent.objects.filter(saga=basket).order_by("sequence").values_list("sequence", flat=True))
    assert sequence == list(range(1, len(sequence) + 1))
