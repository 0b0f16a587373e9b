"""Every error in one format, whatever raised it; every endpoint closed by default."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser
from django.db import OperationalError
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from knox.models import AuthToken
from rest_framework.exceptions import Throttled

from reliability.core.catalog import CATALOG
from reliability.core.errors import ReliabilityError
from reliability.core.presentation import definition_facts
from tests.factories import make_dead_letter, make_user

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


@pytest.fixture
def client() -> Client:
    """A caller who may do everything."""
    return client_of(make_user(*ALL))


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


# -- one format ------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_another_method_is_not_allowed(client: Client, method: str, path: str) -> None:
    document = require_error(send(client, "PUT", path), 405, "VALIDATION_METHOD_NOT_ALLOWED")
    assert "PUT" in document["error"]["message"]


@pytest.mark.parametrize(("method", "path"), [endpoint for endpoint in ENDPOINTS if endpoint[0] == "GET"])
def test_head_answers_what_get_would(client: Client, method: str, path: str) -> None:
    assert client.head(path).status_code == client.get(path).status_code


@pytest.mark.parametrize(
    "path", ["/api/v1/nothing", "/api/", "/api/v1/orders/7", "/api/v1/orders/", "/api/v2/orders", "/api/v1/orders/%00"]
)
def test_an_address_that_does_not_exist(client: Client, path: str) -> None:
    require_error(client.get(path), 404, "VALIDATION_NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/api/v1/orders/{ORDER}"),
        ("GET", f"/api/v1/orders/{ORDER}/history"),
        ("POST", f"/api/v1/orders/{ORDER}/cancel"),
        ("GET", "/api/v1/dead-letters/1"),
        ("GET", f"/api/v1/dead-letters/{10**30}"),
    ],
)
def test_a_thing_that_does_not_exist(client: Client, method: str, path: str) -> None:
    require_error(send(client, method, path), 404, "VALIDATION_NOT_FOUND")


def test_a_lane_that_does_not_exist(client: Client) -> None:
    for name in ("nothing", "%00", "a%0Ab", "x" * 500):
        answer = send(client, "POST", f"/api/v1/lanes/{name}/pause", {"reason": "x"})
        require_error(answer, 404, "VALIDATION_NOT_FOUND")


def test_only_json_is_answered(client: Client) -> None:
    require_error(client.get("/api/v1/orders", headers={"Accept": "text/html"}), 406, "VALIDATION_NOT_ACCEPTABLE")


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "x"])
def test_only_json_is_understood(client: Client, content_type: str) -> None:
    answer = send(client, "POST", "/api/v1/dead-letters/replay", "{}", content_type=content_type)
    require_error(answer, 415, "VALIDATION_UNSUPPORTED_MEDIA_TYPE")


BROKEN = {
    "empty object cut off": b"{",
    "trailing comma": b'{"reason": "x",}',
    "NaN": b'{"reason": NaN}',
    "infinity": b'{"reason": Infinity}',
    "a key twice": b'{"reason": "x", "reason": "y"}',
    "a key twice deep inside": b'{"ids": [{"a": 1, "a": 2}]}',
    "invalid UTF-8": b'{"reason": "\xff\xfe"}',
    "deep nesting": b"[" * 100_000,
    "deep objects": b'{"a":' * 50_000,
    "an endless number": b'{"ids": [' + b"9" * 10_000 + b"]}",
    "an absurd exponent": b'{"ids": [1e99999999999999999999]}',
    "text after it": b"{} {}",
    "not JSON": b"reason=x",
    "UTF-16": '{"reason": "x"}'.encode("utf-16"),
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_a_body_that_is_not_json_is_refused(client: Client, body: bytes) -> None:
    require_error(send(client, "POST", "/api/v1/dead-letters/replay", body), 400, "VALIDATION_MALFORMED_JSON")


@pytest.mark.parametrize("path", ["/api/v1/orders", "/api/v1/orders:batch", "/api/v1/dead-letters/replay"])
def test_a_body_that_is_too_large_is_refused(client: Client, path: str) -> None:
    body = b'{"symbol": "' + b"A" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE + b'"}'
    answer = send(client, "POST", path, body, headers={"Idempotency-Key": "k"})
    require_error(answer, 413, "VALIDATION_BODY_TOO_LARGE")


def test_a_body_that_is_just_small_enough_is_read(client: Client) -> None:
    body = b'{"reason": "x"' + b" " * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE - 15) + b"}"
    assert len(body) == settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    answer = send(client, "POST", "/api/v1/dead-letters/replay", body)
    require_error(answer, 422, "VALIDATION_INVALID_REQUEST")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "ids"),
        ({"ids": [], "reason": "x"}, "ids"),
        ({"ids": [0], "reason": "x"}, "ids"),
        ({"ids": ["a"], "reason": "x"}, "ids"),
        ({"ids": list(range(1, 1002)), "reason": "x"}, "ids"),
        ({"ids": [1]}, "reason"),
        ({"ids": [1], "reason": ""}, "reason"),
        ({"ids": [1], "reason": "x" * 1001}, "reason"),
        ({"ids": [1], "reason": "\x00"}, "reason"),
        ({"ids": [1], "reason": "\ud800"}, "reason"),
        ([], "non_field_errors"),
    ],
)
def test_a_wrong_field_is_named(client: Client, body: Any, field: str) -> None:
    for act in ("replay", "discard"):
        answer = send(client, "POST", f"/api/v1/dead-letters/{act}", body)
        document = require_error(answer, 422, "VALIDATION_INVALID_REQUEST")
        assert field in document["error"]["details"]


@pytest.mark.parametrize("ids", [[1], [10**18], [10**30]])
def test_deciding_on_what_is_not_dead_is_a_conflict(client: Client, ids: list[int]) -> None:
    answer = send(client, "POST", "/api/v1/dead-letters/replay", {"ids": ids, "reason": "x"})
    require_error(answer, 409, "VALIDATION_WRONG_STATE")


@pytest.fixture
def broken_view(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Exception]]:
    """The list of lanes fails with what the test puts here."""
    from reliability.api import views

    errors: list[Exception] = []

    def fail() -> None:
        raise errors[0]

    monkeypatch.setattr(views, "list_lanes", fail)
    return errors


def test_an_error_nobody_foresaw_gives_nothing_away(client: Client, broken_view: list[Exception]) -> None:
    broken_view.append(RuntimeError("the password is hunter2"))
    answer = client.get("/api/v1/lanes")
    require_error(answer, 500, "SYSTEM_UNEXPECTED")
    assert b"hunter2" not in answer.content


def test_a_database_that_is_gone_is_a_reason_to_come_again(client: Client, broken_view: list[Exception]) -> None:
    broken_view.append(OperationalError("server closed the connection unexpectedly"))
    answer = client.get("/api/v1/lanes")
    document = require_error(answer, 503, "SYSTEM_DATABASE_UNAVAILABLE")
    assert answer["Retry-After"] == "1"
    assert document["recovery"]["retryAfter"] == 1
    assert document["error"]["retryable"] is True
    assert "nothing was" not in document["error"]["message"], "a commit may have been under way"


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (Throttled(wait=2.2), 3),
        (ReliabilityError("SYSTEM_CIRCUIT_OPEN", retry_after_seconds=17), 17),
        (ReliabilityError("RATE_LIMIT_API", retry_after_seconds=0), 0),
        (ReliabilityError("BROKER_UNAVAILABLE"), None),
    ],
)
def test_a_wait_is_told_in_the_body_and_as_a_header(
    client: Client, broken_view: list[Exception], error: Exception, seconds: int | None
) -> None:
    broken_view.append(error)
    code = error.code if isinstance(error, ReliabilityError) else "RATE_LIMIT_API"
    document = require_error(client.get("/api/v1/lanes"), CATALOG[code].http_status, code)
    assert document["recovery"].get("retryAfter") == seconds


def test_every_code_of_the_catalogue_can_be_answered(client: Client, broken_view: list[Exception]) -> None:
    for code, definition in CATALOG.items():
        broken_view[:] = [ReliabilityError(code, details={"order": ORDER})]
        document = require_error(client.get("/api/v1/lanes"), definition.http_status, code)
        assert document["error"]["details"] == {"order": ORDER}


def test_a_host_that_is_not_ours_is_refused_in_the_same_format(client: Client) -> None:
    answer = client.get("/api/v1/lanes", headers={"Host": "elsewhere.example"})
    require_error(answer, 400, "VALIDATION_REQUEST_TURNED_AWAY")


def test_the_catalogue_is_answered_with_all_its_fields(client: Client) -> None:
    entries = {entry["code"]: entry for entry in client.get("/api/v1/errors/catalog").json()["results"]}
    assert list(entries) == list(CATALOG)
    assert entries["NETWORK_TLS_FAILED"] == definition_facts(CATALOG["NETWORK_TLS_FAILED"])
    assert entries["NETWORK_TLS_FAILED"]["runbook"] == "docs/reference/errors.md#network_tls_failed"
    chosen = client.get("/api/v1/errors/catalog", {"category": "timeout"}).json()["results"]
    assert {entry["category"] for entry in chosen} == {"timeout"}


# -- correlation -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/nothing", None, 404),
        ("PUT", "/api/v1/lanes", None, 405),
        ("POST", "/api/v1/dead-letters/replay", b"{", 400),
        ("POST", "/api/v1/dead-letters/replay", b" " * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1), 413),
        ("POST", "/api/v1/dead-letters/replay", {"ids": [1]}, 422),
        ("GET", f"/api/v1/orders/{ORDER}", None, 404),
    ],
)
def test_an_error_carries_the_callers_correlation_id(
    client: Client, method: str, path: str, body: Any, status: int
) -> None:
    for sender in (client, Client()) if status == 404 and path == "/api/nothing" else (client,):
        answer = send(sender, method, path, body, headers={"X-Correlation-ID": "desk-42"})
        assert (answer.status_code, answer["X-Correlation-ID"]) == (status, "desk-42")
        assert answer.json()["error"]["correlationId"] == "desk-42"


def test_a_refused_caller_and_a_crash_carry_it_too(client: Client, broken_view: list[Exception]) -> None:
    broken_view.append(RuntimeError("x"))
    for sender, status in ((Client(), 401), (client, 500)):
        answer = sender.get("/api/v1/lanes", headers={"X-Correlation-ID": "desk-42"})
        assert (answer.status_code, answer["X-Correlation-ID"]) == (status, "desk-42")
        assert answer.json()["error"]["correlationId"] == "desk-42"


def test_a_callers_correlation_id_comes_back(client: Client) -> None:
    assert client.get("/api/v1/lanes", headers={"X-Correlation-ID": "desk-42"})["X-Correlation-ID"] == "desk-42"


@pytest.mark.parametrize("sent", ["", "a b", "x" * 65, "caf\u00e9"])
def test_an_unusable_one_is_replaced(client: Client, sent: str) -> None:
    received = client.get("/api/v1/lanes", headers={"X-Correlation-ID": sent})["X-Correlation-ID"]
    assert received not in ("", sent)


# -- pages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/api/v1/orders", "/api/v1/dead-letters"])
@pytest.mark.parametrize("limit", ["0", "-1", "501", "many", "1e3"])
def test_a_page_has_limits(client: Client, path: str, limit: str) -> None:
    document = require_error(client.get(path, {"limit": limit}), 422, "VALIDATION_INVALID_REQUEST")
    assert list(document["error"]["details"]) == ["limit"]


@pytest.mark.parametrize(
    "query",
    [
        "orders?account=%00",
        "orders?symbol=%00",
        "orders?state=nothing",
        "orders?before=7",
        "orders?open=maybe",
        "positions?account=%00",
        "dead-letters?kind=%00",
        "dead-letters?after=0",
    ],
)
def test_a_wrong_filter_is_named(client: Client, query: str) -> None:
    document = require_error(client.get(f"/api/v1/{query}"), 422, "VALIDATION_INVALID_REQUEST")
    assert list(document["error"]["details"]) == [query.partition("?")[2].partition("=")[0]]


def test_a_filter_that_fits_nothing_finds_nothing(client: Client) -> None:
    for path in (
        "/api/v1/positions?account=nobody",
        "/api/v1/exposure?account=nobody",
        "/api/v1/orders?account=nobody",
    ):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["results"]) == (200, []), path


def test_dead_letters_come_page_by_page(client: Client) -> None:
    made = [make_dead_letter().pk for _ in range(5)]
    seen, query = [], "limit=2"
    for _ in range(4):
        page = client.get(f"/api/v1/dead-letters?{query}").json()
        seen += [one["id"] for one in page["results"]]
        if page["next_after"] is None:
            break
        query = f"limit=2&after={page['next_after']}"
    assert seen == made[::-1]
    assert client.get("/api/v1/dead-letters", {"after": 10**30}).status_code == 200


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
