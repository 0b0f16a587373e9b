"""Orders for one account while the first address of its broker fails: how long until the second one takes them."""

import time
from typing import Any

from benchmarks.failover.feed import orders_flow
from benchmarks.failover.streams import SIM_A
from benchmarks.failover.wellness import wait_until_well
from config.chaos.stack import Stack, wait_until

PER_SECOND = 20.0
KINDS: dict[str, dict[str, Any]] = {
    "shut": {"kind": "endpoint_down"},
    "leaves calls unanswered": {"kind": "hang", "applied": False},
}
_PATIENCE_SECONDS = 90.0
_WANTED = 20
_KNOWN_SECONDS = 2.0  # every process has read where calls go by then
_AFTER = f"""
SELECT extract(epoch FROM min(acknowledged_at))::float, count(*) FROM brokers_order
WHERE account_id = {SIM_A} AND sent_at > to_timestamp(%s) AND acknowledged_at IS NOT NULL
"""
_BEFORE = f"""
SELECT extract(epoch FROM max(acknowledged_at))::float FROM brokers_order
WHERE account_id = {SIM_A} AND acknowledged_at < to_timestamp(%s)
"""
_CALLS_TO = f"SELECT calls_to FROM brokers_streamsession WHERE account_id = {SIM_A}"
_OPEN = f"SELECT count(*) FROM brokers_order WHERE account_id = {SIM_A} AND finished_at IS NULL"


def measure_address(stack: Stack, how: str) -> dict[str, Any]:
    """Break the first address of broker A; return the seconds from its last order to the first at the other."""
    wait_until_well(stack)
    with orders_flow(stack, ["sim-a"], PER_SECOND):
        time.sleep(_KNOWN_SECONDS)
        began = time.time()
        wait_until(lambda: stack.query(_AFTER, [began])[0][1] >= _WANTED, "orders are taken", _PATIENCE_SECONDS)
        failed = time.time()
        stack.fault("a", endpoint="primary", **KINDS[how])
        broken = time.time()
        wait_until(lambda: stack.query(_AFTER, [broken])[0][1] >= _WANTED, "orders go on", _PATIENCE_SECONDS)
        first = stack.query(_AFTER, [broken])[0][0]
        last = stack.query(_BEFORE, [failed])[0][0]
    stack.clear_faults()
    wait_until(lambda: stack.query(_OPEN) == [(0,)], "every order has ended", _PATIENCE_SECONDS)
    return {"address": how, "seconds": round(first - last, 3)}
