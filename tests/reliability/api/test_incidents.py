"""Incidents, silences and messages over HTTP and in admin."""

import csv
import json
from typing import Any

import pytest
from django.test import Client

from reliability.models import AuditEntry, EscalationPolicy, Incident, Recipient, Rota, Silence
from reliability.services.secrets import unseal
from tests.factories import make_user
from tests.reliability.api.test_errors import client_of, require_error, send
from tests.reliability.services.test_incidents import happen
from tests.reliability.views.test_operator_actions import logged_in, told

pytestmark = pytest.mark.django_db

MAY = ("reliability.view_incident", "reliability.operate_incident", "reliability.review_incident")


@pytest.fixture
def client() -> Client:
    return client_of(make_user(*MAY, name="ann"))


def test_an_incident_is_handled_over_http(client: Client):
    incident = happen()
    path = f"/api/v1/incidents/{incident.pk}"

    listed = client.get("/api/v1/incidents?state=unresolved&severity=high&domain=broker&limit=1").json()
    assert ([row["number"] for row in listed["results"]], listed["next_after"]) == ([incident.number], incident.pk)
    assert client.get(f"/api/v1/incidents?after={incident.pk}").json()["results"] == []
    assert [alert["condition"] for alert in client.get(path).json()["alerts"]] == ["stream.silent"]
    assert send(client, "POST", path + "/acknowledge", {}).json()["acknowledged_by"] == "ann"
    assert send(client, "POST", path + "/note", {"reason": "called them"}).status_code == 200
    assert send(client, "POST", path + "/mitigate", {"reason": "routed away"}).json()["state"] == "mitigated"
    assert send(client, "POST", path + "/severity", {"reason": "x", "severity": "critical"}).json()["severity"] == (
        "critical"
    )
    require_error(send(client, "POST", path + "/close", {"reason": "x"}), 409, "VALIDATION_WRONG_STATE")
    body = json.dumps({"reason": "x", "root_cause": "a cable", "is_major": False})
    reviewed = send(client, "PATCH", path + "/review", content_type="application/json", data=body)
    assert reviewed.json()["root_cause"] == "a cable"
    what = [entry["what"] for entry in client.get(path + "/record").json()["timeline"]]
    assert what[-5:] == ["acknowledged", "note", "mitigated", "severity_set", "reviewed"]
    assert client.get("/api/v1/incidents/response-times?days=7").json()["all"]["mtta"]["number"] == 1


def test_the_register_is_csv_that_no_spreadsheet_runs(client: Client):
    incident = happen()
    Incident.objects.update(title="=cmd|x", root_cause="line one\nline two, more")

    answer = client.get("/api/v1/incidents/register.csv")
    rows = list(csv.DictReader(answer.getvalue().decode().splitlines(keepends=True)))

    assert answer["Content-Type"].startswith("text/csv")
    assert (rows[0]["number"], rows[0]["title"], rows[0]["root_cause"]) == (
        incident.number,
        "'=cmd|x",
        "line one\nline two, more",
    )
    assert rows[0]["detected_at"].endswith("Z")
    assert client.get("/api/v1/incidents/register.csv?until=2020-01-01T00:00:00Z").getvalue().count(b"\n") == 1


@pytest.mark.parametrize("query", ["state=gone", "severity=x", "domain=x", "limit=0", "kind=x"])
def test_a_wrong_question_is_refused(client: Client, query: str):
    require_error(client.get(f"/api/v1/incidents?{query}"), 422, "VALIDATION_INVALID_REQUEST")


def test_silences_are_added_confirmed_and_ended():
    ann, bob = (
        client_of(make_user("reliability.view_silence", "reliability.acknowledge_alert", name=name))
        for name in ("ann", "bob")
    )
    body = {"condition": "stream.silent", "minutes": 30, "reason": "maintenance"}
    made = send(ann, "POST", "/api/v1/silences", body)
    path = f"/api/v1/silences/{made.json()['id']}"

    assert (made.status_code, ann.get("/api/v1/silences").json()["results"][0]["author"]) == (201, "ann")
    require_error(send(ann, "POST", path + "/confirm"), 409, "VALIDATION_WRONG_STATE")
    assert send(bob, "POST", path + "/confirm").status_code == 204
    assert send(ann, "POST", path + "/end").status_code == 204
    assert ann.get("/api/v1/silences").json()["results"] == []
    too_long = {**body, "minutes": 1441}
    require_error(send(ann, "POST", "/api/v1/silences", too_long), 422, "VALIDATION_INVALID_REQUEST")


