"""The second alarm path for real: a fault becomes an alert of Prometheus that reaches a webhook, and is resolved."""

import itertools
import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from config.chaos.stack import wait_until
from config.stack.observe import WEBHOOK
from config.stack.running import running_instance
from config.stack.serve import Scope

_PATIENCE_SECONDS = 140.0
_BETWEEN_ORDERS_SECONDS = 0.2


@contextmanager
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A receiver of notifications: its address, and the alerts that arrived."""
    arrived: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            arrived.extend(json.loads(body)["alerts"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", arrived
    finally:
        server.shutdown()
        server.server_close()


def post(url: str, body: dict[str, Any], **headers: str) -> None:
    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json", **headers}, method="POST")
    with urlopen(request, timeout=10):
        pass


@pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("prometheus-alertmanager") is None,
    reason="Prometheus and Alertmanager are not installed (Debian: prometheus, prometheus-alertmanager)",
)
def test_a_broker_that_fails_becomes_an_alert_that_reaches_the_webhook() -> None:
    with webhook() as (address, arrived), running_instance(scope=Scope.OBSERVED, environment={WEBHOOK: address}) as one:

        def told(status: str) -> bool:
            return any(
                (alert["status"], alert["labels"].get("alertname"), alert["labels"].get("circuit"))
                == (status, "StanchionCircuitOpen", "sim-a:orders")
                for alert in arrived
            )

        token = {"Authorization": f"Bearer {one.env['STANCHION_API_TOKEN']}"}
        circuit = f"{one.urls['web']}/api/v1/circuits/sim-a:orders"
        fault = {"kind": "error", "status": 503, "operation": "submit"}
        post(f"{one.urls['simbroker-a']}/sim/faults", fault)
        order = {"symbol": "AAPL", "side": "buy", "quantity": 1, "account": "sim-a"}
        numbers = itertools.count()

        def told_while_orders_come() -> bool:
            """Orders go on coming as they do in a running system, so the circuit has calls to judge by at any time."""
            key = {"Idempotency-Key": f"observe-{next(numbers)}"}
            with suppress(HTTPError):  # an order may be refused once the account is frozen
                post(f"{one.urls['web']}/api/v1/orders", order, **key, **token)
            time.sleep(_BETWEEN_ORDERS_SECONDS)
            return told("firing")

        wait_until(told_while_orders_come, "the webhook heard of the open circuit", _PATIENCE_SECONDS)
        assert not [alert for alert in arrived if alert["labels"]["alertname"] == "StanchionAway"]

        with urlopen(Request(f"{one.urls['simbroker-a']}/sim/faults", method="DELETE"), timeout=10):
            pass
        post(f"{circuit}/reset", {"reason": "the broker is well again"}, **token)
        wait_until(lambda: told("resolved"), "the webhook heard that it closed", _PATIENCE_SECONDS)
