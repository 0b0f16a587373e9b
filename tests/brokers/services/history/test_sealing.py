"""Tampering with the history is found, by whoever it was done and with whatever rights."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from brokers.conf import get_conf
from brokers.core.event_chain import LEDGERS, ORDER_EVENTS
from brokers.models import Account, Fill, HistoryAnchor, Order, OrderEvent, PositionEvent, SealCursor, SealedRow
from brokers.services.history import seal_job
from brokers.services.history.anchors import publish_anchors
from brokers.services.history.seal_job import seal_due
from brokers.services.history.sealing import content_of, seal_appended
from brokers.services.history.verification import Finding, missing_guards, verify_history
from brokers.services.submission import OrderSubmission, accept_order
from brokers.services.synchronization import record_evidence
from reliability.core.hash_chain import Fault, Leaf, make_anchor, seal_hash
from reliability.models import Job
from reliability.services.audit import record_audit
from tests.brokers.services.orders import BODY
from tests.factories import make_lanes
from tests.fakes import FakeBroker, make_due, run_due

pytestmark = pytest.mark.django_db


@pytest.fixture
def orders(broker: FakeBroker, account: Account, owner: Any) -> list[UUID]:
    """Three orders, each filled in part, sealed in three passes."""
    found = []
    for number in range(3):
        accepted = accept_order(owner_id=owner.pk, actor="desk", submission=OrderSubmission(f"k{number}", BODY))
        found.append(accepted.id)
    record_audit("night", "pause_lane", "lane orders", reason="a drill")
    seal_appended()
    run_due("orders")
    seal_appended()
    for order_id in found:
        fill = broker.execute(Order.objects.get(pk=order_id).client_order_id, 4)
        record_evidence(account.pk, [], [fill], "stream")
    seal_appended()
    return found


def finding(**arguments: Any) -> Finding | None:
    *_, last = verify_history(**arguments)
    return last.finding


def as_superuser(sql: str, *parameters: Any) -> None:
    """Do what only somebody with every right on the database can: with the guards off."""
    tables = [*(ledger.table for ledger in LEDGERS), "brokers_event_seal", "brokers_historyanchor"]
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER {table}_append_only")
        cursor.execute(sql, parameters)
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_append_only")
        cursor.execute("SET LOCAL session_replication_role = origin")


def event(order_id: UUID, sequence: int) -> OrderEvent:
    return OrderEvent.objects.get(order_id=order_id, sequence=sequence)


def test_everything_appended_is_sealed_and_intact(orders: list[UUID]) -> None:
    assert finding() is None
    sealed = {ledger.name: SealedRow.objects.filter(ledger=ledger.code).count() for ledger in LEDGERS}
    assert sealed["order event"] == OrderEvent.objects.count() == 12
    assert sealed["fill"] == Fill.objects.count() == 3
    assert sealed["position event"] == PositionEvent.objects.count() == 3
    assert sealed["audit entry"] == 1
    assert [anchor.rows for anchor in HistoryAnchor.objects.order_by("number")] == [4, 6, 9]
    assert seal_appended() == 0


def test_the_chain_of_an_order_follows_its_events(orders: list[UUID]) -> None:
    for order_id in orders:
        events = OrderEvent.objects.filter(order_id=order_id).order_by("sequence")
        seals = [SealedRow.objects.get(ledger=ORDER_EVENTS.code, row_id=row.pk) for row in events]
        assert [seal.position for seal in seals] == [1, 2, 3, 4]
        assert [bytes(seal.previous) for seal in seals] == [bytes(32), *(bytes(seal.hash) for seal in seals[:-1])]


@pytest.mark.parametrize(
    "table", [*(ledger.table for ledger in LEDGERS), "brokers_event_seal", "brokers_historyanchor"]
)
@pytest.mark.parametrize("role", ["origin", "replica"])
def test_no_session_changes_what_was_appended(orders: list[UUID], table: str, role: str) -> None:
    column = "number" if table.endswith("anchor") else "row_id" if table.endswith("seal") else "id"
    if table == "reliability_jobattempt":
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO reliability_jobattempt "
                "(job_id, attempt, fence, outcome, error_code, error_message, detail, actor) "
                "SELECT id, 1, 1, 'failed', '', '', '{}', '' FROM reliability_job LIMIT 1"
            )
    if table == "reliability_circuittransition":
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO reliability_circuittransition (circuit, generation, version, from_state, to_state, cause, "
                "reason, counts, process, is_local, at) "
                "VALUES ('x', 'g', 1, 'closed', 'open', 'failures', '', '{}', 'p', false, now())"
            )
    if table == "brokers_fillfee":
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO brokers_fillfee (account_id, fill_id, currency, amount) "
                "SELECT account_id, id, 'USD', 1 FROM brokers_fill LIMIT 1"
            )
    for sql in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
        with connection.cursor() as cursor, transaction.atomic():
            cursor.execute(f"SET session_replication_role = {role}")
            with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
                cursor.execute(sql)
            cursor.execute("RESET session_replication_role")


def test_no_table_of_the_history_can_be_emptied(orders: list[UUID]) -> None:
    """The guard against TRUNCATE is there; tests switch it off to empty tables themselves."""
    assert set(missing_guards()) == {
        *(ledger.table for ledger in LEDGERS),
        "brokers_event_seal",
        "brokers_historyanchor",
    }
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE brokers_fill ENABLE ALWAYS TRIGGER brokers_fill_no_truncate")
    assert "brokers_fill" not in missing_guards()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("TRUNCATE brokers_fill CASCADE")


def test_a_changed_row_is_named(orders: list[UUID]) -> None:
    bad = event(orders[1], 2)
    as_superuser("UPDATE brokers_orderevent SET actor = 'nobody' WHERE id = %s", bad.pk)

    found = finding()

    assert found is not None
    assert (found.fault, found.table, found.row_id) == (Fault.CONTENT_CHANGED, "brokers_orderevent", bad.pk)
    with pytest.raises(CommandError, match=f"brokers_orderevent {bad.pk}: content changed"):
        call_command("audit", "verify", "--quiet")


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("brokers_fill", "price = price + 0.000000000001"),
        ("brokers_positionevent", "realized_profit = 1"),
        ("reliability_auditentry", "after = '{\"a\": 1}'"),
        ("brokers_orderevent", "recorded_at = recorded_at + interval '1 microsecond'"),
        ("brokers_orderevent", 'evidence = evidence || \'{"status": "filled"}\''),
    ],
)
def test_any_column_of_any_ledger_counts(orders: list[UUID], table: str, change: str) -> None:
    as_superuser(f"UPDATE {table} SET {change} WHERE id = (SELECT max(id) FROM {table})")

    found = finding()

    assert found is not None
    assert (found.fault, found.table) == (Fault.CONTENT_CHANGED, table)


def test_a_deleted_row_is_named(orders: list[UUID]) -> None:
    bad = event(orders[0], 2)
    as_superuser("DELETE FROM brokers_orderevent WHERE id = %s", bad.pk)

    found = finding()

    assert found is not None
    assert (found.fault, found.row_id) == (Fault.ROW_MISSING, bad.pk)


@pytest.mark.parametrize("sequence", [1, 2, 4])
def test_a_row_deleted_with_its_seal_is_named(orders: list[UUID], sequence: int) -> None:
    bad = event(orders[2], sequence)
    as_superuser("DELETE FROM brokers_event_seal WHERE ledger = 1 AND row_id = %s", bad.pk)
    as_superuser("DELETE FROM brokers_orderevent WHERE id = %s", bad.pk)

    found = finding()

    assert found is not None
    assert (found.fault, found.table, found.row_id) == (Fault.ROW_MISSING, "brokers_orderevent", bad.pk)


def test_a_missing_seal_is_named(orders: list[UUID]) -> None:
    bad = event(orders[2], 3)
    as_superuser("DELETE FROM brokers_event_seal WHERE ledger = 1 AND row_id = %s", bad.pk)

    found = finding()

    assert found is not None
    assert (found.fault, found.row_id) == (Fault.SEAL_MISSING, bad.pk)


def test_a_row_put_in_among_sealed_ones_is_named(orders: list[UUID]) -> None:
    as_superuser(
        "INSERT INTO brokers_orderevent (id, order_id, sequence, kind, from_state, to_state, source, actor, evidence) "
        "VALUES (0, %s, 5, 'fill', 'working', 'filled', 'stream', '', '{}')",
        orders[0],
    )

    found = finding()

    assert found is not None
    assert (found.fault, found.table, found.row_id) == (Fault.ROW_INSERTED, "brokers_orderevent", 0)


def test_the_newest_rows_cut_off_after_their_anchor_are_missed(orders: list[UUID]) -> None:
    """Rows, seals and the anchor itself gone: the end that sealing had reached tells."""
    newest = HistoryAnchor.objects.order_by("-number").first()
    assert newest is not None
    gone = list(SealedRow.objects.filter(anchor=newest.pk, ledger=1).values_list("row_id", flat=True))
    as_superuser("DELETE FROM brokers_orderevent WHERE id = ANY(%s)", gone)
    cut = finding()
    as_superuser("DELETE FROM brokers_event_seal WHERE anchor = %s", newest.pk)
    as_superuser("DELETE FROM brokers_historyanchor WHERE number = %s", newest.pk)
    cut_clean = finding()

    assert cut is not None
    assert (cut.fault, cut.row_id) == (Fault.ROW_MISSING, min(gone))
    assert cut_clean is not None
    assert (cut_clean.fault, cut_clean.row_id) == (Fault.ROW_MISSING, max(gone))


def rehash(order_id: UUID) -> None:
    """Rewrite the seals of one order so that they fit its changed events again."""
    previous = bytes(32)
    for row in OrderEvent.objects.filter(order_id=order_id).order_by("sequence"):
        with connection.cursor() as cursor:
            content_sql = content_of(ORDER_EVENTS, "t")
            cursor.execute(f"SELECT {content_sql} FROM brokers_orderevent t WHERE id = %s", [row.pk])
            (content,) = cursor.fetchone()
        digest = seal_hash(1, row.pk, row.sequence, previous, content)
        as_superuser(
            "UPDATE brokers_event_seal SET previous = %s, hash = %s WHERE ledger = 1 AND row_id = %s",
            previous,
            digest,
            row.pk,
        )
        previous = digest


def test_an_order_rewritten_with_all_its_seals_is_found_by_the_anchor(orders: list[UUID]) -> None:
    bad = event(orders[1], 2)
    as_superuser("UPDATE brokers_orderevent SET actor = 'nobody' WHERE id = %s", bad.pk)
    rehash(orders[1])

    found = finding()

    assert found is not None
    assert (found.fault, found.row_id) == (Fault.SEAL_CHANGED, bad.pk)


def reanchor() -> None:
    """Rewrite every anchor so that it fits the seals as they are now."""
    previous = bytes(32)
    for row in HistoryAnchor.objects.order_by("number"):
        seals = SealedRow.objects.filter(anchor=row.pk)
        leaves = [Leaf(seal.ledger, seal.row_id, bytes(seal.hash)) for seal in seals]
        anchor = make_anchor(row.pk, row.recorded_at, previous, leaves)
        as_superuser(
            "UPDATE brokers_historyanchor SET previous = %s, root = %s, marks = %s, hash = %s WHERE number = %s",
            anchor.previous,
            anchor.root,
            anchor.marks,
            anchor.hash,
            row.pk,
        )
        previous = anchor.hash


@pytest.fixture
def anchor_file(settings: Any, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "anchors.jsonl"
    settings.BROKERS = {**settings.BROKERS, "anchor_file": str(path)}
    get_conf.cache_clear()
    yield path
    get_conf.cache_clear()


def test_everything_rewritten_inside_is_found_by_the_copy_outside(anchor_file: Path, orders: list[UUID]) -> None:
    publish_anchors()
    assert [json.loads(line)["anchor"] for line in anchor_file.read_text().splitlines()] == [1, 2, 3]
    as_superuser("UPDATE brokers_orderevent SET actor = 'nobody' WHERE id = %s", event(orders[1], 2).pk)
    rehash(orders[1])
    reanchor()

    assert finding() is None, "nothing inside the database tells"
    with pytest.raises(CommandError, match="brokers_historyanchor 2: anchor changed"):
        call_command("audit", "verify", "--quiet", "--anchors", str(anchor_file))


def test_an_anchor_gone_from_the_database_is_found_by_the_copy_outside(anchor_file: Path, orders: list[UUID]) -> None:
    publish_anchors()
    publish_anchors()
    with anchor_file.open("a") as file:
        file.write(json.dumps({"anchor": 4, "hash": "00"}) + "\n")

    with pytest.raises(CommandError, match="brokers_historyanchor 4: anchor missing"):
        call_command("audit", "verify", "--quiet", "--anchors", str(anchor_file))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("UPDATE brokers_historyanchor SET recorded_at = recorded_at + interval '1 s' WHERE number = 2", "changed"),
        ("UPDATE brokers_historyanchor SET marks = marks || '1234' WHERE number = 2", "changed"),
        ("DELETE FROM brokers_historyanchor WHERE number = 2", "missing"),
        ("DELETE FROM brokers_historyanchor WHERE number = 1", "missing"),
    ],
)
def test_a_changed_or_missing_anchor_is_named(orders: list[UUID], change: str, fault: str) -> None:
    as_superuser(change)

    found = finding()

    assert found is not None
    assert (found.table, found.fault) == ("brokers_historyanchor", f"anchor {fault}")


def test_a_later_beginning_finds_what_is_later_only(orders: list[UUID]) -> None:
    second = HistoryAnchor.objects.get(number=2)
    as_superuser("UPDATE brokers_orderevent SET actor = 'x' WHERE id = %s", event(orders[0], 1).pk)
    assert finding(since=second.recorded_at) is None

    as_superuser("UPDATE brokers_orderevent SET actor = 'x' WHERE id = %s", event(orders[0], 4).pk)
    found = finding(since=second.recorded_at)

    assert found is not None
    assert found.row_id == event(orders[0], 4).pk
    assert finding(since=timezone.now() + timedelta(days=1)) is None


def test_small_batches_leave_the_same_chains(broker: FakeBroker, account: Account, owner: Any) -> None:
    for number in range(5):
        accept_order(owner_id=owner.pk, actor="desk", submission=OrderSubmission(f"k{number}", BODY))
    run_due("orders")
    while seal_appended(batch=2):
        pass

    assert finding() is None
    assert SealedRow.objects.filter(ledger=1).count() == OrderEvent.objects.count() == 15


def test_sealing_waits_while_orders_wait_but_not_for_ever(account: Account, owner: Any) -> None:
    accept_order(owner_id=owner.pk, actor="desk", submission=OrderSubmission("k", BODY))
    assert seal_due() == 1
    accept_order(owner_id=owner.pk, actor="desk", submission=OrderSubmission("k2", BODY))
    make_due(lane="orders")

    assert seal_due() == 0
    SealCursor.objects.update(caught_up_at=timezone.now() - seal_job.LONGEST_LAG - timedelta(seconds=1))
    assert seal_due() == 1


def test_the_schedule_seals(account: Account, owner: Any) -> None:
    from reliability.services.jobs.enqueue import NewJob, enqueue_job

    accept_order(owner_id=owner.pk, actor="desk", submission=OrderSubmission("k", BODY))
    enqueue_job(seal_job.SEAL_KIND, NewJob(unique_key="scheduled:history.seal"))
    run_due("default")

    assert HistoryAnchor.objects.count() == 1
    assert Job.objects.get(kind=seal_job.SEAL_KIND).state == "succeeded"


@pytest.mark.django_db(transaction=True)
def test_a_row_that_commits_after_its_younger_neighbours_is_sealed_too() -> None:
    make_lanes()
    record_audit("night", "first", "x")
    written, may_commit = threading.Event(), threading.Event()

    def slow() -> None:
        with transaction.atomic():
            record_audit("night", "slow", "x")
            written.set()
            assert may_commit.wait(10)
        connection.close()

    thread = threading.Thread(target=slow)
    thread.start()
    assert written.wait(10)
    record_audit("night", "quick", "x")
    first = seal_appended()
    gaps = SealCursor.objects.get(ledger=4).gaps
    meanwhile = finding()
    may_commit.set()
    thread.join()
    second = seal_appended()

    assert (first, second, meanwhile) == (2, 1, None)
    assert len(SealCursor.objects.get(ledger=4).gaps) == len(gaps) - 1
    assert finding() is None


def test_a_number_nobody_used_is_given_up_after_a_while(orders: list[UUID]) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('reliability_auditentry', 'id'))")
    record_audit("night", "after", "x")
    seal_appended()
    kept = SealCursor.objects.get(ledger=4)
    first, last, *_ = kept.gaps[-1]
    assert first == last

    SealCursor.objects.filter(ledger=4).update(gaps=[[first, last, 1, "2026-01-01T00:00:00+00:00"]])
    seal_appended()
    assert SealCursor.objects.get(ledger=4).gaps == []
    as_superuser(
        "INSERT INTO reliability_auditentry (id, actor, action, subject, before, after, reason, correlation_id) "
        "VALUES (%s, 'x', 'x', 'x', '{}', '{}', '', '')",
        first,
    )

    found = finding()
    assert found is not None
    assert (found.fault, found.row_id) == (Fault.ROW_INSERTED, first)
