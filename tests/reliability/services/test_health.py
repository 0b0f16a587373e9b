"""A report comes in time and is honest, whatever hangs, fails or is away."""

import json
import threading

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from reliability.conf import get_conf
from reliability.core.degradation import Health
from reliability.core.health import Finding
from reliability.services import health, health_checks
from reliability.services.circuits.store import connect
from reliability.services.health import check_health, register_check
from reliability.services.lanes import pause_lane
from reliability.services.pulse import Pulse
from tests.factories import make_user
from tests.reliability.api.test_errors import client_of, require_error

FINE = Finding(Health.NORMAL, "answers")


@pytest.fixture
def own_checks(monkeypatch):
    monkeypatch.setattr(health, "_checks", {})


def found(name: str) -> Finding:
    (one,) = check_health([name], limit_seconds=20).components
    return one.finding


def test_a_part_that_hangs_is_down_and_delays_no_other(own_checks):
    release, looks = threading.Event(), []

    def hang() -> Finding:
        looks.append(1)
        release.wait(30)
        return FINE

    register_check("hanging", hang)
    register_check("fine", lambda: FINE, critical=True)
    first, second = check_health(limit_seconds=0.1), check_health(limit_seconds=0.1)

    for report in (first, second):
        hanging, fine = report.components
        assert (hanging.health, fine.health, report.health) == (Health.DOWN, Health.NORMAL, Health.DEGRADED)
        assert "no answer" in hanging.finding.message
    assert looks == [1], "what hangs is not asked a second time"
    release.set()
    assert check_health(limit_seconds=20).health is Health.NORMAL


def test_a_critical_part_that_answers_late_stops_nothing_unless_nothing_goes_without_its_answer(own_checks):
    release = threading.Event()
    register_check("late", lambda: release.wait(30) and FINE, critical=True)
    assert check_health(limit_seconds=0.05).health is Health.DEGRADED
    register_check("database", lambda: release.wait(30) and FINE, critical=True, critical_when_silent=True)
    assert check_health(limit_seconds=0.05).health is Health.DOWN
    release.set()


def test_a_part_that_raises_is_down_with_its_reason(own_checks):
    def broken() -> Finding:
        raise OperationalError("the server\nis away")

    register_check("broken", broken, critical=True)
    report = check_health()

    assert report.health is Health.DOWN
    assert report.components[0].finding.message == "cannot be looked at: OperationalError: the server"


@pytest.mark.django_db(transaction=True)
def test_the_servers_answer_and_the_schema_is_whole(committed):
    for name in ("database", "migrations", "redis", "message broker", "clock", "disk", "lanes"):
        assert found(name).health is not Health.DOWN, found(name)
    assert found("clock").facts["uncertainty_seconds"] >= 0


@pytest.mark.django_db(transaction=True)
def test_without_workers_nothing_can_be_carried_out(committed):
    report = check_health(limit_seconds=20)
    states = {one.name: one.health for one in report.components}

    assert report.health is Health.DOWN
    assert (states["workers"], states["beat"], states["sentinel"]) == (Health.DOWN, Health.DOWN, Health.DOWN)


@pytest.mark.django_db(transaction=True)
def test_a_lane_no_worker_serves_is_named(committed):
    pulse = Pulse("worker", "worker orders")
    try:
        finding = found("workers")
    finally:
        pulse.stop()

    assert finding.health is Health.DEGRADED
    assert finding.message == "no worker serves alerts, default, market_data, recovery"


@pytest.mark.django_db(transaction=True)
def test_a_paused_lane_is_named(committed):
    pause_lane("orders", actor="night", reason="maintenance")

    assert found("lanes").message == "paused by a person: orders"


@pytest.mark.django_db(transaction=True)
def test_a_beat_that_leads_and_does_not_tick_is_down(committed, monkeypatch):
    pulse = Pulse("beat", "beat")
    pulse.detail = {"leader": True, "ticked_at": 1.0}
    pulse._beat()
    try:
        assert found("beat").health is Health.DOWN
    finally:
        pulse.stop()


def test_a_clock_that_differs_is_reported(monkeypatch, db):
    real = health_checks.time.time
    monkeypatch.setattr(health_checks.time, "time", lambda: real() - 3)
    assert health_checks.look_at_clock().health is Health.DOWN


@pytest.mark.django_db(transaction=True)
def test_the_deep_page_is_closed_and_says_503_when_nothing_can_be_carried_out(committed, client):
    require_error(client.get("/health/deep"), 401, "AUTH_NOT_AUTHENTICATED")
    answer = client_of(make_user("reliability.view_heartbeat", name="watch")).get("/health/deep")

    document = json.loads(answer.content)
    assert (answer.status_code, document["status"]) == (503, "down")
    assert {"database", "workers", "streams", "brokers"} <= {one["name"] for one in document["components"]}
    assert client.get("/health/live").status_code == 200
    assert client.get("/health/ready").json()["checks"]["database"] is True


def test_the_command_prints_each_part_and_fails_when_down(own_checks, capsys):
    register_check("fine", lambda: FINE)
    call_command("health")
    assert "answers" in capsys.readouterr().out
    register_check("broken", lambda: Finding(Health.DOWN, "away"), critical=True)
    with pytest.raises(CommandError, match="nothing can be carried out"):
        call_command("health")
    with pytest.raises(CommandError, match="no part called engine"):
        call_command("health", "engine")


@pytest.mark.django_db
def test_a_redis_that_answers_but_takes_no_writes_is_down():
    with connect(get_conf().redis_url, 5) as client:
        client.config_set("min-replicas-to-write", 1)
        try:
            assert found("redis").health is Health.DOWN
        finally:
            client.config_set("min-replicas-to-write", 0)
    assert found("redis").health is Health.NORMAL
