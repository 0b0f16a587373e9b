"""Stanchion itself as a contender: its own web process, worker and sentinel, through the REST API."""

import base64
import json
import secrets
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg
import urllib3

from benchmarks.peers.contender import Contender, ContenderError
from benchmarks.services import Services, tail, wait_for_port

_START_SECONDS = 60.0
_POLL_SECONDS = 0.02
# One state at a time: each has a partial index, and looking must cost next to nothing.
_UNFINISHED = """
SELECT (SELECT count(*) FROM reliability_job WHERE lane = 'orders' AND state = 'ready')
     + (SELECT count(*) FROM reliability_job WHERE lane = 'orders' AND state = 'running')
"""
_SINCE_DURABLE = """
SELECT 1000 * extract(epoch FROM j.finished_at - o.accepted_at)::float
FROM brokers_order o JOIN reliability_job j ON j.subject = o.id WHERE o.quantity BETWEEN %s AND %s
"""
_FINISHED = """
SELECT o.quantity::int, extract(epoch FROM j.finished_at)::float
FROM brokers_order o JOIN reliability_job j ON j.subject = o.id
WHERE o.quantity BETWEEN %s AND %s AND o.acknowledged_at IS NOT NULL AND j.state = 'succeeded'
"""


def environment(services: Services) -> dict[str, str]:
    """Return what the product's processes need on the servers of a run."""
    return {
        "DATABASE_URL": services.postgres_url,
        "REDIS_URL": services.redis_url,
        "STANCHION_SECRET_KEY": secrets.token_urlsafe(40),
        "STANCHION_PRIVATE_BROKERS": "127.0.0.0/8",
        "STANCHION_ENCRYPTION_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "STANCHION_ADMIN_USER": "bench",
        "STANCHION_ADMIN_PASSWORD": secrets.token_urlsafe(20),
        "STANCHION_API_TOKEN": "st_" + secrets.token_hex(32),
        "STANCHION_SIM_A_URL": services.broker_url,
        "STANCHION_SIM_API_KEY": "key",
        "STANCHION_SIM_API_SECRET": "secret",
        "STANCHION_PORT": str(services.spare_ports[0]),
        "STANCHION_LOG_LEVEL": "WARNING",
        "STANCHION_SECOND_FACTOR": "0",
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }


