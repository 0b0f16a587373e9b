"""Recovery runs against a broker in memory: what they settle, freeze and release, and verdicts that fail."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import AbstractBaseUser
from django.db.models import F
from django.utils import timezone

from brokers.core.corporate_actions import CashEntryKind
from brokers.core.freezes import FreezeCause, FreezeMode, parse_freeze_scope
from brokers.core.reports import PositionReport
from brokers.models import Account, Balance, Fill, Freeze, Order, Position, StreamSession
from brokers.services.freezes import freeze_trading
from brokers.services.history.sealing import seal_appended
from brokers.services.holdings import book_cash
from brokers.services.order_batch import OrderBatch
from brokers.services.submission import OrderSubmission, accept_order
from reconciliation.core.recovery import STAGES, RecoveryState
from reconciliation.models import ReconciliationMark, ReconciliationRun, RecoveryRun, RecoveryTrigger
from reconciliation.services import gap_checks, recovery_balances, recovery_positions
from reconciliation.services.gap_checks import GapCheck
from reconciliation.services.recovery import request_recovery, start_waiting
from reliability.core.taxonomy import FailureKind
from reliability.models import Alert, Saga, SagaEvent, SagaStep
from tests.factories import make_dead_letter, make_user
from tests.fakes import FakeBroker, call_error, make_due, run_due
from tests.reconciliation.services.test_runs import damage

pytestmark = pytest.mark.django_db

LIMIT = {"symbol": "AAPL", "side": "buy", "quantity": "10", "type": "limit", "limit_price": "99"}


@pytest.fixture(autouse=True)
def stream(account: Account) -> StreamSession:
    now = timezone.now() + timedelta(minutes=5)  # alive for as long as the test takes
    return StreamSession.objects.create(account=account, state="up", generation=3, connected_at=now, last_alive_at=now)


@pytest.fixture
def owner(account: Account) -> AbstractBaseUser:
    return make_user()


def submit(owner: AbstractBaseUser, key: str) -> Order:
    accepted = accept_order(owner_id=owner.pk, actor="desk", submission=OrderSubmission(key, LIMIT))
    run_due("orders")
    return Order.objects.get(pk=accepted.id)


def recover(account: Account, trigger: str = "stream_returned", *, settle: bool = True) -> RecoveryRun:
    """Run one recovery to its end, as workers would."""
    run_id = request_recovery(account.pk, trigger=trigger, by="watch", reason="a drill")
    return drive(run_id, settle=settle)


def drive(run_id: int, until: Callable[[], bool] = lambda: False, *, settle: bool = True) -> RecoveryRun:
    for _ in range(200):
        run = RecoveryRun.objects.get(pk=run_id)
        if run.state != RecoveryState.RUNNING or until():
            return run
        make_due(lane="recovery")
        run_due("recovery")
        if settle:
            make_due(lane="orders")
            run_due("orders")
    raise AssertionError(f"it does not end: {list(SagaEvent.objects.values_list('kind', 'step', 'detail'))[-5:]}")


def steps_of(run: RecoveryRun) -> dict[str, SagaStep]:
    return {step.action: step for step in SagaStep.objects.filter(saga_id=run.saga_id)}


def in_force() -> set[tuple[str, str]]:
    rows = Freeze.objects.filter(released_at=None).select_related("account")
    return {(str(row.scope), row.cause) for row in rows}


def test_a_recovery_freezes_settles_and_lets_trading_go_on(
    broker: FakeBroker, owner: AbstractBaseUser, account: Account
) -> None:
    filled, lost = submit(owner, "k1"), None
    broker.fail("submit", call_error(FailureKind.AMBIGUOUS), carried_out=True)
    lost = submit(owner, "k2")
    broker.execute(filled.client_order_id, 4)
    broker.positions["AAPL"] = PositionReport("AAPL", Decimal(4), Decimal(100))

    run_id = request_recovery(account.pk, trigger="stream_returned", by="watch")
    assert in_force() == {("account:desk", "recovery")}
    waiting = submit(owner, "k3")
    assert waiting.state == "accepted", "nothing is sent while it runs"
    run = drive(run_id)

    assert (run.state, run.findings, run.stream_generation) == (RecoveryState.RECOVERED, [], 3)
    assert in_force() == set()
    lost.refresh_from_db()
    assert lost.state == "working"
    assert Position.objects.get().quantity == 4
    assert run.finished_at is not None
    assert run.disrupted_at <= run.started_at <= run.finished_at
    run_due("orders")
    waiting.refresh_from_db()
    assert waiting.state == "working", "it is called back at the release"
    assert ReconciliationRun.objects.filter(account=account, trigger="recovery").exists()


def test_every_step_is_recorded_with_what_it_found(broker: FakeBroker, account: Account) -> None:
    run = recover(account)
    steps = steps_of(run)

    assert set(steps) == {action for stage in STAGES for action in stage}
    assert {step.state for step in steps.values()} == {"done"}
    assert steps["subscriptions"].result == {"generation": 3}
    assert steps["balances"].result["currency"] == "USD"
    assert steps["market_data"].result == {"open_gaps": 0, "reason": ""}
    assert steps["integrity"].result == {"verdict": "clean"}


def test_independent_steps_begin_together(broker: FakeBroker, account: Account) -> None:
    run = recover(account)
    begun = list(SagaEvent.objects.filter(saga_id=run.saga_id, kind="step_begun").order_by("sequence"))
    done = {event.step: event.sequence for event in SagaEvent.objects.filter(saga_id=run.saga_id, kind="step_done")}
    numbers = iter(range(1, 20))
    for stage in STAGES:
        of_stage = {next(numbers) for _ in stage}
        sequences = [event.sequence for event in begun if event.step in of_stage]
        assert max(sequences) < min(done[number] for number in of_stage)


@pytest.mark.parametrize(
    ("trigger", "freezes"), [("stream_returned", True), ("database_restarted", True), ("broker_returned", False),
                             ("process_died", False), ("memory_lost", False), ("person", False)],
)  # fmt: skip
def test_trading_is_frozen_where_positions_are_uncertain(
    broker: FakeBroker, owner: AbstractBaseUser, account: Account, trigger: str, freezes: bool
) -> None:
    submit(owner, "k1")
    run_id = request_recovery(account.pk, trigger=trigger, by="watch")

    assert bool(in_force()) is freezes
    assert drive(run_id).state == RecoveryState.RECOVERED
    assert in_force() == set()


def test_a_broker_that_does_not_answer_yet_is_asked_again(broker: FakeBroker, account: Account) -> None:
    broker.fail("account", call_error(FailureKind.TRANSIENT), times=2)
    broker.fail("positions", call_error(FailureKind.THROTTLED, retry_after=1), times=1)

    assert recover(account).state == RecoveryState.RECOVERED


def test_a_difference_that_stays_fails_the_verdict_keeps_the_freeze_and_asks_a_person(
    broker: FakeBroker, owner: AbstractBaseUser, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = submit(owner, "k1")
    broker.execute(order.client_order_id, 4)
    broker.positions["AAPL"] = PositionReport("AAPL", Decimal(7), Decimal(100))
    monkeypatch.setattr(recovery_positions, "_LOOKS_THAT_AGREE", 3)

    run = recover(account)

    assert (run.state, run.differing) == (RecoveryState.FAILED, {"AAPL": "3.000000000000"})
    assert run.error_code == "DATA_INTEGRITY_IN_DOUBT"
    assert in_force() == {("account:desk", "recovery"), ("account:desk/symbol:AAPL", "position_mismatch")}
    alert = Alert.objects.get(condition="recovery.failed", resolved_at=None)
    assert (alert.scope, alert.details["run"]) == ("account:desk", run.pk)
    assert "AAPL" in run.findings[0]

    broker.positions["AAPL"] = PositionReport("AAPL", Decimal(4), Decimal(100))
    second = recover(account, "person")
    assert second.state == RecoveryState.RECOVERED
    assert second.freezes_trading
    assert second.disrupted_at == run.disrupted_at, "it has been wrong since then"
    assert in_force() == {("account:desk/symbol:AAPL", "position_mismatch")}, "two persons release that one"
    assert not Alert.objects.filter(condition="recovery.failed", resolved_at=None).exists()


def test_balances_are_kept_and_a_wrong_one_fails_the_verdict(
    broker: FakeBroker, owner: AbstractBaseUser, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = submit(owner, "k1")
    ReconciliationMark.objects.create(account=account, cash=Decimal(1000), cash_confirmed=True)
    broker.execute(order.client_order_id, 4)
    broker.positions["AAPL"] = PositionReport("AAPL", Decimal(4), Decimal(100))
    broker.cash = Decimal(600)
    clean = recover(account)

    assert (clean.state, clean.findings) == (RecoveryState.RECOVERED, [])
    assert (steps_of(clean)["balances"].result["compared"], Balance.objects.get().cash) == (True, Decimal(600))

    broker.cash = Decimal(550)
    monkeypatch.setattr(recovery_balances, "_LOOKS_THAT_AGREE", 3)
    run = recover(account)

    assert (run.state, run.error_code) == (RecoveryState.FAILED, "DATA_INTEGRITY_IN_DOUBT")
    assert run.findings == ["Cash differs from what executions and cash entries explain by: -50 USD."]
    assert in_force() == {("account:desk", "recovery"), ("account:desk", "cash_mismatch")}
    assert Balance.objects.order_by("-id").values_list("cash", flat=True)[0] == Decimal(550)
    assert Alert.objects.filter(condition="recovery.failed", resolved_at=None).exists()

    book_cash(account.pk, CashEntryKind.WITHDRAWAL, Decimal(-50), by="desk", reason="paid out")
    assert recover(account, "person").state == RecoveryState.RECOVERED


def test_an_order_that_only_a_person_can_settle_fails_the_verdict(
    broker: FakeBroker, owner: AbstractBaseUser, account: Account
) -> None:
    broker.fail("submit", call_error(FailureKind.AMBIGUOUS))
    order = submit(owner, "k1")
    make_dead_letter(subject=order.pk)

    run = recover(account, settle=False)

    assert run.state == RecoveryState.FAILED
    assert in_force() == {("account:desk", "recovery"), ("account:desk/symbol:AAPL", "unknown_order")}


def test_an_order_that_provably_never_arrived_is_settled_though_it_waits_to_be_sent_again(
    broker: FakeBroker, owner: AbstractBaseUser, account: Account
) -> None:
    """Sending it again waits for the end of the freeze, so the freeze must not wait for it."""
    broker.fail("submit", call_error(FailureKind.AMBIGUOUS))
    order = submit(owner, "k1")
    run_id = request_recovery(account.pk, trigger="broker_returned", by="watch")
    batch = OrderBatch.lock([order.pk])
    batch.rows[order.pk].absence_proven_at = batch.now
    batch.note(batch.rows[order.pk], "absence_proven", "lookup")
    batch.save()

    assert drive(run_id).state == RecoveryState.RECOVERED
    run_due("orders")
    order.refresh_from_db()
    assert (order.state, broker.calls.count("submit")) == ("working", 2)


def test_a_position_that_is_not_the_sum_of_its_fills_fails_the_verdict(
    broker: FakeBroker, owner: AbstractBaseUser, account: Account
) -> None:
    order = submit(owner, "k1")
    broker.execute(order.client_order_id, 4)
    broker.positions["AAPL"] = PositionReport("AAPL", Decimal(4), Decimal(100))
    assert recover(account).state == RecoveryState.RECOVERED
    Position.objects.update(quantity=F("quantity") + 1, changed_at=timezone.now())
    broker.positions["AAPL"] = PositionReport("AAPL", Decimal(5), Decimal(100))

    run = recover(account)

    assert run.state == RecoveryState.FAILED
    assert ("account:desk/symbol:AAPL", "record_broken") in in_force()


def test_an_order_that_is_not_what_its_events_make_it_fails_the_verdict(
    broker: FakeBroker, owner: AbstractBaseUser, account: Account
) -> None:
    order = submit(owner, "k1")
    Order.objects.filter(pk=order.pk).update(limit_price=1)

    run = recover(account)

    assert run.state == RecoveryState.FAILED
    assert in_force() == {("account:desk", "recovery"), ("account:desk", "record_broken")}
    assert str(order.pk) in run.findings[0]


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE brokers_orderevent SET actor = 'somebody' WHERE kind = 'accepted'", "brokers_orderevent"),
        ("UPDATE brokers_fill SET price = price + 1", "brokers_fill"),
        ("UPDATE brokers_positionevent SET realized_profit = 5", "brokers_positionevent"),
        ("DELETE FROM brokers_event_seal WHERE ledger = 2", "brokers_fill"),
        ("UPDATE brokers_event_seal SET previous = hash WHERE ledger = 1", "brokers_orderevent"),
        ("UPDATE brokers_historyanchor SET rows = rows + 1", "brokers_historyanchor"),
    ],
)
def test_a_broken_seal_fails_the_verdict_keeps_the_freeze_and_asks_a_person(
    broker: FakeBroker, owner: AbstractBaseUser, account: Account, statement: str, named: str
) -> None:
    order = submit(owner, "k1")
    broker.execute(order.client_order_id, 10)
    broker.positions["AAPL"] = PositionReport("AAPL", Decimal(10), Decimal(100))
    run_id = request_recovery(account.pk, trigger="stream_returned", by="watch")
    drive(run_id, until=lambda: Fill.objects.exists())
    seal_appended()
    damage(statement)

    run = drive(run_id)

    assert (run.state, run.error_code) == (RecoveryState.FAILED, "DATA_INTEGRITY_IN_DOUBT")
    assert any(named in finding for finding in run.findings), run.findings
    assert {("account:desk", "recovery"), ("account:desk", "record_broken")} <= in_force()
    alert = Alert.objects.get(condition="recovery.failed", resolved_at=None)
    assert named in str(alert.details["findings"])


def test_sealed_orders_that_nobody_touched_pass_and_are_not_read_again(
    broker: FakeBroker, owner: AbstractBaseUser, account: Account
) -> None:
    order = submit(owner, "k1")
    broker.execute(order.client_order_id, 10)
    broker.positions["AAPL"] = PositionReport("AAPL", Decimal(10), Decimal(100))
    run_id = request_recovery(account.pk, trigger="stream_returned", by="watch")
    drive(run_id, until=lambda: Fill.objects.exists())
    seal_appended()

    first = drive(run_id)
    second = recover(account, "person")

    assert (first.state, first.memo["judged_orders"]) == (RecoveryState.RECOVERED, 1)
    assert (second.state, second.memo["judged_orders"]) == (RecoveryState.RECOVERED, 0)


def test_an_open_gap_in_market_data_fails_the_verdict_once_it_is_settled(
    broker: FakeBroker, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([GapCheck(2, is_settled=False), GapCheck(1, reason="one cannot be filled")])
    monkeypatch.setattr(gap_checks, "_CHECKS", [lambda account_id: next(answers)])

    run = recover(account)

    assert (run.state, run.findings) == (RecoveryState.FAILED, ["1 gaps in market data are open."])


def test_an_account_that_never_traded_is_not_frozen(broker: FakeBroker, account: Account) -> None:
    run_id = request_recovery(account.pk, trigger="stream_returned", by="watch")

    assert in_force() == set()
    assert drive(run_id).state == RecoveryState.RECOVERED


def test_a_newer_disconnect_voids_the_run_and_its_successor_takes_the_freeze_over(
    broker: FakeBroker, owner: AbstractBaseUser, account: Account, stream: StreamSession
) -> None:
    submit(owner, "k1")
    first = request_recovery(account.pk, trigger="stream_returned", by="watch")
    drive(first, until=lambda: steps_of(RecoveryRun.objects.get(pk=first))["snapshot"].state == "done")
    StreamSession.objects.update(state="down")

    void = drive(first)
    assert (void.state, void.error_code) == (RecoveryState.SUPERSEDED, "SYSTEM_RECOVERY_VOID")
    assert in_force() == {("account:desk", "recovery")}
    assert not Alert.objects.filter(condition="recovery.failed").exists()

    StreamSession.objects.update(state="up", generation=F("generation") + 1)
    second = recover(account)
    assert (second.state, second.generation) == (RecoveryState.RECOVERED, void.generation + 1)
    assert second.disrupted_at == void.disrupted_at
    assert in_force() == set()


def test_a_void_run_releases_nothing_even_at_its_last_step(
    broker: FakeBroker, owner: AbstractBaseUser, account: Account, stream: StreamSession
) -> None:
    submit(owner, "k1")
    run_id = request_recovery(account.pk, trigger="stream_returned", by="watch")
    drive(run_id, until=lambda: steps_of(RecoveryRun.objects.get(pk=run_id))["integrity"].state == "done")
    StreamSession.objects.update(generation=F("generation") + 1)

    assert drive(run_id).state == RecoveryState.SUPERSEDED
    assert in_force() == {("account:desk", "recovery")}


def test_a_stream_that_returns_again_starts_a_run_over_the_one_under_way(broker: FakeBroker, account: Account) -> None:
    first = request_recovery(account.pk, trigger="stream_returned", by="watch")
    second = request_recovery(account.pk, trigger="stream_returned", by="watch")

    assert RecoveryRun.objects.get(pk=first).state == RecoveryState.SUPERSEDED
    assert drive(second).state == RecoveryState.RECOVERED
    assert in_force() == set()
    states = set(Saga.objects.values_list("state", flat=True))
    for _ in range(30):
        make_due(lane="recovery")
        run_due("recovery")
    assert states <= {"succeeded", "compensating", "compensated"}
    assert set(Saga.objects.values_list("state", flat=True)) == {"succeeded", "compensated"}


def test_what_voids_nothing_waits_for_the_run_to_end(broker: FakeBroker, account: Account) -> None:
    first = request_recovery(account.pk, trigger="stream_returned", by="watch")
    assert request_recovery(account.pk, trigger="process_died", by="watch") == first
    waiting = RecoveryTrigger.objects.get(kind="process_died")
    assert waiting.run is None
    drive(first)

    start_waiting(account.pk)
    waiting.refresh_from_db()
    assert waiting.run_id not in (None, first)
    assert drive(waiting.run_id).state == RecoveryState.RECOVERED


def test_only_freezes_that_end_by_themselves_end_with_a_clean_run(broker: FakeBroker, account: Account) -> None:
    scope = parse_freeze_scope("account:desk")
    for cause in (FreezeCause.STREAM_DOWN, FreezeCause.OVERFILL, FreezeCause.PERSON):
        freeze_trading(scope, FreezeMode.HALT, cause, reason="drill", by="x")

    assert recover(account, "process_died").state == RecoveryState.RECOVERED
    assert in_force() == {("account:desk", "overfill"), ("account:desk", "person")}


def test_a_run_that_takes_too_long_fails_and_keeps_the_freeze(
    broker: FakeBroker, owner: AbstractBaseUser, account: Account
) -> None:
    submit(owner, "k1")
    StreamSession.objects.update(state="down")
    run_id = request_recovery(account.pk, trigger="broker_returned", by="watch")
    Saga.objects.update(deadline_at=timezone.now())

    run = drive(run_id)

    assert (run.state, run.error_code) == (RecoveryState.FAILED, "SYSTEM_DEADLINE_PASSED")
    assert in_force() == {("account:desk", "recovery")}
    assert Alert.objects.filter(condition="recovery.failed", resolved_at=None).exists()


def test_steps_that_run_twice_change_nothing(broker: FakeBroker, owner: AbstractBaseUser, account: Account) -> None:
    order = submit(owner, "k1")
    broker.execute(order.client_order_id, 4)
    broker.positions["AAPL"] = PositionReport("AAPL", Decimal(4), Decimal(100))
    recover(account)
    again = recover(account, "person")

    assert again.state == RecoveryState.RECOVERED
    assert (Fill.objects.count(), Position.objects.get().quantity) == (1, Decimal(4))
