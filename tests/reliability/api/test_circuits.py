"""Circuits over HTTP: reading, pinning, settings, and everything a caller can get wrong."""

import json
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from reliability.core.breaker import BreakerSettings
from reliability.models import AuditEntry, Circuit
from reliability.services import circuits
from reliability.services.transition_records import TransitionRecorder
from tests.factories import make_user
from tests.reliability.api.test_errors import client_of, require_error, send
from tests.reliability.services.test_transition_records import make_transition

pytestmark = pytest.mark.django_db

ALL = ("reliability.view_circuit", "reliability.change_circuit", "reliability.operate_circuit")


@pytest.fixture
def client() -> Client:
    return client_of(make_user(*ALL, name="night"))


@pytest.fixture
def path() -> str:
    """The address of a circuit that is called."""
    name = f"t{uuid4().hex[:10]}:orders"
    circuits.configure(name, BreakerSettings(), 1)
    return f"/api/v1/circuits/{name}"


def patch(client: Client, path: str, body: Any) -> Any:
    text = body if isinstance(body, str) else json.dumps(body)
    return send(client, "PATCH", path, content_type="application/json", data=text)


def test_a_circuit_is_listed_and_shown(client, path):
    shown = client.get(path).json()
    listed = client.get("/api/v1/circuits").json()

    assert listed["store_reachable"] is True
    assert shown["name"] in [one["name"] for one in listed["results"]]
    assert (shown["state"], shown["is_shared"], shown["pin"], shown["failure_percentage"]) == (
        "closed",
        True,
        None,
        None,
    )
    assert shown["config"] == {
        "failureThreshold": 5,
        "successThreshold": 3,
        "timeout": 30000,
        "volumeThreshold": 10,
        "errorThresholdPercentage": 50,
        "resetTimeout": 60000,
    }


def test_settings_are_changed_by_either_name(client, path, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        answer = patch(client, path, {"timeout": 5000, "failure_threshold": 3, "reason": "slow days"})

    assert answer.status_code == 200, answer.content
    assert client.get(path).json()["settings"]["cooldown_seconds"] == 5
    assert client.get(path).json()["config"]["failureThreshold"] == 3
    assert AuditEntry.objects.get().actor == "night"


def test_a_pin_a_reset_and_an_unpin(client, path, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        pinned = send(client, "POST", path + "/pin", {"state": "forced_open", "reason": "maintenance"})
    assert pinned.status_code == 200, pinned.content
    assert client.get(path).json()["state"] == "forced_open"
    assert client.get(path).json()["pin"]["author"] == "night"
    assert 3000 < client.get(path).json()["remaining_seconds"] <= 3600

    with django_capture_on_commit_callbacks(execute=True):
        assert send(client, "POST", path + "/unpin", {"reason": "over"}).status_code == 200
    assert client.get(path).json()["state"] == "half_open"

    assert send(client, "POST", path + "/reset", {"reason": "it is well"}).json()["state"] == "closed"


def test_its_history_is_read_page_by_page(client, path):
    name = path.rpartition("/")[2]
    recorder = TransitionRecorder()
    for version in (1, 2, 3):
        recorder.note(make_transition(circuit=name, version=version))
    recorder.write()

    first = client.get(path + "/history?limit=2").json()
    rest = client.get(f"{path}/history?limit=2&after={first['next_after']}").json()

    assert [row["version"] for row in first["results"] + rest["results"]] == [3, 2, 1]
    assert (rest["next_after"], first["results"][0]["cause"]) == (None, "reset")


@pytest.mark.parametrize(
    ("action", "body", "words"),
    [
        ("pin", {}, "state"),
        ("pin", {"state": "open", "reason": "x"}, "state"),
        ("pin", {"state": "disabled", "reason": " "}, "reason"),
        ("pin", {"state": "disabled", "reason": "x" * 501}, "reason"),
        ("pin", {"state": "disabled", "reason": "\x00"}, "reason"),
        ("pin", {"state": "disabled", "reason": "x", "minutes": "long"}, "minutes"),
        ("pin", {"state": "disabled", "reason": "x", "minutes": 0}, "up to 1440 minutes"),
        ("pin", {"state": "disabled", "reason": "x", "minutes": 1441}, "up to 1440 minutes"),
        ("pin", {"state": "disabled", "reason": "x", "minutes": "nan"}, "minutes"),
        ("pin", [], "non_field_errors"),
        ("unpin", {}, "reason"),
        ("reset", {"reason": ""}, "reason"),
        ("reset", "7", "non_field_errors"),
    ],
)
def test_a_wrong_request_says_what_is_wrong(client, path, action, body, words):
    document = require_error(send(client, "POST", f"{path}/{action}", body), 422, "VALIDATION_INVALID_REQUEST")

    assert words in str(document["error"])
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"timeout": 1}, "reason"),
        ({"reason": "x"}, "at least one setting"),
        ({"reason": "x", "nothing": 1}, "no setting called"),
        ({"reason": "x", "timeout": None}, "must be a number"),
        ({"reason": "x", "timeout": [1]}, "must be a number"),
        ({"reason": "x", "timeout": {"a": 1}}, "must be a number"),
        ({"reason": "x", "failureThreshold": True}, "must be a number"),
        ({"reason": "x", "failureThreshold": 0}, "from 1 to 1000000"),
        ({"reason": "x", "failureThreshold": 1.5}, "whole number"),
        ({"reason": "x", "resetTimeout": 10**300}, "from 0.01"),
        ('{"reason": "x", "resetTimeout": 1e9999}', "must be a number"),
        ({"reason": "x", "settings_version": 9}, "no setting called"),
        ([], "non_field_errors"),
    ],
)
def test_settings_that_make_no_sense_are_refused(client, path, body, words):
    document = require_error(patch(client, path, body), 422, "VALIDATION_INVALID_REQUEST")

    assert words in str(document["error"])
    assert Circuit.objects.filter(settings_version__gt=1).count() == 0