class StanchionContender:
    """Accepts ``batch`` orders a request; 1 uses the single endpoint. ``extra`` goes to its processes."""

    def __init__(self, name: str, batch: int, *, history: int = 0, extra: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.batch = batch
        self._history = history
        self._extra = extra or {}
        self._children: list[int] = []
        self._local = threading.local()

    def start(self, services: Services) -> None:
        self._services = services
        self._environment = {**environment(services), **self._extra}
        for command in ("migrate", "prepare_installation"):
            child = services.spawn([sys.executable, "manage.py", command], "setup.log", self._environment)
            if child.wait(_START_SECONDS):
                raise ContenderError(tail(Path(services.folder) / "setup.log"))
        if self._history:
            self._add_history()
        python = [sys.executable, "-m"]
        gunicorn = [*python, "gunicorn", "config.wsgi:application", "-c", "config/gunicorn.py"]
        worker = [*python, "celery", "-A", "config.celery", "worker", "-n", "orders@bench", "-Q", "orders", "-c", "2"]
        for argv, log in (
            (gunicorn, "web.log"),
            ([*worker, "--without-gossip", "--without-mingle"], "worker.log"),
            ([sys.executable, "manage.py", "run_sentinel"], "sentinel.log"),
        ):
            self._children.append(services.spawn(argv, log, self._environment).pid)
        wait_for_port(services.spare_ports[0])
        self._wait_for_workers()

    def accept(self, numbers: range) -> None:
        if self.batch == 1:
            (number,) = numbers
            self._post("/api/v1/orders", _order(number), 202, {"Idempotency-Key": f"bench-{number}"})
            return
        orders = [{"idempotency_key": f"bench-{number}", "order": _order(number)} for number in numbers]
        answers = self._post("/api/v1/orders:batch", {"orders": orders}, 207)["results"]
        refused = [answer for answer in answers if answer["status"] != 202]
        if refused:
            raise ContenderError(f"an order was refused: {refused[0]}")

    def wait_done(self, numbers: range, timeout_seconds: float) -> dict[int, float]:
        deadline = time.monotonic() + timeout_seconds
        with psycopg.connect(self._services.postgres_url, autocommit=True) as connection:
            while _first(connection, _UNFINISHED):
                if time.monotonic() > deadline:
                    raise ContenderError(f"{_first(connection, _UNFINISHED)} jobs left after {timeout_seconds} s")
                time.sleep(_POLL_SECONDS)
            done: dict[int, float] = dict(connection.execute(_FINISHED, [numbers.start, numbers.stop - 1]).fetchall())
        missing = set(numbers) - done.keys()
        if missing:
            raise ContenderError(f"{len(missing)} orders were not acknowledged, for example {min(missing)}")
        return done

    def since_durable(self, numbers: range) -> list[float]:
        with psycopg.connect(self._services.postgres_url) as connection:
            rows = connection.execute(_SINCE_DURABLE, [numbers.start, numbers.stop - 1]).fetchall()
        return [row[0] for row in rows]

    def pause(self) -> None:
        self._post("/api/v1/lanes/orders/pause", {"reason": "benchmark"}, 204)

    def resume(self) -> None:
        self._post("/api/v1/lanes/orders/resume", {"reason": "benchmark"}, 204)

    def pids(self) -> list[int]:
        return self._children

    def stop(self) -> None:
        """The servers' folder ends every child it spawned."""

    def _post(self, path: str, body: object, status: int, headers: dict[str, str] | None = None) -> dict[str, list]:
        if not hasattr(self._local, "pool"):
            self._local.pool = urllib3.HTTPConnectionPool("127.0.0.1", self._services.spare_ports[0], maxsize=1)
        response = self._local.pool.request(
            "POST",
            path,
            body=json.dumps(body),
            headers={
                "Authorization": f"Bearer {self._environment['STANCHION_API_TOKEN']}",
                "Content-Type": "application/json",
                **(headers or {}),
            },
        )
        if response.status != status:
            raise ContenderError(f"{path} answered {response.status}: {response.data[:500]!r}")
        return json.loads(response.data) if response.data else {}

    def _wait_for_workers(self) -> None:
        """Both pool processes are there once their pulses are."""
        deadline = time.monotonic() + _START_SECONDS
        with psycopg.connect(self._services.postgres_url, autocommit=True) as connection:
            query = (
                "SELECT count(*) FROM reliability_heartbeat WHERE kind IN ('worker', 'sentinel') AND ended_at IS NULL"
            )
            while _first(connection, query) < 3:
                if time.monotonic() > deadline:
                    raise ContenderError(tail(Path(self._services.folder) / "worker.log"))
                time.sleep(0.1)

    def _add_history(self) -> None:
        """Fill the tables with finished orders, as after months of trading."""
        sql = (Path(__file__).parent / "history.sql").read_text()
        with psycopg.connect(self._services.postgres_url, autocommit=True) as connection:
            for statement in sql.split(";\n"):
                if statement.strip():
                    connection.execute(statement.replace(":orders", str(self._history)))


def _order(number: int) -> dict[str, object]:
    return {"symbol": "AAPL", "side": "buy", "type": "limit", "quantity": number, "limit_price": "100"}


def _first(connection: psycopg.Connection, query: str) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0])


CONTENDERS: dict[str, Callable[[], Contender]] = {
    "stanchion": lambda: StanchionContender("Stanchion, batches of 100", 100),
    "stanchion-single": lambda: StanchionContender("Stanchion, one by one", 1),
    "stanchion-history": lambda: StanchionContender("Stanchion, 1 M old orders", 100, history=1_000_000),
}