def test_admin_handles_incidents_and_writes_the_review():
    incident = happen()
    client = logged_in(*MAY, "reliability.view_alert")
    base = "/admin/reliability/incident/"
    assert incident.number in client.get(base + "?over=no").content.decode()
    page = client.get(f"{base}{incident.pk}/change/").content.decode()
    assert "alert joined" in page

    client.post(base, {"action": "acknowledge", "_selected_action": [incident.pk], "reason": "mine"})
    form = {"root_cause": "a cable", "discovery": "alert", "is_major": "unknown"}
    answer = client.post(f"{base}{incident.pk}/change/", form)
    incident.refresh_from_db()
    assert (answer.status_code, incident.state, incident.root_cause) == (302, "acknowledged", "a cable")
    assert AuditEntry.objects.filter(action="reviewed_incident").exists()


ADMIN = tuple(
    f"reliability.{act}_{what}"
    for what in ("recipient", "rota", "escalationpolicy", "rotashift")
    for act in ("view", "add", "change")
)


def test_admin_keeps_addresses_to_itself():
    client = logged_in(*ADMIN)
    base = "/admin/reliability/recipient/"
    form = {"name": "ann", "new_address": "jsons://user:hunter2@hooks.example/x", "is_enabled": "on", "username": "ann"}
    assert client.post(base + "add/", form).status_code == 302
    row = Recipient.objects.get()
    assert (unseal(row.address), row.shown_address) == (form["new_address"], "jsons://hooks.example/…")
    for page in (base, f"{base}{row.pk}/change/"):
        assert "hunter2" not in client.get(page).content.decode()
    assert "hunter2" not in str(list(AuditEntry.objects.values()))

    client.post(f"{base}{row.pk}/change/", {"username": "ann2", "is_enabled": "on", "new_address": ""})
    row.refresh_from_db()
    assert (row.username, unseal(row.address)) == ("ann2", form["new_address"])


@pytest.mark.parametrize("address", ["file:///etc/passwd", "exec://x", "", "syslog://"])
def test_an_address_that_is_not_sent_to_is_refused(address: str):
    client = logged_in(*ADMIN)
    client.post("/admin/reliability/recipient/add/", {"name": "ann", "new_address": address, "is_enabled": "on"})
    assert not Recipient.objects.exists()


def test_policies_and_rotas_are_made_in_admin():
    client = logged_in(*ADMIN)
    form: dict[str, Any] = {"name": "desk", "place": 1, "is_enabled": "on", "least_severity": 3, "rounds": 2}
    wrong = client.post("/admin/reliability/escalationpolicy/add/", {**form, "steps": '[{"people": []}]'})
    assert "step 1 tells nobody" in wrong.content.decode()
    client.post("/admin/reliability/escalationpolicy/add/", {**form, "steps": '[{"rotas": ["desk"]}]'})
    assert EscalationPolicy.objects.get().rounds == 2

    shifts = {"shifts-TOTAL_FORMS": 0, "shifts-INITIAL_FORMS": 0}
    client.post("/admin/reliability/rota/add/", {"name": "desk", **shifts})
    assert (Rota.objects.get().name, AuditEntry.objects.filter(action="save_rota").count()) == ("desk", 1)


def test_silences_are_made_in_admin():
    client = logged_in("reliability.view_silence", "reliability.acknowledge_alert")
    base = "/admin/reliability/silence/"
    form = {"condition": "stream.silent", "scope": "", "minutes": 30, "reason": "maintenance"}
    assert client.post(base + "add/", form).status_code == 302
    refused = client.post(base + "add/", {**form, "condition": "", "scope": ""})
    assert "nothing silences everything" in told(refused)
    client.post(base, {"action": "end", "_selected_action": [Silence.objects.get().pk], "reason": "over"})
    assert Silence.objects.get().ended_by
