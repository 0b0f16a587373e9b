"""Old rows go on schedule: exported, checked, on record, and never while a legal hold keeps them."""

import csv
import gzip
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from brokers.models import Account
from reconciliation.models import Discrepancy, ReconciliationRun
from reliability.conf import get_conf
from reliability.core.errors import ReliabilityError
from reliability.models import (
    Alert,
    AuditEntry,
    ErrorEvent,
    Heartbeat,
    Job,
    JobAttempt,
    LegalHold,
    RetentionDrop,
    RetentionPolicy,
)
from reliability.services.alert_conditions import check_upkeep
from reliability.services.error_partitions import ensure_partitions, list_partitions
from reliability.services.jobs.enqueue import NewJob, enqueue_job
from reliability.services.retention import keepers, upkeep
from reliability.services.retention.holds import place_hold, release_hold
from reliability.services.retention.keepers import ChangedPieceError, PartitionKeeper, RowKeeper
from reliability.services.retention.own_keepers import ERRORS
from reliability.services.retention.policies import set_policy
from reliability.services.retention.upkeep import ensure_policies, plan, run_upkeep
from tests.factories import make_user
from tests.fakes import run_due
from tests.reliability.api.test_errors import client_of, require_error, send
from tests.reliability.views.test_operator_actions import logged_in

pytestmark = pytest.mark.django_db

THEN = datetime(2021, 5, 1, tzinfo=UTC)
NOW = THEN + timedelta(days=95)
MAY = (
    "reliability.view_retentionpolicy",
    "reliability.view_legalhold",
    "reliability.view_retentiondrop",
    "reliability.place_legal_hold",
    "reliability.release_legal_hold",
)
FIRST, SECOND = "reliability_errorevent_20210501", "reliability_errorevent_20210502"


@pytest.fixture
def exports(settings: Any, tmp_path: Path) -> Iterator[Path]:
    settings.RELIABILITY = {**settings.RELIABILITY, "export_directory": str(tmp_path)}
    get_conf.cache_clear()
    yield tmp_path
    get_conf.cache_clear()


@pytest.fixture
def old_errors() -> None:
    """Eight days of partitions, two errors in the first of them and one in the second."""
    ensure_partitions(THEN.date())
    for number, at in enumerate((THEN, THEN + timedelta(hours=3), THEN + timedelta(days=1))):
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO reliability_errorevent (fingerprint, occurred_at, recorded_at, source, operation, code,"
                " category, severity, kind, place, message, correlation_id, subject, details)"
                " VALUES ('f', %s, %s, 'sim-a', 'submit', 'TIMEOUT_READ', 'timeout', 2, '', '', %s, '', '', '{}')",
                [at, at, f'late,\n"{number}"'],
            )


def report(kind: str = "errors", now: datetime = NOW) -> Any:
    return {one.kind: one for one in run_upkeep(actor="ann", now=now)}[kind]


def test_old_days_are_exported_dropped_and_recorded(exports: Path, old_errors: None):
    done = report()

    assert [name for name, _ in done.dropped][:2] == [FIRST, SECOND]
    assert (dict(done.dropped)[FIRST], done.due, done.error) == (2, 0, "")
    assert FIRST not in list_partitions()
    drop = RetentionDrop.objects.get(piece=FIRST)
    file = exports / "errors" / f"{FIRST}.csv.gz"
    assert (drop.rows, drop.exported_to, drop.actor) == (2, str(file), "ann")
    assert hashlib.sha256(file.read_bytes()).hexdigest() == drop.sha256
    with gzip.open(file, "rt", newline="") as text:
        assert [row["message"] for row in csv.DictReader(text)] == ['late,\n"0"', 'late,\n"1"']
    assert json.loads(file.with_name(f"{FIRST}.json").read_text())["rows"] == 2
    assert AuditEntry.objects.filter(action="retention_drop", subject=FIRST).exists()
    assert RetentionPolicy.objects.get(pk="errors").last_run_at == NOW


def test_rows_that_come_for_a_dropped_day_do_not_replace_its_export(exports: Path, old_errors: None):
    report()
    file = exports / "errors" / f"{FIRST}.csv.gz"
    before = file.read_bytes()
    ensure_partitions(THEN.date())

    assert FIRST in dict(report().dropped)
    later = file.with_name(f"{FIRST}.2.csv.gz")
    assert file.read_bytes() == before
    assert json.loads(file.with_name(f"{FIRST}.json").read_text())["rows"] == 2
    assert json.loads(file.with_name(f"{FIRST}.2.json").read_text())["rows"] == 0
    names = RetentionDrop.objects.filter(piece=FIRST).order_by("id").values_list("exported_to", flat=True)
    assert list(names) == [str(file), str(later)]


