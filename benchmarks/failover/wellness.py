"""What each measurement begins with: both accounts take orders at their first addresses, and nothing is left over."""

from benchmarks.failover.feed import send_some
from config.chaos.stack import Stack, wait_until

_PATIENCE_SECONDS = 180.0
_PROBES = 8
_NOT_WELL = """
SELECT 'stream' FROM brokers_streamsession
WHERE state <> 'up' OR standby <> 'up' OR calls_to <> 'primary' OR unreachable_since IS NOT NULL
UNION ALL SELECT 'frozen' FROM brokers_freeze WHERE released_at IS NULL
UNION ALL SELECT 'recovering' FROM reconciliation_recoveryrun WHERE finished_at IS NULL
UNION ALL SELECT 'open order' FROM brokers_order WHERE finished_at IS NULL
"""


def wait_until_well(stack: Stack) -> None:
    """Orders of its own close the circuits, and the recoveries that follow are over."""
    _wait(stack)
    for account in ("sim-a", "sim-b"):
        send_some(stack, account, _PROBES)
    _wait(stack)


def _wait(stack: Stack) -> None:
    wait_until(lambda: not stack.query(_NOT_WELL), "both accounts are well", _PATIENCE_SECONDS)
