"""A broker session whose every call goes through the guards of its account."""

from collections.abc import AsyncGenerator
from datetime import date

from brokers.adapters.interface import BrokerSession
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
from brokers.services.accounts import AccountProfile
from brokers.services.guards import BrokerGuard, CallClass, get_guard
from reliability.core.classification import Operation


class GuardedSession:
    """See ``BrokerSession`` for what each method promises; what a guard refuses was not sent."""

    def __init__(self, session: BrokerSession, profile: AccountProfile) -> None:
        self._session = session
        self._guards: dict[CallClass, BrokerGuard] = {one: get_guard(profile, one) for one in CallClass}
        self._replacing = get_guard(profile, CallClass.ORDERS, Operation.MODIFY)

    async def submit_order(self, client_order_id: str, terms: OrderTerms, correlation_id: str = "") -> OrderReport:
        guard = self._guards[CallClass.ORDERS]
        return await guard.call(self._session.submit_order, client_order_id, terms, correlation_id)

    async def cancel_order(self, broker_order_id: str) -> None:
        return await self._guards[CallClass.CANCELS].call(self._session.cancel_order, broker_order_id)

    async def replace_order(self, broker_order_id: str, client_order_id: str, terms: OrderTerms) -> OrderReport:
        return await self._replacing.call(self._session.replace_order, broker_order_id, client_order_id, terms)

    async def get_order(self, broker_order_id: str) -> OrderReport:
        return await self._guards[CallClass.READS].call(self._session.get_order, broker_order_id)

    async def find_order(self, client_order_id: str, symbol: str = "") -> OrderReport | None:
        return await self._guards[CallClass.LOOK_UPS].call(self._session.find_order, client_order_id, symbol)

    async def list_open_orders(self) -> list[OrderReport]:
        return await self._guards[CallClass.READS].call(self._session.list_open_orders)

    async def page_open_orders(self, after: str) -> OrderPage:
        return await self._guards[CallClass.READS].call(self._session.page_open_orders, after)

    async def page_fills(self, cursor: str) -> FillPage:
        return await self._guards[CallClass.READS].call(self._session.page_fills, cursor)

    async def list_fills(self, cursor: str) -> FillPage:
        return await self._guards[CallClass.READS].call(self._session.list_fills, cursor)

    async def list_positions(self) -> list[PositionReport]:
        return await self._guards[CallClass.READS].call(self._session.list_positions)

    async def get_account(self) -> AccountReport:
        return await self._guards[CallClass.READS].call(self._session.get_account)

    async def list_cash_movements(self, since: date) -> list[CashReport]:
        return await self._guards[CallClass.READS].call(self._session.list_cash_movements, since)

    async def list_instruments(self) -> list[InstrumentReport]:
        return await self._guards[CallClass.DATA].call(self._session.list_instruments)

    def stream_orders(self) -> AsyncGenerator[StreamEvent | None, None]:
        """The stream has its own watch and reconnects by itself, so no circuit stands before it."""
        return self._session.stream_orders()

    async def close(self) -> None:
        await self._session.close()
