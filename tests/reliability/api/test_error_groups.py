"""Kinds of errors over HTTP and in admin."""

import pytest

from reliability.models import ErrorGroup
from tests.factories import make_user
from tests.reliability.api.test_errors import client_of, require_error, send
from tests.reliability.services.test_error_groups import meet
from tests.reliability.views.test_operator_actions import logged_in

pytestmark = pytest.mark.django_db

MAY = ("reliability.view_errorgroup", "reliability.decide_errorgroup")


def test_groups_are_listed_shown_and_decided():
    meet(2)
    meet(source="sim-b", code="TIMEOUT_READ")
    client = client_of(make_user(*MAY, name="ann"))
    first, second = ErrorGroup.objects.order_by("id").values_list("pk", flat=True)

    listed = client.get("/api/v1/errors/groups?limit=1").json()
    assert ([row["id"] for row in listed["results"]], listed["next_after"]) == ([second], second)
    assert [row["id"] for row in client.get("/api/v1/errors/groups?source=sim-a").json()["results"]] == [first]
    path = f"/api/v1/errors/groups/{first}"
    shown = client.get(path).json()
    assert (shown["count"], len(shown["events"]), shown["timeline"][0]["kind"]) == (2, 2, "first_seen")
    assert shown["runbook"].endswith("#network_connect_refused")

    assert send(client, "POST", path + "/snooze", {"reason": "known", "more": 5}).json()["state"] == "snoozed"
    assert send(client, "POST", path + "/resolve", {"reason": "mended"}).json()["decided_by"] == "ann"
    assert send(client, "POST", path + "/reopen", {"reason": "no"}).json()["state"] == "open"
    assert send(client, "POST", path + "/merge", {"reason": "same", "ids": [second]}).json() == {"changed": 1}
    assert [row["id"] for row in client.get("/api/v1/errors/groups").json()["results"]] == [first]


@pytest.mark.parametrize(
    ("action", "body", "status", "code"),
    [
        ("resolve", {}, 422, "VALIDATION_INVALID_REQUEST"),
        ("snooze", {"reason": "x"}, 422, "VALIDATION_INVALID_REQUEST"),
        ("snooze", {"reason": "x", "more": 0}, 422, "VALIDATION_INVALID_REQUEST"),
        ("snooze", {"reason": "x", "until": "2020-01-01T00:00:00Z"}, 422, "VALIDATION_INVALID_REQUEST"),
        ("reopen", {"reason": "x"}, 409, "VALIDATION_WRONG_STATE"),
        ("merge", {"reason": "x", "ids": [10**12]}, 409, "VALIDATION_WRONG_STATE"),
    ],
)
def test_a_wrong_decision_is_refused(action, body, status, code):
    meet()
    path = f"/api/v1/errors/groups/{ErrorGroup.objects.get().pk}/{action}"
    require_error(send(client_of(make_user(*MAY)), "POST", path, body), status, code)


def test_admin_shows_and_decides_groups():
    meet()
    meet(source="sim-b")
    pk, other = ErrorGroup.objects.order_by("id").values_list("pk", flat=True)
    client = logged_in(*MAY, "reliability.view_errorevent")
    base = "/admin/reliability/errorgroup/"

    assert "connection to * refused" in client.get(base).content.decode()
    assert "first seen" in client.get(f"{base}{pk}/change/").content.decode()
    assert client.get("/admin/reliability/errorevent/").status_code == 200
    form = {"action": "snooze", "_selected_action": [pk], "hours": "1", "more": "", "reason": "known"}
    client.post(base, form)
    assert ErrorGroup.objects.get(pk=pk).state == "snoozed"
    client.post(base, {"action": "merge", "_selected_action": [pk, other], "reason": "the same"})
    assert ErrorGroup.objects.get(pk=other).merged_into_id == pk
    client.post(base, {"action": "resolve", "_selected_action": [pk], "reason": "mended"})
    assert ErrorGroup.objects.get(pk=pk).state == "resolved"
