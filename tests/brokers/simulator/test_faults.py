"""Each fault kind does what it says, and nothing once it is gone."""

import json
import time

import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.brokers.simulator.process import KEYS
from tests.patience import PATIENCE_SECONDS

QUIET_SECONDS = 0.25


@pytest.fixture
def listener(simulator):
    """A websocket that listens to trade_updates."""
    with connect(simulator.url.replace("http", "ws") + "/stream") as socket:
        authenticate(socket)
        socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        assert json.loads(socket.recv())["data"] == {"streams": ["trade_updates"]}
        yield socket


def authenticate(socket, secret=KEYS["APCA-API-SECRET-KEY"]):
    data = {"key_id": KEYS["APCA-API-KEY-ID"], "secret_key": secret}
    socket.send(json.dumps({"action": "authenticate", "data": data}))
    frame = socket.recv()
    assert isinstance(frame, bytes)
    return json.loads(frame)["data"]["status"]


def hear(socket, seconds=5):
    return json.loads(socket.recv(timeout=seconds))["data"]


def hear_nothing(socket):
    with pytest.raises(TimeoutError):
        socket.recv(timeout=QUIET_SECONDS)


def test_drop_reply_keeps_the_order_and_loses_the_answer(simulator):
    fault_id = simulator.fault("drop_reply", operation="submit", count=1)

    with pytest.raises(requests.ConnectionError):
        simulator.rest_order("dropped-reply")

    assert simulator.find("dropped-reply").json()["status"] == "new"
    ledger = simulator.ledger
    assert ledger.replies["drop_reply"] == 1
    assert ledger.posts_seen["dropped-reply"] == 1
    assert len(ledger.live_orders("dropped-reply")) == 1
    assert ledger.faults[fault_id]["kind"] == "drop_reply"
    assert simulator.rest_order("answered")["client_order_id"] == "answered"


def test_drop_request_leaves_no_order(simulator):
    simulator.fault("drop_request", operation="submit", count=1)

    with pytest.raises(requests.ConnectionError):
        simulator.rest_order("dropped-request")

    assert simulator.find("dropped-request").status_code == 404
    assert simulator.ledger.posts_seen["dropped-request"] == 1
    assert "dropped-request" not in simulator.ledger.orders_by_client_order_id


@pytest.mark.parametrize("applied", [True, False])
def test_hang_never_answers(simulator, applied):
    simulator.fault("hang", operation="submit", count=1, applied=applied)
    name = f"hung-{applied}"

    with pytest.raises(requests.ReadTimeout):
        simulator.call("POST", "/v2/orders", timeout=0.3, data=json.dumps(resting(name)))

    assert simulator.find(name).status_code == (200 if applied else 404)


def resting(client_order_id):
    terms = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "limit", "limit_price": "1", "time_in_force": "day"}
    return terms | {"client_order_id": client_order_id}


def test_latency_delays_the_answer(simulator):
    simulator.fault("latency", operation="query", ms=200, jitter_ms=50)
    begun = time.monotonic()

    assert simulator.call("GET", "/v2/orders").status_code == 200
    assert time.monotonic() - begun >= 0.2


def test_latency_of_one_operation_leaves_the_others_alone(simulator):
    simulator.fault("latency", operation="query", ms=60_000)

    with pytest.raises(requests.ReadTimeout):
        simulator.call("GET", "/v2/orders", timeout=0.1)
    assert simulator.call("GET", "/v2/account", timeout=30).status_code == 200


def test_latency_can_let_an_order_arrive_after_its_sender_gave_up_and_asked(simulator, eventually):
    simulator.fault("latency", operation="submit", ms=1500, count=1)

    with pytest.raises(requests.ReadTimeout):
        simulator.call("POST", "/v2/orders", timeout=0.1, data=json.dumps(resting("straggler")))

    assert simulator.find("straggler").status_code == 404
    eventually(lambda: simulator.find("straggler").status_code == 200)


