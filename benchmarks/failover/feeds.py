"""A feed that falls silent while another has the same symbol: when it is noticed, when the other one's bar is used."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from config.chaos.stack import BROKERS, Stack, wait_until

SYMBOL = "AAPL"
FEED_FAULTS = {"feed stalled": "stall_streams", "feed cut": "refuse_streams"}
_PATIENCE_SECONDS = 90.0
_STATES = "SELECT count(*) FROM reconciliation_feed WHERE name = ANY(%s) AND state = 'up'"
_DOWN = """
SELECT extract(epoch FROM state_since)::float FROM reconciliation_feed
WHERE name = 'sim-a' AND state = 'down' AND state_since > to_timestamp(%s)
"""
_BAR = """
SELECT extract(epoch FROM received_at)::float, source FROM reconciliation_bar b
JOIN reconciliation_barseries s ON s.id = b.series_id WHERE s.symbol = %s AND b.opened_at = %s
"""
_DAY_BACK = "UPDATE reconciliation_feed SET late_seconds = 86400"  # so that each failover has a minute of its own


def subscribe_both(stack: Stack) -> None:
    """Have both brokers deliver one symbol; the first one is the primary. What is there already stays."""
    if not stack.query("SELECT 1 FROM reconciliation_feed WHERE name = 'sim-a'"):
        for number, broker in enumerate(BROKERS):
            name, url = f"sim-{broker}", stack.instance.urls[f"simbroker-{broker}"]
            address = url.replace("http", "ws", 1) + "/v2/iex"
            _manage(stack, "add", name, "--account", name, "--stream-url", address, "--priority", str(number))
            _manage(stack, "subscribe", name, "--symbol", SYMBOL, "--timeframe", "1Min", "--calendar", "24/7")
        stack.execute(_DAY_BACK)
    _wait_until_up(stack)


def measure_feed(stack: Stack, case: str, number: int) -> dict[str, Any]:
    """Silence the primary while the other feed sends a bar.

    Returns:
        ``feed_noticed``: seconds from the fault to the row that says the feed is down; ``feed_delivers``: to the
        other one's bar in use.
    """
    _wait_until_up(stack)
    stamp = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=10 + number)
    bar = stack.true_bar("b", SYMBOL, stamp)
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


def _wait_until_up(stack: Stack) -> None:
    names = [f"sim-{broker}" for broker in BROKERS]
    wait_until(lambda: stack.query(_STATES, [names]) == [(2,)], "both feeds are up", _PATIENCE_SECONDS)


def _manage(stack: Stack, *arguments: str) -> None:
    with stack.beside("feeds", ["manage.py", "feeds", *arguments]) as child:
        if child.wait(_PATIENCE_SECONDS) != 0:
            raise RuntimeError(f"feeds {arguments[0]} {arguments[1]} failed; see feeds.log")
