"""What the watch notices by itself, and that it notices each thing once."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.db import OperationalError
from django.utils import timezone
from redis.exceptions import ConnectionError as RedisConnectionError

from brokers.models import Account, StreamSession
from reconciliation.models import RecoveryRun, RecoveryTrigger, Watchtower
from reconciliation.services import disruptions
from reconciliation.services.disruptions import watch_disruptions
from reliability.models import CircuitTransition, JobAttempt
from tests.factories import make_job, make_order, make_user
from tests.fakes import FakeBroker

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quiet(account: Account, broker: FakeBroker) -> None:
    """The watch has looked once, and nothing was wrong."""
    watch_disruptions()
    assert not RecoveryTrigger.objects.exists()


def noticed() -> list[str]:
    return list(RecoveryTrigger.objects.order_by("id").values_list("kind", flat=True))


def look_twice() -> list[str]:
    watch_disruptions()
    watch_disruptions()
    return noticed()


def test_a_stream_that_is_up_again_starts_a_run_once_for_each_generation(account: Account) -> None:
    now = timezone.now()
    make_order(account, make_user())
    session = StreamSession.objects.create(account=account, state="down", generation=4, last_alive_at=now)
    assert look_twice() == []

    StreamSession.objects.filter(pk=session.pk).update(state="up", generation=5, connected_at=now)
    assert look_twice() == ["stream_returned"]
    run = RecoveryRun.objects.get()
    assert (run.state, run.freezes_trading, run.disrupted_at) == ("running", True, now)

    StreamSession.objects.filter(pk=session.pk).update(generation=6)
    assert look_twice() == ["stream_returned", "stream_returned"]
    assert list(RecoveryRun.objects.order_by("generation").values_list("state", flat=True)) == ["superseded", "running"]


@pytest.mark.parametrize(("call_class", "starts"), [("orders", True), ("reads", True), ("data", False)])
def test_a_circuit_that_closed_starts_a_run_of_its_brokers_accounts(
    account: Account, call_class: str, starts: bool
) -> None:
    for version, (before, after) in enumerate([("open", "half_open"), ("half_open", "closed")], start=1):
        CircuitTransition.objects.create(
            circuit=f"{account.broker_id}:{call_class}", generation=uuid4().hex, version=version, from_state=before,
            to_state=after, cause="probe", process="p", at=timezone.now(),
        )  # fmt: skip

    assert look_twice() == (["broker_returned"] if starts else [])


def test_a_process_that_died_holding_orders_starts_one_run_of_their_account(account: Account) -> None:
    owner = make_user()
    for _ in range(3):
        order = make_order(account, owner, state="unknown")
        job = make_job(kind="orders.submit", subject=order.pk)
        JobAttempt.objects.create(job=job, attempt=1, fence=1, worker=77, outcome="lost")
    other = make_job(kind="instruments.refresh")
    JobAttempt.objects.create(job=other, attempt=1, fence=1, worker=78, outcome="lost")

    assert look_twice() == ["process_died"]
    assert not RecoveryRun.objects.get().freezes_trading


def test_postgresql_that_was_started_again_is_noticed(account: Account) -> None:
    Watchtower.objects.update(database_started_at=timezone.now() - timedelta(days=2))

    assert look_twice() == ["database_restarted"]


def test_a_time_in_which_nobody_could_look_is_noticed(account: Account) -> None:
    since = timezone.now() - timedelta(seconds=30)
    Watchtower.objects.update(seen_at=since)
    assert look_twice() == [], "the same watch was slow: the machine is busy"

    Watchtower.objects.update(seen_at=since, watcher="one that is gone")
    assert look_twice() == ["database_returned"]
    assert RecoveryRun.objects.get().disrupted_at == since


def test_a_database_that_was_away_is_noticed_when_it_answers_again(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise OperationalError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(disruptions, "list_account_names", away)
        for _ in range(2):
            with pytest.raises(OperationalError):
                watch_disruptions()
    assert look_twice() == ["database_returned"]


def test_a_machine_that_was_started_again_is_noticed(account: Account) -> None:
    Watchtower.objects.update(boot_id="another", database_started_at=timezone.now() - timedelta(days=2))

    assert look_twice() == ["host_restarted"]


def test_redis_that_lost_its_data_is_noticed(account: Account) -> None:
    cache.delete(disruptions._MEMORY_KEY)

    assert look_twice() == ["memory_lost"]
    assert not RecoveryRun.objects.get().freezes_trading


def test_redis_that_was_away_is_noticed_when_it_is_back(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(key: str) -> None:
        raise RedisConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(cache, "get", away)
        assert look_twice() == []
    assert look_twice() == ["memory_returned"]


def test_an_account_that_is_not_in_use_is_left_alone(account: Account) -> None:
    Account.objects.filter(pk=account.pk).update(enabled=False)
    Watchtower.objects.update(boot_id="another")

    assert look_twice() == []
