"""What an operator sets for a condition changes what fires, at once; nothing out of bounds is taken."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from reliability.core.conditions import CONDITIONS
from reliability.core.errors import ReliabilityError
from reliability.core.taxonomy import ErrorSeverity
from reliability.core.thresholds import check_thresholds
from reliability.models import Alert, AlertRule, AuditEntry
from reliability.services.alert_keeper import keep_alerts
from reliability.services.alert_rules import USUAL, RuleValues, change_rule, ensure_rules, reset_rule
from reliability.services.alert_thresholds import read_thresholds
from reliability.services.jobs.dead_alerts import tell_dead
from tests.factories import make_dead_letter, make_job, make_lanes, make_user
from tests.reliability.api.test_errors import client_of, require_error, send
from tests.reliability.views.test_operator_actions import logged_in

pytestmark = pytest.mark.django_db

MAY = ("reliability.view_alertrule", "reliability.change_alertrule")
TUNED = [one.name for one in CONDITIONS.values() if one.thresholds]


def patch(client: Any, address: str, body: dict[str, Any]) -> Any:
    return client.patch(address, body, content_type="application/json")


def tune(condition: str, **thresholds: float) -> AlertRule:
    return change_rule(condition, RuleValues(None, None, True, thresholds), actor="ann")


def test_a_lowered_threshold_fires_with_the_next_look_and_a_raised_one_ends_it() -> None:
    make_lanes()
    make_job(lane="alerts", run_at=timezone.now() - timedelta(seconds=30))
    keep_alerts()
    assert not Alert.objects.exists()

    tune("lane.late", wait_seconds=10)
    keep_alerts()
    assert Alert.objects.get().condition == "lane.late"

    tune("lane.late", wait_seconds=3600)
    keep_alerts()
    assert Alert.objects.get().clears_at is not None


def test_dead_letters_are_told_from_the_number_on_that_is_set() -> None:
    tune("job.dead_letter", fewest=2)
    make_dead_letter(kind="orders.submit")
    tell_dead([("orders.submit", "x")])
    assert not Alert.objects.exists()
    make_dead_letter(kind="orders.submit")
    tell_dead([("orders.submit", "x")])
    assert Alert.objects.get().scope == "jobs:orders.submit"


def test_a_change_and_a_reset_are_on_record_with_before_and_after() -> None:
    row = change_rule("error.rate", RuleValues(ErrorSeverity.HIGH, 60.0, False, {"limit_percent": 2}), actor="ann")
    assert (row.severity, row.hold_down_seconds, row.is_told, row.thresholds) == (2, 60.0, False, {"limit_percent": 2})
    assert row.changed_by == "ann"
    assert change_rule("error.rate", RuleValues(ErrorSeverity.HIGH, 60.0, False, {"limit_percent": 2}), actor="bob")

    reset_rule("error.rate", actor="bob", reason="was an exercise")

    first, second = AuditEntry.objects.filter(action="change_alert_rule").order_by("id")
    assert (first.actor, first.before["thresholds"], first.after["thresholds"]) == ("ann", {}, {"limit_percent": 2})
    assert (second.actor, second.after["severity"], second.reason) == ("bob", None, "was an exercise")
    assert read_thresholds("error.rate")["limit_percent"] == 1


@pytest.mark.parametrize(
    ("condition", "values", "text"),
    [
        ("error.rate", RuleValues(None, None, True, {"limit_percent": 51}), "from 0.01 to 50"),
        ("error.rate", RuleValues(None, None, True, {"limit_percent": "1"}), "a number"),
        ("error.rate", RuleValues(None, None, True, {"limit_percent": float("nan")}), "a number"),
        ("error.rate", RuleValues(None, None, True, {"limit_percent": 0.2}), "calm_percent must not be above"),
        ("error.rate", RuleValues(None, None, True, {"wait": 1}), "no threshold called"),
        ("error.rate", RuleValues(None, -1.0, True, {}), "hold_down_seconds"),
        ("trading.halted", RuleValues(None, None, False, {}), "always told"),
        ("nothing", USUAL, "no condition"),
    ],
)
def test_what_is_out_of_bounds_is_refused_and_said(condition: str, values: RuleValues, text: str) -> None:
    with pytest.raises(ReliabilityError, match=text):
        change_rule(condition, values, actor="ann")
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("condition", TUNED)
def test_every_bound_is_taken_and_usual_numbers_are_within_them(condition: str) -> None:
    one = CONDITIONS[condition]
    assert check_thresholds(one.thresholds, one.ordered, {}) == {}
    for threshold in one.thresholds:
        assert threshold.allows(threshold.usual)
        for bound in (threshold.low, threshold.high):
            assert check_thresholds(one.thresholds, (), {threshold.name: bound}).get(threshold.name, bound) == bound


def test_a_stored_value_of_another_version_is_not_gone_by() -> None:
    AlertRule.objects.create(condition="beat.late", thresholds={"silent_seconds": 1e9, "gone": 3})
    assert read_thresholds("beat.late") == {"silent_seconds": 30}


def test_rules_are_read_and_tuned_over_http() -> None:
    client, viewer = client_of(make_user(*MAY, name="ann")), client_of(make_user(MAY[0]))
    assert {row["condition"] for row in viewer.get("/api/v1/alert-rules").json()["results"]} == set(CONDITIONS)
    address = "/api/v1/alert-rules/beat.late"
    body = {"thresholds": {"silent_seconds": 60}, "reason": "slow machine"}

    require_error(patch(viewer, address, body), 403, "AUTH_PERMISSION_DENIED")
    assert patch(client, address, body).json()["thresholds"][0]["value"] == 60
    assert patch(client, address, {"severity": "low", "reason": "x"}).json()["thresholds"][0]["value"] == 60
    require_error(
        patch(client, address, {"thresholds": {"silent_seconds": 1}, "reason": "x"}), 422, "VALIDATION_INVALID_REQUEST"
    )
    require_error(patch(client, "/api/v1/alert-rules/none", body), 404, "VALIDATION_NOT_FOUND")
    reset = send(client, "POST", address + "/reset", {"reason": "mended"}).json()
    assert (reset["severity"], reset["thresholds"][0]["value"]) == (None, 30)


def test_rules_are_tuned_in_admin() -> None:
    ensure_rules()
    client = logged_in(*MAY, name="ann")
    address = "/admin/reliability/alertrule/lane.late/change/"
    assert (
        "Due work has waited for longer than that. Empty: 60. From 1 to 3600." in client.get(address).content.decode()
    )

    client.post(address, {"severity": "", "hold_down_seconds": "", "is_told": "on", "threshold_wait_seconds": "5"})
    assert read_thresholds("lane.late") == {"wait_seconds": 5}
    answer = client.post(address, {"is_told": "on", "threshold_wait_seconds": "0"}).content.decode()
    assert "greater than or equal to 1" in answer
    assert "wait_seconds 5 (usually 60)" in client.get("/admin/reliability/alertrule/").content.decode()
    chosen = {"action": "reset", "_selected_action": ["lane.late"], "confirmed": "1", "reason": "enough"}
    client.post("/admin/reliability/alertrule/", chosen)
    assert read_thresholds("lane.late") == {"wait_seconds": 60}
    assert "usually 60" not in logged_in(MAY[0], name="viv").get(address).content.decode()
