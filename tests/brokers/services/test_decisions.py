"""A person's decisions on an order whose outcome nobody knows: proven before they count, and recorded."""

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.contrib.auth.models import AbstractBaseUser
from django.test import TestCase

from brokers.core.reports import ReportedStatus
from brokers.models import Account, Order, OrderEvent
from brokers.services.decisions import adopt, end_absent, look_again
from brokers.services.submission import OrderSubmission, accept_order
from brokers.services.synchronization import record_evidence
from reliability.core.errors import ReliabilityError
from reliability.core.taxonomy import FailureKind
from reliability.models import AuditEntry, Job
from tests.brokers.services.orders import BODY, state
from tests.factories import make_order
from tests.fakes import FakeBroker, call_error, make_due, run_due

pytestmark = pytest.mark.django_db

WHO: dict[str, Any] = {"actor": "night", "reason": "their desk says so"}


@pytest.fixture
def order_id(broker: FakeBroker, owner: AbstractBaseUser) -> UUID:
    """An order that was sent and never answered; its submission waits a long time for its look-up."""
    broker.fail("submit", call_error(FailureKind.AMBIGUOUS))
    order_id = accept_order(owner_id=owner.pk, actor="desk", submission=OrderSubmission("k1", BODY)).id
    run_due("orders")
    assert state(order_id) == "unknown"
    return order_id


def last_event(order_id: UUID) -> OrderEvent:
    return OrderEvent.objects.filter(order=order_id).latest("sequence")


def run_check() -> None:
    make_due(kind="orders.check")
    with TestCase.captureOnCommitCallbacks(execute=True):
        run_due("orders")


def let_submission_die(order_id: UUID) -> Job:
    Job.objects.filter(subject=order_id, kind="orders.submit").update(
        state="dead", error_code="BROKER_ORDER_NOT_FOUND", finished_at="2026-11-24T00:00:00Z"
    )
    return Job.objects.get(subject=order_id, kind="orders.submit")


def test_an_order_the_broker_shows_with_our_terms_is_adopted(broker: FakeBroker, order_id: UUID) -> None:
    dead = let_submission_die(order_id)
    broker.place("", broker_order_id="b-77", status=ReportedStatus.WORKING)
    adopt(order_id, " b-77 ", **WHO)
    assert state(order_id) == "unknown", "a person's word alone adopts nothing"

    run_check()

    order = Order.objects.get(pk=order_id)
    assert (order.state, order.broker_order_id, broker.calls.count("submit")) == ("working", "b-77", 1)
    asked = OrderEvent.objects.get(order=order_id, kind="adoption_asked")
    assert (asked.actor, asked.evidence["reason"]) == ("night", "their desk says so")
    assert AuditEntry.objects.filter(action="adopt_unknown_order", subject=f"order:{order_id}").exists()
    dead.refresh_from_db()
    assert dead.state == "discarded"


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        ({"client_order_id": "st-of-another"}, "client order id"),
        ({"symbol": "MSFT"}, "symbol"),
        ({"quantity": Decimal(11)}, "quantity"),
    ],
)
def test_an_order_with_other_terms_is_not_adopted(
    broker: FakeBroker, order_id: UUID, shown: dict[str, Any], why: str
) -> None:
    client_id = str(shown.pop("client_order_id", ""))
    broker.place(client_id, broker_order_id="b-77", **shown)
    adopt(order_id, "b-77", **WHO)
    run_check()

    event = last_event(order_id)
    assert (state(order_id), event.kind) == ("unknown", "adoption_refused")
    assert why in event.evidence["why"]


def test_an_id_that_another_order_has_is_refused(account: Account, owner: AbstractBaseUser, order_id: UUID) -> None:
    make_order(account, owner, broker_order_id="b-77")
    with pytest.raises(ReliabilityError, match="Another order"):
        adopt(order_id, "b-77", **WHO)
    assert not Job.objects.filter(kind="orders.check").exists()


