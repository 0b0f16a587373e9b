"""A broker that hangs or is dead keeps nothing from the other, and finds no herd when it is back."""

import asyncio
import json
import secrets
import time
from typing import Any
from urllib.request import Request, urlopen

import pytest

from config.chaos.stack import Stack, wait_until
from config.stack.client import ApiClient
from config.stack.judgement import judge

pytestmark = pytest.mark.long
ORDERS = 500
HANGING = 60
AFTER_TRIP = 60
WINDOW_SECONDS = 3.0
CIRCUITS = ("sim-a:orders", "sim-a:look_ups")
_IN_BATCH = 100
_NOT_OURS = ("stray", "position")
_ACKNOWLEDGED = "SELECT count(acknowledged_at) FROM brokers_order WHERE idempotency_key LIKE %s"
_JOBS = "FROM reliability_job j JOIN brokers_order o ON o.id = j.subject WHERE o.idempotency_key LIKE %s"
# For its circuit, for an answer of its broker, or for the freeze that lasts until one came: none is tried meanwhile.
_REASONS = "('sim-a:orders', 'unreachable:sim-a', 'frozen:sim-a')"
_WAITING = f"SELECT count(*), count(*) FILTER (WHERE j.state = 'ready' AND j.waits_for IN {_REASONS}) {_JOBS}"
_SPENT = f"SELECT max(j.attempt) {_JOBS} AND j.state = 'ready'"
_UNTRIED = f"SELECT count(*) {_JOBS} AND j.state = 'ready' AND j.error_code = ''"


def change_circuit(stack: Stack, name: str, action: str, **body: str) -> None:
    request = Request(
        f"{stack.instance.urls['web']}/api/v1/circuits/{name}/{action}",
        json.dumps({"reason": "test", **body}).encode(),
        {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {stack.instance.env['STANCHION_API_TOKEN']}",
        },
    )
    with urlopen(request, timeout=5) as answer:
        assert answer.status == 200


def accept(stack: Stack, key: str, account: str, count: int) -> None:
    asyncio.run(_accept(stack, key, account, count))


async def _accept(stack: Stack, key: str, account: str, count: int) -> None:
    order = {"account": account, "symbol": "KO", "side": "buy", "type": "market", "time_in_force": "day", "quantity": 1}
    async with ApiClient(stack.instance.urls["web"], stack.instance.env["STANCHION_API_TOKEN"]) as client:
        for first in range(0, count, _IN_BATCH):
            numbers = range(first, min(first + _IN_BATCH, count))
            taken = await client.submit_batch({f"{key}-{number}": order for number in numbers})
            assert len(taken) == len(numbers)
        stack.accepted.update(client.accepted)


def acknowledged(stack: Stack, key: str) -> int:
    return int(stack.query(_ACKNOWLEDGED, [f"{key}-%"])[0][0])


def key_of(name: str) -> str:
    return f"{name}-{secrets.token_hex(3)}"


def submits_at_a(stack: Stack) -> int:
    """Return how many requests to submit an order have come to broker A so far."""
    return sum(stack.ledgers()["sim-a"].posts_seen.values())


def require_once_each(stack: Stack, *keys: str) -> None:
    """Require that every order of these keys is at its broker exactly once, and here as it is there."""

    async def orders() -> list[dict[str, Any]]:
        async with ApiClient(stack.instance.urls["web"], stack.instance.env["STANCHION_API_TOKEN"]) as client:
            return await client.list_orders()

    def problems() -> list[str]:
        mine = [order for order in asyncio.run(orders()) if order["idempotency_key"].rpartition("-")[0] in keys]
        return [line for line in judge([], mine, stack.ledgers()).problems() if not line.startswith(_NOT_OURS)]

    wait_until(lambda: not problems(), f"orders of {keys} are once at the broker")


def test_a_hanging_broker_does_not_hold_up_the_other(stack: Stack) -> None:
    hanging, other = key_of("hanging"), key_of("other")
    stack.fault("a", "hang", applied=False)
    accept(stack, hanging, "sim-a", HANGING)
    accept(stack, other, "sim-b", 200)

    wait_until(lambda: acknowledged(stack, other) == 200, "orders for broker B are done")
    assert acknowledged(stack, hanging) == 0, "broker A did not hang"

    stack.clear_faults()
    wait_until(lambda: acknowledged(stack, hanging) == HANGING, "orders for broker A are done")
    require_once_each(stack, hanging, other)


def test_orders_wait_for_a_dead_broker_without_spending_attempts_and_all_go_through(stack: Stack) -> None:
    key = key_of("dead")
    stack.instance.control.stop("simbroker-a")
    try:
        accept(stack, key, "sim-a", ORDERS)
        wait_until(lambda: stack.query(_WAITING, [f"{key}-%"])[0] == (ORDERS, ORDERS), "all wait for the circuit")
        assert stack.query(_SPENT, [f"{key}-%"])[0][0] == 0
    finally:
        stack.instance.control.start("simbroker-a")
    wait_until(lambda: acknowledged(stack, key) == ORDERS, "all are acknowledged")
    require_once_each(stack, key)


def test_the_circuit_keeps_calls_from_a_dead_broker(stack: Stack) -> None:
    with_circuit = calls_while_failing(stack)
    for name in CIRCUITS:
        change_circuit(stack, name, "pin", state="disabled")
    try:
        without = calls_while_failing(stack)
    finally:
        for name in CIRCUITS:
            change_circuit(stack, name, "unpin")
    assert without >= AFTER_TRIP, "each order was tried"
    assert without > 3 * with_circuit, (without, with_circuit)


def calls_while_failing(stack: Stack) -> int:
    """Return how often broker A, which answers 503 to everything, is asked to take orders that came after it broke."""
    first, key = key_of("first"), key_of("failing")
    stack.fault("a", "error", status=503)
    accept(stack, first, "sim-a", 10)
    wait_until(lambda: submits_at_a(stack) and _all_tried(stack, first), "the first orders failed")
    before = submits_at_a(stack)
    accept(stack, key, "sim-a", AFTER_TRIP)
    time.sleep(WINDOW_SECONDS)  # the length of what is compared
    calls = submits_at_a(stack) - before
    stack.clear_faults()
    wait_until(lambda: acknowledged(stack, first) + acknowledged(stack, key) == 10 + AFTER_TRIP, "all are acknowledged")
    require_once_each(stack, first, key)
    return calls


def _all_tried(stack: Stack, key: str) -> bool:
    return bool(stack.query(_UNTRIED, [f"{key}-%"])[0][0] == 0)
