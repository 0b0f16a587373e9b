"""What the broker said survives its death; what a client does twice shows in the ledger."""

import json
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
import requests

from brokers.simulator.ledger import LEDGER_NAME, LedgerError, read_ledger
from tests.brokers.simulator.process import ROOT
from tests.patience import PATIENCE_SECONDS


def picture(simulator):
    """Everything a client can see of the account."""
    account = simulator.call("GET", "/v2/account").json()
    positions = simulator.call("GET", "/v2/positions").json()
    return {
        "orders": simulator.call("GET", "/v2/orders?status=all&limit=500").json(),
        "fills": simulator.call("GET", "/v2/account/activities/FILL").json(),
        "cash": account["cash"],
        "positions": {p["symbol"]: (p["qty"], p["avg_entry_price"], p["qty_available"]) for p in positions},
    }


def test_orders_fills_positions_and_cash_survive_a_kill(start_simulator, eventually):
    first = start_simulator()
    first.submit(client_order_id="filled", qty="12")
    eventually(lambda: first.find("filled").json()["status"] == "filled")
    canceled = first.rest_order("canceled")
    first.call("DELETE", f"/v2/orders/{canceled['id']}")
    eventually(lambda: first.find("canceled").json()["status"] == "canceled")
    old = first.rest_order("old")
    first.call("PATCH", f"/v2/orders/{old['id']}", data='{"limit_price": "2"}')
    eventually(lambda: first.find("old").json()["status"] == "replaced")
    partial = first.rest_order("partial", qty="4")
    first.force_fill(partial["id"], "1")
    before = picture(first)

    first.kill()
    second = start_simulator()

    assert picture(second) == before
    assert second.submit(client_order_id="filled").status_code == 422
    assert second.force_fill(partial["id"], "3").json()["status"] == "filled"
    assert second.ledger.starts == 2


def test_every_order_answered_before_a_kill_is_there_after_it(start_simulator, eventually):
    first = start_simulator()

    answered = []

    def submit_until_dead(worker):
        with requests.Session() as session:
            for number in range(10_000):
                name = f"w{worker}-{number}"
                try:
                    first_answer = session.post(
                        f"{first.url}/v2/orders",
                        headers={"APCA-API-KEY-ID": "test-key", "APCA-API-SECRET-KEY": "test-secret"},
                        data=json.dumps(
                            {
                                "symbol": "KO",
                                "qty": 1,
                                "side": "buy",
                                "type": "market",
                                "time_in_force": "day",
                                "client_order_id": name,
                            }
                        ),
                        timeout=PATIENCE_SECONDS,
                    )
                except requests.ConnectionError:
                    return
                assert first_answer.status_code == 200
                answered.append(name)

    with ThreadPoolExecutor(6) as pool:
        workers = [pool.submit(submit_until_dead, worker) for worker in range(6)]
        eventually(lambda: len(answered) > 50)
        first.kill()
        for worker in workers:
            worker.result()
    second = start_simulator()

    recorded = second.ledger.orders_by_client_order_id
    assert set(answered) <= set(recorded)
    assert all(len(orders) == 1 for orders in recorded.values())
    assert second.find(max(answered)).status_code == 200


def test_a_torn_last_line_is_forgotten_and_the_ledger_goes_on(start_simulator):
    first = start_simulator()
    first.rest_order("kept")
    first.kill()
    path = first.data_dir / LEDGER_NAME
    with path.open("ab") as file:
        file.write(b'{"kind":"accepted","order":{"id":"to')

    second = start_simulator()

    assert second.find("kept").json()["status"] == "new"
    second.rest_order("after")
    assert list(second.ledger.orders_by_client_order_id) == ["kept", "after"]


def test_a_damaged_ledger_stops_the_broker_with_one_line(start_simulator, tmp_path):
    first = start_simulator()
    first.stop()
    path = first.data_dir / LEDGER_NAME
    path.write_text("garbage\n" + path.read_text())

    command = [sys.executable, "-m", "brokers.simulator", "--port", "0", "--data-dir", str(first.data_dir)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_SECONDS)

    assert result.returncode == 1
    assert result.stderr == f"simulator sim: {path}: line 1 is not a ledger record\n"
    with pytest.raises(LedgerError):
        read_ledger(first.data_dir)