def test_partitions_of_the_coming_week_are_made(exports: Path):
    made = {one.kind: one.made for one in run_upkeep(actor="ann", now=NOW)}
    assert (len(made["errors"]), made["errors"][0]) == (8, f"reliability_errorevent_{NOW:%Y%m%d}")
    assert made["bars"] == ("reconciliation_bar_y2021m08", "reconciliation_bar_y2021m09")


def test_a_legal_hold_stops_a_drop_until_another_person_releases_it(exports: Path, old_errors: None):
    hold = place_hold(kind="errors", starts_at=THEN, ends_at=THEN + timedelta(hours=1), actor="ann", reason="case 7")

    done = report()
    assert (done.held, FIRST in dict(done.dropped), SECOND in dict(done.dropped)) == (1, False, True)
    assert FIRST in list_partitions()

    with pytest.raises(ReliabilityError):
        release_hold(hold.pk, actor="ann", reason="over")
    release_hold(hold.pk, actor="bob", reason="the case is closed")
    assert FIRST in dict(report().dropped)
    actions = AuditEntry.objects.filter(subject=f"legal_hold:{hold.pk}").order_by("id").values_list("action", flat=True)
    assert list(actions) == ["place_legal_hold", "release_legal_hold"]


def test_a_hold_placed_while_a_piece_is_exported_still_keeps_it(
    exports: Path, old_errors: None, monkeypatch: pytest.MonkeyPatch
):
    export = upkeep.export_piece

    def export_and_hold(*arguments: Any) -> Any:
        done = export(*arguments)
        place_hold(kind="", starts_at=THEN, ends_at=None, actor="ann", reason="just now")
        return done

    monkeypatch.setattr(upkeep, "export_piece", export_and_hold)
    assert report().dropped == ()
    assert FIRST in list_partitions()


def test_what_cannot_be_exported_stays(old_errors: None):
    done = report()
    assert "STANCHION_EXPORT_DIR" in done.error
    assert (done.dropped, FIRST in list_partitions()) == ((), True)
    assert RetentionPolicy.objects.get(pk="errors").last_run_at is None

    set_policy("errors", keep_days=90, is_exported=False, actor="ann")
    assert FIRST in dict(report().dropped)


def test_a_piece_that_changed_since_its_export_stays(old_errors: None):
    piece = ERRORS.list_pieces(NOW)[0]
    with pytest.raises(ChangedPieceError), transaction.atomic():
        ERRORS.drop(piece, expected=3)
    assert FIRST in list_partitions()


def test_errors_of_a_day_without_a_partition_move_into_it(old_errors: None):
    late = datetime(2021, 6, 1, 12, tzinfo=UTC)
    ErrorEvent.objects.create(
        fingerprint="s", occurred_at=late, recorded_at=late, source="x", code="y", category="data", severity=3
    )
    ensure_partitions(date(2021, 6, 1))
    with connection.cursor() as cursor:
        cursor.execute("SELECT fingerprint FROM reliability_errorevent_20210601")
        assert cursor.fetchall() == [("s",)]
        cursor.execute("SELECT count(*) FROM reliability_errorevent_default")
        assert cursor.fetchone() == (0,)


def test_jobs_that_ended_long_ago_go_and_those_with_a_failed_attempt_stay(deed: Any):
    for number in range(4):
        enqueue_job(deed.name, NewJob(payload={"number": number}))
    old = NOW - timedelta(days=60)
    ids = list(Job.objects.order_by("id").values_list("id", flat=True))
    Job.objects.filter(pk__in=ids[:3]).update(state="succeeded", finished_at=old)
    JobAttempt.objects.create(job_id=ids[1], attempt=1, fence=1, outcome="failed")

    assert sum(rows for _, rows in report("jobs").dropped) == 2
    assert list(Job.objects.order_by("id").values_list("id", flat=True)) == [ids[1], ids[3]]


def old_jobs(deed: Any, number: int) -> None:
    for one in range(number):
        enqueue_job(deed.name, NewJob(payload={"number": one}))
    Job.objects.update(state="succeeded", finished_at=NOW - timedelta(days=60))


