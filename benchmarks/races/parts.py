"""The three parts: changes that race with fills, fill events shuffled and repeated, replies that never arrive."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from benchmarks.races.field import Field, Order, together
from config.chaos.stack import BROKERS

RACE_QUANTITY = 4
FILLS_PER_ORDER = 20
SYMBOLS = ("AAPL", "MSFT", "NVDA", "KO")
_RACE_SECONDS = 0.35
_LOST_SHARE = 0.2
_LOST_BATCH = 50

# Per order that was unknown: from then on to the first event that says what became of it.
_KNOWN_AFTER = """
SELECT extract(epoch FROM min(recorded_at) FILTER (WHERE to_state NOT IN ('accepted', 'sending', 'unknown'))
                          - min(recorded_at) FILTER (WHERE to_state = 'unknown'))::float
FROM brokers_orderevent WHERE order_id = ANY(%s::uuid[]) GROUP BY order_id HAVING bool_or(to_state = 'unknown')
"""


@dataclass
class Outcome:
    """What one part did and how it ended: ``ends`` by name, and seconds where something was waited for."""

    title: str
    count: int
    ends: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {"part": self.title, "count": self.count, "ends": dict(self.ends), "seconds": sorted(self.seconds)}


async def race_changes(place: Field, races: int) -> Outcome:
    """Ask for a cancel or a replacement of each order while its broker fills it, some whole and some in part."""
    orders = await place.place_resting(races, RACE_QUANTITY)
    sizes = (RACE_QUANTITY, RACE_QUANTITY, 1, 2)
    draws = [(place.chance.random(), place.chance.random(), place.chance.choice(sizes)) for _ in orders]
    await together([partial(_race, place, number, order, *draws[number]) for number, order in enumerate(orders)])
    everything = await place.end_all()
    mine = {order["id"] for order in orders}
    outcome = Outcome("changes racing with fills", races)
    for order in everything:
        if order["id"] in mine:
            outcome.ends[f"old {order['state']}"] += 1
        elif order["replaces"] in mine:
            outcome.ends[f"new {order['state']}"] += 1
    return outcome


async def _race(place: Field, number: int, order: Order, ask_after: float, fill_after: float, quantity: int) -> None:
    async def change() -> None:
        await asyncio.sleep(ask_after * _RACE_SECONDS)
        if number % 2:
            await place.client.replace(order["id"], f"{place.name}-r{number}", {"limit_price": "0.6", "quantity": 3})
        else:
            await place.client.cancel(order["id"])

    async def fill() -> None:
        await asyncio.sleep(fill_after * _RACE_SECONDS)
        await place.fill(order, quantity)

    await asyncio.gather(change(), fill())


async def shuffle_fills(place: Field, events: int) -> Outcome:
    """Fill orders piece by piece while the brokers tell of fills twice, late and in a wrong order.

    Of three events two are one fill told twice and one is told out of turn, so that ``events``
    events come of two thirds as many fills.
    """
    fills = events * 2 // 3
    orders = await place.place_resting(max(1, fills // FILLS_PER_ORDER), FILLS_PER_ORDER, SYMBOLS)
    told_before = _told(place)
    for broker in BROKERS:
        place.stack.fault(broker, "duplicate_fills", probability=0.5, times=1)
        place.stack.fault(broker, "reorder_fills", window=7, ms=300)
    pieces = [order for order in orders for _ in range(FILLS_PER_ORDER)]
    place.chance.shuffle(pieces)
    await together([partial(place.fill, order, 1) for order in pieces])
    await place.wait_for([order["id"] for order in orders], lambda order: order["final"], "every fill is booked")
    await asyncio.to_thread(place.stack.clear_faults)
    outcome = Outcome("fill events, told twice and shuffled", len(pieces))
    outcome.ends.update({name: count - told_before[name] for name, count in _told(place).items()})
    return outcome


def _told(place: Field) -> Counter[str]:
    """Count what the brokers' ledgers say of fills told twice and told out of turn."""
    told: Counter[str] = Counter()
    for broker in BROKERS:
        rows = place.ledger_rows(broker)
        kinds = {row["fault"]["id"]: row["fault"]["kind"] for row in rows if row["kind"] == "fault_on"}
        for row in rows:
            if row["kind"] == "fault_off":
                told[f"hits of {kinds[row['fault_id']]}"] += row["hits"]
    return told


async def lose_replies(place: Field, lost: int) -> Outcome:
    """Lose so many replies, and what the streams say of the orders: the brokers took every one of them.

    Nobody here knows of them until they are looked up. One reply in five is lost, so that circuits seldom open; where
    one does, its orders wait until it has closed, and nothing more is sent meanwhile.
    """
    before = _replies_lost(place)
    for broker in BROKERS:
        place.stack.fault(broker, "drop_reply", operation="submit", probability=_LOST_SHARE)
        place.stack.fault(broker, "silent_stream", probability=1)
    ids: list[str] = []
    while _replies_lost(place) - before < lost:
        batch = await place.submit(_LOST_BATCH, RACE_QUANTITY, SYMBOLS)
        await place.wait_for(batch, lambda order: order["broker_order_id"] is not None, "every lost order is found")
        ids += batch
    await asyncio.to_thread(place.stack.clear_faults)
    rows = await asyncio.to_thread(place.stack.query, _KNOWN_AFTER, [ids])
    seconds = [row[0] for row in rows]
    outcome = Outcome("replies lost", _replies_lost(place) - before, seconds=seconds)
    outcome.ends["were unknown"] = len(seconds)
    outcome.ends.update(order["state"] for order in await place.end_all() if order["id"] in set(ids))
    return outcome


def _replies_lost(place: Field) -> int:
    return sum(ledger.replies["drop_reply"] for ledger in place.stack.ledgers().values())


def percentile(seconds: Sequence[float], share: float) -> float:
    ordered = sorted(seconds) or [0.0]
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