def test_without_dedupe_a_blind_resend_is_a_second_order(start_simulator):
    simulator = start_simulator("--no-dedupe")
    simulator.rest_order("blind", qty="3")
    simulator.rest_order("blind", qty="3")

    for order in simulator.ledger.live_orders("blind"):
        simulator.force_fill(order.order_id, "3")

    ledger = simulator.ledger
    assert ledger.duplicated_client_order_ids == ["blind"]
    assert ledger.executed_quantity("blind") == 6
    assert ledger.net_positions() == {"AAPL": Decimal(6)}


def test_the_ledger_is_served_while_the_broker_runs(start_simulator):
    simulator = start_simulator()
    simulator.rest_order("served")

    lines = simulator.call("GET", "/sim/ledger").text.splitlines()

    kinds = [json.loads(line)["kind"] for line in lines]
    assert kinds == ["started", "request", "accepted", "reply"]


def test_a_disk_that_refuses_to_write_stops_the_broker(start_simulator):
    simulator = start_simulator()
    resource.prlimit(simulator.process.pid, resource.RLIMIT_FSIZE, (2000, 2000))

    answers = [send_unchecked(simulator, f"unwritten-{number}") for number in range(20)]

    _, errors = simulator.process.communicate(timeout=PATIENCE_SECONDS)
    assert simulator.process.returncode == 1
    assert "File too large" in errors.splitlines()[-1]
    assert {name for name, status in answers if status == 200} <= set(simulator.ledger.orders_by_client_order_id)


def send_unchecked(simulator, client_order_id):
    """Submit an order to a broker that may be gone; return the id and the status, or None without an answer."""
    try:
        return client_order_id, simulator.submit(client_order_id=client_order_id).status_code
    except requests.ConnectionError:
        return client_order_id, None


def test_it_leaves_even_with_calls_that_never_end(start_simulator):
    simulator = start_simulator()
    simulator.fault("hang", operation="account")
    with pytest.raises(requests.ReadTimeout):
        simulator.call("GET", "/v2/account", timeout=0.1)
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(simulator.call, "GET", "/v2/account", timeout=None)
        time.sleep(0.1)
        assert simulator.stop() == 0
        assert isinstance(hanging.exception(timeout=PATIENCE_SECONDS), requests.ConnectionError)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--port", "x"], "not a port: x"),
        (["--cash", "-1"], "must be above 0: -1"),
        (["--api-key", "only"], "an API key needs a secret"),
        (["--tick-ms", "0"], "must be from 1 to 60000"),
        (["--volatility", "much"], "invalid _share value"),
    ],
)
def test_a_wrong_argument_is_one_clear_line(tmp_path, arguments, complaint):
    command = [sys.executable, "-m", "brokers.simulator", "--data-dir", str(tmp_path), *arguments]

    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_SECONDS)

    assert result.returncode == 2
    assert complaint in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_a_port_in_use_is_one_clear_line(start_simulator, tmp_path):
    port = start_simulator().url.rsplit(":", 1)[1]
    command = [sys.executable, "-m", "brokers.simulator", "--data-dir", str(tmp_path / "other"), "--port", port]

    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_SECONDS)

    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "address already in use" in result.stderr


def test_it_imports_nothing_of_the_rest_of_the_project():
    script = "import sys, brokers.simulator.__main__ as m; print(*{name.split('.')[0] for name in sys.modules})"
    own = "print(*(n for n in sys.modules if n.startswith('brokers.') and not n.startswith('brokers.simulator')))"

    result = subprocess.run([sys.executable, "-c", f"{script}; {own}"], cwd=ROOT, capture_output=True, text=True)

    packages, own_modules = result.stdout.split("\n")[:2]
    assert "brokers" in packages.split()
    assert not {"django", "config", "reliability", "reconciliation", "celery"} & set(packages.split())
    assert own_modules == ""
