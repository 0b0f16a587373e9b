"""Order streams that fall silent, go mute or lose their process: when it is noticed, when all that was missed is in."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.failover.feed import orders_flow
from benchmarks.failover.wellness import wait_until_well
from config.chaos.stack import Stack, wait_until

PER_SECOND = 20.0
FAULT_SECONDS = 2.5
_PATIENCE_SECONDS = 90.0
SIM_A = "(SELECT id FROM brokers_account WHERE name = 'sim-a')"
_ENDPOINT = f"SELECT endpoint FROM brokers_streamsession WHERE account_id = {SIM_A}"
_NOTICED = f"""
SELECT extract(epoch FROM min(at))::float FROM brokers_streamchange
WHERE account_id = {SIM_A} AND at > to_timestamp(%s) AND kind = ANY(%s)
"""
_FIRST_REPLY = f"""
SELECT extract(epoch FROM min(acknowledged_at))::float FROM brokers_order
WHERE account_id = {SIM_A} AND sent_at > to_timestamp(%s)
"""
_OPEN = f"SELECT count(*) FROM brokers_order WHERE account_id = {SIM_A} AND finished_at IS NULL"
_LAG = f"""
SELECT extract(epoch FROM max(recorded_at - executed_at))::float, count(*), count(*) FILTER (WHERE source = 'poll')
FROM brokers_fill WHERE account_id = {SIM_A} AND executed_at > to_timestamp(%s)
"""
_HOLDER = f"""
SELECT h.pid, s.pulse FROM brokers_streamsession s JOIN reliability_heartbeat h ON h.pulse = s.pulse
WHERE s.account_id = {SIM_A}
"""
_TAKEN = f"""
SELECT extract(epoch FROM min(at))::float FROM brokers_streamchange
WHERE account_id = {SIM_A} AND at > to_timestamp(%s) AND kind = 'up' AND pulse <> %s
"""


@dataclass(frozen=True, slots=True)
class Silence:
    """One way in which a stream stops telling; ``kinds`` are the changes by which it is noticed."""

    name: str
    fault: str
    both: bool
    kinds: tuple[str, ...]


SILENCES = (
    Silence("stalled, standby there", "stall_streams", False, ("silent",)),
    Silence("stalled, standby too", "stall_streams", True, ("silent",)),
    Silence("mute, standby there", "silent_stream", False, ("mute",)),
    Silence("mute, standby too", "silent_stream", True, ("mute",)),
    Silence("cut, standby too", "disconnect_streams", True, ("switched", "down")),
)


def measure_silence(stack: Stack, silence: Silence) -> dict[str, Any]:
    """Let the stream of A fall silent under a flow of orders.

    Returns:
        ``noticed``: seconds from the fault, or for a mute stream from the first reply it did not tell of, to
        the row that says so; ``all_in``: the longest time between an execution at the broker and its record.
    """
    wait_until_well(stack)
    where = {} if silence.both else {"endpoint": stack.query(_ENDPOINT)[0][0]}
    with orders_flow(stack, ["sim-a"], PER_SECOND):
        time.sleep(0.5)
        began = time.time()
        stack.fault("a", silence.fault, **where)
        silent_at = time.time()
        time.sleep(FAULT_SECONDS)
    stack.clear_faults()
    wait_until(lambda: stack.query(_NOTICED, [began, list(silence.kinds)])[0][0], "it is noticed", _PATIENCE_SECONDS)
    wait_until(lambda: stack.query(_OPEN) == [(0,)], "every fill is in", _PATIENCE_SECONDS)
    noticed = stack.query(_NOTICED, [began, list(silence.kinds)])[0][0]
    since = stack.query(_FIRST_REPLY, [silent_at])[0][0] if "mute" in silence.kinds else silent_at
    lag, fills, polled = stack.query(_LAG, [began])[0]
    figures = {"noticed": round(max(0.0, noticed - since), 3), "all_in": round(lag, 3)}
    return {"silence": silence.name, **figures, "fills": fills, "polled": polled}


def measure_takeover(stack: Stack, start_another: Callable[[], object]) -> dict[str, Any]:
    """Kill -9 the process that holds the stream of A; return the seconds until another one is subscribed."""
    wait_until_well(stack)
    holder, pulse = stack.query(_HOLDER)[0]
    with orders_flow(stack, ["sim-a"], PER_SECOND):
        time.sleep(0.3)
        began = time.time()
        stack.kill(holder)
        wait_until(lambda: stack.query(_TAKEN, [began, pulse])[0][0], "another process holds it", _PATIENCE_SECONDS)
        time.sleep(0.5)
    wait_until(lambda: stack.query(_OPEN) == [(0,)], "every fill is in", _PATIENCE_SECONDS)
    taken = stack.query(_TAKEN, [began, pulse])[0][0]
    lag = stack.query(_LAG, [began])[0][0]
    start_another()
    return {"taken_over": round(taken - began, 3), "all_in": round(lag, 3)}
