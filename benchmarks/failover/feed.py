"""A steady flow of small orders, in a thread of its own, for as long as a measurement lasts."""

import asyncio
import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from config.chaos.stack import Stack
from config.stack.client import ApiClient

_ORDER = {"symbol": "KO", "side": "buy", "type": "market", "time_in_force": "day", "quantity": 1}
_numbers = itertools.count(1)


@contextmanager
def orders_flow(stack: Stack, route: Sequence[str], per_second: float) -> Iterator[None]:
    """Send orders along a route while the block runs; answers are waited for, accepted or not, at its end."""
    stop = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_send(stack, list(route), per_second, stop)), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def send_some(stack: Stack, account: str, count: int) -> None:
    """Have a few orders for one account accepted."""

    async def send() -> None:
        async with ApiClient(stack.instance.urls["web"], stack.instance.env["STANCHION_API_TOKEN"]) as client:
            for _ in range(count):
                await client.submit(f"failover-{next(_numbers)}", {**_ORDER, "account": account})

    asyncio.run(send())


async def _send(stack: Stack, route: list[str], per_second: float, stop: threading.Event) -> None:
    order = {**_ORDER, "account": route[0]} if len(route) == 1 else {**_ORDER, "route": route}
    token = stack.instance.env["STANCHION_API_TOKEN"]
    async with ApiClient(stack.instance.urls["web"], token) as client, asyncio.TaskGroup() as group:
        while not stop.is_set():
            group.create_task(client.submit(f"failover-{next(_numbers)}", order))
            await asyncio.sleep(1 / per_second)