@pytest.mark.parametrize("wanted", ["", "  ", "x" * 65, "a\0b", "a\nb"])
def test_an_unusable_id_is_refused(order_id: UUID, wanted: str) -> None:
    with pytest.raises(ReliabilityError) as caught:
        adopt(order_id, wanted, **WHO)
    assert caught.value.code == "VALIDATION_INVALID_REQUEST"


def test_looking_again_finds_an_order_and_sends_nothing(broker: FakeBroker, order_id: UUID) -> None:
    broker.place(Order.objects.get(pk=order_id).client_order_id)
    Job.objects.filter(kind="orders.submit").update(state="dead", finished_at="2026-11-24T00:00:00Z")
    look_again(order_id, **WHO)
    run_check()

    assert (state(order_id), broker.calls) == ("working", ["submit", "find"])


@pytest.mark.parametrize("fails", [True, False])
def test_looking_again_in_vain_is_noted_and_changes_nothing(broker: FakeBroker, order_id: UUID, fails: bool) -> None:
    let_submission_die(order_id)
    before = Order.objects.get(pk=order_id)
    if fails:
        broker.fail("find", call_error(FailureKind.AMBIGUOUS), times=4)
    for _ in range(4):
        look_again(order_id, **WHO)
        run_check()

    order = Order.objects.get(pk=order_id)
    assert last_event(order_id).kind == ("lookup_failed" if fails else "lookup_missed")
    assert (order.state, order.lookup_misses, order.finished_at) == ("unknown", before.lookup_misses, None)
    assert broker.calls.count("submit") == 1


def test_ending_it_frees_its_exposure_and_evidence_still_wins(broker: FakeBroker, order_id: UUID) -> None:
    dead = let_submission_die(order_id)
    with TestCase.captureOnCommitCallbacks(execute=True):
        end_absent(order_id, **WHO)

    order = Order.objects.get(pk=order_id)
    assert (order.state, order.error_code, order.finished_at is None) == ("refused", "BROKER_ORDER_NOT_FOUND", False)
    assert (last_event(order_id).actor, AuditEntry.objects.filter(action="end_unknown_order").count()) == ("night", 1)
    dead.refresh_from_db()
    assert dead.state == "discarded"

    record_evidence(order.account_id, [broker.place(order.client_order_id)], [], "stream")
    assert state(order_id) == "working"


def test_a_submission_that_waits_ends_with_the_order(broker: FakeBroker, order_id: UUID) -> None:
    end_absent(order_id, **WHO)
    make_due(lane="orders")
    run_due("orders")

    assert (state(order_id), broker.calls.count("submit")) == ("refused", 1)
    assert Job.objects.get(kind="orders.submit").state == "succeeded"


@pytest.mark.parametrize("present", ["accepted", "sending", "working", "filled", "refused"])
def test_only_an_open_question_is_decided(account: Account, owner: AbstractBaseUser, present: str) -> None:
    order = make_order(account, owner, state=present)
    for decide in (look_again, end_absent, lambda one, **who: adopt(one, "b-1", **who)):
        with pytest.raises(ReliabilityError) as caught:
            decide(order.pk, **WHO)
        assert caught.value.code == "VALIDATION_WRONG_STATE"


def test_an_order_whose_sender_is_dead_is_an_open_question(account: Account, owner: AbstractBaseUser) -> None:
    order = make_order(account, owner, state="sending")
    Job.objects.create(kind="orders.submit", lane="orders", subject=order.pk, state="dead")

    end_absent(order.pk, **WHO)

    assert state(order.pk) == "refused"


def test_bad_input_decides_nothing(order_id: UUID) -> None:
    for decide in (look_again, end_absent):
        with pytest.raises(ReliabilityError, match="reason"):
            decide(order_id, actor="night", reason="  ")
    with pytest.raises(ReliabilityError, match="no such order"):
        look_again(uuid4(), **WHO)
    look_again(order_id, **WHO)
    with pytest.raises(ReliabilityError, match="already"):
        look_again(order_id, **WHO)
