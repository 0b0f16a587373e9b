"""A whole stack as the benchmark uses it: orders in, faults at the brokers, pins, and what the rows and ledgers say."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import psycopg

from brokers.simulator.ledger import LEDGER_NAME, read_records
from config.stack.client import ApiClient
from config.stack.running import RunningInstance, running_instance

BATCH = 100
_POLL_SECONDS = 0.05
_ORDER = {"symbol": "KO", "side": "buy", "type": "market", "time_in_force": "day", "quantity": 1}
_COUNTS = """
SELECT count(*), count(acknowledged_at), extract(epoch FROM max(acknowledged_at) - min(accepted_at))::float
FROM brokers_order WHERE idempotency_key LIKE %s
"""
_WAITS = """
SELECT 1000 * extract(epoch FROM acknowledged_at - accepted_at)::float FROM brokers_order WHERE idempotency_key LIKE %s
"""


class DeskError(Exception):
    """The stack did not do what a measurement needs; the message says what."""


@dataclass(frozen=True, slots=True)
class Desk:
    """One running stack with the accounts ``sim-a`` and ``sim-b``."""

    instance: RunningInstance

    def client(self) -> ApiClient:
        return ApiClient(self.instance.urls["web"], self.instance.env["STANCHION_API_TOKEN"])

    def accept(self, key: str, account: str, count: int) -> None:
        """Have ``count`` market orders accepted, a hundred in a request."""
        asyncio.run(self._accept(key, account, count))

    async def _accept(self, key: str, account: str, count: int) -> None:
        async with self.client() as client:
            for first in range(0, count, BATCH):
                numbers = range(first, min(first + BATCH, count))
                taken = await client.submit_batch({f"{key}-{number}": order_for(account) for number in numbers})
                if len(taken) != len(numbers):
                    raise DeskError(f"{len(numbers) - len(taken)} orders of {key} were refused")

    def wait_acknowledged(self, key: str, count: int, seconds: float) -> float:
        """Return the seconds from the first acceptance to the last acknowledgement, both as the rows have it."""
        deadline = time.monotonic() + seconds
        while True:
            accepted, acknowledged, took = self.query(_COUNTS, [f"{key}-%"])[0]
            if acknowledged >= count:
                return float(took)
            if time.monotonic() > deadline:
                raise DeskError(f"{acknowledged} of {accepted} orders of {key} were acknowledged in {seconds:.0f} s")
            time.sleep(_POLL_SECONDS)

    def waits_ms(self, key: str) -> list[float]:
        """Return how long each order was accepted before its acknowledgement was recorded."""
        return [row[0] for row in self.query(_WAITS, [f"{key}-%"])]

    def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.instance.env["DATABASE_URL"], autocommit=True) as connection:
            return connection.execute(statement, parameters or None).fetchall()

    def fault(self, letter: str, kind: str, **parameters: Any) -> None:
        self._send("POST", self.instance.urls[f"simbroker-{letter}"] + "/sim/faults", {"kind": kind, **parameters})

    def clear_faults(self, letter: str) -> None:
        self._send("DELETE", self.instance.urls[f"simbroker-{letter}"] + "/sim/faults")

    def pin(self, circuit: str, state: str) -> None:
        self._circuit(circuit, "pin", {"state": state, "reason": "benchmark"})

    def unpin(self, circuit: str) -> None:
        self._circuit(circuit, "unpin", {"reason": "benchmark"})

    def reset(self, circuit: str) -> None:
        self._circuit(circuit, "reset", {"reason": "benchmark"})

    def submits(self, letter: str, since_ns: int) -> list[float]:
        """Return when requests to submit came to a broker, in monotonic seconds, from an instant on."""
        path = self.instance.directory / f"simbroker-{letter}" / LEDGER_NAME
        return [
            record["monotonic_ns"] / 1e9
            for record in read_records(path)
            if record["kind"] == "request" and record["operation"] == "submit" and record["monotonic_ns"] >= since_ns
        ]

    def pids(self, prefix: str) -> list[int]:
        """Return the processes of the stack whose names begin so."""
        processes = self.instance.state()["processes"]
        return [entry["pid"] for name, entry in processes.items() if name.startswith(prefix) and entry["pid"]]

    def _circuit(self, name: str, action: str, body: dict[str, str]) -> None:
        token = self.instance.env["STANCHION_API_TOKEN"]
        url = f"{self.instance.urls['web']}/api/v1/circuits/{quote(name)}/{action}"
        self._send("POST", url, body, {"Authorization": f"Bearer {token}"})

    def _send(self, method: str, url: str, body: object = None, headers: dict[str, str] | None = None) -> None:
        data = None if body is None else json.dumps(body).encode()
        request = Request(url, data, {"Content-Type": "application/json", **(headers or {})}, method=method)
        try:
            with urlopen(request, timeout=10) as answer:
                answer.read()
        except HTTPError as error:
            raise DeskError(f"{url} answered {error.code}: {error.read()[:300]!r}") from error


def order_for(account: str) -> dict[str, object]:
    return {"account": account, **_ORDER}


@contextmanager
def running_desk(environment: dict[str, str] | None = None) -> Iterator[Desk]:
    """Start a stack of its own servers, without Flower, and remove it at the end."""
    own = {"DATABASE_URL": "", "REDIS_URL": "", "STANCHION_LOG_LEVEL": "WARNING", **(environment or {})}
    with running_instance(environment=own, without=["flower"]) as instance:
        desk = Desk(instance)
        for account in ("sim-a", "sim-b"):
            desk.accept(f"warm-{account}", account, 200)
            desk.wait_acknowledged(f"warm-{account}", 200, 60.0)
        yield desk


def make_circuits_known(desk: Desk) -> None:
    """Have one submit and one look-up at broker A fail: a circuit is known, and can be pinned, once a call failed."""
    desk.fault("a", "drop_reply", operation="submit", count=1)
    desk.fault("a", "error", operation="query", status=503, count=1)
    desk.accept("known", "sim-a", 1)
    desk.wait_acknowledged("known", 1, 60.0)
    desk.clear_faults("a")
