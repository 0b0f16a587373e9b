"""Alerts over HTTP and on the screen."""

import pytest

from reliability.models import Alert
from reliability.services.alerting import raise_alert, resolve_alert
from tests.factories import make_user
from tests.reliability.api.test_errors import client_of, require_error, send
from tests.reliability.views.test_operator_actions import logged_in, told

pytestmark = pytest.mark.django_db

MAY = ("reliability.view_alert", "reliability.acknowledge_alert")


def make_three() -> list[int]:
    ids = [raise_alert("order.external", f"order:{number}", message="x") for number in (1, 2)]
    ids.append(raise_alert("order.overfill", "order:3", message="too much"))
    resolve_alert("order.external", "order:1", reason="known")
    return ids


def test_alerts_are_listed_filtered_and_paged():
    ids = make_three()
    client = client_of(make_user(*MAY))

    def found(query: str) -> list[int]:
        return [row["id"] for row in client.get(f"/api/v1/alerts?{query}").json()["results"]]

    assert found("") == ids[::-1]
    assert found("state=unresolved") == [ids[2], ids[1]]
    assert found("severity=critical") == [ids[2]]
    assert found("condition=order.external&scope=order:1") == [ids[0]]
    first = client.get("/api/v1/alerts?limit=2").json()
    assert first["results"][0]["runbook"] == "docs/reference/alerts.md#order-overfill"
    assert found(f"limit=2&after={first['next_after']}") == [ids[0]]


def test_one_alert_with_its_timeline():
    ids = make_three()
    client = client_of(make_user(*MAY))

    shown = client.get(f"/api/v1/alerts/{ids[0]}").json()

    assert [entry["kind"] for entry in shown["timeline"]] == ["raised", "resolved"]
    assert shown["timeline"][0]["recorded_at"].endswith("Z")
    require_error(client.get("/api/v1/alerts/999999999"), 404, "VALIDATION_NOT_FOUND")


def test_alerts_are_acknowledged_by_those_who_may():
    ids = make_three()
    viewer, operator = client_of(make_user(MAY[0])), client_of(make_user(*MAY, name="ann"))
    body = {"ids": ids, "reason": "mine"}

    require_error(send(viewer, "POST", "/api/v1/alerts/acknowledge", body), 403, "AUTH_PERMISSION_DENIED")
    assert send(operator, "POST", "/api/v1/alerts/acknowledge", body).json() == {"changed": 2}
    require_error(send(operator, "POST", "/api/v1/alerts/acknowledge", body), 409, "VALIDATION_WRONG_STATE")


@pytest.mark.parametrize("query", ["state=gone", "condition=x", "severity=bad", "limit=0", "after=0"])
def test_a_wrong_question_is_refused(query: str):
    client = client_of(make_user(*MAY))
    require_error(client.get(f"/api/v1/alerts?{query}"), 422, "VALIDATION_INVALID_REQUEST")


def test_the_button_of_the_screen_acknowledges():
    pk = raise_alert("order.external", "order:1", message="x")
    client = logged_in(*MAY)
    assert f'id="acknowledge-{pk}"' in client.get("/").content.decode()

    assert told(client.post("/alerts/acknowledge", {"ids": [pk]})) == "1 alert acknowledged: you work on it."
    assert Alert.objects.get().state == "acknowledged"
    assert client.get("/alerts/acknowledge").status_code == 405
    assert logged_in(MAY[0]).post("/alerts/acknowledge", {"ids": [pk]}).status_code == 403
    assert f'id="acknowledge-{pk}"' not in client.get("/").content.decode()
