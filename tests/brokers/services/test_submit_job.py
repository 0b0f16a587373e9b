"""Sending orders: once in effect, whatever the reply or the lack of one.

A broker in memory refuses a second order under the same client id and counts every call."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from brokers.core.orders import Side
from brokers.core.reports import ReportedStatus
from brokers.models import Account, Order, OrderEvent
from brokers.services.cancellation import request_cancel
from brokers.services.submission import OrderSubmission, accept_order, accept_orders
from brokers.services.synchronization import record_evidence
from reliability.core.jobs import NotStartedError, Performed
from reliability.core.taxonomy import FailureKind
from reliability.models import Job, JobAttempt
from reliability.services.jobs.execution import apply_outcomes, claim_and_prepare
from reliability.services.jobs.rescue import rescue_lost_jobs
from tests.brokers.services.orders import BODY, state
from tests.brokers.services.submitting import age, client_id, kinds_of_events, run_until_settled, submit_job
from tests.fakes import FakeBroker, call_error, make_due, perform_calls, run_due
from tests.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.django_db


def test_an_acknowledged_order_works(broker: FakeBroker, order_id: UUID) -> None:
    run_due("orders")

    order = Order.objects.get(pk=order_id)
    assert (order.state, order.broker_order_id) == ("working", "b-1")
    assert kinds_of_events(order_id) == ["accepted", "sending", "report"]
    assert submit_job(order_id).state == "succeeded"
    assert broker.calls == ["submit"]


def test_the_intent_is_recorded_before_the_network_is_touched(broker: FakeBroker, order_id: UUID) -> None:
    calls, claimed = claim_and_prepare("orders", 1, 10)

    assert (claimed, len(calls), broker.calls) == (1, 1, [])
    assert state(order_id) == "sending"
    assert (submit_job(order_id).state, submit_job(order_id).attempt) == ("running", 1)


def test_a_refusal_is_final_and_named(broker: FakeBroker, order_id: UUID) -> None:
    broker.fail("submit", call_error(FailureKind.REJECTED))
    run_until_settled()

    order = Order.objects.get(pk=order_id)
    assert (order.state, order.error_code) == ("refused", "BROKER_INSUFFICIENT_FUNDS")
    assert order.finished_at is not None
    assert (broker.calls, broker.orders) == (["submit"], {})


@pytest.mark.parametrize("kind", [FailureKind.TRANSIENT, FailureKind.THROTTLED])
def test_what_was_provably_not_sent_is_sent_again(broker: FakeBroker, order_id: UUID, kind: FailureKind) -> None:
    broker.fail("submit", call_error(kind), times=4)
    run_until_settled()

    assert state(order_id) == "working"
    assert broker.calls == ["submit"] * 5, "no attempt is spent, and nothing is looked up"


def test_a_wait_the_broker_names_is_kept(broker: FakeBroker, order_id: UUID) -> None:
    broker.fail("submit", call_error(FailureKind.THROTTLED, retry_after=30))
    run_due("orders")

    assert submit_job(order_id).run_at > timezone.now() + timedelta(seconds=25)
    assert state(order_id) == "accepted"


def test_an_unknown_outcome_is_looked_up_and_adopted(broker: FakeBroker, order_id: UUID) -> None:
    broker.fail("submit", call_error(FailureKind.AMBIGUOUS), carried_out=True)
    run_due("orders")
    assert state(order_id) == "unknown"
    run_until_settled()

    assert state(order_id) == "working"
    assert broker.calls == ["submit", "find"]
    assert len(broker.orders) == 1


@pytest.mark.parametrize("lost", ["the reply", "the sender"])
def test_a_look_up_goes_ahead_of_orders_that_were_not_sent_yet(broker: FakeBroker, order_id: UUID, lost: str) -> None:
    """However many wait, and however long they have: an order in doubt is settled before any of them is begun."""
    if lost == "the reply":
        broker.fail("submit", call_error(FailureKind.AMBIGUOUS), carried_out=True)
        run_due("orders")
    else:
        calls, _ = claim_and_prepare("orders", 1, 10)
        perform_calls(calls)
        rescue_lost_jobs()
    waiting = [OrderSubmission(f"w{number}", BODY) for number in range(5)]
    accept_orders(owner_id=Order.objects.get(pk=order_id).owner_id, actor="desk", submissions=waiting)
    Job.objects.update(run_at=timezone.now() - timedelta(minutes=1))
    Job.objects.filter(subject=order_id).update(run_at=timezone.now())

    calls, _ = claim_and_prepare("orders", 1, 1)
    apply_outcomes(perform_calls(calls))

    assert state(order_id) == "working"
    assert broker.calls[-1] == "find"


def test_an_error_nobody_foresaw_is_an_unknown_outcome(broker: FakeBroker, order_id: UUID) -> None:
    broker.fail("submit", RuntimeError("a bug in an adapter"), carried_out=True)
    run_until_settled()

    assert (state(order_id), broker.calls, len(broker.orders)) == ("working", ["submit", "find"], 1)


def test_an_absent_order_is_sent_again_under_its_id_only_after_the_settle_time(
    broker: FakeBroker, order_id: UUID
) -> None:
    broker.fail("submit", call_error(FailureKind.AMBIGUOUS))
    run_due("orders")
    for _ in range(6):
        make_due(lane="orders")
        run_due("orders")
    assert broker.calls == ["submit", *["find"] * 6], "absence proves nothing before the order could have appeared"

    age(order_id)
    run_until_settled()
    assert broker.calls == ["submit", *["find"] * 7, "submit"]
    assert (state(order_id), list(broker.orders)) == ("working", [client_id(order_id)])


def test_a_failed_look_up_is_no_answer(broker: FakeBroker, order_id: UUID) -> None:
    broker.fail("submit", call_error(FailureKind.AMBIGUOUS))
    broker.fail("find", call_error(FailureKind.TRANSIENT), times=20)
    run_due("orders")
    age(order_id)
    for _ in range(20):
        make_due(lane="orders")
        run_due("orders")

    assert broker.calls == ["submit", *["find"] * 5], "after five failures the circuit keeps it from asking"
    assert (state(order_id), Order.objects.get(pk=order_id).lookup_misses) == ("unknown", 0)


def test_an_order_under_our_id_with_other_terms_is_for_a_person(broker: FakeBroker, order_id: UUID) -> None:
    broker.place(client_id(order_id), quantity=Decimal(11))
    run_until_settled()

    assert broker.calls == ["submit", "find"]
    assert (submit_job(order_id).state, submit_job(order_id).error_code) == ("dead", "DATA_ORDER_TERMS_DIFFER")
    assert state(order_id) == "unknown"


@pytest.mark.parametrize("difference", [{"symbol": "MSFT"}, {"side": Side.SELL}])
def test_symbol_and_side_are_terms_too(broker: FakeBroker, order_id: UUID, difference: dict[str, Any]) -> None:
    broker.place(client_id(order_id), **difference)
    run_until_settled()

    assert submit_job(order_id).error_code == "DATA_ORDER_TERMS_DIFFER"


def test_an_order_whose_sender_died_is_looked_up_not_sent(broker: FakeBroker, order_id: UUID) -> None:
    calls, _ = claim_and_prepare("orders", 1, 10)
    perform_calls(calls)  # the broker has it; the reply dies with the process
    assert [(one.lane, one.state, one.jobs) for one in rescue_lost_jobs()] == [("orders", "ready", 1)]
    run_until_settled()

    assert (state(order_id), broker.calls) == ("working", ["submit", "find"])
    assert kinds_of_events(order_id) == ["accepted", "sending", "sender_lost", "report"]


def test_an_order_whose_sender_died_before_sending_is_sent_once(broker: FakeBroker, order_id: UUID) -> None:
    claim_and_prepare("orders", 1, 10)
    rescue_lost_jobs()
    run_due("orders")
    age(order_id)
    run_until_settled()

    assert (state(order_id), len(broker.orders), broker.calls.count("submit")) == ("working", 1, 1)


def test_a_frozen_sender_that_wakes_after_the_resend_makes_no_second_order(broker: FakeBroker, order_id: UUID) -> None:
    frozen, _ = claim_and_prepare("orders", 1, 10)
    rescue_lost_jobs()
    run_due("orders")
    age(order_id)
    run_until_settled()
    apply_outcomes(perform_calls(frozen))

    assert (state(order_id), len(broker.orders)) == ("working", 1)
    assert list(JobAttempt.objects.values_list("outcome", flat=True))[-1] == "late"


def test_a_late_acknowledgement_is_evidence(broker: FakeBroker, order_id: UUID) -> None:
    calls, _ = claim_and_prepare("orders", 1, 10)
    outcomes = perform_calls(calls)
    rescue_lost_jobs()
    apply_outcomes(outcomes)

    assert state(order_id) == "working"
    assert submit_job(order_id).state == "ready", "the job that was handed on decides for itself"
    run_until_settled()
    assert (submit_job(order_id).state, broker.calls) == ("succeeded", ["submit"])


def test_the_same_outcome_applied_twice_changes_nothing(broker: FakeBroker, order_id: UUID) -> None:
    """The connection may die while a commit is under way: the runner then applies again."""
    calls, _ = claim_and_prepare("orders", 1, 10)
    outcomes = perform_calls(calls)
    apply_outcomes(outcomes)
    before = Order.objects.get(pk=order_id).version
    apply_outcomes(outcomes)

    assert (state(order_id), Order.objects.get(pk=order_id).version) == ("working", before)
    assert submit_job(order_id).state == "succeeded"


def test_evidence_faster_than_a_failed_reply_wins(broker: FakeBroker, account: Account, order_id: UUID) -> None:
    calls, _ = claim_and_prepare("orders", 1, 10)
    broker.fail("submit", call_error(FailureKind.AMBIGUOUS), carried_out=True)
    outcomes = perform_calls(calls)
    record_evidence(account.pk, list(broker.orders.values()), [], "stream")
    apply_outcomes(outcomes)

    assert (state(order_id), submit_job(order_id).state) == ("working", "succeeded")


def test_a_filled_reply_waits_for_its_fills(broker: FakeBroker, account: Account, order_id: UUID) -> None:
    ours = client_id(order_id)

    def fill_at_once() -> None:
        broker.execute(ours, 10)

    broker.during["submit"] = fill_at_once
    run_due("orders")

    order = Order.objects.get(pk=order_id)
    assert (order.state, order.filled_quantity, order.reported_filled_quantity) == ("working", 0, 10)
    assert Job.objects.filter(kind="orders.sync", unique_key=f"sync:{account.pk}").exists()


def test_a_call_that_was_not_begun_is_handed_back_without_a_trace_of_doubt(broker: FakeBroker, order_id: UUID) -> None:
    calls, _ = claim_and_prepare("orders", 1, 10)
    apply_outcomes([Performed(call.job, call.request, error=NotStartedError()) for call in calls])

    assert (state(order_id), submit_job(order_id).attempt) == ("accepted", 0)
    run_due("orders")
    assert broker.calls == ["submit"]


def test_without_deduplication_at_the_broker_an_absent_order_is_for_a_person(
    broker: FakeBroker, order_id: UUID
) -> None:
    broker.capabilities = replace(broker.capabilities, dedupes_client_order_id=False)
    broker.fail("submit", call_error(FailureKind.AMBIGUOUS))
    run_due("orders")
    age(order_id)
    run_until_settled()

    assert broker.calls.count("submit") == 1
    assert (state(order_id), submit_job(order_id).state) == ("unknown", "dead")
    assert submit_job(order_id).error_code == "BROKER_ORDER_NOT_FOUND"


def test_the_history_has_no_gaps_and_ends_where_the_order_is(broker: FakeBroker, order_id: UUID) -> None:
    broker.fail("submit", call_error(FailureKind.TRANSIENT), times=2)
    broker.fail("submit", call_error(FailureKind.AMBIGUOUS))
    run_due("orders")
    for _ in range(3):
        make_due()
        run_due("orders")
    age(order_id)
    run_until_settled()

    events = list(OrderEvent.objects.filter(order_id=order_id).order_by("sequence"))
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [event.from_state for event in events[1:]] == [event.to_state for event in events[:-1]]
    assert events[-1].to_state == state(order_id) == ReportedStatus.WORKING
    assert Order.objects.get(pk=order_id).version == len(events)


def test_calls_of_a_batch_are_under_way_at_the_same_time(broker: FakeBroker, account: Account) -> None:
    owner = get_user_model().objects.create_user("many")
    for number in range(20):
        accept_order(owner_id=owner.pk, actor="many", submission=OrderSubmission(f"k{number}", BODY))
    waiting = 0
    everybody = asyncio.Event()
    place = broker.submit_order

    async def submit_together(*args: Any) -> Any:
        nonlocal waiting
        waiting += 1
        if waiting == 20:
            everybody.set()
        await asyncio.wait_for(everybody.wait(), PATIENCE_SECONDS)
        return await place(*args)

    broker.submit_order = submit_together  # type: ignore[method-assign]
    run_due("orders")

    assert len(broker.orders) == 20
    assert set(Order.objects.values_list("state", flat=True)) == {"working"}


def test_an_order_given_up_as_absent_that_turns_up_after_all_is_taken_up_again(
    broker: FakeBroker, account: Account, order_id: UUID
) -> None:
    """A frozen sender may wake after everything: what the broker says outweighs what we concluded."""
    broker.fail("submit", call_error(FailureKind.AMBIGUOUS))
    run_due("orders")
    request_cancel(order_id, actor="desk")
    age(order_id)
    run_until_settled()
    broker.place(client_id(order_id))
    record_evidence(account.pk, list(broker.orders.values()), [], "stream")

    order = Order.objects.get(pk=order_id)
    assert (order.state, order.finished_at) == ("working", None)
