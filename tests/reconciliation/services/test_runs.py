"""A run names what differs between records and reports, settles what evidence settles, and invents nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from brokers.core.orders import Side
from brokers.core.reports import PositionReport, ReportedStatus
from brokers.models import Account, Fill, Order, OrderEvent, Position, PositionChange
from brokers.services.submission import OrderSubmission, accept_order
from brokers.services.synchronization import record_evidence
from reconciliation.core.runs import RunState
from reconciliation.models import Discrepancy, ReconciliationMark, ReconciliationRun
from reconciliation.services import asking
from reconciliation.services.runs import request_run
from reliability.core.taxonomy import FailureKind
from reliability.models import Job
from tests.factories import make_user
from tests.fakes import FakeBroker, call_error, make_due, run_due

pytestmark = pytest.mark.django_db

LONG_AGO = datetime.now(UTC) - timedelta(hours=1)
LIMIT = {"symbol": "AAPL", "side": "buy", "quantity": "10", "type": "limit", "limit_price": "99"}


def placed(broker: FakeBroker, key: str = "k1", **body: Any) -> Order:
    """Return an order that is working at the broker, at rest since an hour."""
    owner = make_user()
    accepted = accept_order(owner_id=owner.pk, actor="desk", submission=OrderSubmission(key, {**LIMIT, **body}))
    run_due("orders")
    at_rest()
    return Order.objects.get(pk=accepted.id)


def at_rest() -> None:
    """Let everything that is recorded have happened an hour ago."""
    for table, column in (
        ("brokers_orderevent", "recorded_at"), ("brokers_fill", "executed_at"), ("brokers_position", "changed_at"),
    ):  # fmt: skip
        damage(f"UPDATE {table} SET {column} = %s", LONG_AGO)


def damage(statement: str, *values: Any) -> None:
    """Change rows by hand, as nobody should."""
    tables = (
        "brokers_fill",
        "brokers_orderevent",
        "brokers_positionevent",
        "brokers_event_seal",
        "brokers_historyanchor",
    )
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute("SET LOCAL session_replication_role = replica")  # whoever does this minds no foreign key
        cursor.execute(statement, values)
        cursor.execute("SET LOCAL session_replication_role = origin")
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_append_only")


def fill(broker: FakeBroker, account: Account, order: Order, quantity: int) -> None:
    """Execute a part of an order and book it; the broker holds what it moved."""
    executed = broker.execute(order.client_order_id, quantity, executed_at=LONG_AGO)
    record_evidence(account.pk, list(broker.orders.values()), [executed], "stream")
    hold(broker)
    at_rest()


def hold(broker: FakeBroker) -> None:
    """Let the broker report the positions and the cash of its fills."""
    broker.positions, broker.cash = {}, Decimal(0)
    for one in broker.fills:
        sign = 1 if one.side.value == "buy" else -1
        held = broker.positions.get(one.symbol, PositionReport(one.symbol, Decimal(0), Decimal(100)))
        broker.positions[one.symbol] = PositionReport(one.symbol, held.quantity + sign * one.quantity, Decimal(100))
        broker.cash -= sign * one.quantity * one.price


def reconcile(account: Account, kind: str = "incremental") -> ReconciliationRun:
    """Run one reconciliation to its end, waits over at once."""
    run = ReconciliationRun.objects.get(pk=request_run(account.pk, kind=kind, trigger="test", by="tests"))
    for _ in range(20):
        make_due(kind="reconciliation.run")
        run_due("recovery")
        run.refresh_from_db()
        if run.finished_at is not None:
            return run
    raise AssertionError(f"the run does not end: {run.state} {run.step}")


def found(**where: Any) -> list[tuple[str, str, str, str]]:
    rows = Discrepancy.objects.filter(**where).order_by("kind", "subject")
    return [(row.kind, row.subject, row.state, row.resolution) for row in rows]


@pytest.mark.parametrize("kind", ["incremental", "full"])
def test_where_both_sides_agree_nothing_is_found(broker: FakeBroker, account: Account, kind: str) -> None:
    for number in range(5):
        order = placed(broker, f"k{number}")
    fill(broker, account, order, 4)
    run = reconcile(account, kind)

    assert (run.state, found(), run.orders_reported, run.fills_reported) == (RunState.CLEAN, [], 5, 1)
    assert reconcile(account, kind).state == RunState.CLEAN


def test_a_halved_fill_is_named(broker: FakeBroker, account: Account) -> None:
    order = placed(broker)
    fill(broker, account, order, 4)
    damage("UPDATE brokers_fill SET quantity = quantity / 2")
    run = reconcile(account)

    row = Fill.objects.get()
    assert run.state == RunState.DIFFERENCES
    assert ("quantity", row.execution_id, "open", "freeze") in found(subject_type="fill")
    assert found(subject_type="booking") == [("quantity", str(order.pk), "open", "freeze")]
    sides = Discrepancy.objects.get(subject_type="fill")
    assert (sides.recorded["quantity"], sides.reported["quantity"], sides.looks) == ("2", "4", 2)


def settled(broker: FakeBroker, account: Account) -> Order:
    """Return an order that was filled and has been reconciled: it lies behind the mark."""
    order = placed(broker)
    fill(broker, account, order, 10)
    placed(broker, "k2")
    assert reconcile(account).state == RunState.CLEAN
    quiet = reconcile(account)
    assert (quiet.state, quiet.hand_changes) == (RunState.CLEAN, {})
    return Order.objects.get(pk=order.pk)


def test_a_halved_fill_behind_the_mark_is_named_by_the_next_incremental_run(
    broker: FakeBroker, account: Account
) -> None:
    order = settled(broker, account)
    damage("UPDATE brokers_fill SET quantity = quantity / 2")
    run = reconcile(account)

    assert (run.state, run.hand_changes) == (RunState.DIFFERENCES, {"brokers_fill": "1 rows were changed"})
    assert [one[0] for one in found(subject_type="fill")] == ["quantity"]
    assert found(subject_type="booking") == [("quantity", str(order.pk), "open", "freeze")]
    assert reconcile(account).hand_changes == {}, "it goes through everything once"


def test_a_finished_order_that_was_deleted_is_named_by_the_next_incremental_run(
    broker: FakeBroker, account: Account
) -> None:
    order = settled(broker, account)
    damage("DELETE FROM brokers_order WHERE id = %s", order.pk)
    run = reconcile(account)

    assert (run.state, run.hand_changes) == (RunState.DIFFERENCES, {"brokers_order": "1 rows were taken out"})
    assert found() == [("missing_here", order.broker_order_id, "open", "freeze")]
    assert Discrepancy.objects.get().order_id == order.pk, "its events are still there, and name it"


def test_a_changed_position_and_an_order_placed_elsewhere_are_named_by_the_next_incremental_run(
    broker: FakeBroker, account: Account
) -> None:
    settled(broker, account)
    damage("UPDATE brokers_position SET quantity = 9")
    elsewhere = broker.place("by-hand", symbol="TSLA")
    run = reconcile(account)

    assert (run.state, run.hand_changes) == (RunState.DIFFERENCES, {}), "positions move all day: they are compared"
    assert {one[:2] for one in found(state="open")} == {("position", "AAPL"), ("external", elsewhere.broker_order_id)}


def test_counts_that_were_lost_make_the_next_run_go_through_everything(broker: FakeBroker, account: Account) -> None:
    settled(broker, account)
    mark = ReconciliationMark.objects.get()
    mark.row_counts["brokers_fill"][1] += 1_000_000
    mark.save()
    run = reconcile(account)

    assert (run.state, run.hand_changes) == (RunState.CLEAN, {"brokers_fill": "the counts were lost"})
    assert reconcile(account).hand_changes == {}


def test_a_deleted_order_is_named(broker: FakeBroker, account: Account) -> None:
    order = placed(broker)
    damage("DELETE FROM brokers_order WHERE id = %s", order.pk)
    run = reconcile(account)

    assert (run.state, found()) == (RunState.DIFFERENCES, [("missing_here", "b-1", "open", "freeze")])
    assert OrderEvent.objects.filter(order_id=order.pk).exists()


def test_a_changed_position_is_named_and_stays_one_row_however_often_it_is_seen(
    broker: FakeBroker, account: Account
) -> None:
    fill(broker, account, placed(broker), 4)
    damage("UPDATE brokers_position SET quantity = 7")
    first = reconcile(account)
    second = reconcile(account)

    row = Discrepancy.objects.get()
    assert (first.state, second.state) == (RunState.DIFFERENCES, RunState.DIFFERENCES)
    assert (row.kind, row.recorded["quantity"], row.reported["quantity"], row.state) == ("position", "7", "4", "open")
    assert (row.run_id, row.last_run_id, row.looks) == (first.pk, second.pk, 3)
    assert Position.objects.get().quantity == 7


def test_what_both_sides_agree_on_again_vanishes_with_its_reason(broker: FakeBroker, account: Account) -> None:
    fill(broker, account, placed(broker), 4)
    damage("UPDATE brokers_position SET quantity = 7")
    reconcile(account)
    damage("UPDATE brokers_position SET quantity = 4")
    run = reconcile(account)

    row = Discrepancy.objects.get()
    assert (run.state, row.state, row.reason) == (RunState.CLEAN, "vanished", "Both sides agree again.")


def test_an_order_placed_directly_at_the_broker_is_named(broker: FakeBroker, account: Account) -> None:
    broker.place("by-hand", symbol="MSFT")
    run = reconcile(account)

    assert (run.state, found()) == (RunState.DIFFERENCES, [("external", "b-1", "open", "freeze")])


def test_an_order_placed_and_filled_elsewhere_is_named_once_and_its_fill_is_booked(
    broker: FakeBroker, account: Account
) -> None:
    broker.place("by-hand", symbol="MSFT")
    for _ in range(2):
        broker.execute("by-hand", 5, executed_at=LONG_AGO)
    hold(broker)
    reconcile(account)

    assert found() == [("external", "b-1", "open", "freeze")]
    assert Position.objects.get().quantity == 10


def test_an_order_that_ended_unheard_of_is_adopted_and_the_row_says_so(broker: FakeBroker, account: Account) -> None:
    order = placed(broker)
    report = broker.orders[order.client_order_id]
    broker.orders[order.client_order_id] = replace(report, status=ReportedStatus.CANCELED)
    run = reconcile(account)

    row = Discrepancy.objects.get()
    assert (run.found, run.resolved, run.remaining) == (1, 1, 0)
    assert (row.kind, row.state, row.resolution) == ("state", "resolved", "adopt")
    assert row.resolved_by == "reconciliation"
    assert (row.recorded["state"], row.after["state"]) == ("working", "canceled")
    order.refresh_from_db()
    assert order.state == "canceled"
    assert reconcile(account).state == RunState.CLEAN


def test_an_unbooked_execution_is_booked_and_moves_the_position(broker: FakeBroker, account: Account) -> None:
    order = placed(broker)
    broker.execute(order.client_order_id, 10, executed_at=LONG_AGO)
    hold(broker)
    run = reconcile(account)

    assert ("unknown_fill", "x-1", "resolved", "book") in found()
    assert (Position.objects.get().quantity, Fill.objects.get().source) == (10, "reconciliation")
    assert run.remaining == 0


def test_an_order_that_the_broker_does_not_have_is_handed_to_a_person(broker: FakeBroker, account: Account) -> None:
    placed(broker)
    broker.orders.clear()
    run = reconcile(account)

    assert (run.state, found()) == (RunState.DIFFERENCES, [("missing_there", "b-1", "open", "freeze")])


@pytest.mark.parametrize("question", ["open", "fills", "positions", "account"])
def test_a_question_without_an_answer_is_no_information(broker: FakeBroker, account: Account, question: str) -> None:
    fill(broker, account, placed(broker), 4)
    damage("UPDATE brokers_position SET quantity = 7")
    broker.fail(question, call_error(FailureKind.AMBIGUOUS))
    run = reconcile(account)

    assert (run.state, run.error_code, found()) == (RunState.INCONCLUSIVE, "TIMEOUT_READ", [])
    assert not Job.objects.filter(kind="reconciliation.run").exclude(state="succeeded").exists()


def test_a_second_look_without_an_answer_is_no_verdict(broker: FakeBroker, account: Account) -> None:
    placed(broker)
    broker.orders.clear()
    broker.fail("get", call_error(FailureKind.TRANSIENT))

    assert (reconcile(account).state, found()) == (RunState.INCONCLUSIVE, [])


def test_what_happened_this_instant_is_looked_at_again_before_it_is_judged(
    broker: FakeBroker, account: Account
) -> None:
    order = placed(broker)
    executed = broker.execute(order.client_order_id, 4)
    hold(broker)
    run_id = request_run(account.pk, kind="incremental", trigger="test", by="tests")
    run_due("recovery")

    assert set(Discrepancy.objects.values_list("state", "is_in_flight")) >= {("suspected", True)}
    record_evidence(account.pk, list(broker.orders.values()), [executed], "stream")
    for _ in range(5):
        make_due(kind="reconciliation.run")
        run_due("recovery")
    run = ReconciliationRun.objects.get(pk=run_id)
    assert (run.state, run.found, found()) == (RunState.CLEAN, 0, [])


def test_an_order_that_keeps_filling_is_not_judged_until_it_rests(broker: FakeBroker, account: Account) -> None:
    order = placed(broker)
    fill(broker, account, order, 4)
    before = broker.orders[order.client_order_id]
    fill(broker, account, order, 1)
    broker.orders[order.client_order_id] = before  # each answer is older than what was recorded meanwhile
    damage("UPDATE brokers_orderevent SET recorded_at = clock_timestamp() + interval '1 hour'")
    moving = reconcile(account)

    assert (moving.state, moving.error_code, moving.looks) == (RunState.INCONCLUSIVE, "DATA_NOT_AVAILABLE", 4)
    assert not found(subject_type="order")
    at_rest()
    assert reconcile(account).state == RunState.DIFFERENCES
    assert found(subject_type="order") == [("quantity", before.broker_order_id, "open", "freeze")]


def test_an_average_price_that_came_of_late_executions_is_reckoned_again_and_on_record(
    broker: FakeBroker, account: Account
) -> None:
    order = placed(broker, quantity="10")
    first = broker.execute(order.client_order_id, 4, 100, executed_at=LONG_AGO - timedelta(minutes=3))
    other = placed(broker, "k2", side="sell", quantity="2")
    second = broker.execute(other.client_order_id, 2, 130, executed_at=LONG_AGO - timedelta(minutes=2))
    third = broker.execute(order.client_order_id, 6, 120, executed_at=LONG_AGO - timedelta(minutes=1))
    for late in (first, third, second):
        record_evidence(account.pk, list(broker.orders.values()), [late], "stream")
    hold(broker)
    broker.positions["AAPL"] = PositionReport("AAPL", Decimal(8), Decimal(115))  # 2 left at 100, then 6 at 120
    damage("UPDATE brokers_position SET changed_at = %s", LONG_AGO)
    assert (Position.objects.get().average_price, Position.objects.get().realized_profit) == (112, 36)
    run = reconcile(account)

    position, row = Position.objects.get(), Discrepancy.objects.get()
    assert (row.kind, row.state, row.resolution) == ("price", "resolved", "reorder")
    assert (position.quantity, position.average_price, position.realized_profit) == (8, 115, 60)
    change = PositionChange.objects.get()
    assert (change.kind, change.actor, change.details["executions"]) == ("reordered", "reconciliation", 3)
    assert (run.remaining, reconcile(account).state) == (0, RunState.CLEAN)


def test_cash_of_an_account_that_trades_is_not_judged_and_what_was_open_stays_open(
    broker: FakeBroker, account: Account
) -> None:
    order = placed(broker)
    fill(broker, account, order, 4)
    reconcile(account)
    reconcile(account)
    broker.cash += 7
    assert reconcile(account).state == RunState.DIFFERENCES
    executed = broker.execute(order.client_order_id, 1)
    record_evidence(account.pk, list(broker.orders.values()), [executed], "stream")
    hold(broker)
    run = reconcile(account)

    assert (run.found, run.remaining, found()) == (0, 1, [("cash", "USD", "open", "person")])


def test_counting_cash_begins_again_until_a_later_look_agrees(broker: FakeBroker, account: Account) -> None:
    order = placed(broker)
    broker.cash = Decimal(-400)  # it tells of an execution that nobody here has heard of yet
    reconcile(account)
    fill(broker, account, order, 4)

    assert (reconcile(account).state, found(subject_type="cash")) == (RunState.CLEAN, [])
    assert not ReconciliationMark.objects.get().cash_confirmed
    reconcile(account)
    assert ReconciliationMark.objects.get().cash_confirmed
    broker.cash -= 9
    assert (reconcile(account).state, len(found(subject_type="cash"))) == (RunState.DIFFERENCES, 1)


def test_orders_in_pages_are_read_to_the_end_and_a_crash_costs_one_part(
    broker: FakeBroker, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "PAGES", 1)
    for number in range(7):
        placed(broker, f"k{number}")
    broker.place("by-hand", symbol="MSFT")
    run_id = request_run(account.pk, kind="full", trigger="test", by="tests")
    make_due(kind="reconciliation.run")
    run_due("recovery")
    run = ReconciliationRun.objects.get(pk=run_id)
    assert (run.state, run.step, run.orders_reported) == ("running", "orders", 2)
    Job.objects.filter(kind="reconciliation.run").update(fence=F("fence") + 1)  # as a rescue does it
    for _ in range(20):
        make_due(kind="reconciliation.run")
        run_due("recovery")
    run.refresh_from_db()

    assert (run.state, run.orders_reported) == (RunState.DIFFERENCES, 8)
    assert found() == [("external", "b-8", "open", "freeze")]


def test_what_was_put_aside_and_got_lost_is_no_information(
    broker: FakeBroker, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "PAGES", 1)
    for number in range(3):
        placed(broker, f"k{number}")
    request_run(account.pk, kind="incremental", trigger="test", by="tests")
    run_due("recovery")
    damage("DELETE FROM reconciliation_reported_order")  # as a crash of PostgreSQL does to tables that are not logged
    for _ in range(10):
        make_due(kind="reconciliation.run")
        run_due("recovery")

    run = ReconciliationRun.objects.get()
    assert (run.state, run.error_code, found()) == (RunState.INCONCLUSIVE, "SYSTEM_DATABASE_UNAVAILABLE", [])


def test_runs_of_an_account_follow_one_another_and_one_that_is_stuck_is_given_up(
    broker: FakeBroker, account: Account
) -> None:
    stuck = ReconciliationRun.objects.create(
        account=account, kind="full", trigger="test", requested_by="tests", state="running", progress_at=timezone.now()
    )
    run_id = request_run(account.pk, kind="incremental", trigger="test", by="tests")
    run_due("recovery")
    assert ReconciliationRun.objects.get(pk=run_id).state == RunState.QUEUED
    ReconciliationRun.objects.filter(pk=stuck.pk).update(progress_at=LONG_AGO)
    make_due(kind="reconciliation.run")
    run_due("recovery")

    states = dict(ReconciliationRun.objects.values_list("pk", "state"))
    assert states == {stuck.pk: RunState.INCONCLUSIVE, run_id: RunState.CLEAN}


def test_an_order_that_may_be_an_exit_not_yet_named_is_not_called_strange(broker: FakeBroker, account: Account) -> None:
    order = placed(broker)
    Order.objects.filter(pk=order.pk).update(order_class="bracket", legs_known=False)
    broker.place("named-by-the-broker", symbol="AAPL", side=Side.SELL)

    assert (reconcile(account).state, found()) == (RunState.INCONCLUSIVE, [])
    Order.objects.filter(pk=order.pk).update(legs_known=True)
    assert (reconcile(account).state, found()) == (RunState.DIFFERENCES, [("external", "b-2", "open", "freeze")])
