"""A frozen worker: others take its jobs over after the lease, and what it says on waking is late evidence."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import pytest

from config.chaos.load import mixed_order
from config.chaos.stack import BROKERS, Stack, running_stack, wait_until
from config.chaos.trial import Strike, run_trial

LEASE_SECONDS = 3
_HELD = """
SELECT count(*) FROM reliability_job job JOIN reliability_heartbeat h ON h.pulse = job.worker
WHERE job.state = 'running' AND h.pid = ANY(%s) AND h.ended_at IS NULL
"""
_OUTCOMES = """
SELECT attempt.outcome, count(*) FROM reliability_jobattempt attempt
JOIN reliability_job job ON job.id = attempt.job_id
WHERE attempt.recorded_at > %s AND job.kind = 'orders.submit' AND attempt.error_code = 'SYSTEM_LEASE_EXPIRED'
GROUP BY attempt.outcome
"""


@pytest.fixture(scope="module")
def short_lease() -> Iterator[Stack]:
    with running_stack({"STANCHION_JOB_LEASE_SECONDS": str(LEASE_SECONDS)}) as stack:
        yield stack


@pytest.fixture
def hasty(short_lease: Stack) -> Iterator[Stack]:
    yield short_lease
    short_lease.clear_faults()


def frozen_until(
    stack: Stack, pids: Callable[[], Sequence[int]], awake_when: Callable[[], object], *, held: int = 1
) -> Callable[[], None]:
    """Freeze processes at a moment at which they hold that many jobs, and wake them once the condition holds."""

    def act() -> None:
        victims = list(pids())
        wait_until(lambda: stack.query(_HELD, [victims])[0][0] >= held, "the victims hold jobs")
        for pid in victims:
            os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        in_hand = stack.query(_HELD, [victims])[0][0]
        try:
            wait_until(awake_when, "it is time to wake")
        finally:
            for pid in victims:
                os.kill(pid, signal.SIGCONT)
        print(f"  {victims} frozen for {time.monotonic() - began:.2f} s with {in_hand} jobs in hand")

    return act


def outcomes_since(stack: Stack, since: datetime) -> dict[str, int]:
    return dict(stack.query(_OUTCOMES, [since]))


@pytest.mark.parametrize("who", ["whole worker", "pool process"])
def test_a_frozen_worker_wakes_past_its_lease(hasty: Stack, who: str) -> None:
    for broker in BROKERS:
        hasty.fault(broker, "latency", operation="submit", ms=700, jitter_ms=600, applied=broker == "b")

    def victims() -> list[int]:
        children = hasty.children("worker-orders")
        return children if who == "pool process" else [hasty.pid("worker-orders"), *children]

    began_at = datetime.now(UTC)
    handed_on: list[float] = []

    def jobs_are_with_others() -> bool:
        if not outcomes_since(hasty, began_at).get("lost"):
            return False
        handed_on.append(time.monotonic())
        return time.monotonic() - handed_on[0] > 1.0  # the others are at work on them

    act = frozen_until(hasty, victims, jobs_are_with_others)
    trial = run_trial(hasty, f"frozen: {who}", [Strike(0.4, f"SIGSTOP {who}", act)], draw=mixed_order)
    trial.require_clean()
    found = outcomes_since(hasty, began_at)
    assert found.get("lost", 0) > 0
    assert found.get("late", 0) > 0, "what the frozen worker heard was not kept"