def test_unpinning_what_is_not_pinned_is_a_conflict(client, path):
    require_error(send(client, "POST", path + "/unpin", {"reason": "x"}), 409, "VALIDATION_WRONG_STATE")


@pytest.mark.parametrize("name", ["never-seen", "%00", "a%0Ab", "x" * 500, "%F0%9F%90%8D", "a/b/c"])
def test_a_circuit_that_does_not_exist(client, name):
    path = f"/api/v1/circuits/{name}"
    body = {"reason": "x", "state": "disabled"}
    for answer in (
        client.get(path),
        client.get(path + "/history"),
        patch(client, path, {"reason": "x", "quorum": 2}),
        *(send(client, "POST", f"{path}/{action}", body) for action in ("pin", "unpin", "reset")),
    ):
        require_error(answer, 404, "VALIDATION_NOT_FOUND")


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "after=x", "after=0", f"after={10**30}"])
def test_a_wrong_page_is_refused(client, path, query):
    require_error(client.get(f"{path}/history?{query}"), 422, "VALIDATION_INVALID_REQUEST")


def test_looking_is_not_changing(path):
    viewer = client_of(make_user("reliability.view_circuit"))

    assert viewer.get(path).status_code == 200
    require_error(patch(viewer, path, {"reason": "x", "quorum": 2}), 403, "AUTH_PERMISSION_DENIED")
    for action in ("pin", "unpin", "reset"):
        answer = send(viewer, "POST", f"{path}/{action}", {"reason": "x", "state": "disabled"})
        require_error(answer, 403, "AUTH_PERMISSION_DENIED")


def test_without_the_store_a_reset_says_so_and_reading_goes_on(client, path, monkeypatch):
    monkeypatch.setattr(
        "reliability.services.circuits.control.get_conf", lambda: type("Conf", (), {"redis_url": "redis://127.0.0.1:9"})
    )
    Circuit.objects.create(name=path.rpartition("/")[2])

    document = require_error(send(client, "POST", path + "/reset", {"reason": "x"}), 503, "SYSTEM_REDIS_UNAVAILABLE")

    assert document["recovery"]["retryAfter"] == 5
    assert client.get("/api/v1/circuits").json()["store_reachable"] is False
    assert client.get(path).json()["is_shared"] is False
