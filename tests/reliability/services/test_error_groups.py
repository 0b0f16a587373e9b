"""Errors become groups with exact counts, one alert each, and no row that everybody writes."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from reliability.core.errors import ReliabilityError
from reliability.core.fingerprint import ErrorFacts
from reliability.core.jobs import JobError, Retry
from reliability.core.taxonomy import ErrorCategory, ErrorSeverity
from reliability.models import Alert, ErrorEvent, ErrorFingerprint, ErrorGroup, ErrorRollup, ErrorTally
from reliability.selectors.alerts import list_timeline
from reliability.services import error_recorder
from reliability.services.alert_keeper import keep_alerts
from reliability.services.error_group_decisions import merge_groups, reopen_group, resolve_group, snooze_group
from reliability.services.error_groups import roll_up_errors
from reliability.services.error_partitions import ensure_partitions, list_partitions
from reliability.services.error_recorder import ErrorRecorder, errors
from reliability.services.jobs.enqueue import NewJob, enqueue_job
from tests.factories import make_user
from tests.fakes import Deed, run_due
from tests.reliability.api.test_errors import client_of
from tests.reliability.views.test_operator_actions import logged_in

pytestmark = pytest.mark.django_db

WHO = {"actor": "ann", "reason": "as the desk says"}


def facts(**values: Any) -> ErrorFacts:
    usual = {
        "source": "sim-a",
        "operation": "submit",
        "code": "NETWORK_CONNECT_REFUSED",
        "category": ErrorCategory.NETWORK,
        "severity": ErrorSeverity.HIGH,
        "kind": "ConnectionRefusedError",
        "message": "connection to 10.0.0.7:443 refused",
    }
    return ErrorFacts(**{**usual, **values})


def meet(number: int = 1, **values: Any) -> None:
    recorder = ErrorRecorder()
    for _ in range(number):
        recorder.note(facts(**values))
    recorder.write()
    roll_up_errors()


def only_group() -> ErrorGroup:
    return ErrorGroup.objects.get()


def kinds(group: ErrorGroup) -> list[str]:
    return [entry["kind"] for entry in list_timeline("error_group", group.pk)]


def test_ten_thousand_errors_of_a_kind_are_one_group_and_one_alert():
    recorders = [ErrorRecorder() for _ in range(4)]
    for number in range(10_000):
        recorders[number % 4].note(facts(message=f"connection {number} to 10.0.0.{number % 250} refused"))
    for recorder in recorders:
        recorder.write()
    assert ErrorTally.objects.count() == 4, "each process writes a row of its own"

    roll_up_errors()

    group = only_group()
    assert (group.count, group.stored, ErrorEvent.objects.count()) == (10_000, 80, 80)
    assert group.title == "connection * to * refused"
    assert Alert.objects.get().scope == f"errors:sim-a/group:{group.pk}"
    assert (Alert.objects.get().condition, Alert.objects.get().severity) == ("error.new_group", 2)
    assert sum(ErrorRollup.objects.values_list("errors", flat=True)) == 10_000
    assert (ErrorTally.objects.count(), roll_up_errors()) == (0, 0)


def test_what_differs_is_told_apart():
    for values in ({}, {"source": "sim-b"}, {"operation": "query"}, {"code": "TIMEOUT_READ"}, {"kind": "OSError"}):
        meet(**values)
    assert ErrorGroup.objects.count() == 5


def test_what_somebody_knows_to_be_the_same_is():
    meet(fingerprint="the nightly restart")
    meet(fingerprint="the nightly restart", source="sim-b", code="TIMEOUT_READ")
    assert only_group().count == 2


def test_an_upgrade_of_the_fingerprint_keeps_the_group(monkeypatch: Any):
    meet()
    old = ErrorFingerprint.objects.get().pk
    monkeypatch.setattr(error_recorder, "fingerprint_of", lambda facts: "f" * 32)
    monkeypatch.setattr(error_recorder, "former_fingerprints", lambda facts: [old])

    meet()

    assert (only_group().count, set(ErrorFingerprint.objects.values_list("pk", flat=True))) == (2, {old, "f" * 32})


def test_first_and_last_time_hold_whatever_is_told_late():
    early, late = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, tzinfo=UTC)
    meet(occurred_at=late)
    meet(occurred_at=early)
    assert (only_group().first_seen_at, only_group().last_seen_at) == (early, late)


def test_what_comes_back_after_it_was_resolved_is_a_regression_and_told_again():
    meet()
    resolve_group(only_group().pk, **WHO)
    assert not Alert.objects.filter(resolved_at=None).exists()

    meet()

    group = only_group()
    assert (group.state, group.regressions, kinds(group)) == ("open", 1, ["first_seen", "resolved", "regressed"])
    assert Alert.objects.get(resolved_at=None).condition == "error.regression"


def test_an_error_from_before_the_resolution_is_no_regression():
    meet()
    resolve_group(only_group().pk, **WHO)
    meet(occurred_at=timezone.now() - timedelta(minutes=1))
    assert (only_group().state, only_group().count) == ("resolved", 2)


def test_a_snooze_ends_with_its_number():
    meet()
    snooze_group(only_group().pk, more=3, **WHO)
    meet(2)
    assert (only_group().state, Alert.objects.filter(resolved_at=None).count()) == ("snoozed", 0)
    meet()
    assert (only_group().state, Alert.objects.filter(resolved_at=None).count()) == ("open", 1)


def test_a_snooze_ends_with_its_time():
    meet()
    snooze_group(only_group().pk, until=timezone.now() + timedelta(hours=1), **WHO)
    meet()
    assert only_group().state == "snoozed"
    ErrorGroup.objects.update(snoozed_until=timezone.now())
    meet()
    assert (only_group().state, kinds(only_group())[-1]) == ("open", "snooze_ended")


def test_merged_groups_count_together_from_then_on():
    meet(3)
    meet(4, source="sim-b")
    first, second = ErrorGroup.objects.order_by("id")

    assert merge_groups(first.pk, [first.pk, second.pk], **WHO) == 1
    meet(5, source="sim-b")

    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.count, second.state, second.merged_into_id) == (12, "merged", first.pk)
    with pytest.raises(ReliabilityError):
        merge_groups(first.pk, [second.pk], **WHO)


@pytest.mark.parametrize(
    "act",
    [
        lambda pk: reopen_group(pk, **WHO),
        lambda pk: snooze_group(pk, **WHO),
        lambda pk: snooze_group(pk, more=0, **WHO),
        lambda pk: resolve_group(pk, actor="ann", reason="  "),
        lambda pk: resolve_group(pk + 1, **WHO),
        lambda pk: merge_groups(pk, [pk], **WHO),
    ],
)
def test_a_decision_that_makes_no_sense_changes_nothing(act: Any):
    meet()
    with pytest.raises(ReliabilityError):
        act(only_group().pk)
    assert (only_group().state, kinds(only_group())) == ("open", ["first_seen"])


def test_what_cannot_be_written_waits(monkeypatch: Any):
    recorder = ErrorRecorder()
    recorder.note(facts())

    def away(kinds: Any) -> None:
        raise DatabaseError

    with monkeypatch.context() as patch:
        patch.setattr(error_recorder, "write_errors", away)
        with pytest.raises(DatabaseError):
            recorder.write()
    recorder.note(facts())
    recorder.write()
    roll_up_errors()
    assert only_group().count == 2


def test_errors_cannot_be_changed_and_hold_no_secrets():
    meet(details={"headers": {"Authorization": "Bearer x", "x": 1}, "api_key": "k"}, message="nul \x00")

    event = ErrorEvent.objects.get()
    assert {**event.details, "release": ""} == {
        "headers": {"Authorization": "***", "x": 1},
        "api_key": "***",
        "release": "",
    }
    with pytest.raises(IntegrityError), transaction.atomic():
        ErrorEvent.objects.update(code="x")
    with pytest.raises(IntegrityError), transaction.atomic():
        ErrorEvent.objects.all().delete()


def test_a_failed_attempt_of_a_job_is_an_error_in_its_own_transaction(deed: Deed):
    deed.settle = {1: [Retry(JobError("NETWORK_CONNECT_REFUSED", "refused"))]}
    enqueue_job(deed.name, NewJob(payload={"n": 1}))
    run_due("default")

    event = ErrorEvent.objects.get()
    assert (event.source, event.operation, event.code) == ("jobs", deed.name, "NETWORK_CONNECT_REFUSED")
    assert event.details["attempt"] == 1


def test_a_request_that_fails_for_a_reason_of_ours_is_an_error(monkeypatch: Any):
    def broken(**values: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("reliability.api.alerts.list_alerts", broken)
    client_of(make_user("reliability.view_alert")).get("/api/v1/alerts")
    monkeypatch.setattr("config.screen.list_unresolved", lambda limit: broken())
    with pytest.raises(RuntimeError):
        logged_in("reliability.view_alert").get("/")
    errors.write()

    found = set(ErrorEvent.objects.values_list("source", "operation", "kind"))
    assert found == {("api", "AlertListView", "RuntimeError"), ("api", "page", "RuntimeError")}
    assert ErrorEvent.objects.get(operation="AlertListView").place.endswith("test_error_groups:broken")


def test_the_alert_of_a_kind_not_met_for_a_day_is_over():
    meet()
    ErrorGroup.objects.update(last_seen_at=timezone.now() - timedelta(hours=25))
    keep_alerts()
    assert Alert.objects.get().resolved_reason == "not met for long"


def test_days_have_partitions_ahead():
    far = date(2031, 5, 1)
    made = ensure_partitions(far)
    assert (len(made), made[0], ensure_partitions(far)) == (8, "reliability_errorevent_20310501", [])
    assert set(made) <= set(list_partitions())
