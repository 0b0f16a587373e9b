"""Stanchion under the same kills: orders through its REST API, two workers with two pool children each."""

import json
import random
import subprocess
import sys
import time

import psutil
import psycopg
import urllib3

from benchmarks.loss.scenarios import Kill, Scenario
from benchmarks.loss.subject import LossSubject, Owed
from benchmarks.peers.stanchion import environment
from benchmarks.services import ServiceError, Services, tail, wait_for_port
from config.roles import get_role

# Trading stops after a restart of PostgreSQL until these have compared everything with the broker.
_VERIFYING = ("worker-general", "streams")
_START_SECONDS = 60.0
_INSIST_SECONDS = 60.0
_OWED = "SELECT quantity::int, broker_order_id <> '' FROM brokers_order"
_LEFT = "SELECT count(*) FROM reliability_job WHERE lane = 'orders' AND state IN ('ready', 'running')"
_PULSES = "SELECT count(*) FROM reliability_heartbeat WHERE kind IN ('worker', 'sentinel') AND ended_at IS NULL"


class Stanchion:
    """A caller who repeats a request under its key until it is answered; workers are started again when killed."""

    name = "Stanchion"

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.workers: dict[int, subprocess.Popen[bytes]] = {}

    def unsupported(self, scenario: Scenario) -> str:
        return "orders are sent at once; there is no delayed submission" if scenario.delay_seconds else ""

    def start(self, services: Services, scenario: Scenario) -> None:
        self.services = services
        self.environment = environment(services)
        for command in ("migrate", "prepare_installation"):
            child = services.spawn([sys.executable, "manage.py", command], "setup.log", self.environment)
            if child.wait(_START_SECONDS):
                raise ServiceError(tail(services.folder / "setup.log"))
        gunicorn = [sys.executable, "-m", "gunicorn", "config.wsgi:application", "-c", "config/gunicorn.py"]
        services.spawn(gunicorn, "web.log", self.environment)
        services.spawn([sys.executable, "manage.py", "run_sentinel"], "sentinel.log", self.environment)
        for role in _VERIFYING:
            services.spawn([sys.executable, *get_role(role).arguments], f"{role}.log", self.environment)
        for slot in (1, 2):
            self._start_worker(slot)
        wait_for_port(services.spare_ports[0])
        self.pool = urllib3.HTTPConnectionPool("127.0.0.1", services.spare_ports[0], maxsize=1, timeout=10)
        self._wait_until_ready()

    def submit(self, number: int, delay_seconds: float) -> bool:
        order = {"symbol": "AAPL", "side": "buy", "type": "limit", "quantity": number, "limit_price": "100"}
        headers = {
            "Authorization": f"Bearer {self.environment['STANCHION_API_TOKEN']}",
            "Content-Type": "application/json",
            "Idempotency-Key": f"loss-{number}",
        }
        deadline = time.monotonic() + _INSIST_SECONDS
        while time.monotonic() < deadline:
            try:
                answer = self.pool.request(
                    "POST", "/api/v1/orders", body=json.dumps(order), headers=headers, retries=False
                )
            except urllib3.exceptions.HTTPError:
                time.sleep(0.1)
                continue
            if answer.status == 202:
                return True
            if answer.status < 500:
                raise ServiceError(f"order {number} was refused: {answer.data[:500]!r}")
            time.sleep(0.1)
        return False

    def kill(self, kind: Kill) -> None:
        slot = self.draw.choice(list(self.workers))
        worker = self.workers[slot]
        if kind is Kill.CHILD:
            children = psutil.Process(worker.pid).children() if worker.poll() is None else []
            if children:
                self.draw.choice(children).kill()
            return
        self.services.kill_tree(worker)
        time.sleep(0.3)
        self._start_worker(slot)

    def is_idle(self) -> bool:
        try:
            return self._count(_LEFT) == 0
        except psycopg.Error:
            return False

    def owed(self) -> Owed:
        with psycopg.connect(self.services.postgres_url) as connection:
            rows = connection.execute(_OWED).fetchall()
        return Owed(frozenset(row[0] for row in rows), frozenset(row[0] for row in rows if row[1]))

    def exits(self) -> int:
        return sum(worker.poll() is not None for worker in self.workers.values())

    def stop(self) -> None:
        for worker in self.workers.values():
            if worker.poll() is None:
                self.services.kill_tree(worker)

    def _start_worker(self, slot: int) -> None:
        command = [sys.executable, "-m", "celery", "-A", "config.celery", "worker", "-Q", "orders", "-c", "2"]
        name = ["-n", f"orders{slot}@bench", "--without-gossip", "--without-mingle"]
        self.workers[slot] = self.services.spawn([*command, *name], f"worker{slot}.log", self.environment)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while self._count(_PULSES) < 5:
            if time.monotonic() > deadline:
                raise ServiceError(f"the workers did not start: {tail(self.services.folder / 'worker1.log')}")
            time.sleep(0.1)

    def _count(self, query: str) -> int:
        with psycopg.connect(self.services.postgres_url, autocommit=True) as connection:
            row = connection.execute(query).fetchone()
        assert row is not None
        return int(row[0])


def make_subject(seed: int) -> LossSubject:
    return Stanchion(seed)
