"""A second port before the same ledger, and faults of one port alone."""

import json
from contextlib import contextmanager

import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.brokers.simulator.process import KEYS, Simulator
from tests.patience import PATIENCE_SECONDS


@pytest.fixture(scope="module")
def shared_simulator(tmp_path_factory):
    simulator = Simulator(tmp_path_factory.mktemp("simulator"), ("--backup-port", "0")).start()
    yield simulator
    simulator.stop()


@pytest.fixture
def backup(simulator):
    """The same broker by its other address."""
    ports = simulator.call("GET", "/sim/state").json()["endpoints"]
    other = Simulator(simulator.data_dir)
    other.url = f"http://127.0.0.1:{ports['backup']}"
    return other


@contextmanager
def listen(simulator):
    with connect(simulator.url.replace("http", "ws") + "/stream", ping_interval=None) as socket:
        data = {"key_id": KEYS["APCA-API-KEY-ID"], "secret_key": KEYS["APCA-API-SECRET-KEY"]}
        socket.send(json.dumps({"action": "authenticate", "data": data}))
        socket.recv(timeout=PATIENCE_SECONDS)
        socket.send(json.dumps({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        socket.recv(timeout=PATIENCE_SECONDS)
        yield socket


def hear(socket):
    return json.loads(socket.recv(timeout=PATIENCE_SECONDS))["data"]["order"]["client_order_id"]


def test_an_order_placed_at_one_endpoint_is_known_and_told_at_both(simulator, backup):
    with listen(simulator) as first, listen(backup) as second:
        simulator.rest_order("at-primary")
        backup.rest_order("at-backup")

        assert [hear(first), hear(first)] == [hear(second), hear(second)] == ["at-primary", "at-backup"]
    assert backup.find("at-primary").json()["id"] == simulator.find("at-primary").json()["id"]


def test_an_endpoint_can_lose_events_while_the_other_tells_them(simulator, backup):
    with listen(simulator) as first, listen(backup) as second:
        simulator.fault("silent_stream", endpoint="primary")
        simulator.rest_order("told-once")
        assert hear(second) == "told-once"
        simulator.clear()
        simulator.rest_order("told-twice")
        assert (hear(first), hear(second)) == ("told-twice", "told-twice")


def test_a_stalled_endpoint_answers_no_ping_until_it_goes_on(simulator, backup):
    with listen(simulator) as first, listen(backup) as second:
        simulator.fault("stall_streams", endpoint="primary")
        unanswered, answered = first.ping(), second.ping()
        assert answered.wait(PATIENCE_SECONDS)
        assert not unanswered.wait(0.2)
        simulator.clear()
        assert unanswered.wait(PATIENCE_SECONDS)


def test_an_endpoint_that_is_down_refuses_connections_until_it_is_up(simulator, backup, eventually):
    with listen(simulator) as first:
        backup.fault("endpoint_down", endpoint="primary")
        with pytest.raises(ConnectionClosed):
            first.recv(timeout=PATIENCE_SECONDS)
    with pytest.raises(requests.ConnectionError):
        requests.get(simulator.url + "/sim/state", timeout=PATIENCE_SECONDS)
    assert backup.rest_order("meanwhile")["client_order_id"] == "meanwhile"

    backup.clear()

    def is_up():
        try:
            return requests.get(simulator.url + "/sim/state", timeout=PATIENCE_SECONDS).ok
        except requests.ConnectionError:
            return False

    eventually(is_up)
    assert simulator.find("meanwhile").status_code == 200


def test_replies_can_go_wrong_at_one_endpoint_alone(simulator, backup):
    simulator.fault("error", operation="account", status=503, endpoint="primary")
    assert simulator.call("GET", "/v2/account").status_code == 503
    assert backup.call("GET", "/v2/account").status_code == 200


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "silent_stream", "endpoint": "elsewhere"},
        {"kind": "pause_matching", "endpoint": "backup"},
        {"kind": "endpoint_down"},
    ],
)
def test_an_endpoint_that_makes_no_sense_is_refused(simulator, fault):
    assert simulator.call("POST", "/sim/faults", data=json.dumps(fault)).status_code == 422
