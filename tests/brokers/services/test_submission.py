"""Accepting orders: durable before the answer, and one order for one intent, however often it is sent."""

import threading
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.db import connection

from brokers.core.orders import Side
from brokers.models import Account, Instrument, Order, OrderEvent
from brokers.services.accounts import forget_accounts
from brokers.services.submission import AcceptedOrder, OrderSubmission, accept_order, accept_orders
from reliability.core.correlation import correlated
from reliability.core.errors import ReliabilityError
from reliability.models import Job
from reliability.services.jobs import kinds
from tests.factories import make_user
from tests.fakes import FakeBroker

pytestmark = pytest.mark.django_db

BODY: dict[str, Any] = {"symbol": "AAPL", "side": "buy", "quantity": "10"}


def submit(owner: AbstractBaseUser, key: object = "k1", body: object = BODY) -> AcceptedOrder:
    return accept_order(owner_id=owner.pk, actor="desk", submission=OrderSubmission(key, body))


def refusal(owner: AbstractBaseUser, key: object = "k1", body: object = BODY) -> str:
    with pytest.raises(ReliabilityError) as caught:
        submit(owner, key, body)
    return caught.value.code


def test_an_accepted_order_has_its_first_event_and_its_job(owner: AbstractBaseUser, account: Account) -> None:
    with correlated("request-7"):
        accepted = submit(owner)

    order = Order.objects.get(pk=accepted.id)
    assert (order.state, order.account, order.correlation_id) == ("accepted", account, "request-7")
    event = OrderEvent.objects.get(order=order)
    assert (event.sequence, event.kind, event.actor, event.evidence["symbol"]) == (1, "accepted", "desk", "AAPL")
    job = Job.objects.get(subject=order.pk)
    assert (job.kind, job.state, job.correlation_id) == ("orders.submit", "ready", "request-7")


def test_the_same_intent_gives_the_same_answer(owner: AbstractBaseUser) -> None:
    first = submit(owner)
    again = submit(owner, body={**BODY, "quantity": 10.0 and "10.00", "type": "market"})

    assert (first.replayed, again.replayed) == (False, True)
    assert [getattr(again, name) for name in ("id", "client_order_id", "accepted_at", "submit_before")] == [
        getattr(first, name) for name in ("id", "client_order_id", "accepted_at", "submit_before")
    ]
    assert (Order.objects.count(), Job.objects.count(), OrderEvent.objects.count()) == (1, 1, 1)


def test_the_same_key_for_another_order_is_a_conflict(owner: AbstractBaseUser) -> None:
    submit(owner)
    assert refusal(owner, body={**BODY, "quantity": "11"}) == "VALIDATION_IDEMPOTENCY_CONFLICT"
    assert Order.objects.count() == 1


def test_keys_of_different_owners_are_different_keys(owner: AbstractBaseUser) -> None:
    first, second = submit(owner), submit(make_user())
    assert first.id != second.id
    assert first.client_order_id != second.client_order_id


def test_an_accepted_order_is_answered_the_same_after_its_account_was_disabled(
    owner: AbstractBaseUser, account: Account
) -> None:
    """The answer to the first request was lost: told "disabled", its caller would take the order for refused."""
    first = submit(owner)
    Account.objects.filter(pk=account.pk).update(enabled=False)
    forget_accounts()

    assert submit(owner).id == first.id
    assert refusal(owner, body={**BODY, "quantity": "11"}) == "VALIDATION_IDEMPOTENCY_CONFLICT"
    assert refusal(owner, key="k2") == "VALIDATION_ACCOUNT_DISABLED"


def test_an_accepted_order_is_answered_the_same_after_its_symbol_was_delisted(
    owner: AbstractBaseUser, account: Account
) -> None:
    first = submit(owner)
    Instrument.objects.create(broker=account.broker, symbol="MSFT")
    forget_accounts()

    assert submit(owner).id == first.id
    assert refusal(owner, key="k2") == "VALIDATION_UNKNOWN_SYMBOL"


