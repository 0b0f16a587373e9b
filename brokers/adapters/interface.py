"""The one interface through which every broker is spoken to.

A session lives on one event loop, keeps its connections open, makes exactly one attempt
a call and sets its own timeouts. Every method raises ``BrokerCallError`` and nothing
else when a call fails; what the failure proves is in its ``kind``.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

from brokers.adapters.reach import LOOPBACK
from brokers.core.capabilities import Capabilities
from brokers.core.orders import OrderTerms
from brokers.core.reports import (
    AccountReport,
    CashReport,
    FillPage,
    InstrumentReport,
    OrderPage,
    OrderReport,
    PositionReport,
    StreamEvent,
)


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """Where one account lives and how to log in. Timeouts are seconds for one attempt.

    ``private_networks`` are those that it may be in, besides the public one; see ``reach``.
    """

    account: str
    base_url: str
    stream_url: str
    credentials: Mapping[str, str] = field(repr=False, hash=False)
    connect_timeout_seconds: float = 2.0
    call_timeout_seconds: float = 5.0
    silence_timeout_seconds: float = 0.75
    private_networks: tuple[str, ...] = LOOPBACK


class BrokerSession(Protocol):
    """An open session with one account at one broker."""

    async def submit_order(self, client_order_id: str, terms: OrderTerms, correlation_id: str = "") -> OrderReport: ...

    async def cancel_order(self, broker_order_id: str) -> None:
        """Ask for a cancel. Success means the request was taken, not that the order is canceled."""

    async def replace_order(self, broker_order_id: str, client_order_id: str, terms: OrderTerms) -> OrderReport:
        """Ask for a new order of these terms in the place of an old one, and return the new one.

        Success means the request was taken: the old order may still fill or end otherwise, and
        then the new one never works. Refused where ``Capabilities.replaces_orders`` is not set.
        """
        ...

    async def get_order(self, broker_order_id: str) -> OrderReport: ...

    async def find_order(self, client_order_id: str, symbol: str = "") -> OrderReport | None:
        """Return the order with our id, or None when the broker answers that there is none.

        ``symbol`` is the order's; some brokers look an order up in one symbol only.
        """

    async def list_open_orders(self) -> list[OrderReport]: ...

    async def page_open_orders(self, after: str) -> OrderPage:
        """Return a part of the open orders, from the beginning where ``after`` is empty.

        A broker that lists in pages is asked for one of them, so that nobody holds more than a page;
        the others answer the whole list.
        """
        ...

    async def page_fills(self, cursor: str) -> FillPage:
        """Return some of the fills after ``cursor``, oldest first; ``is_last`` when no more are there yet."""
        ...

    async def list_fills(self, cursor: str) -> FillPage:
        """Return every fill after ``cursor`` (empty: from the beginning), oldest first."""

    async def list_positions(self) -> list[PositionReport]: ...

    async def get_account(self) -> AccountReport: ...

    async def list_cash_movements(self, since: date) -> list[CashReport]:
        """Return what moved cash without an execution from a UTC day on, oldest first.

        Nothing where ``Capabilities.lists_cash_movements`` is not set.
        """
        ...

    async def list_instruments(self) -> list[InstrumentReport]: ...

    def stream_orders(self) -> AsyncGenerator[StreamEvent | None, None]:
        """Connect, log in, subscribe, then yield events.

        ``None`` is yielded once when the subscription is confirmed, so that the caller
        takes its snapshot after that, and at each sign of life without an event. Raises
        ``StreamLostError`` when the stream ends, is refused, or stays silent longer than
        ``silence_timeout_seconds`` in spite of pings.
        """
        ...

    async def close(self) -> None: ...


class BrokerAdapter(Protocol):
    """One kind of broker."""

    name: str
    capabilities: Capabilities

    def open_session(self, settings: AccountSettings) -> BrokerSession:
        """Return a session bound to the running event loop; nothing is sent yet.

        Raises:
            BrokerCallError: ``SYSTEM_ACCOUNT_MISCONFIGURED`` for unusable addresses or credentials.
        """
        ...
