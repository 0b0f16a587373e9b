"""The watch freezes what rows show to be in doubt, and releases what one clean look ends."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from brokers.core.reports import AccountReport, ReportedStatus
from brokers.models import Account, Freeze, Order, Position, StreamSession
from brokers.services.freezes import release_freeze
from brokers.services.holdings import record_balance
from brokers.services.submission import OrderSubmission, accept_order
from brokers.services.synchronization import record_evidence, want_sync
from reconciliation.models import ReconciliationRun, RecoveryRun
from reconciliation.services.disruptions import watch_disruptions, watch_left_frozen
from reconciliation.services.freeze_watch import watch_freezes
from reliability.core.taxonomy import FailureKind
from tests.factories import make_dead_letter, make_order, make_user
from tests.fakes import FakeBroker, call_error, make_due, run_due

pytestmark = pytest.mark.django_db


def in_force() -> set[tuple[str, str, str]]:
    rows = Freeze.objects.filter(released_at=None).select_related("account")
    return {(str(row.scope), row.mode, row.cause) for row in rows}


def stream(account: Account, **values: object) -> StreamSession:
    now = timezone.now() + timedelta(minutes=5)  # alive for as long as the test takes
    facts = {"state": "up", "generation": 1, "connected_at": now, "last_alive_at": now, **values}
    return StreamSession.objects.create(account=account, **facts)


def test_an_account_that_is_well_stays_open(account: Account) -> None:
    stream(account)
    watch_freezes()

    assert in_force() == set()


def test_a_silent_stream_freezes_and_the_recovery_after_its_return_is_what_ends_it(account: Account) -> None:
    session = stream(account, state="down", last_alive_at=timezone.now() - timedelta(seconds=9))
    watch_freezes()
    watch_freezes()
    assert in_force() == {("account:desk", "halt", "stream_down")}
    frozen_at = Freeze.objects.get().frozen_at

    later = timezone.now() + timedelta(minutes=5)
    StreamSession.objects.filter(pk=session.pk).update(state="up", generation=2, last_alive_at=later)
    watch_freezes()
    assert in_force() == {("account:desk", "halt", "stream_down")}
    watch_disruptions()
    run = RecoveryRun.objects.get()
    assert (run.state, run.freezes_trading) == ("running", True)
    assert run.disrupted_at <= frozen_at


def test_an_account_left_frozen_without_a_run_begins_anew_unless_a_person_is_asked(account: Account) -> None:
    stream(account)
    make_order(account, make_user())
    watch_disruptions()
    run = RecoveryRun.objects.get()
    for state, code in (("superseded", "SYSTEM_RECOVERY_VOID"), ("failed", "SYSTEM_DEADLINE_PASSED")):
        RecoveryRun.objects.filter(state="running").update(state=state, error_code=code)
        watch_left_frozen()
        watch_disruptions()
        newest = RecoveryRun.objects.order_by("-generation")[0]
        assert (newest.state, newest.generation) == ("running", run.generation + 1)
        run = newest

    RecoveryRun.objects.filter(state="running").update(state="failed", error_code="DATA_INTEGRITY_IN_DOUBT")
    watch_left_frozen()
    watch_disruptions()
    assert not RecoveryRun.objects.filter(state="running").exists()


def test_an_order_that_waits_for_a_person_freezes_its_symbol(account: Account) -> None:
    order = make_order(account, make_user(), state="unknown", sent_at=timezone.now())
    watch_freezes()
    assert in_force() == set()

    make_dead_letter(subject=order.pk)
    watch_freezes()
    assert in_force() == {("account:desk/symbol:AAPL", "halt", "unknown_order")}


def test_a_late_reconciliation_freezes_and_the_next_verdict_releases(account: Account) -> None:
    every, _ = IntervalSchedule.objects.get_or_create(every=60, period=IntervalSchedule.SECONDS)
    PeriodicTask.objects.create(name="reconciliation.incremental", task="x", interval=every)
    old = timezone.now() - timedelta(minutes=10)
    facts = {"account": account, "kind": "incremental", "trigger": "schedule", "requested_by": "beat"}
    ReconciliationRun.objects.create(**facts, state="clean", finished_at=old)
    watch_freezes()
    assert in_force() == {("account:desk", "halt", "reconciliation_late")}

    ReconciliationRun.objects.create(**facts, state="inconclusive", finished_at=timezone.now())
    watch_freezes()
    assert len(in_force()) == 1, "no answer is no verdict"
    ReconciliationRun.objects.create(**facts, state="differences", finished_at=timezone.now())
    watch_freezes()
    assert in_force() == set()
    assert Freeze.objects.get().released_by == "watch"


def test_a_clock_behind_ours_freezes_and_the_next_answer_releases(account: Account) -> None:
    report = AccountReport("1", "USD", Decimal(0), Decimal(0), Decimal(0), False, clock_offset=timedelta(seconds=-4))
    record_balance(account.pk, report, timezone.now())
    watch_freezes()
    assert in_force() == {("account:desk", "halt", "clock_skew")}
    assert "4.0 s behind" in Freeze.objects.get().reason

    record_balance(account.pk, replace(report, clock_offset=timedelta(0)), timezone.now())
    watch_freezes()
    assert in_force() == set()


def test_calls_refused_for_their_login_freeze_until_a_person_releases(broker: FakeBroker, account: Account) -> None:
    refused = call_error(FailureKind.REJECTED, "AUTH_INVALID_CREDENTIALS")
    broker.fail("open", refused, times=2)
    want_sync({account.pk})
    run_due("recovery")
    first = Account.objects.get()
    watch_freezes()
    assert (first.login_refused_since is not None, in_force()) == (True, set())

    earlier = timezone.now() - timedelta(seconds=30)
    Account.objects.update(login_refused_since=earlier, login_refused_at=earlier)
    make_due(lane="recovery")
    run_due("recovery")
    watch_freezes()
    assert in_force() == {("account:desk", "halt", "auth_failure")}
    make_due(lane="recovery")
    run_due("recovery")
    watch_freezes()
    assert len(in_force()) == 1, "an answer alone does not end it"

    person = make_user("brokers.release_freeze")
    release_freeze(Freeze.objects.get().pk, by=person.get_username(), reason="the key was renewed")
    watch_freezes()
    assert in_force() == set()


def test_an_order_refused_for_its_login_counts_as_well(broker: FakeBroker, account: Account) -> None:
    broker.fail("submit", call_error(FailureKind.REJECTED, "AUTH_INVALID_CREDENTIALS"))
    order = submitted(broker)

    assert order.state == "refused"
    assert Account.objects.get().login_refused.startswith("AUTH_INVALID_CREDENTIALS")


def test_an_account_that_was_never_reconciled_freezes(account: Account) -> None:
    every, _ = IntervalSchedule.objects.get_or_create(every=60, period=IntervalSchedule.SECONDS)
    PeriodicTask.objects.create(name="reconciliation.incremental", task="x", interval=every)
    watch_freezes()
    assert in_force() == set()

    Account.objects.update(added_at=timezone.now() - timedelta(minutes=10))
    watch_freezes()
    assert in_force() == {("account:desk", "halt", "reconciliation_late")}


def submitted(broker: FakeBroker) -> Order:
    body = {"symbol": "AAPL", "side": "buy", "quantity": "10"}
    owner = make_user()
    accepted = accept_order(owner_id=owner.pk, actor="desk", submission=OrderSubmission("k1", body))
    run_due("orders")
    return Order.objects.get(pk=accepted.id)


def test_an_overfill_is_booked_and_freezes_its_symbol_in_the_same_transaction(
    broker: FakeBroker, account: Account
) -> None:
    order = submitted(broker)
    fill = broker.execute(order.client_order_id, 12)
    record_evidence(account.pk, [], [fill], "stream")

    assert Position.objects.get().quantity == 12
    assert in_force() == {("account:desk/symbol:AAPL", "halt", "overfill")}
    assert Freeze.objects.get().evidence["overfilled_by"] == "2.000000000000"


def test_a_clock_ahead_of_ours_freezes_the_account(broker: FakeBroker, account: Account) -> None:
    order = submitted(broker)
    ahead = timezone.now() + timedelta(minutes=5)
    fill = broker.execute(order.client_order_id, 1, executed_at=ahead)
    record_evidence(account.pk, [], [fill], "stream")
    watch_freezes()

    assert in_force() == {("account:desk", "halt", "clock_skew")}


def test_an_order_placed_elsewhere_lets_only_reducing_orders_through(broker: FakeBroker, account: Account) -> None:
    Account.objects.update(synced_at=timezone.now())
    report = broker.place("by hand", symbol="MSFT", quantity=Decimal(5), status=ReportedStatus.WORKING)
    record_evidence(account.pk, [report], [], "stream")

    assert in_force() == {("account:desk/symbol:MSFT", "reduce_only", "external_activity")}
