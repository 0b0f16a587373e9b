"""Alerts become incidents that people handle, in one order whatever races."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from reliability.core.errors import ReliabilityError
from reliability.core.incidents import rts24
from reliability.core.taxonomy import ErrorSeverity
from reliability.models import Alert, AuditEntry, Incident
from reliability.selectors.alerts import list_timeline
from reliability.selectors.incidents import count_unresolved_incidents, regulatory_record, response_times
from reliability.services.alert_decisions import acknowledge_alerts, resolve_by_person
from reliability.services.alert_keeper import keep_alerts
from reliability.services.alerting import end_alerts, raise_alert
from reliability.services.drill_incidents import begin_drill_incident, end_drill_incident
from reliability.services.incident_decisions import (
    acknowledge_incident,
    close_incident,
    comment_incident,
    mitigate_incident,
    set_severity,
    write_review,
)
from reliability.services.incidents import open_drill
from reliability.services.silences import add_silence, confirm_silence, end_silence

pytestmark = pytest.mark.django_db

WHO = {"actor": "ann", "reason": "as the desk says"}
SILENT = ("stream.silent", "account:sim-a")


def happen(condition: str = "stream.silent", scope: str = "account:sim-a", **values: Any) -> Incident:
    raise_alert(condition, scope, message="it is silent", **values)
    keep_alerts()
    return Incident.objects.latest("id")


def kinds(incident: Incident) -> list[str]:
    return [entry["kind"] for entry in list_timeline("incident", incident.pk)]


def test_alerts_of_one_domain_and_subject_are_one_incident():
    happen()
    raise_alert("circuit.opened", "circuit:sim-a:orders", message="opened")
    raise_alert("stream.silent", "account:sim-b", message="another")
    raise_alert("order.overfill", "order:1", message="too much", details={"account": "sim-a"})
    keep_alerts()

    found = list(Incident.objects.order_by("id").values_list("domain", "subject", "severity"))
    assert found == [("broker", "sim-a", 2), ("broker", "sim-b", 2), ("trading", "sim-a", 1)]
    assert count_unresolved_incidents() == {"critical": 1, "high": 2}
    assert kinds(Incident.objects.earliest("id")) == ["opened", "alert_joined", "alert_joined"]


def test_what_another_alert_explains_is_kept_quiet_and_joins_its_incident():
    incident = happen("circuit.opened", "circuit:sim-a:orders")
    raise_alert("error.new_group", "errors:sim-a/group:1", message="refused", severity=ErrorSeverity.HIGH)
    raise_alert("data.gap", "account:sim-b", message="not about it")
    keep_alerts()

    explained = Alert.objects.get(condition="error.new_group")
    assert (explained.inhibited_by.condition, explained.incident_id) == ("circuit.opened", incident.pk)
    assert Alert.objects.get(condition="data.gap").inhibited_by is None

    end_alerts([("circuit.opened", "circuit:sim-a:orders")], by="", reason="closed")
    keep_alerts()
    explained.refresh_from_db()
    assert explained.inhibited_by is None, "what is still there is told once its reason is gone"


def test_an_incident_is_as_bad_as_its_worst_alert_until_somebody_sets_it():
    incident = happen()
    raise_alert(*SILENT, message="x", severity=ErrorSeverity.CRITICAL)
    keep_alerts()
    incident.refresh_from_db()
    assert incident.severity_name == "critical"

    set_severity(incident.pk, ErrorSeverity.LOW, **WHO)
    keep_alerts()
    incident.refresh_from_db()
    assert (incident.severity_name, kinds(incident)[-2:]) == ("low", ["worse", "severity_set"])


def test_mild_alerts_make_no_incident():
    raise_alert("error.new_group", "errors:x/group:1", message="x")
    keep_alerts()
    assert not Incident.objects.exists()


def test_it_is_over_with_its_last_alert_and_comes_back_within_ten_minutes():
    incident = happen()
    end_alerts([SILENT], by="", reason="up")
    keep_alerts()
    incident.refresh_from_db()
    assert incident.state == "resolved"

    assert happen() == incident
    incident.refresh_from_db()
    assert (incident.state, incident.reopened, incident.resolved_at) == ("open", 1, None)

    end_alerts([SILENT], by="", reason="up")
    keep_alerts()
    Incident.objects.update(changed_at=timezone.now() - timedelta(minutes=11))
    assert happen().pk != incident.pk


def test_only_one_is_open_for_a_subject_whatever_writes_it():
    incident = happen()
    with pytest.raises(IntegrityError), transaction.atomic():
        Incident.objects.create(domain="broker", subject="sim-a", title="twice", severity=2, detected_at=timezone.now())
    close = Incident.objects.get(pk=incident.pk)
    assert close.number == f"INC-{incident.pk}"


def test_people_acknowledge_mitigate_and_close_in_that_order():
    incident = happen()
    acknowledge_incident(incident.pk, actor="ann")
    assert Alert.objects.get().acknowledged_by == "ann"
    mitigate_incident(incident.pk, **WHO)
    with pytest.raises(ReliabilityError, match="is mitigated already"):
        close_incident(incident.pk, **WHO)
    end_alerts([SILENT], by="", reason="up")
    keep_alerts()
    close_incident(incident.pk, **WHO)
    with pytest.raises(ReliabilityError, match="is closed already"):
        acknowledge_incident(incident.pk, actor="bob")

    incident.refresh_from_db()
    assert None not in (incident.aware_at, incident.acknowledged_at, incident.mitigated_at, incident.closed_at)
    assert kinds(incident) == ["opened", "alert_joined", "acknowledged", "mitigated", "resolved", "closed"]
    assert AuditEntry.objects.filter(subject=f"incident:{incident.pk}").count() == 3


def test_acknowledging_its_alert_acknowledges_it():
    incident = happen()
    acknowledge_alerts([Alert.objects.get().pk], actor="ann")
    incident.refresh_from_db()
    assert (incident.state, incident.acknowledged_by) == ("acknowledged", "ann")


@pytest.mark.parametrize("first", ["person", "program"])
def test_acknowledging_what_ends_in_this_moment_tells_what_happened(first: str):
    incident = happen()
    if first == "person":
        acknowledge_incident(incident.pk, actor="ann")
    end_alerts([SILENT], by="", reason="up")
    keep_alerts()
    if first == "program":
        with pytest.raises(ReliabilityError, match="is resolved already"):
            acknowledge_incident(incident.pk, actor="ann")
    incident.refresh_from_db()
    assert (incident.state, incident.acknowledged_at is not None) == ("resolved", first == "person")


def test_what_still_holds_cannot_be_resolved_by_hand_but_silenced():
    happen()
    with pytest.raises(ReliabilityError, match="silence it"):
        resolve_by_person(Alert.objects.get().pk, **WHO)

    pk = raise_alert("order.overfill", "order:1", message="x")
    with pytest.raises(ReliabilityError, match="reason"):
        resolve_by_person(pk, actor="ann", reason=" ")
    resolve_by_person(pk, **WHO)
    assert Alert.objects.get(pk=pk).resolved_by == "ann"


def test_a_silence_spares_what_is_critical_unless_a_second_person_confirms():
    happen()
    raise_alert("order.overfill", "account:sim-a/order:1", message="critical")
    silence = add_silence(condition="", scope="account:sim-a", duration=timedelta(hours=1), **WHO)
    keep_alerts()
    assert set(Alert.objects.filter(silence=silence).values_list("condition", flat=True)) == {"stream.silent"}

    with pytest.raises(ReliabilityError):
        confirm_silence(silence.pk, actor="ann")
    confirm_silence(silence.pk, actor="bob")
    keep_alerts()
    assert Alert.objects.filter(silence=silence).count() == 2

    end_silence(silence.pk, actor="ann")
    keep_alerts()
    assert not Alert.objects.filter(silence=silence).exists()


@pytest.mark.parametrize(
    "values",
    [
        {"scope": ""},
        {"condition": "made.up"},
        {"duration": timedelta(hours=25)},
        {"duration": timedelta(0)},
        {"reason": " "},
    ],
)
def test_a_silence_that_goes_too_far_is_refused(values: dict[str, Any]):
    usual: dict[str, Any] = {"condition": "", "scope": "account:a", "duration": timedelta(hours=1), **WHO}
    with pytest.raises(ReliabilityError):
        add_silence(**{**usual, **values})


def test_the_review_and_the_regulatory_record_keep_what_was_there_before():
    incident = happen()
    write_review(incident.pk, {"root_cause": "a cable"}, **WHO)
    write_review(incident.pk, {"root_cause": "a switch", "is_major": True, "cost": 12}, **WHO)
    comment_incident(incident.pk, actor="bob", text="the vendor called")
    with pytest.raises(ReliabilityError):
        write_review(incident.pk, {"state": "closed"}, **WHO)

    incident.refresh_from_db()
    record = regulatory_record(incident)
    assert (record["root_cause"], record["is_major"], record["cost"]) == ("a switch", True, "12.00")
    assert record["classified_at"] == rts24(incident.classified_at)
    assert record["detected_at"].endswith("Z")
    assert len(record["detected_at"]) == len("2026-11-24T03:00:00.123456Z")
    assert [entry["what"] for entry in record["timeline"]][-3:] == ["reviewed", "reviewed", "note"]
    assert record["timeline"][-2]["detail"]["before"]["root_cause"] == "a cable"
    sequences = [entry["sequence"] for entry in record["timeline"]]
    assert sequences == sorted(set(sequences))


def test_how_quick_people_were():
    incident = happen()
    began = timezone.now() - timedelta(minutes=10)
    Incident.objects.filter(pk=incident.pk).update(
        detected_at=began, acknowledged_at=began + timedelta(seconds=30), resolved_at=began + timedelta(seconds=90)
    )
    open_drill("sim-a", "a drill", "recovery")

    times = response_times()
    assert times["all"] == times["high"]
    assert times["all"]["mtta"] == {"number": 1, "median": 30.0, "p90": 30.0}
    assert times["all"]["mttr"]["median"] == 90.0


def test_what_a_drill_made_is_in_no_mean_time_and_what_it_did_not_make_is():
    drill = begin_drill_incident("sim-a", "a drill")
    made = happen()
    end_drill_incident(drill, passed=True, verdict="fine")
    end_alerts([SILENT], by="", reason="the drill is over")
    keep_alerts()
    assert Alert.objects.get().drill_id == drill
    assert response_times()["all"]["mttr"]["number"] == 0

    raise_alert("order.fill_after_final", "order:1", message="real", details={"account": "sim-a"})
    Alert.objects.exclude(condition="stream.silent").update(incident=made)
    assert response_times()["all"]["mttr"]["number"] == 1, "it held something real as well"


def test_a_drill_is_no_incident_to_be_counted_or_told():
    open_drill("sim-a", "a drill", "recovery")
    keep_alerts()
    assert (count_unresolved_incidents(), Incident.objects.get().state) == ({}, "open")
