"""Generations of order streams, and what is known beside them."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError, transaction
from django.utils import timezone

from brokers.core.streams import Endpoint, StreamState, execution_names, order_names
from brokers.models import Account, Broker, Fill, Freeze, Order, StreamChange, StreamSession
from brokers.services.accounts import forget_accounts
from brokers.services.reachability import forget_reachability
from brokers.services.streams import records
from brokers.services.streams.activity import ActivityReader
from brokers.services.submission import OrderSubmission, accept_order
from brokers.services.synchronization import want_sync
from reliability.models import Job
from reliability.services.jobs.execution import apply_outcomes, claim_and_prepare
from tests.factories import make_order
from tests.fakes import NO_PULSE, FakeBroker, make_due, perform_calls, run_due

pytestmark = pytest.mark.django_db


def changes(account: Account) -> list[str]:
    return list(StreamChange.objects.filter(account=account).order_by("id").values_list("kind", flat=True))


def run_while(meanwhile: Callable[[], object]) -> None:
    """Run what is due; ``meanwhile`` happens while the broker is being asked."""
    calls, _ = claim_and_prepare("recovery", NO_PULSE, 100)
    outcomes = perform_calls(calls)
    meanwhile()
    apply_outcomes(outcomes)


def test_a_stream_that_was_taken_up_is_caught_up_by_the_snapshot_after_it(broker: FakeBroker, account: Account) -> None:
    generation = records.mark_up(account.pk, 1, Endpoint.PRIMARY)
    assert StreamSession.objects.get().caught_up_generation == 0
    run_due("recovery")

    session = StreamSession.objects.get()
    assert (session.generation, session.caught_up_generation, generation) == (1, 1, 1)
    assert changes(account) == ["up", "caught_up"]


def test_a_snapshot_of_an_older_generation_counts_for_nothing_and_is_taken_again(
    broker: FakeBroker, account: Account
) -> None:
    """Asking for one while an older one is under way asks for nothing, so the older one must begin anew."""
    records.mark_up(account.pk, 1, Endpoint.PRIMARY)
    run_while(lambda: records.mark_up(account.pk, 1, Endpoint.BACKUP, switched="it fell silent"))
    assert StreamSession.objects.get().caught_up_generation == 0
    assert Job.objects.get(kind="orders.sync").state == "ready"

    make_due(kind="orders.sync")
    run_due("recovery")
    session = StreamSession.objects.get()
    assert (session.generation, session.caught_up_generation, session.endpoint) == (2, 2, "backup")
    assert changes(account) == ["up", "switched", "caught_up"]


def test_what_an_older_snapshot_found_is_true_all_the_same(broker: FakeBroker, account: Account) -> None:
    owner = get_user_model().objects.create(username="desk")
    order = make_order(account, owner, state="sending", client_order_id="c-1", sent_at=timezone.now())
    broker.place("c-1")
    records.mark_up(account.pk, 1, Endpoint.PRIMARY)
    run_while(lambda: records.mark_up(account.pk, 1, Endpoint.PRIMARY))

    order.refresh_from_db()
    assert order.state == "working"


def test_an_account_without_a_stream_is_synchronized_as_ever(broker: FakeBroker, account: Account) -> None:
    want_sync({account.pk})
    run_due("recovery")

    account.refresh_from_db()
    assert account.synced_at is not None
    assert not Job.objects.filter(kind="orders.sync", state__in=("ready", "running")).exists()


def test_whether_a_broker_answers_is_written_down_when_it_changes(account: Account) -> None:
    records.mark_up(account.pk, 1, Endpoint.PRIMARY)
    records.mark_down(account.pk, Endpoint.PRIMARY, StreamState.DOWN, "NETWORK_STREAM_SILENT: no sign of life")
    for answered in (False, False, True, True):
        records.mark_reach(account.pk, answered=answered, reason="no answer within 1 s")

    assert changes(account) == ["up", "down", "unreachable", "reachable"]
    session = StreamSession.objects.get()
    assert session.unreachable_since is None
    assert session.checked_at is not None


def test_the_history_of_a_stream_cannot_be_changed(account: Account) -> None:
    records.mark_up(account.pk, 1, Endpoint.PRIMARY)
    with pytest.raises(DatabaseError), transaction.atomic():
        StreamChange.objects.update(reason="never")
    with pytest.raises(DatabaseError), transaction.atomic():
        StreamChange.objects.all()._raw_delete("default")


def test_replies_and_polls_tell_what_streams_must_tell_of(account: Account) -> None:
    owner, now = get_user_model().objects.create(username="desk"), timezone.now()
    fresh = {"sent_at": now - timedelta(seconds=0.5), "acknowledged_at": now - timedelta(seconds=0.2)}
    make_order(account, owner, client_order_id="c-1", broker_order_id="b-1", **fresh)
    make_order(account, owner, client_order_id="unsent", state="accepted")
    make_order(account, owner, client_order_id="long-ago", acknowledged_at=now - timedelta(minutes=1), sent_at=now)
    order = make_order(account, owner, client_order_id="done", broker_order_id="b-2", state="filled", **fresh)
    reader = ActivityReader(clock=lambda: 100.0)
    assert [one.names for one in reader.read([account.pk])] == [order_names("c-1", "b-1")]

    for source in ("poll", "stream"):
        fill = {"symbol": "AAPL", "side": "buy", "quantity": Decimal(4), "price": Decimal(1), "executed_at": now}
        Fill.objects.create(
            account=account, order=order, execution_id=source, broker_order_id=source, source=source, **fill
        )
    known = reader.read([account.pk])
    assert [one.names for one in known] == [order_names("c-1", "b-1"), execution_names("poll", "poll", None)]
    assert all(one.began_at < one.known_at <= 100.0 for one in known)
    assert reader.read([]) == []


@pytest.fixture
def gone(account: Account) -> Iterator[Account]:
    """An account whose broker answers neither stream nor calls for four seconds."""
    forget_reachability()
    records.mark_up(account.pk, 1, Endpoint.PRIMARY)
    run_due("recovery")
    records.mark_down(account.pk, Endpoint.PRIMARY, StreamState.DOWN, "NETWORK_STREAM_SILENT: no sign of life")
    records.mark_reach(account.pk, answered=False, reason="no answer within 1 s")
    StreamSession.objects.update(unreachable_since=timezone.now() - timedelta(seconds=4))
    yield account
    forget_reachability()


def accept(**body: object) -> UUID:
    owner, _ = get_user_model().objects.get_or_create(username="desk")
    order = {"symbol": "AAPL", "side": "buy", "quantity": "10", **body}
    return accept_order(owner_id=owner.pk, actor="desk", submission=OrderSubmission(uuid4().hex, order)).id


def test_new_orders_leave_out_an_account_that_cannot_be_reached(broker: FakeBroker, gone: Account) -> None:
    second = Account.objects.create(name="second", broker=Broker.objects.create(name="other", adapter="fake"))
    forget_accounts()
    order = accept(route=["desk", "second"])
    run_due("orders")

    assert Order.objects.get(pk=order).account == second


def test_without_another_account_an_order_waits_and_is_called_back(broker: FakeBroker, gone: Account) -> None:
    order = accept()
    run_due("orders")
    job = Job.objects.get(subject=order)
    assert (Order.objects.get(pk=order).state, job.waits_for, broker.calls.count("submit")) == (
        "accepted",
        "unreachable:desk",
        0,
    )
    records.mark_reach(gone.pk, answered=True)
    assert Job.objects.get(subject=order).run_at < job.run_at
    run_due("orders")
    assert Order.objects.get(pk=order).state == "working"


def test_an_order_may_be_refused_instead(broker: FakeBroker, gone: Account) -> None:
    order = accept(when_unavailable="refuse")
    run_due("orders")
    assert Order.objects.get(pk=order).state == "refused"


def test_what_was_found_out_long_ago_is_not_believed(broker: FakeBroker, gone: Account) -> None:
    StreamSession.objects.update(checked_at=timezone.now() - timedelta(seconds=6))
    order = accept()
    run_due("orders")
    assert Order.objects.get(pk=order).state == "working"


def test_an_account_that_stays_unreachable_is_frozen_until_it_answers_and_is_caught_up(
    broker: FakeBroker, gone: Account
) -> None:
    records.mark_reach(gone.pk, answered=False, reason="no answer within 1 s")
    freeze = Freeze.objects.get()
    assert (freeze.account, freeze.mode, freeze.cause) == (gone, "halt", "broker_unreachable")

    records.mark_reach(gone.pk, answered=False, reason="no answer within 1 s")
    records.mark_reach(gone.pk, answered=True)
    assert Freeze.objects.get().released_at is None
    run_due("recovery")
    freeze.refresh_from_db()
    assert freeze.released_by == "streams"


def test_a_snapshot_does_not_lift_the_freeze_of_a_broker_that_cannot_be_reached(
    broker: FakeBroker, gone: Account
) -> None:
    records.mark_reach(gone.pk, answered=False, reason="no answer within 1 s")
    want_sync({gone.pk})
    run_due("recovery")
    assert Freeze.objects.get().released_at is None
    records.mark_up(gone.pk, 1, Endpoint.BACKUP)
    run_due("recovery")
    assert Freeze.objects.get().released_at is not None


def test_a_broker_that_leaves_an_order_unanswered_is_doubted(account: Account) -> None:
    owner, now = get_user_model().objects.create(username="desk"), timezone.now()
    make_order(account, owner, state="sending", sent_at=now)
    assert ActivityReader().find_stuck([account.pk]) == set()
    make_order(account, owner, state="sending", sent_at=now - timedelta(seconds=2))
    assert ActivityReader().find_stuck([account.pk]) == {account.pk}
