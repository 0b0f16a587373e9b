"""The gateway between API clients and the venue: who is connected, who placed what, and who hears of it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from brokers.simulator.faults import FILL_KINDS, FaultKind, Operation
from brokers.simulator.ib import wire
from brokers.simulator.ib.wire import Binding
from brokers.simulator.orders import Order, Record
from brokers.simulator.venue import Event

# An order that its client has not transmitted yet, and the exits that hang on it, each with its own number.
Group = list[tuple[Binding, wire.Fields]]

if TYPE_CHECKING:
    from brokers.simulator.broker import Broker

SILENT = frozenset({FaultKind.SILENT_STREAM})
LINK_LOST = (1100, "Connectivity between IBKR and Trader Workstation has been lost.")
LINK_BACK = (1102, "Connectivity between IBKR and Trader Workstation has been restored - data maintained.")
LINK_BACK_EMPTY = (1101, "Connectivity between IBKR and Trader Workstation has been restored - data lost.")
NO_REQUEST = -1


class Client(Protocol):
    """A connected API client."""

    client_id: int
    deaf_to: set[str]

    def send(self, *frames: bytes) -> None: ...

    def cut(self) -> None: ...


class Gateway:
    """What all API connections of one simulated broker share. Order numbers survive a restart, in the ledger."""

    def __init__(self, broker: "Broker", account: str, master_client_id: int) -> None:
        self.broker = broker
        self.account = account
        self.master_client_id = master_client_id
        self.clients: dict[int, Client] = {}
        self.bindings: dict[str, Binding] = {}
        self.orders: dict[Binding, Order] = {}
        self.untransmitted: dict[Binding, Group] = {}
        self._last_order_ids: dict[int, int] = {}
        self._link_fault_data_lost: bool | None = None
        self._answered: Client | None = None
        self._placing: Binding | None = None
        self._withheld: list[tuple[str, tuple[bytes, ...]]] = []

    @property
    def is_linked(self) -> bool:
        return self._link_fault_data_lost is None

    def replay(self, record: Record) -> None:
        """Take up what an earlier run wrote about an order of an API client."""
        order = self.broker.venue.book.by_id[record["order_id"]]
        self._bind(order, Binding(record["client_id"], record["api_order_id"]))

    def next_order_id(self, client_id: int) -> int:
        return self._last_order_ids.get(client_id, 0) + 1

    def binding_of(self, order: Order) -> Binding:
        return self.bindings.get(order.id, Binding())

    def find_by_contract(self, conid: str, symbol: str, kind: str, currency: str) -> str | None:
        """Find the symbol of a contract, by its number or by what it is called."""
        for instrument in self.broker.instruments.values():
            identity, name, kind_of, *_, currency_of = wire.contract_fields(instrument)
            if conid not in ("", "0"):
                if conid == identity:
                    return instrument.symbol
            elif (name, kind_of, currency_of) == (symbol, kind, currency):
                return instrument.symbol
        return None

    @contextmanager
    def answering(self, client: Client, placing: Binding | None = None) -> Iterator[None]:
        """Carry out a request of ``client``, which hears of it by the reply alone."""
        self._answered, self._placing = client, placing
        try:
            yield
        finally:
            self._answered, self._placing = None, None

    def publish(self, event: Event) -> None:
        """Tell the client that placed the order and the master client what happened to it."""
        if self._placing is not None and event.order.id not in self.bindings:
            self._bind(event.order, self._placing)
        if not self.clients:
            return
        frames = self.event_frames(event)
        if not self._hearers(event.order):
            return
        if self.broker.faults.strike(SILENT, Operation.STREAM):
            self.broker.ledger.append({"kind": "stream_lost", "event": event.name, "order_id": event.order.id})
        elif event.fill is None:
            self._deliver(event.order.id, frames)
        else:
            self._publish_fill(event.order.id, frames)

    def bind(self, order: Order, binding: Binding) -> None:
        """Keep, for good, who placed an order."""
        if order.id not in self.bindings:
            self._bind(order, binding)
        self.broker.ledger.append(
            {
                "kind": "ib_order",
                "order_id": order.id,
                "client_id": binding.client_id,
                "api_order_id": binding.order_id,
            }
        )

    def event_frames(self, event: Event) -> tuple[bytes, ...]:
        order, binding = event.order, self.binding_of(event.order)
        instrument = self.broker.instruments[order.symbol]
        state = (
            wire.open_order(order, instrument, binding, self.account),
            wire.order_status(order, binding),
        )
        if event.fill is None:
            return state
        details = wire.execution(NO_REQUEST, event.fill, order, instrument, binding, self.account)
        return (details, *state, *wire.commission(event.fill))

    def set_link(self, data_lost: bool | None) -> None:
        """Lose the link to the venue (``data_lost`` says how it will come back), or restore it with None."""
        was, self._link_fault_data_lost = self._link_fault_data_lost, data_lost
        if (was is None) == (data_lost is None):
            return
        notice = LINK_LOST if data_lost is not None else LINK_BACK_EMPTY if was else LINK_BACK
        for client in list(self.clients.values()):
            client.send(wire.error(NO_REQUEST, *notice))

    def disconnect_all(self) -> int:
        count = len(self.clients)
        for client in list(self.clients.values()):
            client.cut()
        return count

    def day_start(self) -> datetime:
        """Return the beginning of the day that executions and completed orders are kept for."""
        return self.broker.venue.now().replace(hour=0, minute=0, second=0, microsecond=0)

    def _bind(self, order: Order, binding: Binding) -> None:
        self.bindings[order.id] = binding
        self.orders[binding] = order
        last = self._last_order_ids.get(binding.client_id, 0)
        self._last_order_ids[binding.client_id] = max(last, binding.order_id)

    def _hearers(self, order: Order) -> list[Client]:
        owner = self.binding_of(order).client_id
        wanted = {owner, self.master_client_id}
        return [
            client
            for client_id, client in self.clients.items()
            if client_id in wanted and client is not self._answered and order.id not in client.deaf_to
        ]

    def _deliver(self, order_id: str, frames: tuple[bytes, ...]) -> None:
        for client in self._hearers(self.broker.venue.book.by_id[order_id]):
            client.send(*frames)

    def _publish_fill(self, order_id: str, frames: tuple[bytes, ...]) -> None:
        fault = self.broker.faults.strike(FILL_KINDS, Operation.STREAM)
        if fault is None:
            self._deliver(order_id, frames)
        elif fault.kind is FaultKind.DUPLICATE_FILLS:
            for _ in range(1 + fault.parameters.get("times", 1)):
                self._deliver(order_id, frames)
        elif fault.kind is FaultKind.DELAY_FILLS:
            asyncio.get_running_loop().call_later(
                fault.parameters.get("ms", 500) / 1000, self._deliver, order_id, frames
            )
        else:
            self._withheld.append((order_id, frames))
            if len(self._withheld) >= fault.parameters.get("window", 2):
                self._release_reversed()
            else:
                wait = fault.parameters.get("ms", 200) / 1000
                asyncio.get_running_loop().call_later(wait, self._release_reversed)

    def _release_reversed(self) -> None:
        while self._withheld:
            self._deliver(*self._withheld.pop())
