"""Every error in one format with the caller's correlation id, whatever raised it; pages within limits."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError
from django.test import Client
from rest_framework.exceptions import Throttled

from reliability.core.catalog import CATALOG
from reliability.core.errors import ReliabilityError
from reliability.core.presentation import definition_facts
from tests.factories import make_dead_letter, make_user
from tests.reliability.api.test_errors import ALL, ENDPOINTS, ORDER, client_of, require_error, send

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    """A caller who may do everything."""
    return client_of(make_user(*ALL))


@pytest.fixture
def broken_view(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Exception]]:
    """The list of lanes fails with what the test puts here."""
    from reliability.api import views

    errors: list[Exception] = []

    def fail() -> None:
        raise errors[0]

    monkeypatch.setattr(views, "list_lanes", fail)
    return errors


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
