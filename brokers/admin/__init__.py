from brokers.admin import (
    accounts,
    balances,
    baskets,
    external_orders,
    freezes,
    history,
    kill_switch,
    orders,
    positions,
    tokens,
)

__all__ = [
    "accounts",
    "balances",
    "baskets",
    "external_orders",
    "freezes",
    "history",
    "kill_switch",
    "orders",
    "positions",
    "tokens",
]
