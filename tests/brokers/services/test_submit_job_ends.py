"""Orders that end before they are sent, or are canceled on their way: by deadline, by a person, by a cancel."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from django.utils import timezone

from brokers.models import Account, Order
from brokers.services.cancellation import request_cancel
from brokers.services.synchronization import record_evidence
from reliability.core.taxonomy import FailureKind
from reliability.models import Job
from reliability.services.jobs.deadletters import discard_dead_letters, replay_dead_letters
from reliability.services.jobs.execution import apply_outcomes, claim_and_prepare
from tests.brokers.services.orders import state
from tests.brokers.services.submitting import age, client_id, kinds_of_events, run_until_settled, submit_job
from tests.fakes import FakeBroker, call_error, perform_calls, run_due

pytestmark = pytest.mark.django_db


def pass_deadline(order_id: UUID) -> None:
    Order.objects.filter(pk=order_id).update(submit_before=timezone.now() - timedelta(seconds=1))


def test_an_order_that_could_not_be_sent_in_time_is_for_a_person(broker: FakeBroker, order_id: UUID) -> None:
    pass_deadline(order_id)
    run_until_settled()

    assert (state(order_id), broker.calls) == ("accepted", [])
    assert (submit_job(order_id).state, submit_job(order_id).error_code) == ("dead", "SYSTEM_DEADLINE_PASSED")


def test_an_absent_order_is_not_sent_again_after_its_deadline(broker: FakeBroker, order_id: UUID) -> None:
    """The broker was away for an hour: a market order of then is not what its owner wants now."""
    broker.fail("submit", call_error(FailureKind.AMBIGUOUS))
    run_due("orders")
    age(order_id)
    pass_deadline(order_id)
    run_until_settled()

    assert broker.calls.count("submit") == 1
    assert (submit_job(order_id).state, submit_job(order_id).error_code) == ("dead", "SYSTEM_DEADLINE_PASSED")
    assert state(order_id) == "unknown"


@pytest.mark.parametrize("was_sent", [False, True])
def test_a_person_may_have_an_overdue_order_sent_after_all(
    broker: FakeBroker, order_id: UUID, *, was_sent: bool
) -> None:
    if was_sent:
        broker.fail("submit", call_error(FailureKind.AMBIGUOUS))
        run_due("orders")
        age(order_id)
    pass_deadline(order_id)
    run_until_settled()
    replay_dead_letters([submit_job(order_id).pk], actor="anna", reason="still wanted")
    run_until_settled()

    assert (state(order_id), len(broker.orders)) == ("working", 1)


def test_discarding_an_order_that_was_never_sent_cancels_it(broker: FakeBroker, order_id: UUID) -> None:
    pass_deadline(order_id)
    run_until_settled()
    discard_dead_letters([submit_job(order_id).pk], actor="anna", reason="too late")

    assert (state(order_id), submit_job(order_id).state) == ("canceled", "discarded")


def test_discarding_an_order_that_is_provably_absent_ends_it(broker: FakeBroker, order_id: UUID) -> None:
    broker.fail("submit", call_error(FailureKind.AMBIGUOUS))
    run_due("orders")
    age(order_id)
    pass_deadline(order_id)
    run_until_settled()
    discard_dead_letters([submit_job(order_id).pk], actor="anna", reason="too late")

    assert state(order_id) == "refused"


def test_discarding_an_order_that_may_exist_leaves_it_unknown(broker: FakeBroker, order_id: UUID) -> None:
    broker.place(client_id(order_id), quantity=Decimal(11))
    run_until_settled()
    discard_dead_letters([submit_job(order_id).pk], actor="anna", reason="handled at the broker")

    assert state(order_id) == "unknown"
    assert kinds_of_events(order_id)[-1] == "job_discarded"


def test_an_order_canceled_before_sending_is_never_sent(broker: FakeBroker, order_id: UUID) -> None:
    assert request_cancel(order_id, actor="desk") == "canceled"
    run_until_settled()

    assert (state(order_id), broker.calls) == ("canceled", [])


def test_a_cancel_while_sending_reaches_the_broker(broker: FakeBroker, order_id: UUID) -> None:
    calls, _ = claim_and_prepare("orders", 1, 10)
    assert request_cancel(order_id, actor="desk") == "sending"
    apply_outcomes(perform_calls(calls))
    run_until_settled()

    assert (broker.canceled, state(order_id)) == (["b-1"], "working")


def test_an_order_canceled_while_sending_is_not_sent_again_when_it_provably_never_left(
    broker: FakeBroker, order_id: UUID
) -> None:
    calls, _ = claim_and_prepare("orders", 1, 10)
    request_cancel(order_id, actor="desk")
    broker.fail("submit", call_error(FailureKind.TRANSIENT))
    apply_outcomes(perform_calls(calls))
    run_until_settled()

    assert (state(order_id), broker.calls, broker.orders) == ("canceled", ["submit"], {})


def test_an_order_canceled_while_unknown_is_not_sent_again_when_it_is_provably_absent(
    broker: FakeBroker, order_id: UUID
) -> None:
    broker.fail("submit", call_error(FailureKind.AMBIGUOUS))
    run_due("orders")
    request_cancel(order_id, actor="desk")
    age(order_id)
    run_until_settled()

    assert (state(order_id), broker.calls.count("submit"), broker.orders) == ("refused", 1, {})


def test_asking_twice_for_a_cancel_asks_the_broker_once(broker: FakeBroker, order_id: UUID) -> None:
    run_due("orders")
    request_cancel(order_id, actor="desk")
    request_cancel(order_id, actor="desk")
    run_until_settled()

    assert broker.canceled == ["b-1"]


def test_a_refused_cancel_may_be_asked_for_again(broker: FakeBroker, order_id: UUID) -> None:
    run_due("orders")
    broker.fail("cancel", call_error(FailureKind.REJECTED, "BROKER_ORDER_NOT_CANCELABLE"))
    for _ in range(2):
        request_cancel(order_id, actor="desk")
        run_until_settled()

    assert broker.calls == ["submit", "cancel", "cancel"]
    assert broker.canceled == ["b-1"]


def test_a_cancel_given_up_by_a_person_may_be_asked_for_again(broker: FakeBroker, order_id: UUID) -> None:
    run_due("orders")
    broker.fail("cancel", RuntimeError("nobody foresaw this"), times=6)
    request_cancel(order_id, actor="desk")
    run_until_settled()
    dead = Job.objects.get(kind="orders.cancel")
    assert dead.state == "dead"
    discard_dead_letters([dead.pk], actor="anna", reason="the broker was away")
    request_cancel(order_id, actor="desk")
    run_until_settled()

    assert broker.canceled == ["b-1"]


@pytest.mark.parametrize("failure", [FailureKind.TRANSIENT, FailureKind.THROTTLED, FailureKind.AMBIGUOUS])
def test_a_cancel_that_failed_is_asked_for_again(broker: FakeBroker, order_id: UUID, failure: FailureKind) -> None:
    run_due("orders")
    broker.fail("cancel", call_error(failure), times=3)
    request_cancel(order_id, actor="desk")
    run_until_settled()

    assert broker.calls == ["submit", *["cancel"] * 4]


def test_a_cancel_of_an_order_that_was_filled_meanwhile_ends_quietly(
    broker: FakeBroker, account: Account, order_id: UUID
) -> None:
    run_due("orders")
    request_cancel(order_id, actor="desk")
    fill = broker.execute(client_id(order_id), 10)
    record_evidence(account.pk, list(broker.orders.values()), [fill], "stream")
    run_until_settled()

    assert (state(order_id), broker.calls) == ("filled", ["submit"])
