"""Two of what acts alone: one leads, the other takes over, and nothing happens twice."""

import time
from datetime import UTC, datetime
from itertools import pairwise

from config.chaos.stack import Stack, wait_until
from config.chaos.strikes import kill, kill_child
from config.chaos.trial import Strike, draws, run_trial

_TICKS_WANTED = 4
_SENTINEL = ["manage.py", "run_sentinel"]
_LEADERS = """
SELECT pid FROM reliability_heartbeat
WHERE kind = %s AND ended_at IS NULL AND detail ->> 'leader' = 'true'
  AND beat_at > clock_timestamp() - interval '1 second'
"""


def leaders(stack: Stack, kind: str) -> list[int]:
    """Return the processes of a kind that say of themselves that they lead."""
    return [row[0] for row in stack.query(_LEADERS, [kind])]


def tick_gaps(stack: Stack, since: datetime) -> list[float]:
    """Return the seconds between the jobs that the schedule of the synchronization made."""
    rows = stack.query(
        "SELECT created_at FROM reliability_job WHERE kind = 'orders.sync_all' AND created_at > %s ORDER BY id", [since]
    )
    return [(later[0] - earlier[0]).total_seconds() for earlier, later in pairwise(rows)]


def test_two_beats_make_one_job_a_tick_and_two_sentinels_watch_as_one(stack: Stack) -> None:
    name = "two beats, two sentinels"
    beat = ["-m", "celery", "-A", "config.celery", "beat", "--pidfile=", "-l", "INFO"]
    with stack.beside("beat-2", beat) as second_beat, stack.beside("sentinel-2", _SENTINEL) as second_sentinel:
        beside = [second_beat.pid, second_sentinel.pid]
        wait_until(lambda: stack.count_living(beside) == 2, "there are two of each")
        began = datetime.now(UTC)
        chance = draws(name)
        act = kill_child(stack, "worker-orders", chance)
        strike = Strike(chance.uniform(0.1, 0.9), "kill -9 a pool process", act)
        run_trial(stack, name, [strike]).require_clean()
        assert len(leaders(stack, "sentinel")) == 1
        assert len(leaders(stack, "beat")) == 1
        wait_until(lambda: len(tick_gaps(stack, began)) >= _TICKS_WANTED, "the schedule ticked on")
        # The schedule says 5 s, so two beats would tick twice as often; a change of the leader may repeat one tick.
        assert sum(gap < 2.5 for gap in tick_gaps(stack, began)) <= 1


def test_a_standby_leads_when_the_leader_dies(stack: Stack) -> None:
    name = "leading sentinel killed beside a standby"
    with stack.beside("sentinel-2", _SENTINEL) as second:
        wait_until(lambda: stack.count_living([second.pid]) == 1, "there are two sentinels")
        (first,) = leaders(stack, "sentinel")
        took_over: list[float] = []

        def kill_leader() -> None:
            stack.kill(first)
            began = time.monotonic()
            wait_until(lambda: [pid for pid in leaders(stack, "sentinel") if pid != first], "another sentinel leads")
            took_over.append(time.monotonic() - began)

        strikes = [
            Strike(0.3, "kill -9 the leading sentinel", kill_leader),
            Strike(0.4, "kill -9 the order worker", kill(stack, "worker-orders")),
        ]
        run_trial(stack, name, strikes).require_clean()
        print(f"  another sentinel led after {took_over[0]:.2f} s (first {first}, second {second.pid})")