@pytest.mark.parametrize(
    ("key", "body", "code"),
    [
        (None, BODY, "VALIDATION_MISSING_IDEMPOTENCY_KEY"),
        ("", BODY, "VALIDATION_MISSING_IDEMPOTENCY_KEY"),
        ("k1", {**BODY, "quantity": "-1"}, "VALIDATION_INVALID_ORDER"),
        ("k1", {**BODY, "account": "nobody"}, "VALIDATION_INVALID_ORDER"),
        ("k1", [], "VALIDATION_INVALID_ORDER"),
    ],
)
def test_what_cannot_be_accepted_leaves_nothing_behind(
    owner: AbstractBaseUser, key: object, body: object, code: str
) -> None:
    assert refusal(owner, key, body) == code
    assert not Order.objects.exists()
    assert not Job.objects.exists()


def test_without_a_default_account_one_must_be_named(owner: AbstractBaseUser) -> None:
    Account.objects.update(is_default=False)
    forget_accounts()
    assert refusal(owner) == "VALIDATION_INVALID_ORDER"
    assert submit(owner, body={**BODY, "account": "desk"}).account == "desk"


def test_one_account_whose_credentials_cannot_be_read_hinders_no_other(
    owner: AbstractBaseUser, account: Account
) -> None:
    other = Account.objects.create(name="other", broker=account.broker, encrypted_credentials=b"of another key")
    forget_accounts()

    assert submit(owner).account == "desk"
    assert submit(owner, "k2", {**BODY, "account": other.name}).account == "other"


def test_each_order_of_a_batch_is_judged_by_itself(owner: AbstractBaseUser) -> None:
    known = submit(owner, "known")
    submissions = [
        OrderSubmission("a", BODY),
        OrderSubmission("b", {**BODY, "quantity": "0"}),
        OrderSubmission("a", BODY),
        OrderSubmission("a", {**BODY, "side": "sell"}),
        OrderSubmission("known", BODY),
        OrderSubmission("known", {**BODY, "side": "sell"}),
        OrderSubmission(None, BODY),
        OrderSubmission("c", {**BODY, "side": "sell"}),
    ]
    answers = accept_orders(owner_id=owner.pk, actor="desk", submissions=submissions)

    codes = [answer.code if isinstance(answer, ReliabilityError) else "accepted" for answer in answers]
    assert codes == [
        "accepted",
        "VALIDATION_INVALID_ORDER",
        "accepted",
        "VALIDATION_IDEMPOTENCY_CONFLICT",
        "accepted",
        "VALIDATION_IDEMPOTENCY_CONFLICT",
        "VALIDATION_MISSING_IDEMPOTENCY_KEY",
        "accepted",
    ]
    accepted = [answer for answer in answers if isinstance(answer, AcceptedOrder)]
    assert [answer.replayed for answer in accepted] == [False, True, True, False]
    assert accepted[0].id == accepted[1].id
    assert accepted[2].id == known.id
    assert accepted[3].terms.side is Side.SELL
    assert Order.objects.count() == Job.objects.count() == 3


def test_an_order_whose_job_cannot_be_written_is_not_accepted(
    owner: AbstractBaseUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(kinds._KINDS, "orders.submit")
    with pytest.raises(kinds.UnknownKindError):
        submit(owner)
    assert not Order.objects.exists()


def in_threads(count: int, work: Any) -> list[Any]:
    results: list[Any] = []
    together = threading.Barrier(count)

    def run(number: int) -> None:
        try:
            together.wait(10)
            results.append(work(number))
        except Exception as error:
            results.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


def test_one_intent_sent_by_eight_at_once_is_one_order(committed: None, broker: FakeBroker, account: Account) -> None:
    owner = get_user_model().objects.create_user("eight")
    answers = in_threads(8, lambda number: submit(owner))

    assert len({answer.id for answer in answers}) == 1, answers
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 7
    assert (Order.objects.count(), Job.objects.count()) == (1, 1)


def test_batches_that_share_keys_in_different_orders_do_not_wait_for_each_other(
    committed: None, broker: FakeBroker, account: Account
) -> None:
    owner = get_user_model().objects.create_user("batches")
    keys = [f"k{number}" for number in range(150)]

    def submit_all(number: int) -> list[Any]:
        ordered = keys if number % 2 else keys[::-1]
        wanted = [OrderSubmission(key, BODY) for key in ordered]
        return accept_orders(owner_id=owner.pk, actor="desk", submissions=wanted)

    answers = in_threads(4, submit_all)

    assert [type(answer) for answer in answers] == [list] * 4, answers
    assert len({order.id for answer in answers for order in answer}) == len(keys)
    assert Order.objects.count() == len(keys)
