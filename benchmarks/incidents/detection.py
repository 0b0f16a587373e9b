"""From a fault to the row an operator sees: each fault is made, then the row is waited for.

What is told within the transaction that finds it (a difference, a failed recovery, an order that is filled too much)
needs no waiting and is not measured; rates and budgets are windows of minutes by design.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from benchmarks.incidents import slower_faults
from benchmarks.incidents.waiting import wait_for

AIMS = {
    **dict.fromkeys(("dead process", "opened circuit", "silent stream"), 1.0),
    **dict.fromkeys(
        (
            *("dead letter", "new error", "returning error", "halted trading", "frozen trading", "unknown order"),
            *("decision needed", "late lane", "late scheduler", "silent feed"),
        ),
        5.0,
    ),
}
BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
_PULSE = """
import os, sys, time
import django
django.setup()
from reliability.services.pulse import Pulse
Pulse("worker", sys.argv[1])
print("ready", flush=True)
time.sleep(600)
"""


def measure_detection(faults: int) -> dict[str, Any]:
    """Return the distribution of each kind of fault, in seconds."""
    from reliability.services.background import background
    from reliability.services.pulse import Pulse
    from reliability.services.records import follow_records, hear_everything
    from reliability.services.sentinel import Sentinel

    stop = threading.Event()
    hear_everything()
    follow_records()
    sentinel = Sentinel(Pulse("sentinel", "bench sentinel"))
    thread = threading.Thread(target=sentinel.run, args=[stop], daemon=True)
    thread.start()
    time.sleep(3)  # it trusts pulses a moment after it began to lead
    kinds: dict[str, Callable[[int], float]] = {
        "opened circuit": _circuit,
        "silent stream": _stream,
        "dead letter": _dead_letter,
        "new error": _error,
        "halted trading": _halt,
        "frozen trading": _freeze,
        "returning error": slower_faults.returning_error,
        "unknown order": slower_faults.unknown_order,
        "decision needed": slower_faults.decision_needed,
        "late lane": slower_faults.late_lane,
        "late scheduler": slower_faults.late_scheduler,
        "silent feed": slower_faults.silent_feed,
        "dead process": _process,
    }
    answer = {}
    for name, fault in kinds.items():
        number = max(3, faults // 4) if name == "dead process" else faults
        taken = sorted(fault(place) for place in range(number))
        answer[name] = distribution(taken, AIMS[name])
        print(f"{name:<16} {answer[name]}", flush=True)
    stop.set()
    thread.join(timeout=5)
    background.stop()
    return answer


def distribution(taken: list[float], aim: float) -> dict[str, Any]:
    """Return how long faults took to be rows: ``taken`` in seconds, in order; ``up to`` counts them by length."""
    number = len(taken)

    def share(part: float) -> float:
        return round(taken[min(number - 1, int(part * number))], 3)

    within = {f"{bucket:g}": sum(one <= bucket for one in taken) for bucket in BUCKETS}
    shares = {"p50": share(0.5), "p90": share(0.9), "p95": share(0.95), "p99": share(0.99)}
    return {"aim": aim, "faults": number, **shares, "longest": round(taken[-1], 3), "up to": within}


def _wait(condition: str, scope: str, began: float) -> float:
    from reliability.models import Alert

    rows = Alert.objects.filter(condition=condition, scope=scope, resolved_at=None)
    return wait_for(rows.exists, began, f"{condition} {scope}")


def _circuit(place: int) -> float:
    from reliability.core.breaker import BreakerState, Counts
    from reliability.services.circuits import Transition
    from reliability.services.transition_records import recorder

    name = f"bench-{place}:orders"
    began = time.monotonic()
    recorder.note(
        Transition(
            circuit=name, generation="g", version=1, from_state=BreakerState.CLOSED, to_state=BreakerState.OPEN,
            cause="failures", reason="bench", counts=Counts(failures=5), at=datetime.now(UTC), process="bench",
            is_local=False,
        )
    )  # fmt: skip
    return _wait("circuit.opened", f"circuit:{name}", began)


def _stream(place: int) -> float:
    from brokers.models import Account, Broker, StreamSession

    broker, _ = Broker.objects.get_or_create(
        name="bench-streams", defaults={"adapter": "alpaca", "base_url": "http://127.0.0.1:9"}
    )
    account = Account.objects.create(name=f"bench-stream-{place}", broker=broker)
    began = time.monotonic()
    StreamSession.objects.create(account=account, state="down", last_error="no sign of life")
    return _wait("stream.silent", f"account:{account.name}", began)


def _dead_letter(place: int) -> float:
    from reliability.models import Job
    from reliability.services.jobs.deadletters import discard_dead_letters, record_dead_message

    if place:
        dead = list(Job.objects.filter(state="dead").values_list("pk", flat=True))
        discard_dead_letters(dead, actor="bench", reason="the next one")
    began = time.monotonic()
    record_dead_message("SYSTEM_UNKNOWN_TASK", "bench", {})
    return _wait("job.dead_letter", "jobs:celery.message", began)


def _error(place: int) -> float:
    from reliability.core.fingerprint import ErrorFacts
    from reliability.core.taxonomy import ErrorCategory, ErrorSeverity
    from reliability.models import Alert
    from reliability.services.error_recorder import errors

    source = f"bench-{place}"
    began = time.monotonic()
    errors.note(
        ErrorFacts(source, "submit", "TIMEOUT_READ", ErrorCategory.TIMEOUT, ErrorSeverity.HIGH, message="too late")
    )
    rows = Alert.objects.filter(condition="error.new_group", scope__startswith=f"errors:{source}/")
    return wait_for(rows.exists, began, "a new error")


def _halt(place: int) -> float:
    from brokers.services.kill_switch import engage

    scope = f"account:bench-stream-{place}"
    began = time.monotonic()
    engage(scope, reason="bench", actor="bench")
    return _wait("trading.halted", scope, began)


def _freeze(place: int) -> float:
    from brokers.core.freezes import FreezeMode
    from brokers.services.freezes import freeze_by_person

    scope = f"account:bench-stream-{place}/symbol:AAPL"
    began = time.monotonic()
    freeze_by_person(scope, FreezeMode.HALT, reason="bench", by="bench")
    return _wait("trading.frozen", scope, began)


def _process(place: int) -> float:
    name = f"bench victim {place}"
    child = subprocess.Popen([sys.executable, "-c", _PULSE, name], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    child.stdout.readline()
    time.sleep(0.5)
    began = time.monotonic()
    child.kill()
    child.wait()
    return _wait("process.dead", f"process:{name}", began)
