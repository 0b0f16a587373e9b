"""Read the ledger of a simulated broker: what it was asked, what it did, and what it sent.

Pure readers, for tests and reports. The file may be read while the broker is writing it.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from brokers.simulator.orders import FINAL_STATUSES, Fill, Record, Status, fill_from_record

LEDGER_NAME = "ledger.jsonl"


class LedgerError(Exception):
    """A line other than the last one is not a record: the file was damaged."""

    def __init__(self, path: str, line_number: int) -> None:
        super().__init__(path, line_number)
        self.path = path
        self.line_number = line_number

    def __str__(self) -> str:
        return f"{self.path}: line {self.line_number} is not a ledger record"


@dataclass(slots=True)
class LedgerOrder:
    """An order the broker accepted, as far as the ledger tells."""

    order_id: str
    client_order_id: str
    request_id: int
    symbol: str
    side: str
    quantity: Decimal
    status: Status
    replaces: str | None
    filled_quantity: Decimal = Decimal(0)

    @property
    def is_live(self) -> bool:
        return self.status not in FINAL_STATUSES


@dataclass(slots=True)
class LedgerSummary:
    """What happened at the broker.

    Attributes:
        orders: Every accepted order by broker order id, in order of acceptance.
        orders_by_client_order_id: The same orders under the id their sender chose.
        fills: Every fill in order.
        posts_seen: How many requests to submit named each client order id, accepted or not, answered or not.
        refusals: (client order id, message) of each refused submit, cancel or replace.
        replies: How many replies to orders, cancels and replaces went out, by outcome (``sent``, ``drop_reply``, ...).
        faults: Every fault that was switched on, as posted, by id.
        stream_events_lost: Events withheld from connected subscribers by a fault.
        starts: How often the broker was started on this ledger.
    """

    orders: dict[str, LedgerOrder] = field(default_factory=dict)
    orders_by_client_order_id: dict[str, list[LedgerOrder]] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    posts_seen: Counter[str] = field(default_factory=Counter)
    refusals: list[tuple[str | None, str]] = field(default_factory=list)
    replies: Counter[str] = field(default_factory=Counter)
    faults: dict[str, Record] = field(default_factory=dict)
    stream_events_lost: int = 0
    starts: int = 0

    @property
    def duplicated_client_order_ids(self) -> list[str]:
        """Client order ids with more than one accepted order: each is an order placed twice."""
        return [key for key, orders in self.orders_by_client_order_id.items() if len(orders) > 1]

    def live_orders(self, client_order_id: str) -> list[LedgerOrder]:
        return [order for order in self.orders_by_client_order_id.get(client_order_id, []) if order.is_live]

    def executed_quantity(self, client_order_id: str) -> Decimal:
        """Return what was traded under a client order id, over all orders that carry it."""
        orders = self.orders_by_client_order_id.get(client_order_id, [])
        return sum((order.filled_quantity for order in orders), Decimal(0))

    def net_positions(self) -> dict[str, Decimal]:
        """Return the net quantity traded per symbol; flat symbols are left out."""
        net: dict[str, Decimal] = {}
        for fill in self.fills:
            signed = fill.quantity if fill.side == "buy" else -fill.quantity
            net[fill.symbol] = net.get(fill.symbol, Decimal(0)) + signed
        return {symbol: quantity for symbol, quantity in net.items() if quantity}


def read_records(path: Path) -> Iterator[Record]:
    """Yield the records of a ledger file. A torn last line, which a kill leaves behind, is not a record.

    Raises:
        LedgerError: Any other line is not a JSON object.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                record = json.loads(line)
            except ValueError as error:
                raise LedgerError(str(path), number) from error
            if not isinstance(record, dict) or "kind" not in record:
                raise LedgerError(str(path), number)
            yield record


def read_ledger(path: Path | str) -> LedgerSummary:
    """Summarise a ledger. ``path`` is the file or the data directory that holds it; an absent file is empty."""
    path = Path(path)
    if path.is_dir():
        path = path / LEDGER_NAME
    summary = LedgerSummary()
    if path.exists():
        for record in read_records(path):
            _add(summary, record)
    return summary


def _add(summary: LedgerSummary, record: Record) -> None:
    match record["kind"]:
        case "started":
            summary.starts += 1
        case "request" if record["operation"] == "submit" and record["client_order_id"] is not None:
            summary.posts_seen[record["client_order_id"]] += 1
        case "accepted":
            _add_order(summary, record)
        case "state":
            summary.orders[record["order_id"]].status = Status(record["status"])
        case "fill":
            _add_fill(summary, record)
        case "refused":
            summary.refusals.append((record["client_order_id"], record["message"]))
        case "reply":
            summary.replies[record["outcome"]] += 1
        case "fault_on":
            summary.faults[record["fault"]["id"]] = record["fault"]
        case "stream_lost":
            summary.stream_events_lost += 1


def _add_order(summary: LedgerSummary, record: Record) -> None:
    terms = record["order"]
    order = LedgerOrder(
        order_id=terms["id"],
        client_order_id=terms["client_order_id"],
        request_id=record["request_id"],
        symbol=terms["symbol"],
        side=terms["side"],
        quantity=Decimal(terms["quantity"]),
        status=Status(terms["status"]),
        replaces=terms["replaces"],
    )
    summary.orders[order.order_id] = order
    summary.orders_by_client_order_id.setdefault(order.client_order_id, []).append(order)


def _add_fill(summary: LedgerSummary, record: Record) -> None:
    fill = fill_from_record(record)
    order = summary.orders[fill.order_id]
    order.filled_quantity += fill.quantity
    if not fill.leaves_quantity:
        order.status = Status.FILLED
    elif order.status not in (Status.PENDING_CANCEL, Status.PENDING_REPLACE):
        order.status = Status.PARTIALLY_FILLED
    summary.fills.append(fill)
