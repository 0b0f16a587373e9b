"""Every endpoint is closed by default and in the schema; what answers and errors of the API are held to."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AbstractBaseUser
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from knox.models import AuthToken

from reliability.core.catalog import CATALOG
from tests.factories import make_user

pytestmark = pytest.mark.django_db

ALL = (
    "brokers.view_order",
    "brokers.submit_order",
    "brokers.view_position",
    "brokers.view_positionevent",
    "brokers.view_balance",
    "brokers.view_cashentry",
    "brokers.view_account",
    "brokers.view_killswitch",
    "brokers.engage_kill_switch",
    "brokers.release_kill_switch",
    "reconciliation.view_recoveryrun",
    "reconciliation.run_recovery",
    "brokers.view_freeze",
    "brokers.freeze_trading",
    "brokers.release_freeze",
    "brokers.set_credentials",
    "brokers.change_broker",
    "reliability.view_proposedchange",
    "reliability.view_job",
    "reliability.operate_deadletter",
    "reliability.view_lane",
    "reliability.pause_lane",
    "reliability.view_heartbeat",
    "reliability.view_circuit",
    "reliability.change_circuit",
    "reliability.operate_circuit",
    "reliability.view_errorguess",
    "reliability.decide_errorguess",
    "reliability.view_alert",
    "reliability.acknowledge_alert",
    "reliability.view_errorgroup",
    "reliability.view_incident",
    "reliability.operate_incident",
    "reliability.review_incident",
    "reliability.change_alertrule",
    "reliability.view_silence",
    "reconciliation.view_drill",
    "reconciliation.run_drill",
    "reliability.view_runbookexecution",
    "reliability.follow_runbook",
    "reliability.view_intervention",
    "reliability.handle_intervention",
    "reliability.approve_intervention",
    "reliability.view_delivery",
    "reliability.decide_errorgroup",
    "reconciliation.view_reconciliationrun",
    "reconciliation.run_reconciliation",
    "reconciliation.view_discrepancy",
    "reconciliation.resolve_discrepancy",
    "reconciliation.view_bar",
    "reconciliation.view_gap",
    "reconciliation.view_barseries",
    "reconciliation.operate_marketdata",
    "reliability.view_servicelevel",
    "reliability.view_metrictotal",
    "reliability.view_retentionpolicy",
    "reliability.view_retentiondrop",
    "reliability.view_legalhold",
    "reliability.place_legal_hold",
    "reliability.release_legal_hold",
)
ORDER = "01900000-0000-7000-8000-000000000000"
ENDPOINTS = [
    ("GET", "/api/v1/orders"),
    ("POST", "/api/v1/orders"),
    ("POST", "/api/v1/orders:batch"),
    ("GET", f"/api/v1/orders/{ORDER}"),
    ("GET", f"/api/v1/orders/{ORDER}/history"),
    ("POST", f"/api/v1/orders/{ORDER}/cancel"),
    ("PATCH", f"/api/v1/orders/{ORDER}"),
    ("GET", "/api/v1/external-orders"),
    ("POST", "/api/v1/baskets"),
    ("GET", f"/api/v1/baskets/{ORDER}"),
    ("POST", f"/api/v1/baskets/{ORDER}/cancel"),
    ("GET", "/api/v1/bars"),
    ("GET", "/api/v1/gaps"),
    ("GET", "/api/v1/freshness"),
    ("POST", "/api/v1/backfills"),
    ("GET", "/api/v1/service-levels"),
    ("GET", "/health/deep"),
    ("GET", "/metrics"),
    ("GET", "/api/v1/recoveries"),
    ("POST", "/api/v1/recoveries"),
    ("GET", "/api/v1/recoveries/1"),
    ("GET", "/api/v1/freezes"),
    ("POST", "/api/v1/freezes"),
    ("GET", "/api/v1/freezes/1"),
    ("POST", "/api/v1/freezes/1/release"),
    ("POST", "/api/v1/freezes/1/release-request"),
    ("POST", "/api/v1/freezes/1/release-confirmation"),
    ("GET", "/api/v1/kill-switches"),
    ("POST", "/api/v1/kill-switches"),
    ("GET", "/api/v1/kill-switches/1"),
    ("POST", "/api/v1/kill-switches/1/release-request"),
    ("POST", "/api/v1/kill-switches/1/release"),
    ("GET", "/api/v1/reconciliations"),
    ("POST", "/api/v1/reconciliations"),
    ("GET", "/api/v1/reconciliations/1"),
    ("GET", "/api/v1/discrepancies"),
    ("POST", "/api/v1/discrepancies/1/accept"),
    ("GET", "/api/v1/exposure"),
    ("GET", "/api/v1/positions"),
    ("POST", "/api/v1/account-proposals"),
    ("GET", "/api/v1/positions/then"),
    ("GET", "/api/v1/positions/history"),
    ("GET", "/api/v1/balances"),
    ("GET", "/api/v1/cash-entries"),
    ("GET", "/api/v1/accounts"),
    ("GET", "/api/v1/dead-letters"),
    ("GET", "/api/v1/dead-letters/1"),
    ("POST", "/api/v1/dead-letters/replay"),
    ("POST", "/api/v1/dead-letters/discard"),
    ("GET", "/api/v1/changes"),
    ("GET", "/api/v1/changes/1"),
    ("POST", "/api/v1/changes/1/confirm"),
    ("POST", "/api/v1/changes/1/reject"),
    ("POST", "/api/v1/changes/1/withdraw"),
    ("POST", "/api/v1/accounts/desk/credentials"),
    ("POST", "/api/v1/brokers/desk/limits"),
    ("GET", "/api/v1/lanes"),
    ("POST", "/api/v1/lanes/orders/pause"),
    ("POST", "/api/v1/lanes/orders/resume"),
    ("GET", "/api/v1/processes"),
    ("GET", "/api/v1/alerts"),
    ("GET", "/api/v1/incidents"),
    ("GET", "/api/v1/incidents/register.csv"),
    ("GET", "/api/v1/incidents/response-times"),
    ("GET", "/api/v1/incidents/1"),
    ("GET", "/api/v1/incidents/1/record"),
    ("POST", "/api/v1/incidents/1/acknowledge"),
    ("POST", "/api/v1/incidents/1/mitigate"),
    ("POST", "/api/v1/incidents/1/close"),
    ("POST", "/api/v1/incidents/1/note"),
    ("POST", "/api/v1/incidents/1/severity"),
    ("PATCH", "/api/v1/incidents/1/review"),
    ("GET", "/api/v1/interventions"),
    ("GET", "/api/v1/interventions/1"),
    ("POST", "/api/v1/interventions/1/claim"),
    ("POST", "/api/v1/interventions/1/acknowledge"),
    ("POST", "/api/v1/interventions/1/decide"),
    ("POST", "/api/v1/interventions/1/confirm"),
    ("POST", "/api/v1/interventions/1/reject"),
    ("GET", "/api/v1/drills"),
    ("POST", "/api/v1/drills"),
    ("GET", "/api/v1/runbooks"),
    ("GET", "/api/v1/runbook-executions"),
    ("POST", "/api/v1/runbook-executions"),
    ("GET", "/api/v1/runbook-executions/1"),
    ("POST", "/api/v1/runbook-executions/1/plan"),
    ("POST", "/api/v1/runbook-executions/1/carry-out"),
    ("POST", "/api/v1/runbook-executions/1/abort"),
    ("POST", "/api/v1/runbook-executions/1/resume"),
    ("GET", "/api/v1/silences"),
    ("POST", "/api/v1/silences"),
    ("POST", "/api/v1/silences/1/end"),
    ("POST", "/api/v1/silences/1/confirm"),
    ("GET", "/api/v1/deliveries"),
    ("GET", "/api/v1/errors/groups"),
    ("GET", "/api/v1/errors/groups/1"),
    ("POST", "/api/v1/errors/groups/1/assign"),
    ("POST", "/api/v1/errors/groups/1/resolve"),
    ("POST", "/api/v1/errors/groups/1/reopen"),
    ("POST", "/api/v1/errors/groups/1/snooze"),
    ("POST", "/api/v1/errors/groups/1/merge"),
    ("GET", "/api/v1/alert-rules"),
    ("GET", "/api/v1/alert-rules/job.dead"),
    ("PATCH", "/api/v1/alert-rules/job.dead"),
    ("POST", "/api/v1/alert-rules/job.dead/reset"),
    ("GET", "/api/v1/alerts/1"),
    ("POST", "/api/v1/alerts/acknowledge"),
    ("GET", "/api/v1/circuits"),
    ("GET", "/api/v1/circuits/sim-a:orders"),
    ("PATCH", "/api/v1/circuits/sim-a:orders"),
    ("GET", "/api/v1/circuits/sim-a:orders/history"),
    ("POST", "/api/v1/circuits/sim-a:orders/pin"),
    ("POST", "/api/v1/circuits/sim-a:orders/unpin"),
    ("POST", "/api/v1/circuits/sim-a:orders/reset"),
    ("GET", "/api/v1/status"),
    ("GET", "/api/v1/errors/guesses"),
    ("GET", "/api/v1/errors/guesses/1"),
    ("POST", "/api/v1/errors/guesses/1/confirm"),
    ("POST", "/api/v1/errors/guesses/1/reject"),
    ("GET", "/api/v1/retention"),
    ("GET", "/api/v1/retention/error_events/plan"),
    ("GET", "/api/v1/retention/holds"),
    ("POST", "/api/v1/retention/holds"),
    ("POST", "/api/v1/retention/holds/1/release"),
    ("GET", "/api/v1/retention/drops"),
]
OPEN_TO_ANY_USER = [("GET", "/api/v1/errors/catalog")]


def token_of(user: AbstractBaseUser, **values: Any) -> str:
    return str(AuthToken.objects.create(user, **values)[1])


def client_of(user: AbstractBaseUser) -> Client:
    return Client(raise_request_exception=False, headers={"Authorization": f"Bearer {token_of(user)}"})


def send(client: Client, method: str, path: str, body: Any = None, **options: Any) -> Any:
    data = body if isinstance(body, bytes | str) else json.dumps({} if body is None else body)
    extra = {"content_type": "application/json", "data": data} if method == "POST" else {}
    return client.generic(method, path, **{**extra, **options})


def require_error(answer: Any, status: int, code: str) -> dict[str, Any]:
    """Check the published format, key by key, and return the document."""
    assert (answer.status_code, answer["Content-Type"]) == (status, "application/json"), answer.content
    document = json.loads(answer.content)
    assert set(document) == {"error", "recovery"}
    error, recovery = document["error"], document["recovery"]
    assert list(error) == [
        "code", "message", "category", "severity", "retryable", "details", "timestamp", "correlationId", "suggestion",
    ]  # fmt: skip
    assert set(recovery) <= {"strategy", "retryAfter", "fallback", "manual"}
    definition = CATALOG[code]
    assert (error["code"], error["category"], error["severity"]) == (
        code,
        definition.category.value,
        definition.severity.value,
    )
    assert error["retryable"] is definition.retryable
    assert recovery["strategy"] == definition.strategy.value
    assert recovery.get("manual", "") == definition.manual_steps
    assert recovery.get("fallback", "") == definition.fallback
    assert recovery.get("retryAfter") == (int(answer["Retry-After"]) if "Retry-After" in answer else None)
    assert error["message"]
    assert isinstance(error["details"], dict)
    assert error["timestamp"].endswith("Z")
    assert error["correlationId"] == answer["X-Correlation-ID"]
    return dict(document)


# -- who may ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), [*ENDPOINTS, *OPEN_TO_ANY_USER])
def test_nobody_is_let_in_without_a_token(method: str, path: str) -> None:
    answer = send(Client(), method, path)
    require_error(answer, 401, "AUTH_NOT_AUTHENTICATED")
    assert answer["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_a_user_without_the_permission_is_refused_and_told_which(method: str, path: str) -> None:
    document = require_error(send(client_of(make_user()), method, path), 403, "AUTH_PERMISSION_DENIED")
    assert any(permission in document["error"]["message"] for permission in ALL)


@pytest.mark.parametrize(("method", "path"), OPEN_TO_ANY_USER)
def test_reference_pages_are_for_every_user(method: str, path: str) -> None:
    assert send(client_of(make_user()), method, path).status_code == 200


def test_the_schema_is_for_every_user_and_for_nobody_else() -> None:
    assert client_of(make_user()).get("/api/v1/schema").status_code == 200
    assert Client().get("/api/v1/schema").status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer st_" + "0" * 64,
        "Bearer a b",
        "Bearer t\u00f6ken",
        "Bearer " + "x" * 5000,
        "Basic dXNlcjpwYXNz",
        "Token abc",
        "",
    ],
)
def test_a_wrong_token_is_one_clear_refusal(header: str) -> None:
    answer = Client(headers={"Authorization": header.encode().decode("latin-1")}).get("/api/v1/orders")
    require_error(answer, 401, "AUTH_NOT_AUTHENTICATED")


def test_an_expired_token_is_refused() -> None:
    user = make_user(*ALL)
    token = token_of(user)
    client = Client(headers={"Authorization": f"Bearer {token}"})
    assert client.get("/api/v1/orders").status_code == 200
    AuthToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    require_error(client.get("/api/v1/orders"), 401, "AUTH_NOT_AUTHENTICATED")


def test_a_token_of_a_user_who_left_is_refused() -> None:
    user = make_user(*ALL)
    client = client_of(user)
    type(user).objects.update(is_active=False)
    require_error(client.get("/api/v1/orders"), 401, "AUTH_NOT_AUTHENTICATED")


def test_a_session_reads_and_writes_only_with_its_csrf_token() -> None:
    browser = Client(enforce_csrf_checks=True)
    user = make_user(*ALL)
    browser.force_login(user)
    assert browser.get("/api/v1/orders").status_code == 200
    require_error(send(browser, "POST", "/api/v1/orders"), 403, "AUTH_PERMISSION_DENIED")

    browser.cookies["csrftoken"] = "a" * 32
    answer = send(browser, "POST", "/api/v1/orders", headers={"X-CSRFToken": "a" * 32})
    require_error(answer, 400, "VALIDATION_MISSING_IDEMPOTENCY_KEY")


# -- the schema ------------------------------------------------------------------------------


def routes(patterns: list[Any], prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, path)
        elif isinstance(pattern, URLPattern) and hasattr(pattern.callback, "view_class"):
            yield "/" + path


def test_the_schema_has_every_route_and_no_warnings() -> None:
    GENERATOR_STATS.reset()
    schema = SchemaGenerator().get_schema(request=None, public=True)
    warnings = {message for cache in (GENERATOR_STATS._warn_cache, GENERATOR_STATS._error_cache) for message in cache}
    assert warnings == set()

    wanted = {
        re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route)
        for route in routes(get_resolver().url_patterns)
        if route.startswith("/api/v1/") and "schema" not in route and "docs" not in route
    }
    assert len(wanted) >= len({path for _, path in ENDPOINTS if path.startswith("/api/")}), "the walk finds the routes"
    assert wanted - set(schema["paths"]) == set()


def test_every_route_of_the_schema_is_held_to_the_rules_above() -> None:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    described = {(method.upper(), path) for path, methods in schema["paths"].items() for method in methods}

    def shape(path: str) -> str:
        path = path.replace(ORDER, "{}").replace("/lanes/orders/", "/lanes/{}/").replace("/desk/", "/{}/")
        for name in ("sim-a:orders", "error_events", "job.dead"):
            path = path.replace(name, "{}")
        return re.sub(r"\{\w*\}", "{}", re.sub(r"/1(?=/|$)", "/{}", path))

    tested = {(method, shape(path)) for method, path in [*ENDPOINTS, *OPEN_TO_ANY_USER]}
    assert {(method, shape(path)) for method, path in described} - tested == set()
