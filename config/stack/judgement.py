"""Comparing the brokers' own ledgers with what Stanchion recorded, order by order.

The ledgers are written by the simulated brokers themselves, on disk, and know nothing of
Stanchion; so they are the judge of what was lost and what was done twice.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from brokers.simulator.ledger import LedgerOrder, LedgerSummary

_NEVER_SENT = frozenset({"refused", "canceled"})
_UNSETTLED = frozenset({"accepted", "sending", "unknown"})


class Verdict(StrEnum):
    """``LOST``: accepted, and not done nor refused. ``DOUBLED``: more than one order at the brokers."""

    AGREES = "agrees"
    LOST = "lost"
    DOUBLED = "doubled"
    UNKNOWN = "unknown"
    DIFFERS = "differs"


@dataclass(frozen=True, slots=True)
class OrderVerdict:
    order_id: str
    client_order_id: str
    account: str
    state: str
    verdict: Verdict
    reason: str = ""


@dataclass(slots=True)
class Judgement:
    """The comparison of all orders; ``strays`` are orders at a broker that nobody here knows."""

    verdicts: list[OrderVerdict] = field(default_factory=list)
    strays: list[str] = field(default_factory=list)
    positions: list[str] = field(default_factory=list)

    def count(self, verdict: Verdict, account: str = "") -> int:
        return sum(1 for item in self.verdicts if item.verdict is verdict and account in ("", item.account))

    @property
    def states(self) -> Counter[str]:
        return Counter(item.state for item in self.verdicts)

    @property
    def is_settled(self) -> bool:
        """Return whether nothing is unknown or different any more (it may still be lost or doubled)."""
        return not (self.count(Verdict.UNKNOWN) or self.count(Verdict.DIFFERS) or self.positions)

    @property
    def is_clean(self) -> bool:
        return all(item.verdict is Verdict.AGREES for item in self.verdicts) and not self.strays and not self.positions

    def problems(self) -> list[str]:
        """Return one line for each thing that is not right."""
        lines = [
            f"{item.verdict}: order {item.order_id} ({item.state}): {item.reason}"
            for item in self.verdicts
            if item.verdict is not Verdict.AGREES
        ]
        return [*lines, *(f"stray order at a broker: {stray}" for stray in self.strays), *self.positions]


def judge(
    accepted_ids: Iterable[str],
    orders: Sequence[Mapping[str, Any]],
    ledgers: Mapping[str, LedgerSummary],
    positions: Sequence[Mapping[str, Any]] = (),
) -> Judgement:
    """Compare orders as the API shows them with the ledgers of the accounts they were for.

    Args:
        accepted_ids: Orders that a client was told are accepted; each must be among ``orders``.
        orders: Every order, as ``GET /api/v1/orders`` shows it.
        ledgers: By account name.
        positions: Every position, as ``GET /api/v1/positions`` shows it.
    """
    judgement = Judgement()
    at_brokers = _by_client_order_id(ledgers.values())
    known = {str(order["id"]) for order in orders}
    for missing in sorted(set(accepted_ids) - known):
        judgement.verdicts.append(OrderVerdict(missing, "", "", "absent", Verdict.LOST, "accepted, and not on record"))
    for order in orders:
        verdict, reason = _judge_order(order, at_brokers.get(order["client_order_id"], []))
        judgement.verdicts.append(
            OrderVerdict(order["id"], order["client_order_id"], order["account"], order["state"], verdict, reason)
        )
    ours = {order["client_order_id"] for order in orders}
    judgement.strays = sorted(set(at_brokers) - ours)
    for account, ledger in ledgers.items():
        judgement.positions += _compare_positions(account, ledger, positions)
    return judgement


def _judge_order(order: Mapping[str, Any], found: Sequence[LedgerOrder]) -> tuple[Verdict, str]:
    state = order["state"]
    if len(found) > 1:
        return Verdict.DOUBLED, f"{len(found)} orders at the broker"
    if state in _UNSETTLED:
        return Verdict.UNKNOWN, f"still {state}"
    if not found:
        if state in _NEVER_SENT and not order["broker_order_id"]:
            return Verdict.AGREES, ""
        return Verdict.LOST, "the broker has no such order"
    at_broker = found[0]
    if Decimal(order["filled_quantity"]) != at_broker.filled_quantity:
        return Verdict.DIFFERS, f"filled {order['filled_quantity']} here, {at_broker.filled_quantity} there"
    if bool(order["final"]) == at_broker.is_live:
        return Verdict.DIFFERS, f"{state} here, {at_broker.status} there"
    return Verdict.AGREES, ""


def _by_client_order_id(ledgers: Iterable[LedgerSummary]) -> dict[str, list[LedgerOrder]]:
    """Orders of all brokers by our id: one intent may exist once, wherever."""
    merged: dict[str, list[LedgerOrder]] = {}
    for ledger in ledgers:
        for client_order_id, orders in ledger.orders_by_client_order_id.items():
            merged.setdefault(client_order_id, []).extend(orders)
    return merged


def _compare_positions(account: str, ledger: LedgerSummary, positions: Sequence[Mapping[str, Any]]) -> list[str]:
    ours = {row["symbol"]: Decimal(row["quantity"]) for row in positions if row["account"] == account}
    theirs = ledger.net_positions()
    return [
        f"position of {account} in {symbol}: {ours.get(symbol, 0)} here, {theirs.get(symbol, 0)} there"
        for symbol in sorted(ours.keys() | theirs.keys())
        if ours.get(symbol, Decimal(0)) != theirs.get(symbol, Decimal(0))
    ]
