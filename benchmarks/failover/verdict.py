"""Whether all orders of a measurement ended once, and none moved that a broker may have had."""

import asyncio
import time

from benchmarks.failover.accounts import count_moved_unknown
from config.chaos.stack import Stack
from config.stack.client import ApiClient
from config.stack.judgement import Judgement, judge

_SETTLE_SECONDS = 60.0


def find_problems(stack: Stack) -> list[str]:
    """Return one line for each order that the brokers' own ledgers disagree about, once everything has settled."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while True:
        judgement = asyncio.run(_judge(stack))
        if judgement.is_settled or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    moved = count_moved_unknown(stack)
    return [*judgement.problems(), *([f"{moved} orders moved that a broker may have had"] if moved else [])]


async def _judge(stack: Stack) -> Judgement:
    async with ApiClient(stack.instance.urls["web"], stack.instance.env["STANCHION_API_TOKEN"]) as client:
        orders = await client.list_orders()
        positions = (await client.get("/api/v1/positions"))["results"]
    return judge([order["id"] for order in orders], orders, stack.ledgers(), positions)