def test_error_answers_anything(simulator):
    simulator.fault("error", operation="query", status=502, body="<html>Bad Gateway</html>", headers={"X-Edge": "1"})

    answer = simulator.call("GET", "/v2/orders")

    assert (answer.status_code, answer.text, answer.headers["X-Edge"]) == (502, "<html>Bad Gateway</html>", "1")
    assert answer.headers["Content-Type"].startswith("text/html")
    simulator.clear()
    simulator.fault("error", operation="query", status=200, body={"code": 50010000, "message": "internal"})
    assert simulator.call("GET", "/v2/orders").json()["message"] == "internal"


@pytest.mark.parametrize(("applied", "status"), [(True, 200), (False, 404)])
def test_an_error_may_hide_an_order_that_was_taken(simulator, applied, status):
    simulator.fault("error", operation="submit", status=503, applied=applied, count=1)

    answer = simulator.call("POST", "/v2/orders", data=json.dumps(resting(f"hidden-{applied}")))

    assert answer.status_code == 503
    assert simulator.find(f"hidden-{applied}").status_code == status


@pytest.mark.parametrize("form", ["seconds", "date", "none"])
def test_rate_limit_answers_429(simulator, form):
    simulator.fault("rate_limit", retry_after=form, seconds_to_wait=7)

    answer = simulator.call("GET", "/v2/account")

    assert (answer.status_code, answer.json()["code"]) == (429, 42910000)
    assert answer.headers["X-Ratelimit-Remaining"] == "0"
    retry_after = answer.headers.get("Retry-After")
    assert {"seconds": retry_after == "7", "date": "GMT" in (retry_after or ""), "none": retry_after is None}[form]