def test_a_hold_placed_between_two_parts_of_a_day_keeps_the_rest(deed: Any, monkeypatch: pytest.MonkeyPatch):
    old_jobs(deed, 5)
    monkeypatch.setattr(keepers, "_COUNT_OF_SPAN", 2)
    drop = RowKeeper.drop

    def drop_and_hold(*arguments: Any) -> int:
        rows = drop(*arguments)
        if not LegalHold.objects.exists():
            place_hold(kind="jobs", starts_at=THEN, ends_at=None, actor="ann", reason="just now")
        return rows

    monkeypatch.setattr(RowKeeper, "drop", drop_and_hold)
    done = report("jobs")
    assert ([rows for _, rows in done.dropped], done.due, done.error) == ([2], 1, "")
    assert Job.objects.count() == 3

    release_hold(LegalHold.objects.get().pk, actor="bob", reason="the case is closed")
    done = report("jobs")
    assert ([rows for _, rows in done.dropped], done.due, Job.objects.count()) == ([3], 0, 0)
    parts = RetentionDrop.objects.filter(kind="jobs").order_by("id").values_list("rows", flat=True)
    assert list(parts) == [2, 2, 1], "each part is on record with what went with it"


def test_only_what_is_old_enough_is_looked_for(deed: Any, monkeypatch: pytest.MonkeyPatch):
    looked: dict[str, datetime] = {}
    list_pieces = RowKeeper.list_pieces

    def watched(keeper: RowKeeper, before: datetime) -> Any:
        looked[keeper.kind] = before
        return list_pieces(keeper, before)

    monkeypatch.setattr(RowKeeper, "list_pieces", watched)
    old_jobs(deed, 1)
    set_policy("jobs", keep_days=None, is_exported=False, actor="ann")

    assert (report("jobs").dropped, plan("jobs", NOW), Job.objects.count()) == ((), [], 1)
    assert "jobs" not in looked
    assert looked["sessions"] == NOW - timedelta(days=1)


def test_clean_reconciliations_that_no_difference_names_go_and_ended_processes(exports: Path, account: Account):
    def run(state: str) -> ReconciliationRun:
        return ReconciliationRun.objects.create(account=account, kind="full", state=state, finished_at=THEN)

    clean, named, differing = run("clean"), run("clean"), run("differences")
    Discrepancy.objects.create(
        account=account, run=differing, last_run=named, kind="position", subject_type="position", subject="AAPL",
        state="resolved",
    )  # fmt: skip
    Heartbeat.objects.create(pulse=7, kind="worker", name="w", host="h", pid=1, ended_at=THEN)
    Heartbeat.objects.create(pulse=8, kind="worker", name="w", host="h", pid=2)

    reports = {one.kind: one for one in run_upkeep(actor="ann", now=THEN + timedelta(days=500))}

    assert (reports["reconciliations"].error, len(reports["reconciliations"].dropped)) == ("", 1)
    assert set(ReconciliationRun.objects.values_list("pk", flat=True)) == {named.pk, differing.pk}
    assert clean.pk not in {named.pk, differing.pk}
    assert list(Heartbeat.objects.values_list("pulse", flat=True)) == [8]


def test_the_plan_says_what_would_go_and_changes_nothing(old_errors: None):
    place_hold(kind="errors", starts_at=THEN, ends_at=THEN + timedelta(hours=1), actor="ann", reason="case 7")
    fates = [(one.piece.name, one.fate.value) for one in plan("errors", NOW)]
    assert fates[:2] == [(FIRST, "held"), (SECOND, "due")]
    assert FIRST in list_partitions()


def test_somebody_is_told_while_upkeep_is_behind():
    ensure_policies()
    check_upkeep()
    assert not Alert.objects.exists()

    RetentionPolicy.objects.filter(pk="errors").update(
        last_run_at=timezone.now() - timedelta(hours=4), last_error="no space left"
    )
    check_upkeep()
    alert = Alert.objects.get(condition="upkeep.behind")
    assert (alert.scope, "no space left" in alert.message) == ("retention:errors", True)

    RetentionPolicy.objects.update(last_run_at=timezone.now(), last_error="")
    check_upkeep()
    alert.refresh_from_db()
    assert alert.resolved_at is not None


def test_upkeep_runs_as_a_job_with_a_connection_of_its_own(committed: None):
    enqueue_job("retention.upkeep", NewJob(unique_key="once"))
    assert run_due("default") == 1
    assert Job.objects.get(kind="retention.upkeep").state == "succeeded"
    assert RetentionPolicy.objects.get(pk="errors").last_run_at is not None


def another_connection() -> Any:
    return psycopg.connect(**{**connection.get_connection_params(), "cursor_factory": None})


def test_only_one_process_does_upkeep_at_a_time(committed: None):
    with another_connection() as other:
        other.execute("SELECT pg_advisory_lock(7103010)")
        assert run_upkeep(actor="ann") == []


@pytest.fixture
def scratch(committed: None) -> Iterator[PartitionKeeper]:
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE scratch (at timestamptz) PARTITION BY RANGE (at);"
            "CREATE TABLE scratch_old PARTITION OF scratch FOR VALUES FROM ('2021-05-01Z') TO ('2021-05-02Z')"
        )
    yield PartitionKeeper(kind="scratch", description="", table="scratch", keep_days=1, is_exported=False)
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE scratch")


