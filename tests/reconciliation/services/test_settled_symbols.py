"""A symbol frozen for an unknown order trades again once the order is known and a later run is clean."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from brokers.core.freezes import FreezeCause, FreezeMode, parse_freeze_scope
from brokers.models import Account, Freeze, Order, StreamSession
from brokers.services.freezes import freeze_trading, release_settled
from reconciliation.models import ReconciliationRun
from reconciliation.services.freeze_watch import watch_freezes
from reconciliation.services.settled_symbols import watch_settled_symbols
from reliability.core.errors import ReliabilityError
from tests.factories import make_order, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def frozen(account: Account) -> Freeze:
    """A symbol of which an order has been unknown for a minute."""
    long_ago = timezone.now() - timedelta(minutes=1)
    heard = timezone.now() + timedelta(minutes=5)  # for as long as the test takes
    StreamSession.objects.create(account=account, state="up", generation=1, connected_at=long_ago, last_alive_at=heard)
    make_order(account, make_user(), state="unknown", sent_at=long_ago)
    watch_freezes()
    return Freeze.objects.get()


def settle() -> None:
    Order.objects.update(state="filled", finished_at=timezone.now())


def end_run(state: str, *, started_at: datetime | None = None) -> ReconciliationRun:
    run = ReconciliationRun.objects.get()
    run.state, run.started_at, run.finished_at = state, started_at or timezone.now(), timezone.now()
    run.save()
    return run


def is_frozen() -> bool:
    return Freeze.objects.get().released_at is None


def kinds(freeze: Freeze) -> list[str]:
    return list(freeze.events.order_by("id").values_list("kind", flat=True))


def test_nothing_is_asked_or_lifted_while_the_order_is_unknown(frozen: Freeze) -> None:
    assert (frozen.cause, frozen.symbol) == ("unknown_order", "AAPL")
    watch_settled_symbols()

    assert not ReconciliationRun.objects.exists()
    assert is_frozen()
    with pytest.raises(ReliabilityError, match="An order for AAPL is unknown"):
        release_settled(frozen.pk, by="watch", reason="a mistake", clean_run=1)


def test_an_order_being_sent_is_not_known_either(frozen: Freeze) -> None:
    Order.objects.update(state="sending")
    watch_settled_symbols()

    assert not ReconciliationRun.objects.exists()


def test_a_clean_run_after_it_is_known_lifts_the_freeze(frozen: Freeze) -> None:
    settle()
    watch_settled_symbols()
    watch_settled_symbols()
    run = ReconciliationRun.objects.get()
    assert (run.trigger, run.state, is_frozen()) == ("settled", "queued", True)

    end_run("clean")
    watch_settled_symbols()

    assert not is_frozen()
    freeze = Freeze.objects.get()
    assert freeze.released_by == "watch"
    assert kinds(freeze)[-2:] == ["settled", "released"]
    assert freeze.events.get(kind="released").evidence == {"run": run.pk}


@pytest.mark.parametrize("state", ["differences", "inconclusive"])
def test_a_run_that_is_not_clean_lifts_nothing_and_a_later_one_may(frozen: Freeze, state: str) -> None:
    settle()
    watch_settled_symbols()
    run = end_run(state)
    watch_settled_symbols()
    assert is_frozen()
    assert ReconciliationRun.objects.count() == 1

    run.state = "clean"
    run.save()
    watch_settled_symbols()
    assert not is_frozen()


def test_a_clean_run_from_before_it_was_known_lifts_nothing(frozen: Freeze) -> None:
    settle()
    watch_settled_symbols()
    end_run("clean", started_at=timezone.now() - timedelta(seconds=30))
    watch_settled_symbols()

    assert is_frozen()


def test_a_symbol_that_a_reconciliation_found_different_stays_with_people(account: Account) -> None:
    scope = parse_freeze_scope("account:desk/symbol:AAPL")
    evidence = {"discrepancy": 1}
    freeze_trading(
        scope,
        FreezeMode.HALT,
        FreezeCause.UNKNOWN_ORDER,
        reason="missing there",
        evidence=evidence,
        by="reconciliation",
    )
    watch_settled_symbols()

    assert not ReconciliationRun.objects.exists()
    assert is_frozen()


def test_a_freeze_about_something_else_is_not_lifted_this_way(account: Account) -> None:
    scope = parse_freeze_scope("account:desk/symbol:AAPL")
    freeze = freeze_trading(scope, FreezeMode.HALT, FreezeCause.OVERFILL, reason="too much", by="watch")

    with pytest.raises(ReliabilityError, match="not about an unknown order"):
        release_settled(freeze, by="watch", reason="a mistake", clean_run=1)
    assert is_frozen()
