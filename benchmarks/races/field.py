"""The stack that races are run on: its orders through the API, its brokers by their own switches."""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

import aiohttp

from brokers.simulator.ledger import LEDGER_NAME
from config.chaos.diagnosis import diagnose
from config.chaos.stack import BROKERS, Broker, Stack
from config.stack.client import ApiClient
from config.stack.judgement import Judgement, judge
from reliability.core.breaker import BreakerState, PinnedState

RESTING_PRICE = "0.5"
SETTLE_SECONDS = 240.0
LONGEST_SECONDS = 1800.0
_KEEPING_BACK = frozenset({BreakerState.OPEN, BreakerState.HALF_OPEN, PinnedState.FORCED_OPEN})
_AT_ONCE = 16
_BATCH = 100

Order = dict[str, Any]


class NotSettledError(AssertionError):
    """What was waited for did not come in time."""


@dataclass
class Field:
    """One running stack under races; ``chance`` draws all that is random."""

    stack: Stack
    client: ApiClient
    brokers: aiohttp.ClientSession
    chance: random.Random
    name: str
    problems: list[str] = field(default_factory=list)
    submitted: int = 0

    async def place_resting(self, count: int, quantity: int, symbols: Iterable[str] = ("AAPL",)) -> list[Order]:
        """Return so many orders that both brokers took and that rest until somebody fills or ends them."""
        ids = await self.submit(count, quantity, symbols)
        return await self.wait_for(ids, lambda order: order["broker_order_id"] is not None, "the orders rest")

    async def submit(self, count: int, quantity: int, symbols: Iterable[str] = ("AAPL",)) -> list[str]:
        names = list(symbols)
        orders = {
            f"{self.name}-{self.submitted + number}": {
                "account": f"sim-{BROKERS[number % len(BROKERS)]}",
                "symbol": names[number // len(BROKERS) % len(names)],
                "side": "buy",
                "type": "limit",
                "time_in_force": "gtc",
                "limit_price": RESTING_PRICE,
                "quantity": quantity,
            }
            for number in range(count)
        }
        self.submitted += count
        keys = list(orders)
        for start in range(0, count, _BATCH):
            await self.client.submit_batch({key: orders[key] for key in keys[start : start + _BATCH]})
        return [self.client.accepted[key] for key in keys]

    async def wait_for(self, ids: Iterable[str], holds: Callable[[Order], bool], what: str) -> list[Order]:
        """Return these orders once all are as wanted.

        While a circuit is open its orders wait by rights, so that time is not counted against them.
        """
        wanted, patience = set(ids), _Patience(self)
        while True:
            found = [order for order in await self.client.list_orders() if order["id"] in wanted]
            if len(found) == len(wanted) and all(map(holds, found)):
                return sorted(found, key=lambda order: str(order["id"]))
            if await patience.is_over():
                left = sum(not holds(order) for order in found)
                stood = "\n  ".join(await asyncio.to_thread(diagnose, self.stack))
                raise NotSettledError(f"not within {SETTLE_SECONDS:.0f} s: {what}; {left} are left\n  {stood}")
            await asyncio.sleep(min(1.0, len(wanted) / 500))

    async def fill(self, order: Order, quantity: Decimal | int) -> bool:
        """Let the order's broker fill a part of it now; False where the order had ended."""
        url = self.stack.instance.urls[f"simbroker-{order['account'].removeprefix('sim-')}"] + "/sim/fill"
        body = {"order_id": order["broker_order_id"], "quantity": str(quantity)}
        async with self.brokers.post(url, json=body) as response:
            await response.read()
            return response.status == 200

    async def end_all(self) -> list[Order]:
        """Cancel whatever is open, as often as it takes, and return every order once all are final."""
        patience = _Patience(self)
        while True:
            orders = await self.client.list_orders()
            resting = [one for one in orders if not one["final"]]
            if not resting:
                return orders
            if await patience.is_over():
                self.problems += [f"order {one['id']} is still {one['state']}" for one in resting]
                return orders
            await together([partial(self.client.cancel, one["id"]) for one in resting])
            await asyncio.sleep(0.5)

    async def open_circuits(self) -> list[str]:
        """Return the circuits that keep calls back at this moment."""
        circuits = (await self.client.get("/api/v1/circuits"))["results"]
        return [one["name"] for one in circuits if one["state"] in _KEEPING_BACK]

    async def judge(self) -> Judgement:
        """Compare every order and position with the brokers' ledgers, once they had time to become the same."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            orders = await self.client.list_orders()
            positions = (await self.client.get("/api/v1/positions"))["results"]
            ledgers = await asyncio.to_thread(self.stack.ledgers)
            judgement = judge(self.client.accepted.values(), orders, ledgers, positions)
            if judgement.is_clean or time.monotonic() > deadline:
                return judgement
            await asyncio.sleep(1.0)

    def ledger_rows(self, broker: Broker) -> list[dict[str, Any]]:
        path = self.stack.instance.directory / f"simbroker-{broker}" / LEDGER_NAME
        return [json.loads(line) for line in path.read_text().splitlines()]


class _Patience:
    """``SETTLE_SECONDS`` in which no circuit is open, and never more than ``LONGEST_SECONDS`` in all."""

    def __init__(self, place: Field) -> None:
        self._place = place
        self._began = self._looked = time.monotonic()
        self._counted = 0.0

    async def is_over(self) -> bool:
        now = time.monotonic()
        if not await self._place.open_circuits():
            self._counted += now - self._looked
        self._looked = now
        return self._counted > SETTLE_SECONDS or now - self._began > LONGEST_SECONDS


@asynccontextmanager
async def open_field(stack: Stack, chance: random.Random, name: str) -> Any:
    async with (
        ApiClient(stack.instance.urls["web"], stack.instance.env["STANCHION_API_TOKEN"]) as client,
        aiohttp.ClientSession() as brokers,
    ):
        yield Field(stack, client, brokers, chance, name)


async def together(calls: list[Callable[[], Awaitable[Any]]], at_once: int = _AT_ONCE) -> list[Any]:
    """Make these calls, so many at once, and return their results in order."""
    gate = asyncio.Semaphore(at_once)

    async def one(call: Callable[[], Awaitable[Any]]) -> Any:
        async with gate:
            return await call()

    return list(await asyncio.gather(*map(one, calls)))
