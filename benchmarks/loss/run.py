"""One scenario with one subject: submit at a steady rate, kill by plan, wait, count at the broker."""

import threading
import time
from typing import Any

from benchmarks.loss.scenarios import Kill, Scenario, plan_kills
from benchmarks.loss.subject import LossSubject
from benchmarks.services import Services

_STILL_SECONDS = 4


def run_scenario(subject: LossSubject, scenario: Scenario, orders: int, seed: int) -> dict[str, Any]:
    """Return what was lost and doubled, judged by the broker's ledger and the subject's records."""
    count = scenario.orders or orders
    with Services(appendonly=scenario.appendonly, latency_ms=scenario.answer_ms) as services:
        try:
            subject.start(services, scenario)
            load = _Load(subject, count, scenario)
            began = time.monotonic()
            load.start()
            killed = _kill_by_plan(subject, services, plan_kills(scenario, count, seed), began)
            load.join()
            drained = _wait_until_still(subject, services, scenario.drain_seconds)
            return _judge(subject, services, load) | {
                "kills": killed,
                "drained": drained,
                "seconds": round(time.monotonic() - began, 1),
            }
        finally:
            subject.stop()


class _Load(threading.Thread):
    """The caller: one order after the other, at the scenario's rate unless a submit blocks."""

    def __init__(self, subject: LossSubject, count: int, scenario: Scenario) -> None:
        super().__init__(daemon=True)
        self.subject, self.count, self.scenario = subject, count, scenario
        self.told_accepted: set[int] = set()
        self.error: Exception | None = None

    def run(self) -> None:
        began = time.monotonic()
        try:
            for number in range(1, self.count + 1):
                if self.subject.submit(number, self.scenario.delay_seconds):
                    self.told_accepted.add(number)
                time.sleep(max(0.0, began + number / self.scenario.rate - time.monotonic()))
        except Exception as error:  # raised again by the main thread
            self.error = error


def _kill_by_plan(
    subject: LossSubject, services: Services, plan: list[tuple[float, Kill]], began: float
) -> dict[str, int]:
    killed: dict[str, int] = {}
    for offset, kind in plan:
        time.sleep(max(0.0, began + offset - time.monotonic()))
        if kind is Kill.REDIS:
            services.crash_redis()
        elif kind is Kill.POSTGRES:
            services.crash_postgres()
        else:
            subject.kill(kind)
        killed[kind.value] = killed.get(kind.value, 0) + 1
    return killed


def _wait_until_still(subject: LossSubject, services: Services, limit_seconds: float) -> bool:
    """Wait until the subject is idle and nothing reached the broker for some seconds; tell whether that happened."""
    deadline, posts, still = time.monotonic() + limit_seconds, -1, 0
    while time.monotonic() < deadline:
        time.sleep(1)
        seen = services.ask_broker("/stats")["n"]
        still = still + 1 if seen == posts and subject.is_idle() else 0
        posts = seen
        if still >= _STILL_SECONDS:
            return True
    return False


def _judge(subject: LossSubject, services: Services, load: _Load) -> dict[str, Any]:
    if load.error is not None:
        raise load.error
    ledger = {int(quantity): posts for quantity, posts in services.ask_broker("/ledger").items()}
    owed = subject.owed()
    lost = owed.committed - ledger.keys()
    return {
        "orders": load.count,
        "committed": len(owed.committed),
        "told_accepted": len(load.told_accepted),
        "lost": len(lost),
        "lost_told_accepted": len(lost & load.told_accepted),
        "doubled": sum(posts > 1 for posts in ledger.values()),
        "most_copies": max(ledger.values(), default=0),
        "unrecorded": len(ledger.keys() - owed.recorded),
        "unowed": len(ledger.keys() - owed.committed),
        "exits": subject.exits(),
        "longest_pause_seconds": services.ask_broker("/stats")["longest_pause_seconds"],
    }
