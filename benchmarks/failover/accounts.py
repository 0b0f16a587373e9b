"""Orders along a route while one of its accounts fails: how long until the next one takes them."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.failover.feed import orders_flow
from benchmarks.failover.wellness import wait_until_well
from config.chaos.stack import Broker, Stack, wait_until

PER_SECOND = 20.0
_PATIENCE_SECONDS = 90.0
_LAST_BEFORE = """
SELECT extract(epoch FROM max(acknowledged_at))::float FROM brokers_order
WHERE account_id = (SELECT id FROM brokers_account WHERE name = %s) AND acknowledged_at < to_timestamp(%s)
"""
_FIRST_AFTER = """
SELECT extract(epoch FROM min(acknowledged_at))::float FROM brokers_order
WHERE account_id = (SELECT id FROM brokers_account WHERE name = %s) AND acknowledged_at > to_timestamp(%s)
"""
_LAST_SECOND = """
SELECT count(*) FROM brokers_order
WHERE account_id = (SELECT id FROM brokers_account WHERE name = %s)
  AND acknowledged_at > clock_timestamp() - interval '1 second'
"""
_MOVED = """
SELECT count(*) FROM brokers_orderevent moved JOIN brokers_orderevent before
ON before.order_id = moved.order_id AND before.sequence = moved.sequence - 1
WHERE moved.kind = 'rerouted' AND before.to_state <> 'accepted'
"""


@dataclass(frozen=True, slots=True)
class Failure:
    """One way in which an account stops taking orders, and how it is undone."""

    name: str
    begin: Callable[[Stack, Broker], None]
    end: Callable[[Stack, Broker], None]


def _kill(stack: Stack, broker: Broker) -> None:
    stack.instance.control.stop(f"simbroker-{broker}", "SIGKILL")


def _start(stack: Stack, broker: Broker) -> None:
    stack.instance.control.start(f"simbroker-{broker}")


def _stop(stack: Stack, broker: Broker) -> None:
    os.kill(stack.pid(f"simbroker-{broker}"), signal.SIGSTOP)


def _continue(stack: Stack, broker: Broker) -> None:
    os.kill(stack.pid(f"simbroker-{broker}"), signal.SIGCONT)


def _refuse(stack: Stack, broker: Broker) -> None:
    stack.fault(broker, "error", operation="submit", status=503, body={"message": "unavailable"})


def _hang(stack: Stack, broker: Broker) -> None:
    stack.fault(broker, "hang", applied=False)


def _freeze(stack: Stack, broker: Broker) -> None:
    stack.post("/api/v1/freezes", {"scope": f"account:sim-{broker}", "mode": "halt", "reason": "a measurement"})


def _thaw(stack: Stack, broker: Broker) -> None:
    rows = stack.query(
        "SELECT f.id FROM brokers_freeze f JOIN brokers_account a ON a.id = f.account_id "
        "WHERE a.name = %s AND f.cause = 'person' AND f.released_at IS NULL",
        [f"sim-{broker}"],
    )
    for (freeze,) in rows:
        stack.post(f"/api/v1/freezes/{freeze}/release", {"reason": "the measurement is over"})


_BY_PERSON = Failure("frozen by a person", _freeze, _thaw)
_DISRUPTIONS = (
    Failure("killed", _kill, _start),
    Failure("stopped in its tracks", _stop, _continue),
    Failure("refuses orders (circuit opens)", _refuse, lambda stack, broker: stack.clear_faults()),
    Failure("leaves calls unanswered", _hang, lambda stack, broker: stack.clear_faults()),
)
# After a disruption an account is recovered, which takes far longer than the switch; after a freeze it is not.
FAILURES = (*(one for failure in _DISRUPTIONS for one in (failure, _BY_PERSON)), _BY_PERSON, _BY_PERSON)


def measure_switch(stack: Stack, failure: Failure, first: Broker, second: Broker) -> dict[str, Any]:
    """Break the first account of a route under a flow of orders; return the seconds until the second one took one.

    From the last order that was acknowledged at the first account to the first one after it that was
    acknowledged at the second, both as the rows have it.
    """
    names = f"sim-{first}", f"sim-{second}"
    wait_until_well(stack)
    with orders_flow(stack, names, PER_SECOND):
        wait_until(lambda: _takes_all(stack, *names), f"{names[0]} takes all orders", _PATIENCE_SECONDS)
        failed = time.time()
        failure.begin(stack, first)
        wait_until(lambda: _first(stack, names[1], failed), f"{names[1]} takes orders", _PATIENCE_SECONDS)
        taken = _first(stack, names[1], failed)
        last = stack.query(_LAST_BEFORE, [names[0], taken])[0][0]
        assert taken is not None
    failure.end(stack, first)
    return {"failure": failure.name, "from": names[0], "to": names[1], "seconds": round(taken - last, 3)}


def count_moved_unknown(stack: Stack) -> int:
    """Return how many orders went to another account although a broker may have had them: none, ever."""
    return int(stack.query(_MOVED)[0][0])


def _takes_all(stack: Stack, first: str, second: str) -> bool:
    """Return whether the first account took the orders of the last second, and the second one none."""
    return bool(
        stack.query(_LAST_SECOND, [first])[0][0] >= PER_SECOND / 2 and stack.query(_LAST_SECOND, [second])[0][0] == 0
    )


def _first(stack: Stack, account: str, since: float) -> float | None:
    found: float | None = stack.query(_FIRST_AFTER, [account, since])[0][0]
    return found
