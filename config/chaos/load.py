"""Orders as a trading program sends them: mixed kinds at a steady rate, each insisted upon under its key."""

import asyncio
import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from config.stack.client import ApiClient, gather_bounded

SYMBOLS = ("AAPL", "MSFT", "NVDA", "AMZN", "TSLA", "KO", "AMD", "JPM")
ACCOUNTS = ("sim-a", "sim-b")
_RESTING_PRICE = "0.5"
_BATCH = 10
_BATCH_EVERY = 50
_CANCEL_AFTER_SECONDS = 0.3

Order = dict[str, Any]


def mixed_order(chance: random.Random) -> Order:
    """Draw an order: mostly ones that fill, some that rest, some that the broker refuses."""
    order: Order = {"account": chance.choice(ACCOUNTS), "symbol": chance.choice(SYMBOLS), "side": "buy"}
    kind = chance.random()
    if kind < 0.45:
        return {**order, "type": "market", "time_in_force": "day", "quantity": chance.randint(1, 4)}
    if kind < 0.55:
        return {**order, "type": "market", "time_in_force": "day", "notional": chance.randint(10, 900)}
    if kind < 0.60:
        return {**order, "side": "sell", "type": "market", "time_in_force": "day", "quantity": 2}
    if kind < 0.80:
        limit = {"type": "limit", "limit_price": "900", "quantity": chance.randint(1, 4)}
        return {**order, **limit, "time_in_force": chance.choice(("day", "gtc", "ioc", "fok"))}
    if kind < 0.90:
        return {**order, "type": "stop", "time_in_force": "gtc", "quantity": 1, "stop_price": "5000"}
    return {**order, "type": "limit", "time_in_force": "gtc", "quantity": 3, "limit_price": _RESTING_PRICE}


def market_buy(symbol: str, account: str = "sim-a") -> Callable[[random.Random], Order]:
    """Return a drawer of equal market orders, for scenarios that need every order to reach one broker and fill."""
    order = {
        "account": account,
        "symbol": symbol,
        "side": "buy",
        "type": "market",
        "time_in_force": "day",
        "quantity": 1,
    }
    return lambda chance: dict(order)


def routed_buy(*route: str) -> Callable[[random.Random], Order]:
    """Return a drawer of market orders that any account of a route may take, the first one rather than the others."""
    draw = market_buy("MSFT")

    def routed(chance: random.Random) -> Order:
        order = {name: value for name, value in draw(chance).items() if name != "account"}
        return {**order, "route": list(route)}

    return routed


async def send_orders(
    client: ApiClient,
    *,
    name: str,
    count: int,
    rate: float,
    chance: random.Random,
    draw: Callable[[random.Random], Order] = mixed_order,
    times: int = 1,
    on_progress: Callable[[float], object] = lambda share: None,
) -> None:
    """Send ``count`` orders at ``rate`` a second and return once each was accepted.

    Of mixed orders every fifth is canceled a moment later, and now and then a batch is sent in
    one request. Each is sent ``times`` at once under the same key, as by a client that lost
    patience. ``on_progress`` hears which share of the
    orders is on its way, and 1.0 once all were accepted.
    """
    began = time.monotonic()
    sent = 0
    async with asyncio.TaskGroup() as group:
        while sent < count:
            on_progress(sent / count)
            size = min(_BATCH if sent % _BATCH_EVERY == 0 else 1, count - sent)
            orders = {f"{name}-{number}": draw(chance) for number in range(sent, sent + size)}
            cancel = draw is mixed_order and chance.random() < 0.2
            for _ in range(times):
                group.create_task(_submit(client, orders, cancel=cancel))
            sent += size
            await asyncio.sleep(max(0.0, began + sent / rate - time.monotonic()))
    on_progress(1.0)


async def _submit(client: ApiClient, orders: dict[str, Order], *, cancel: bool) -> None:
    if len(orders) > 1:
        await client.submit_batch(orders)
        return
    ((key, order),) = orders.items()
    order_id = await client.submit(key, order)
    if cancel:
        await asyncio.sleep(_CANCEL_AFTER_SECONDS)
        await client.cancel(order_id)


def rests(order: Order) -> bool:
    """Return whether an order, as the API shows it, waits for a price that does not come."""
    return order["type"] == "stop" or (order["limit_price"] == _RESTING_PRICE)


async def cancel_resting(client: ApiClient, orders: list[Order]) -> None:
    """Ask for the cancel of every order that would rest for ever."""
    wanted = [o["id"] for o in orders if rests(o) and not o["final"] and o["cancel_requested_at"] is None]
    await gather_bounded([partial(client.cancel, order_id) for order_id in wanted])


DRAWS: dict[str, Callable[[random.Random], Order]] = {
    "mixed": mixed_order,
    "market-a": market_buy("KO", "sim-a"),
    "market-b": market_buy("KO", "sim-b"),
    "market": lambda chance: market_buy(chance.choice(SYMBOLS), chance.choice(ACCOUNTS))(chance),
    "routed": routed_buy("sim-a", "sim-b"),
}
"""The mixes of orders by the names that scenario files use."""
