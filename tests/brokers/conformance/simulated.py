"""The simulated broker as a counterpart: a process of its own, spoken to as Alpaca."""

import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from brokers.adapters.interface import AccountSettings
from brokers.core.orders import OrderTerms, OrderType, Side, TimeInForce
from tests.brokers.conformance.counterpart import Trouble

API_KEY = "PKCONFORMANCE0001"
API_SECRET = "s3cr3t-of-the-conformance-suite"
REPOSITORY = Path(__file__).resolve().parents[3]
PAGE = "<html><head><title>proxy</title></head><body>{}</body></html>"

FAULTS: dict[Trouble, dict[str, Any]] = {
    Trouble.REPLY_LOST: {"kind": "drop_reply"},
    Trouble.REQUEST_LOST: {"kind": "drop_request"},
    Trouble.HANGING: {"kind": "hang"},
    Trouble.SERVER_ERROR: {"kind": "error", "applied": True},
    Trouble.UNAVAILABLE_PAGE: {"kind": "error", "status": 503, "body": PAGE.format(503)},
    Trouble.GATEWAY_TIMEOUT_PAGE: {"kind": "error", "status": 504, "body": PAGE.format(504), "applied": True},
    Trouble.PROXY_SUCCESS_PAGE: {"kind": "error", "status": 200, "body": PAGE.format("welcome")},
    Trouble.PROXY_REFUSAL_PAGE: {"kind": "error", "status": 400, "body": PAGE.format(400), "applied": True},
    Trouble.PROXY_NOT_FOUND_PAGE: {"kind": "error", "status": 404, "body": PAGE.format("order not found")},
    Trouble.ERROR_IN_SUCCESS: {
        "kind": "error",
        "status": 200,
        "body": {"code": 40410000, "message": "order not found"},
    },
    Trouble.EMPTY_SUCCESS: {"kind": "error", "status": 200, "body": ""},
    Trouble.MALFORMED: {"kind": "wrong_data", "mode": "malformed"},
    Trouble.TRUNCATED: {"kind": "wrong_data", "mode": "truncated"},
    Trouble.MISSING_FIELDS: {"kind": "wrong_data", "mode": "missing_fields"},
    Trouble.OTHER_ORDER: {"kind": "wrong_data", "mode": "other_order"},
    Trouble.THROTTLED: {"kind": "rate_limit", "seconds_to_wait": 3},
    Trouble.LOGIN_REFUSED: {"kind": "auth_expired", "status": 401},
    Trouble.INSUFFICIENT_FUNDS: {
        "kind": "error",
        "status": 403,
        "body": {"code": 40310000, "message": "insufficient buying power"},
    },
    Trouble.ECHOED_CREDENTIALS: {
        "kind": "error",
        "status": 500,
        "body": {"message": f"headers: APCA-API-KEY-ID={API_KEY} APCA-API-SECRET-KEY={API_SECRET}"},
    },
}


class SimulatedCounterpart:
    """A running simulated broker and its control calls."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self._process = process
        self.url = url
        self.settings = AccountSettings(
            account="conformance",
            base_url=url,
            stream_url=url.replace("http", "ws") + "/stream",
            credentials={"api_key": API_KEY, "api_secret": API_SECRET},
            connect_timeout_seconds=3.0,
            call_timeout_seconds=5.0,
        )

    def make_trouble(self, trouble: Trouble) -> None:
        self.control("POST", "/sim/faults", {**FAULTS[trouble], "operation": "any"})

    def clear_trouble(self) -> None:
        self.control("DELETE", "/sim/faults")

    def resting_terms(self) -> OrderTerms:
        return OrderTerms(
            "AAPL", Side.BUY, OrderType.LIMIT, TimeInForce.GTC, quantity=Decimal(4), limit_price=Decimal("1.00")
        )

    def invalid_terms(self) -> OrderTerms:
        return OrderTerms("NOSUCH", Side.BUY, OrderType.MARKET, TimeInForce.DAY, quantity=Decimal(1))

    def fill(self, broker_order_id: str, quantity: Decimal) -> None:
        self.control("POST", "/sim/fill", {"order_id": broker_order_id, "quantity": str(quantity)})

    def count_submissions(self, client_order_id: str) -> int:
        rows = [json.loads(line) for line in self.control("GET", "/sim/ledger").splitlines()]
        return sum(
            row["kind"] == "request" and row["operation"] == "submit" and row["client_order_id"] == client_order_id
            for row in rows
        )

    def cut_streams(self) -> None:
        self.control("POST", "/sim/faults", {"kind": "disconnect_streams"})

    def lose_stream_events(self) -> None:
        self.control("POST", "/sim/faults", {"kind": "silent_stream"})

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> str:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.read().decode()


@contextmanager
def launch_simulated(directory: Path) -> Iterator[SimulatedCounterpart]:
    """Run a simulated broker on a free port until the block ends."""
    with run_simulator(directory) as process:
        yield SimulatedCounterpart(process, read_address(process))


@contextmanager
def run_simulator(directory: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run the program with prices that stand still, and end it with the block."""
    command = [sys.executable, "-m", "brokers.simulator", "--port", "0", "--data-dir", str(directory), "--name", "sim"]
    command += ["--api-key", API_KEY, "--api-secret", API_SECRET, "--volatility", "0", *options]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


def read_address(process: subprocess.Popen[str]) -> str:
    """Return the next address that the program says it listens on."""
    assert process.stdout is not None
    ready = re.search(r"(http|tcp)://[\d.]+:\d+", process.stdout.readline())
    assert ready, "the simulated broker did not start"
    return ready.group()
