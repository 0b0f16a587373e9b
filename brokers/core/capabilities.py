"""What a broker can do: declared by its adapter, asked by whoever must choose."""

from dataclasses import dataclass
from datetime import timedelta

from brokers.core.orders import OrderClass


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Abilities that decide how an unknown outcome is settled.

    ``dedupes_client_order_id``: a second submission under the same id is refused, so that
    an order may be sent again once its absence is proven. ``finds_by_client_order_id``:
    an order can be looked up by our id. ``settle_time``: how long after sending an order
    may still appear; absence proves nothing before it has passed. ``replaces_orders``: the
    broker puts a new order under an id of ours in the place of an old one, or leaves the old one
    alone; elsewhere an order is canceled first, and the new one sent once that is proven.
    ``positions_follow_fills``: what is held is the sum of the fills, less the fees taken out of it that
    they tell; ``cash_follows_fills``: the same for the cash in the account's currency.
    ``lists_cash_movements``: the broker lists what moved cash beside executions.
    ``exit_classes``: the kinds of orders that can bring a take-profit or a stop loss along, which the
    broker holds ready and ends with each other. One is named only if all of it arrives, or nothing.
    """

    dedupes_client_order_id: bool
    finds_by_client_order_id: bool
    streams_orders: bool
    lists_fills: bool
    settle_time: timedelta = timedelta(seconds=5)
    replaces_orders: bool = False
    positions_follow_fills: bool = True
    cash_follows_fills: bool = False
    lists_cash_movements: bool = False
    exit_classes: frozenset[OrderClass] = frozenset()

    @property
    def attaches_exits(self) -> bool:
        return bool(self.exit_classes)
