"""Naive Celery under kills: INSERT and COMMIT, then publish; two workers with two pool children each."""

import json
import os
import random
import subprocess
import sys
import time
from dataclasses import asdict

import psutil
import psycopg
import redis
from celery import Celery
from kombu.exceptions import OperationalError

from benchmarks.loss.scenarios import Kill, Scenario
from benchmarks.loss.subject import Owed
from benchmarks.peers import order_job
from benchmarks.services import ServiceError, Services, tail

_INSERT = "INSERT INTO orders (number, client_order_id, terms) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
_QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat", "-l", "WARNING")
_START_SECONDS = 30.0


class NaiveCelery:
    """Workers that are killed are started again at once; one that ends by itself stays down and is counted."""

    name = "naive Celery"

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.workers: dict[int, subprocess.Popen[bytes]] = {}

    def unsupported(self, scenario: Scenario) -> str:
        return ""

    def start(self, services: Services, scenario: Scenario) -> None:
        self.services, self.scenario = services, scenario
        self.environment = {
            "BENCH_POSTGRES_URL": services.postgres_url,
            "BENCH_REDIS_URL": services.redis_url,
            "BENCH_BROKER_URL": services.broker_url,
            "BENCH_CELERY": json.dumps(asdict(scenario.celery)),
            "C_FORCE_ROOT": "1",
        }
        os.environ.update(self.environment)
        with psycopg.connect(services.postgres_url, autocommit=True) as connection:
            connection.execute(order_job.SCHEMA)
        self.producer = Celery("producer", broker=services.redis_url)
        self.producer.conf.broker_transport_options = {"socket_timeout": 5}
        self.redis = redis.Redis.from_url(services.redis_url, socket_timeout=5)
        for slot in (1, 2):
            self._start_worker(slot)
        self._wait_until_ready()

    def submit(self, number: int, delay_seconds: float) -> bool:
        self._insert(number)
        task = "place_retry" if self.scenario.celery.retry else "place"
        options = {"countdown": delay_seconds} if delay_seconds else {}
        try:
            self.producer.send_task(task, args=[number], ignore_result=True, **options)
        except (OperationalError, redis.RedisError, OSError):
            return False
        return True

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
            return self.redis.llen("celery") == 0 and self.redis.hlen("unacked") == 0
        except redis.RedisError:
            return False

    def owed(self) -> Owed:
        with psycopg.connect(self.services.postgres_url) as connection:
            rows = connection.execute("SELECT number, broker_order_id IS NOT NULL FROM orders").fetchall()
        return Owed(frozenset(row[0] for row in rows), frozenset(row[0] for row in rows if row[1]))

    def exits(self) -> int:
        return sum(worker.poll() is not None for worker in self.workers.values())

    def stop(self) -> None:
        for worker in self.workers.values():
            if worker.poll() is None:
                self.services.kill_tree(worker)

    def _insert(self, number: int) -> None:
        """Commit the row; a careful caller repeats this until it is done."""
        parameters = (number, f"bench-{number}", order_job.order_body(number).decode())
        deadline = time.monotonic() + 60
        while True:
            try:
                order_job.connection().execute(_INSERT, parameters)
                return
            except psycopg.Error:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _start_worker(self, slot: int) -> None:
        command = [sys.executable, "-m", "celery", "-A", "benchmarks.loss.celery_app", "worker", *_QUIET]
        pool = ["-P", "prefork", "-c", "2", "-n", f"worker{slot}@localhost"]
        self.workers[slot] = self.services.spawn([*command, *pool], f"worker{slot}.log", self.environment)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while len(self.producer.control.ping(timeout=0.5)) < len(self.workers):
            if time.monotonic() > deadline:
                raise ServiceError(f"the workers did not start: {tail(self.services.folder / 'worker1.log')}")
