"""Alerts: one open per condition and scope, whoever raises it and however often; over when they say so."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from reliability.core.conditions import UnknownConditionError
from reliability.core.errors import ReliabilityError
from reliability.core.taxonomy import ErrorSeverity
from reliability.models import Alert, AlertOccurrence, AlertRule, AuditEntry
from reliability.selectors.alerts import count_unresolved, list_timeline
from reliability.services import alert_conditions
from reliability.services.alert_decisions import acknowledge_alerts
from reliability.services.alert_keeper import add_up_repeats, end_cleared, keep_alerts
from reliability.services.alert_rules import ensure_rules
from reliability.services.alerting import (
    Raising,
    end_alerts,
    follow_condition,
    raise_alert,
    raise_alerts,
    resolve_alert,
)

pytestmark = pytest.mark.django_db

OPENED = ("circuit.opened", "circuit:sim-a:orders")


def kinds(alert_id: int) -> list[str]:
    return [entry["kind"] for entry in list_timeline("alert", alert_id)]


def test_an_alert_tells_what_is_wrong_and_since_when():
    pk = raise_alert(*OPENED, message="five failures in a row", details={"failures": 5})

    row = Alert.objects.get()
    assert (row.pk, row.domain, row.severity, row.state, row.occurrences) == (pk, "broker", 2, "open", 1)
    assert (row.message, row.details) == ("five failures in a row", {"failures": 5})
    assert kinds(pk) == ["raised"]
    assert count_unresolved() == {"high": 1}


def test_ten_thousand_repeats_are_one_alert_with_an_exact_count():
    first = raise_alert(*OPENED, message="first")
    ids = raise_alerts([Raising(*OPENED, f"again {number}") for number in range(9_999)])
    assert set(ids) == {first}

    assert (add_up_repeats(), add_up_repeats()) == (9_999, 0)

    row = Alert.objects.get()
    assert (row.occurrences, row.message) == (10_000, "again 9998")
    assert not AlertOccurrence.objects.exists()
    assert kinds(first) == ["raised"]


def test_many_at_once_are_told_apart_and_answered_in_order():
    known = raise_alert("stream.silent", "account:b", message="down")
    wanted = [
        Raising("stream.silent", "account:c", "down"),
        Raising("stream.silent", "account:b", "still down"),
        Raising("stream.silent", "account:a", "down"),
        Raising("stream.silent", "account:c", "down"),
    ]

    ids = raise_alerts(wanted)

    assert (ids[1], ids[0] == ids[3], len(set(ids))) == (known, True, 3)
    add_up_repeats()
    assert dict(Alert.objects.values_list("scope", "occurrences")) == {"account:a": 1, "account:b": 2, "account:c": 2}


def test_the_database_holds_one_open_alert_and_any_number_of_former_ones():
    raise_alert("order.overfill", "order:1", message="x")
    end_alerts([("order.overfill", "order:1")], by="ann", reason="bust")
    raise_alert("order.overfill", "order:1", message="x")

    assert list(Alert.objects.values_list("flaps", flat=True)) == [1, 0]
    with pytest.raises(IntegrityError), transaction.atomic():
        Alert.objects.filter(state="resolved").update(state="open", resolved_at=None)


def test_what_comes_back_after_long_is_no_flapping():
    raise_alert("order.external", "order:1", message="x")
    resolve_alert("order.external", "order:1", reason="known")
    Alert.objects.update(resolved_at=timezone.now() - timedelta(minutes=11))

    raise_alert("order.external", "order:1", message="x")

    assert Alert.objects.get(resolved_at=None).flaps == 0


def test_a_condition_without_a_hold_down_is_over_at_once():
    pk = raise_alert("order.external", "order:1", message="x")

    assert resolve_alert("order.external", "order:1", reason="the desk placed it")
    assert not resolve_alert("order.external", "order:1", reason="again")

    row = Alert.objects.get()
    assert (row.state, row.resolved_by, row.resolved_reason) == ("resolved", "", "the desk placed it")
    assert kinds(pk) == ["raised", "resolved"]


def test_a_condition_with_a_hold_down_is_watched_first():
    pk = raise_alert(*OPENED, message="x")
    assert resolve_alert(*OPENED, reason="closed")
    assert resolve_alert(*OPENED, reason="said twice")
    assert end_cleared() == []
    left = Alert.objects.get().clears_at - timezone.now()
    assert timedelta(seconds=60) < left <= timedelta(minutes=2)

    Alert.objects.update(clears_at=timezone.now())
    assert end_cleared() == [pk]
    assert Alert.objects.get().resolved_reason == "closed"
    assert kinds(pk) == ["raised", "over", "resolved"]


def test_coming_back_within_the_hold_down_goes_on_and_is_counted():
    pk = raise_alert(*OPENED, message="x")
    resolve_alert(*OPENED, reason="closed")

    assert raise_alert(*OPENED, message="opened again") == pk

    row = Alert.objects.get()
    assert (row.clears_at, row.flaps, row.state) == (None, 1, "open")
    assert kinds(pk) == ["raised", "over", "came_back"]


def test_a_repeat_makes_it_worse_and_never_milder():
    raise_alert("order.external", "order:1", message="x")
    raise_alert("order.external", "order:1", message="x", severity=ErrorSeverity.CRITICAL)
    raise_alert("order.external", "order:1", message="x", severity=ErrorSeverity.LOW)

    assert Alert.objects.get().severity == ErrorSeverity.CRITICAL.rank


def test_what_an_operator_tuned_holds():
    ensure_rules()
    ensure_rules()
    AlertRule.objects.filter(condition="circuit.opened").update(severity=1, hold_down_seconds=0)

    raise_alert(*OPENED, message="x")
    assert Alert.objects.get().severity == 1
    resolve_alert(*OPENED, reason="closed")
    assert Alert.objects.get().state == "resolved"


@pytest.mark.parametrize("scope", ["", "x" * 201])
def test_a_scope_that_cannot_be_kept_is_a_mistake_of_the_caller(scope: str):
    with pytest.raises(ValueError, match="scope"):
        raise_alert("order.external", scope, message="x")


def test_an_unheard_of_condition_is_a_mistake_of_the_caller():
    with pytest.raises(UnknownConditionError):
        raise_alert("made.up", "order:1", message="x")
    with pytest.raises(UnknownConditionError):
        resolve_alert("made.up", "order:1", reason="x")


def test_any_text_can_be_told():
    raise_alert("order.external", "order:1", message="nul \x00 lone \ud800" * 200, details={"a\x00": ["\x00"]})

    assert len(Alert.objects.get().message) == 1000


def test_following_a_condition_raises_what_is_new_and_ends_what_is_gone():
    follow_condition("data.gap", [Raising("data.gap", f"symbol:{name}", "x") for name in "ab"], reason="filled")
    follow_condition("data.gap", [Raising("data.gap", f"symbol:{name}", "x") for name in "bc"], reason="filled")
    add_up_repeats()

    found = Alert.objects.order_by("scope").values_list("scope", "state", "occurrences")
    assert list(found) == [("symbol:a", "resolved", 1), ("symbol:b", "open", 1), ("symbol:c", "open", 1)]


def test_somebody_acknowledges_once():
    first, second = (raise_alert("order.external", f"order:{number}", message="x") for number in (1, 2))

    assert acknowledge_alerts([first, second, 10**9], actor="ann", reason="looking") == 2
    with pytest.raises(ReliabilityError, match="ann has acknowledged it already"):
        acknowledge_alerts([first], actor="bob")

    row = Alert.objects.get(pk=first)
    assert (row.state, row.acknowledged_by, row.acknowledged_at is not None) == ("acknowledged", "ann", True)
    assert kinds(first) == ["raised", "acknowledged"]
    assert AuditEntry.objects.filter(action="acknowledge_alert", actor="ann").count() == 2


def test_what_is_over_cannot_be_acknowledged():
    pk = raise_alert("order.external", "order:1", message="x")
    resolve_alert("order.external", "order:1", reason="known")

    with pytest.raises(ReliabilityError, match="It is resolved: known"):
        acknowledge_alerts([pk], actor="ann")


def test_one_check_that_fails_stops_no_other(monkeypatch: Any):
    def broken() -> None:
        raise RuntimeError("a bug")

    seen: list[int] = []
    monkeypatch.setattr(alert_conditions, "CHECKS", [broken, lambda: seen.append(1)])
    monkeypatch.setattr("reliability.services.alert_keeper.CHECKS", alert_conditions.CHECKS)

    keep_alerts()

    assert seen == [1]


@pytest.mark.django_db(transaction=True)
def test_raised_by_many_at_once_it_is_one_alert():
    barrier = threading.Barrier(4)
    ids: list[int] = []

    def work() -> None:
        barrier.wait()
        for number in range(5):
            with transaction.atomic():
                ids.append(raise_alert("order.external", "order:1", message=str(number)))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    add_up_repeats()
    assert (len(ids), len(set(ids)), Alert.objects.get().occurrences) == (20, 1, 20)
