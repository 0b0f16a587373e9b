"""Orders over HTTP: 202 only for what is durable, one clear error for what is not."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from brokers.models import Account, Order, Position, StreamSession
from brokers.services.accounts import forget_accounts
from reliability.models import Job
from tests.factories import make_user
from tests.fakes import FakeBroker, run_due
from tests.reliability.api.test_errors import client_of, require_error, send

pytestmark = pytest.mark.django_db

BODY: dict[str, Any] = {"symbol": "AAPL", "side": "buy", "quantity": "10", "type": "limit", "limit_price": "99.50"}
TRADER = ("brokers.view_order", "brokers.submit_order", "brokers.view_position", "brokers.view_account")


@pytest.fixture
def client(account: Account) -> Client:
    """A trader at the default account."""
    return client_of(make_user(*TRADER))


def post(client: Client, body: Any = BODY, key: str | None = "k1", path: str = "/api/v1/orders") -> Any:
    return send(client, "POST", path, body, headers={"Idempotency-Key": key} if key is not None else {})


def test_an_order_is_accepted_and_can_be_read(client: Client) -> None:
    answer = post(client)
    body = answer.json()

    assert answer.status_code == 202
    assert (body["state"], body["quantity"], body["limit_price"]) == ("accepted", "10", "99.5")
    assert answer["Location"] == f"/api/v1/orders/{body['id']}"
    assert "Idempotent-Replayed" not in answer
    read = client.get(answer["Location"]).json()
    assert {name: read[name] for name in body if name != "submit_before"} == {
        name: value for name, value in body.items() if name != "submit_before"
    }


def test_the_answer_to_a_repeated_request_is_the_same_byte_for_byte(broker: FakeBroker, client: Client) -> None:
    first = post(client)
    run_due("orders")
    again = post(client, {**BODY, "quantity": 10})

    assert (again.status_code, again.content) == (202, first.content)
    assert again["Idempotent-Replayed"] == "true"
    assert Order.objects.count() == Job.objects.filter(kind="orders.submit").count() == 1


def test_the_key_of_another_order_is_a_conflict_that_names_it(client: Client) -> None:
    first = post(client).json()
    document = require_error(post(client, {**BODY, "side": "sell"}), 409, "VALIDATION_IDEMPOTENCY_CONFLICT")
    assert document["error"]["details"] == {"order_id": first["id"]}


@pytest.mark.parametrize("key", [None, "", " ", "a b", "x" * 129, "k\u00e9y"])
def test_a_key_is_needed(client: Client, key: str | None) -> None:
    sent = key.encode().decode("latin-1") if key else key
    require_error(post(client, key=sent), 400, "VALIDATION_MISSING_IDEMPOTENCY_KEY")
    assert not Order.objects.exists()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"quantity": "-1"}, "quantity"),
        ({"quantity": "NaN"}, "quantity"),
        ({"quantity": "1e400"}, "quantity"),
        ({"quantity": "1.0000000000000000000000000001"}, "quantity"),
        ({"symbol": "no such"}, "symbol"),
        ({"symbol": "\x00"}, "symbol"),
        ({"side": "up"}, "side"),
        ({"account": "nobody"}, "account"),
        ({"x" * 1000: 1}, "x" * 64),
        ({"\ud800": 1}, "\ufffd"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_bad_order_is_refused_by_the_name_of_its_field(client: Client, change: dict[str, Any], field: str) -> None:
    document = require_error(post(client, {**BODY, **change}), 422, "VALIDATION_INVALID_ORDER")
    assert list(document["error"]["details"]) == [field]
    assert not Order.objects.exists()
    assert not Job.objects.exists()


@pytest.mark.parametrize("text", ['"quantity": 10.000', '"quantity": 1E1', '"quantity": "10"'])
def test_numbers_are_read_exactly_as_they_are_written(client: Client, text: str) -> None:
    body = '{"symbol": "AAPL", "side": "buy", ' + text + "}"
    assert post(client, body).json()["quantity"] == "10"


def test_a_number_that_floats_cannot_hold_is_kept(client: Client) -> None:
    body = '{"symbol": "AAPL", "side": "buy", "quantity": 123456789012345.123456789}'
    answer = post(client, body).json()
    assert answer["quantity"] == "123456789012345.123456789"
    assert client.get(f"/api/v1/orders/{answer['id']}").json()["quantity"] == "123456789012345.123456789"


@pytest.mark.parametrize("body", ["", "null", "[]", '"order"', "5"])
def test_an_order_is_an_object(client: Client, body: str) -> None:
    require_error(post(client, body), 422, "VALIDATION_INVALID_ORDER")


def test_a_disabled_account_takes_nothing_new(client: Client, account: Account) -> None:
    Account.objects.update(enabled=False)
    forget_accounts()
    require_error(post(client), 409, "VALIDATION_ACCOUNT_DISABLED")


# -- batches ---------------------------------------------------------------------------------


def batch(client: Client, *items: Any) -> Any:
    return send(client, "POST", "/api/v1/orders:batch", {"orders": list(items)})


def test_each_order_of_a_batch_has_its_own_answer(client: Client) -> None:
    answer = batch(
        client,
        {"idempotency_key": "a", "order": BODY},
        {"idempotency_key": "b", "order": {**BODY, "quantity": "0"}},
        {"idempotency_key": "a", "order": BODY},
        {"idempotency_key": "a", "order": {**BODY, "side": "sell"}},
        {"order": BODY},
        {"idempotency_key": "c"},
    )
    results = answer.json()["results"]

    assert answer.status_code == 207
    assert [one["status"] for one in results] == [202, 422, 202, 409, 400, 422]
    assert results[0] == results[2]
    assert results[1]["error"]["error"]["details"].keys() == {"quantity"}
    assert Order.objects.count() == 1


@pytest.mark.parametrize("body", [{}, [], {"orders": []}, {"orders": [1]}, {"orders": {}}, {"orders": [{}], "more": 1}])
def test_a_batch_that_is_none_is_refused_whole(client: Client, body: Any) -> None:
    require_error(send(client, "POST", "/api/v1/orders:batch", body), 422, "VALIDATION_INVALID_REQUEST")


def test_a_batch_has_a_limit(client: Client) -> None:
    items = [{"idempotency_key": f"k{number}", "order": BODY} for number in range(501)]
    require_error(batch(client, *items), 422, "VALIDATION_INVALID_REQUEST")
    assert not Order.objects.exists()
    assert {one["status"] for one in batch(client, *items[:500]).json()["results"]} == {202}
    assert Order.objects.count() == 500


# -- reading and canceling ---------------------------------------------------------------------


def test_orders_come_newest_first_page_by_page(client: Client) -> None:
    made = [post(client, key=f"k{number}").json()["id"] for number in range(5)]
    seen, query = [], "limit=2"
    while query:
        page = client.get(f"/api/v1/orders?{query}").json()
        seen += [order["id"] for order in page["results"]]
        query = f"limit=2&before={page['next_before']}" if page["next_before"] else ""
    assert seen == sorted(made, reverse=True)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("account=desk", 1),
        ("account=nobody", 0),
        ("symbol=AAPL", 1),
        ("symbol=MSFT", 0),
        ("state=accepted", 1),
        ("state=working&state=accepted", 1),
        ("state=filled", 0),
        ("open=true", 1),
        ("open=false", 0),
    ],
)
def test_orders_are_found_by_what_they_are(client: Client, query: str, found: int) -> None:
    post(client)
    assert len(client.get(f"/api/v1/orders?{query}").json()["results"]) == found


def test_the_history_tells_everything_in_order(broker: FakeBroker, client: Client) -> None:
    order_id = post(client).json()["id"]
    run_due("orders")
    history = client.get(f"/api/v1/orders/{order_id}/history").json()

    assert [event["kind"] for event in history["events"]] == ["accepted", "sending", "report"]
    assert [event["sequence"] for event in history["events"]] == [1, 2, 3]
    assert history["order"]["state"] == "working"


def test_an_order_that_was_not_sent_is_canceled_at_once(client: Client) -> None:
    order_id = post(client).json()["id"]
    answer = send(client, "POST", f"/api/v1/orders/{order_id}/cancel")

    assert (answer.status_code, answer.json()) == (
        202,
        {"id": order_id, "state": "canceled", "cancel_pending": False},
    )
    document = require_error(send(client, "POST", f"/api/v1/orders/{order_id}/cancel"), 409, "VALIDATION_ORDER_FINAL")
    assert document["error"]["details"] == {"state": "canceled"}


def test_a_cancel_at_the_broker_is_pending_until_the_broker_says_so(broker: FakeBroker, client: Client) -> None:
    order_id = post(client).json()["id"]
    run_due("orders")
    for _ in range(2):
        answer = send(client, "POST", f"/api/v1/orders/{order_id}/cancel").json()
        assert (answer["state"], answer["cancel_pending"]) == ("working", True)
    run_due("orders")

    assert broker.canceled == ["b-1"]
    assert client.get(f"/api/v1/orders/{order_id}").json()["state"] == "working"


def test_accounts_and_positions_are_plain(broker: FakeBroker, client: Client) -> None:
    (account,) = client.get("/api/v1/accounts").json()["results"]
    assert (account["name"], account["is_default"], account["open_orders"]) == ("desk", True, 0)
    assert "credentials" not in json.dumps(account)
    assert client.get("/api/v1/positions").json() == {"results": []}


@pytest.mark.parametrize(
    ("stream", "alive_ago", "synced_ago", "stale"),
    [
        ("up", 1, None, False),
        ("up", 40, 5, False),
        ("up", 40, 50, True),
        ("down", 1, 50, True),
        ("down", 1, None, True),
        ("", None, 50, False),
        ("", None, 90, True),
    ],
)
def test_recorded_positions_say_how_old_they_are(
    broker: FakeBroker, client: Client, stream: str, alive_ago: int | None, synced_ago: int | None, stale: bool
) -> None:
    def ago(seconds: int | None) -> datetime | None:
        return None if seconds is None else timezone.now() - timedelta(seconds=seconds)

    account = Account.objects.get()
    Position.objects.create(account=account, symbol="AAPL", quantity=5)
    Account.objects.update(synced_at=ago(synced_ago))
    if stream:
        StreamSession.objects.create(account=account, state=stream, last_alive_at=ago(alive_ago))

    (row,) = client.get("/api/v1/positions").json()["results"]
    assert row["stale"] is stale
    assert (row["age_seconds"] is None) == (row["as_of"] is None)