def test_rate_limit_can_allow_some_calls_a_minute(simulator):
    simulator.fault("rate_limit", operation="account", per_minute=3)

    answers = [simulator.call("GET", "/v2/account") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer.headers["X-Ratelimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]


@pytest.mark.parametrize("status", [401, 403])
def test_auth_expired(simulator, status):
    simulator.fault("auth_expired", status=status, count=1)

    assert simulator.call("GET", "/v2/account").status_code == status
    assert simulator.call("GET", "/v2/account").status_code == 200


def test_wrong_data_is_wrong_in_the_way_asked_for(simulator):
    order = simulator.rest_order("wrong-data")
    path = f"/v2/orders/{order['id']}"

    simulator.fault("wrong_data", mode="malformed", count=1)
    with pytest.raises(requests.JSONDecodeError):
        simulator.call("GET", path).json()
    simulator.fault("wrong_data", mode="other_order", count=1)
    assert simulator.call("GET", path).json()["id"] != order["id"]
    simulator.fault("wrong_data", mode="missing_fields", count=1)
    assert "status" not in simulator.call("GET", path).json()
    simulator.fault("wrong_data", mode="truncated", count=1)
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        simulator.call("GET", path)
    assert simulator.call("GET", path).json()["id"] == order["id"]


def test_wrong_data_can_leave_a_gap_or_fields_out_of_bars(simulator):
    path = "/v2/stocks/KO/bars?timeframe=1Min&start=2026-01-05T10:00:00Z&end=2026-01-05T10:08:00Z"
    whole = simulator.call("GET", path).json()["bars"]

    simulator.fault("wrong_data", mode="gap", operation="data", count=1)
    assert simulator.call("GET", path).json()["bars"] == whole[:3] + whole[6:]
    simulator.fault("wrong_data", mode="missing_fields", operation="data", count=1)
    assert all("c" not in bar and "o" in bar for bar in simulator.call("GET", path).json()["bars"])


def test_a_fault_hits_only_its_operation_and_only_so_often(simulator):
    simulator.fault("error", operation="cancel", status=500, count=2)
    order = simulator.rest_order("counted")

    answers = [simulator.call("DELETE", f"/v2/orders/{order['id']}").status_code for _ in range(3)]

    assert answers == [500, 500, 204]
    assert simulator.call("GET", "/sim/faults").json() == []


def test_a_fault_ends_by_itself_after_its_seconds(simulator, eventually):
    simulator.fault("error", seconds=2)

    assert simulator.call("GET", "/v2/account").status_code == 500
    eventually(lambda: simulator.call("GET", "/v2/account").status_code == 200)


def test_a_fault_can_be_likely_rather_than_certain(simulator):
    simulator.fault("error", probability=0.5)

    answers = {simulator.call("GET", "/v2/account").status_code for _ in range(40)}

    assert answers == {200, 500}


def test_faults_are_listed_with_their_hits_and_removed_one_by_one(simulator):
    first, second = simulator.fault("error", operation="data"), simulator.fault("no_dedupe")
    simulator.call("GET", "/v2/clock")

    listed = {fault["id"]: fault["hits"] for fault in simulator.call("GET", "/sim/faults").json()}
    assert listed == {first: 1, second: 0}
    assert simulator.call("DELETE", f"/sim/faults/{first}").status_code == 200
    assert [fault["id"] for fault in simulator.call("GET", "/sim/faults").json()] == [second]
    assert simulator.call("DELETE", f"/sim/faults/{first}").status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "complaint"),
    [
        ("/sim/faults", "nonsense", "not JSON"),
        ("/sim/faults", "[]", "not a JSON object"),
        ("/sim/faults", '{"kind": "earthquake"}', "kind must be one of"),
        ("/sim/faults", '{"kind": ["error"]}', "kind must be one of"),
        ("/sim/faults", '{"kind": "error", "operation": "dance"}', "operation must be one of"),
        ("/sim/faults", '{"kind": "error", "probability": 2}', "probability must be"),
        ("/sim/faults", '{"kind": "error", "count": 0}', "count must be"),
        ("/sim/faults", '{"kind": "error", "seconds": "soon"}', "seconds must be"),
        ("/sim/faults", '{"kind": "error", "status": 99}', "bad value for status"),
        ("/sim/faults", '{"kind": "hang", "ms": 5}', "hang has no parameter ms"),
        ("/sim/price", '{"symbol": "XXXX", "price": "1"}', "unknown symbol"),
        ("/sim/price", '{"symbol": "AAPL", "price": "-1"}', "price must be"),
        ("/sim/price", '{"symbol": "AAPL", "price": "1.001"}', "multiple of"),
        ("/sim/fill", '{"order_id": "none", "quantity": "1"}', "unknown order_id"),
    ],
)
def test_bad_control_requests_get_one_clear_422(simulator, path, body, complaint):
    answer = simulator.call("POST", path, data=body)

    assert answer.status_code == 422
    assert complaint in answer.json()["message"]


def test_market_closed_holds_orders_back(simulator, eventually):
    simulator.fault("market_closed")

    assert simulator.call("GET", "/v2/clock").json()["is_open"] is False
    assert simulator.submit(client_order_id="held-back").json()["status"] == "accepted"
    simulator.clear()
    eventually(lambda: simulator.find("held-back").json()["status"] == "filled")


def test_market_closed_can_refuse_orders(simulator):
    simulator.fault("market_closed", mode="refuse")

    answer = simulator.submit(client_order_id="refused")

    assert (answer.status_code, answer.json()) == (403, {"code": 40310000, "message": "market is closed"})
    assert ("refused", "market is closed") in simulator.ledger.refusals


def test_pause_matching_keeps_orders_open_but_cancellable(simulator, eventually):
    simulator.fault("pause_matching")
    order = simulator.submit(client_order_id="paused").json()
    time.sleep(0.1)

    assert simulator.find("paused").json()["status"] == "new"
    simulator.call("DELETE", f"/v2/orders/{order['id']}")
    eventually(lambda: simulator.find("paused").json()["status"] == "canceled")


