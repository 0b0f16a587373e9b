"""A feed that falls silent while another has the same symbol: when it is noticed, when the other one's bar is used."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from config.chaos.market import wait_until_feeds_are_up
from config.chaos.stack import Stack, wait_until

SYMBOL = "AAPL"
FEED_FAULTS = {"feed stalled": "stall_streams", "feed cut": "refuse_streams"}
_PATIENCE_SECONDS = 90.0
_DOWN = """
SELECT extract(epoch FROM state_since)::float FROM reconciliation_feed
WHERE name = 'sim-a' AND state = 'down' AND state_since > to_timestamp(%s)
"""
_BAR = """
SELECT extract(epoch FROM received_at)::float, source FROM reconciliation_bar b
JOIN reconciliation_barseries s ON s.id = b.series_id WHERE s.symbol = %s AND b.opened_at = %s
"""


def measure_feed(stack: Stack, case: str, number: int) -> dict[str, Any]:
    """Silence the primary while the other feed sends a bar.

    Returns:
        ``feed_noticed``: seconds from the fault to the row that says the feed is down; ``feed_delivers``: to the
        other one's bar in use.
    """
    wait_until_feeds_are_up(stack)
    stamp = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=10 + number)
    (bar,) = stack.true_bars("b", SYMBOL, stamp, stamp)
    began = time.time()
    stack.fault("a", FEED_FAULTS[case])
    if case == "feed cut":
        stack.fault("a", "disconnect_streams", count=1)
    stack.send_bar("b", SYMBOL, bar)
    wait_until(lambda: stack.query(_DOWN, [began]), "the feed is down", _PATIENCE_SECONDS)
    wait_until(lambda: stack.query(_BAR, [SYMBOL, stamp]), "the other one's bar is used", _PATIENCE_SECONDS)
    noticed, (received, source) = stack.query(_DOWN, [began])[0][0], stack.query(_BAR, [SYMBOL, stamp])[0]
    stack.clear_faults()
    if source != "sim-b":
        raise RuntimeError(f"the bar is of {source}: the failover was not seen")
    return {"feed": case, "feed_noticed": round(noticed - began, 3), "feed_delivers": round(received - began, 3)}
