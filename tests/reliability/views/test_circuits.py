"""The circuit buttons and the banner of the operator screen."""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.messages import get_messages
from django.test import Client

from reliability.conf import get_conf
from reliability.core.breaker import BreakerSettings, PinnedState
from reliability.models import AuditEntry, Circuit, Lane
from reliability.services import circuits, degradation
from reliability.services.circuits.store import INDEX, connect
from reliability.services.degradation import declare, read_status
from tests.factories import make_process, make_user
from tests.reliability.api.test_errors import client_of

pytestmark = pytest.mark.django_db

ALL = ("reliability.view_circuit", "reliability.operate_circuit", "reliability.view_heartbeat", "reliability.view_job")


@pytest.fixture(autouse=True)
def only_declared_here(monkeypatch: pytest.MonkeyPatch) -> None:
    with connect(get_conf().redis_url, 1.0) as client:
        client.delete(INDEX)
    monkeypatch.setattr(degradation, "_declared", {})
    monkeypatch.setattr(degradation, "_obstacles", [])
    declare("new orders", "orders", "accepted and queued until the circuit closes")
    declare("positions", "reads", "recorded values with their age")
    declare("cancel", "cancels", "refused: use the broker's own page", still_works=False)


@pytest.fixture
def broker() -> str:
    return f"sim-{uuid4().hex[:8]}"


def seen(*names: str) -> None:
    for name in names:
        circuits.configure(name, BreakerSettings(), 1)
        Circuit.objects.get_or_create(name=name)


def refuse(name: str) -> None:
    seen(name)
    circuits.pin(name, PinnedState.FORCED_OPEN, 60, "night", "maintenance")


def screen(*permissions: str) -> str:
    client = Client()
    client.force_login(make_user(*permissions))
    return client.get("/").content.decode()


def told(response: Any) -> str:
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


def test_all_is_normal_while_every_circuit_lets_calls_through(broker):
    make_process()
    seen(f"{broker}:orders", f"{broker}:reads")

    status = read_status()

    assert (status.health, status.affected, status.since) == ("normal", [], None)
    assert "degraded" not in screen(*ALL)


def test_an_open_circuit_says_what_works_and_what_does_not(broker):
    make_process()
    seen(f"{broker}:reads")
    refuse(f"{broker}:orders")
    refuse(f"{broker}:cancels")

    status = read_status()

    assert status.health == "degraded"
    assert [(one.operation, one.works, one.fallback) for one in status.affected] == [
        ("cancel", False, "refused: use the broker's own page"),
        ("new orders", True, "accepted and queued until the circuit closes"),
    ]
    dependency = next(one for one in status.dependencies if one.name == broker)
    assert [(one.operation, one.health) for one in dependency.operations] == [
        ("cancel", "down"),
        ("new orders", "degraded"),
        ("positions", "normal"),
    ]
    text = screen(*ALL)
    assert "Running with less than usual" in text
    assert "accepted and queued until the circuit closes" in text
    assert "(2) Stanchion" in text


def test_a_broker_whose_circuits_all_refuse_is_down_and_the_rest_degraded(broker):
    make_process()
    refuse(f"{broker}:orders")

    status = read_status()

    assert next(one for one in status.dependencies if one.name == broker).health == "down"
    assert status.health == "degraded"


def test_without_a_worker_everything_is_down():
    assert read_status().health == "down"
    assert "Nothing is carried out now" in screen(*ALL)


def test_dead_processes_and_paused_lanes_degrade(broker):
    make_process()
    make_process("worker orders-2", end_reason="died", ended_at="2999-01-01T00:00:00Z")
    Lane.objects.filter(name="alerts").update(paused_at="2026-01-01T00:00:00Z", paused_reason="mail is down")

    status = read_status()

    assert status.health == "degraded"
    assert [process.name for process in status.missing_processes] == ["worker orders-2"]
    assert [lane.name for lane in status.paused_lanes] == ["alerts"]


def test_the_store_away_is_a_degradation_of_its_own(monkeypatch):
    make_process()
    monkeypatch.setattr(
        "reliability.services.circuits.control.get_conf", lambda: type("Conf", (), {"redis_url": "redis://127.0.0.1:9"})
    )
    declare("circuits", degradation.REDIS, "each process decides alone")

    status = read_status()

    assert status.health == "degraded"
    assert "each process decides alone" in [one.fallback for one in status.affected]
    assert "The shared store cannot be reached" in screen(*ALL)


def test_the_status_is_answered_over_http(broker):
    make_process()
    refuse(f"{broker}:orders")
    seen(f"{broker}:reads")

    found = client_of(make_user("reliability.view_circuit")).get("/api/v1/status").json()

    assert found["status"] == "degraded"
    dependency = next(one for one in found["dependencies"] if one["name"] == broker)
    assert [(one["operation"], one["works"], one["fallback"]) for one in dependency["operations"]] == [
        ("new orders", True, "accepted and queued until the circuit closes"),
        ("positions", True, None),
    ]
    assert [one["state"] for one in dependency["circuits"]] == ["forced_open", "closed"]
    assert found["missing_processes"] == found["paused_lanes"] == []


def test_a_circuit_whose_protection_is_off_is_named(broker):
    make_process()
    seen(f"{broker}:orders")
    circuits.pin(f"{broker}:orders", PinnedState.DISABLED, 60, "night", "test")

    status = read_status()

    assert [view.name for view in status.unprotected] == [f"{broker}:orders"]


def test_a_circuit_is_pinned_unpinned_and_reset_with_a_reason(broker):
    name = f"{broker}:orders"
    seen(name)
    client = Client()
    client.force_login(make_user(*ALL))

    pinned = client.post(f"/circuits/{name}/pin", {"state": "disabled", "minutes": "5", "reason": "their test day"})
    assert told(pinned) == f"The circuit {name} is pinned disabled for 5 minutes."
    assert Circuit.objects.get(name=name).pin_reason == "their test day"
    client.post(f"/circuits/{name}/unpin", {"reason": "over"})
    client.post(f"/circuits/{name}/reset", {"reason": "well"})

    actions = list(AuditEntry.objects.order_by("id").values_list("action", flat=True))
    assert actions == ["pin_circuit", "unpin_circuit", "reset_circuit"]


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"state": "open", "minutes": "5", "reason": "x"}, "Choose a state"),
        ({"state": "disabled", "minutes": "", "reason": "x"}, "Choose a state"),
        ({"state": "disabled", "minutes": "nan", "reason": "x"}, "up to 1440"),
        ({"state": "disabled", "minutes": "5"}, "Give a reason"),
    ],
)
def test_a_wrong_form_changes_nothing(broker, form, words):
    seen(f"{broker}:orders")
    client = Client()
    client.force_login(make_user(*ALL))

    assert words in told(client.post(f"/circuits/{broker}:orders/pin", form))
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("action", ["pin", "unpin", "reset"])
def test_buttons_are_posts_by_people_with_the_permission(action):
    address = f"/circuits/sim-a:orders/{action}"
    permitted, other = Client(), Client(enforce_csrf_checks=True)
    permitted.force_login(make_user("reliability.operate_circuit"))
    other.force_login(make_user("reliability.operate_circuit"))
    viewer = Client()
    viewer.force_login(make_user("reliability.view_circuit"))

    assert permitted.get(address).status_code == 405
    assert other.post(address).status_code == 403
    assert viewer.post(address, {"reason": "r"}).status_code == 403
    assert Client().post(address).headers["Location"].startswith("/admin/login/")
