"""After a restore from a backup nothing is sent until somebody says so, and nothing is sent twice."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from brokers.adapters import registry
from brokers.core.client_order_id import derive_client_order_id
from brokers.models import Account, BasketLeg, Broker, Order, OrderEvent
from brokers.services.baskets.acceptance import accept_basket
from brokers.services.freezes import release_freeze
from brokers.services.restored import Held, hold_restored
from brokers.services.submission import OrderSubmission, accept_order
from brokers.services.synchronization import record_evidence
from reliability.core.taxonomy import FailureKind
from reliability.models import Alert, AuditEntry, Job, LegalHold, Saga
from reliability.services.jobs.deadletters import replay_dead_letters
from tests.brokers.services.orders import BODY, state
from tests.factories import make_user
from tests.fakes import FakeBroker, call_error, make_due, run_due

pytestmark = pytest.mark.django_db


def accept(key: str, **values: Any) -> Order:
    owner, _ = get_user_model().objects.get_or_create(username="desk")
    submission = OrderSubmission(key, {**BODY, **values})
    return Order.objects.get(pk=accept_order(owner_id=owner.pk, actor="desk", submission=submission).id)


def hold() -> Held:
    return hold_restored(actor="cli:root", reason="restored from the backup of last night")


def work(rounds: int = 4) -> None:
    for _ in range(rounds):
        make_due(lane="orders")
        run_due("orders")


def test_an_order_that_was_sent_after_the_backup_is_found_and_not_sent_again(
    account: Account, broker: FakeBroker
) -> None:
    order = accept("k1")
    broker.place(order.client_order_id)

    held = hold()
    work()

    assert (held.looked_up, held.for_a_person) == (1, 0)
    assert (state(order.pk), broker.calls.count("submit")) == ("working", 0)
    kinds = OrderEvent.objects.filter(order=order).order_by("sequence").values_list("kind", flat=True)
    assert list(kinds)[:3] == ["accepted", "restored", "may_have_been_sent"]
    assert AuditEntry.objects.filter(action="restored_from_backup").exists()


def test_an_order_that_no_broker_has_is_sent_once_trading_goes_on(account: Account, broker: FakeBroker) -> None:
    order = accept("k1")
    held = hold()
    Order.objects.update(sent_at=timezone.now() - timedelta(minutes=1))
    work()
    assert (state(order.pk), broker.calls.count("submit")) == ("unknown", 0)

    release_freeze(held.freeze_id, by=make_user("brokers.release_freeze").get_username(), reason="reconciled")
    work()
    assert (state(order.pk), broker.calls.count("submit")) == ("working", 1)


def test_new_orders_wait_until_trading_goes_on(account: Account, broker: FakeBroker) -> None:
    hold()
    order = accept("k2")
    work()
    assert (state(order.pk), broker.calls) == ("accepted", [])


def test_a_person_decides_where_another_account_may_have_been_sent_it(
    account: Account, broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry._ADAPTERS, "fake-2", FakeBroker())
    Account.objects.create(
        name="second", broker=Broker.objects.create(name="other", adapter="fake-2", base_url="http://127.0.0.1:9")
    )
    order = accept("k3", route=["desk", "second"])

    held = hold()
    work()

    assert (held.looked_up, held.for_a_person) == (0, 1)
    assert (state(order.pk), broker.calls) == ("unknown", [])
    assert Job.objects.get(subject=order.pk).state == "dead"
    assert Alert.objects.filter(condition="job.dead_letter").exists()


def test_legs_that_a_basket_sent_after_the_backup_are_not_sent_again(account: Account, broker: FakeBroker) -> None:
    owner = make_user()
    body = {"legs": [BODY, BODY]}
    basket = accept_basket(owner_id=owner.pk, actor="desk", idempotency_key="b1", body=body).id
    ids = [
        derive_client_order_id(account="desk", owner=str(owner.pk), idempotency_key=f"basket:{basket}:{number}")
        for number in (1, 2)
    ]
    for client_order_id in ids:
        broker.place(client_order_id)  # both were sent after the backup was taken

    held = hold()
    work()
    assert (held.basket_steps, Order.objects.count()) == (1, 0)
    step = Job.objects.get(subject=basket)
    assert step.state == "dead"

    release_freeze(held.freeze_id, by=make_user("brokers.release_freeze").get_username(), reason="reconciled")
    replay_dead_letters([step.pk], actor="ada", reason="its legs are at the broker")
    work()
    record_evidence(account.pk, [], [broker.execute(ids[0], 10)], "stream")
    work()

    legs = BasketLeg.objects.filter(basket=basket).order_by("number")
    assert [leg.order.client_order_id for leg in legs if leg.order] == ids
    assert broker.calls.count("submit") == 0


def test_a_basket_begun_after_the_restore_goes_on_by_itself(account: Account, broker: FakeBroker) -> None:
    release_freeze(hold().freeze_id, by=make_user("brokers.release_freeze").get_username(), reason="reconciled")
    body = {"legs": [BODY, BODY]}
    basket = accept_basket(owner_id=make_user().pk, actor="desk", idempotency_key="b1", body=body).id
    work()
    assert Saga.objects.get(pk=basket).state == "running"
    assert broker.calls == ["submit"]


def test_absence_proven_before_the_backup_proves_nothing_after_it(account: Account, broker: FakeBroker) -> None:
    order = accept("k1")
    broker.fail("submit", call_error(FailureKind.AMBIGUOUS))
    work(1)
    assert state(order.pk) == "unknown"
    Order.objects.update(absence_proven_at=timezone.now(), lookup_misses=3, sent_at=timezone.now() - timedelta(days=1))
    broker.calls.clear()
    broker.place(order.client_order_id)  # it was sent again after the backup was taken

    held = hold()
    release_freeze(held.freeze_id, by=make_user("brokers.release_freeze").get_username(), reason="reconciled")
    work()

    assert (held.looked_up, state(order.pk), broker.calls.count("submit")) == (1, "working", 0)
    assert OrderEvent.objects.filter(order=order, kind="restored").exists()


def test_nothing_is_dropped_until_a_person_releases_what_the_restore_holds(account: Account) -> None:
    first, second = hold(), hold()
    kept = LegalHold.objects.get()
    assert first.hold_id == second.hold_id == kept.pk
    assert (kept.kind, kept.released_at) == ("", None)
    assert kept.ends_at is not None
    assert kept.starts_at.year == 1970


def test_holding_twice_changes_nothing_more(account: Account, broker: FakeBroker) -> None:
    accept("k1")
    first, second = hold(), hold()
    assert (second.freeze_id, second.looked_up) == (first.freeze_id, 0)