def test_forced_fills_come_in_the_parts_asked_for(simulator, listener):
    order = simulator.rest_order("forced", qty="5")
    assert hear(listener)["event"] == "new"

    assert simulator.force_fill(order["id"], "2").json()["status"] == "partially_filled"
    assert simulator.force_fill(order["id"], "3").json()["status"] == "filled"
    assert simulator.force_fill(order["id"], "1").status_code == 422

    events = [hear(listener), hear(listener)]
    assert [(e["event"], e["qty"], e["order"]["filled_qty"]) for e in events] == [
        ("partial_fill", "2", "2"),
        ("fill", "3", "5"),
    ]


def test_no_dedupe_places_a_resent_order_twice(simulator):
    simulator.rest_order("resent")
    assert simulator.submit(client_order_id="resent").status_code == 422

    simulator.fault("no_dedupe")
    simulator.rest_order("resent")

    assert len(simulator.ledger.live_orders("resent")) == 2
    assert "resent" in simulator.ledger.duplicated_client_order_ids
    assert simulator.ledger.posts_seen["resent"] == 3


def test_disconnect_streams_cuts_every_connection(simulator, listener):
    simulator.fault("disconnect_streams")

    with pytest.raises(ConnectionClosed):
        listener.recv(timeout=PATIENCE_SECONDS)


def test_refuse_streams_turns_new_connections_away(simulator):
    simulator.fault("refuse_streams", count=1, status=429)

    with pytest.raises(InvalidStatus) as refusal:
        connect(simulator.url.replace("http", "ws") + "/stream")

    assert refusal.value.response.status_code == 429
    with connect(simulator.url.replace("http", "ws") + "/stream") as socket:
        assert authenticate(socket) == "authorized"


def test_silent_stream_stays_connected_and_loses_events(simulator, listener):
    lost_before = simulator.ledger.stream_events_lost
    simulator.fault("silent_stream")
    simulator.rest_order("unheard")
    hear_nothing(listener)

    simulator.clear()
    simulator.rest_order("heard")

    assert hear(listener)["order"]["client_order_id"] == "heard"
    assert simulator.ledger.stream_events_lost == lost_before + 1


def test_duplicate_fills_repeat_the_same_execution(simulator, listener):
    simulator.fault("duplicate_fills", times=2)
    order = simulator.rest_order("doubled")
    hear(listener)

    simulator.force_fill(order["id"], "1")

    assert len({hear(listener)["execution_id"] for _ in range(3)}) == 1
    hear_nothing(listener)
    assert len(simulator.call("GET", f"/v2/account/activities/FILL?order_id={order['id']}").json()) == 1


def test_delay_fills_lets_the_poll_see_a_fill_first(simulator, listener):
    simulator.fault("delay_fills", ms=200)
    order = simulator.rest_order("late")
    hear(listener)
    begun = time.monotonic()

    assert simulator.force_fill(order["id"], "1").json()["status"] == "filled"

    assert hear(listener)["event"] == "fill"
    assert time.monotonic() - begun >= 0.2


def test_reorder_fills_swaps_neighbours(simulator, listener):
    simulator.fault("reorder_fills", window=2)
    order = simulator.rest_order("swapped", qty="2")
    hear(listener)

    simulator.force_fill(order["id"], "1")
    simulator.force_fill(order["id"], "1")

    assert [hear(listener)["event"] for _ in range(2)] == ["fill", "partial_fill"]


def test_the_stream_wants_the_right_key_before_it_tells_anything(simulator):
    with connect(simulator.url.replace("http", "ws") + "/stream") as socket:
        socket.send(b'{"action": "listen", "data": {"streams": ["trade_updates"]}}')
        assert json.loads(socket.recv())["data"]["status"] == "unauthorized"
        assert authenticate(socket, secret="wrong") == "unauthorized"
        assert authenticate(socket) == "authorized"
