"""Generations of order streams, and what is known beside them."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.db import DatabaseError, transaction
from django.utils import timezone

from brokers.core.streams import Endpoint, StreamState, execution_names, order_names
from brokers.models import Account, Fill, StreamChange, StreamSession
from brokers.services.streams import records
from brokers.services.streams.activity import ActivityReader
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