def test_a_drop_gives_way_to_who_adds_a_row_at_that_moment(scratch: PartitionKeeper, monkeypatch: pytest.MonkeyPatch):
    """Each has what the other needs: the drop the partition, the other the table."""
    (piece,) = scratch.list_pieces(NOW)
    monkeypatch.setattr(keepers, "PATIENCE_SECONDS", 0.1)
    with another_connection() as other, another_connection() as watch:
        watch.autocommit = True
        other.execute("LOCK TABLE ONLY scratch IN ROW EXCLUSIVE MODE")  # as every INSERT does first
        adding = threading.Thread(target=other.execute, args=["INSERT INTO scratch VALUES ('2021-05-01 12:00Z')"])

        def add(_seconds: float) -> None:
            if adding.ident is None:
                adding.start()
            waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'scratch_old'::regclass)"
            while not watch.execute(waiting).fetchone()[0]:
                time.sleep(0.01)

        monkeypatch.setattr(keepers, "sleep", add)
        with pytest.raises(OperationalError), transaction.atomic():
            scratch.drop(piece, expected=None)
        adding.join()
    with transaction.atomic():
        assert scratch.drop(piece, expected=1) == 1


def test_retention_over_http(old_errors: None):
    ensure_policies()
    ann, bob = (client_of(make_user(*MAY, name=name)) for name in ("ann", "bob"))
    viewer = client_of(make_user("reliability.view_legalhold", name="carl"))
    body = {"kind": "errors", "starts_at": THEN.isoformat(), "reason": "case 7"}

    require_error(send(viewer, "POST", "/api/v1/retention/holds", body), 403, "AUTH_PERMISSION_DENIED")
    require_error(
        send(ann, "POST", "/api/v1/retention/holds", {**body, "kind": "x"}), 422, "VALIDATION_INVALID_REQUEST"
    )
    hold = send(ann, "POST", "/api/v1/retention/holds", body).json()
    assert ann.get("/api/v1/retention/errors/plan").json()["results"][0]["holds"] == [hold["id"]]
    release = f"/api/v1/retention/holds/{hold['id']}/release"
    require_error(send(ann, "POST", release, {"reason": "over"}), 409, "VALIDATION_WRONG_STATE")
    assert send(bob, "POST", release, {"reason": "over"}).json()["released_by"] == "bob"
    assert {one["kind"] for one in ann.get("/api/v1/retention").json()["results"]} >= {"errors", "bars", "jobs"}
    assert ann.get("/api/v1/retention/drops").json() == {"results": [], "next_after": None}
    require_error(ann.get("/api/v1/retention/nothing/plan"), 404, "VALIDATION_NOT_FOUND")


def test_policies_and_holds_in_admin(old_errors: None):
    ensure_policies()
    client = logged_in(*MAY, "reliability.change_retentionpolicy", name="ann")
    address = "/admin/reliability/retentionpolicy/errors/change/"

    assert FIRST in client.get(address).content.decode()
    assert client.post(address, {"keep_days": "30"}).status_code == 302
    policy = RetentionPolicy.objects.get(pk="errors")
    assert (policy.keep_days, policy.is_exported) == (30, False)
    assert AuditEntry.objects.get(action="set_retention").before == {"keep_days": 90, "is_exported": True}
    terms = {"kind": "", "starts_at_0": "2021-05-01", "starts_at_1": "00:00:00", "reason": "case 7"}
    assert client.post("/admin/reliability/legalhold/add/", terms).status_code == 302
    hold = LegalHold.objects.get()
    assert (hold.placed_by, hold.starts_at) == ("ann", THEN)
    assert f"hold {hold.pk}" in client.get(address).content.decode()
    bob = logged_in(*MAY, name="bob")
    picked = {"action": "release", "_selected_action": [hold.pk], "reason": "the case is closed"}
    assert bob.post("/admin/reliability/legalhold/", picked).status_code == 302
    hold.refresh_from_db()
    assert hold.released_by == "bob"


def test_retention_on_the_command_line(exports: Path, old_errors: None, capsys: Any):
    call_command("retention", "hold", "--from", "2021-05-01", "--to", "2021-05-02", "--reason", "case 7")
    call_command("retention", "plan")
    call_command("retention", "run")
    call_command("retention", "list")
    text = capsys.readouterr().out
    assert f"{FIRST:<40}held by hold" in text
    assert FIRST in list_partitions()
    assert SECOND not in list_partitions()
    with pytest.raises(CommandError):
        call_command("retention", "set", "errors", "--days", "0")
