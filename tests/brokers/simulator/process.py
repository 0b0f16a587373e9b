"""Run a real simulator process and talk to it."""

import json
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from brokers.simulator.ledger import LedgerSummary, read_ledger
from tests.patience import PATIENCE_SECONDS

ROOT = Path(__file__).resolve().parents[3]
KEYS = {"APCA-API-KEY-ID": "test-key", "APCA-API-SECRET-KEY": "test-secret"}


@dataclass
class Simulator:
    """One simulator on a free port. ``restart`` keeps the data directory."""

    data_dir: Path
    arguments: tuple[str, ...] = ()
    url: str = ""
    process: subprocess.Popen[str] | None = None
    session: requests.Session = field(default_factory=requests.Session)

    def start(self) -> "Simulator":
        command = [sys.executable, "-m", "brokers.simulator", "--port", "0", "--data-dir", str(self.data_dir)]
        command += ["--api-key", "test-key", "--api-secret", "test-secret", "--tick-ms", "10", *self.arguments]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        timer = threading.Timer(PATIENCE_SECONDS, self.process.kill)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        assert " listening on http://" in line, self.process.communicate()[1]
        self.url = line.split(" listening on ")[1].strip()
        return self

    def stop(self) -> int:
        self.process.terminate()
        return self._wait()

    def kill(self) -> int:
        self.process.kill()
        return self._wait()

    def _wait(self) -> int:
        self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode

    def call(
        self, method: str, path: str, timeout: float | None = PATIENCE_SECONDS, **options: Any
    ) -> requests.Response:
        return self.session.request(method, self.url + path, headers=KEYS, timeout=timeout, **options)

    def submit(self, **fields: Any) -> requests.Response:
        order = {"symbol": "AAPL", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"} | fields
        return self.call("POST", "/v2/orders", data=json.dumps(order))

    def rest_order(self, client_order_id: str, **fields: Any) -> dict[str, Any]:
        """Submit a buy far below the market, which stays open, and return it."""
        answer = self.submit(type="limit", limit_price="1", client_order_id=client_order_id, **fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def find(self, client_order_id: str) -> requests.Response:
        return self.call("GET", f"/v2/orders:by_client_order_id?client_order_id={client_order_id}")

    def fault(self, kind: str, **fields: Any) -> str:
        answer = self.call("POST", "/sim/faults", data=json.dumps({"kind": kind, **fields}))
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def clear(self) -> None:
        self.call("DELETE", "/sim/faults")

    def put_price(self, symbol: str, price: str, **fields: Any) -> requests.Response:
        return self.call("POST", "/sim/price", data=json.dumps({"symbol": symbol, "price": price, **fields}))

    def force_fill(self, order_id: str, quantity: str) -> requests.Response:
        return self.call("POST", "/sim/fill", data=json.dumps({"order_id": order_id, "quantity": quantity}))

    @property
    def ledger(self) -> LedgerSummary:
        return read_ledger(self.data_dir)
