"""A session with a broker that has two addresses: calls go to the one that answers, and to the other where it is safe.

A call that provably was not sent may go to the other address at once, and so may one that changes
nothing, or the same thing again. An order of which nobody knows whether it arrived may not: it is
unknown, and is looked up, at whichever address answers.
"""

import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from datetime import date
from typing import TypeVar

from brokers.adapters.errors import BrokerCallError
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
from brokers.core.streams import Endpoint
from reliability.core.taxonomy import ErrorCategory, FailureKind

SUSPECT_SECONDS = 5.0
HANGING_SECONDS = 1.0
_LINK_FAILURES = frozenset({ErrorCategory.NETWORK, ErrorCategory.TIMEOUT})

logger = logging.getLogger(__name__)
_R = TypeVar("_R")


class TwoAddressSession:
    """See ``BrokerSession`` for what each method promises; an address that could not be reached is left out a while.

    So is one that has left a call unanswered for a second, and answered none that began later. ``first`` is
    the address that is preferred, as the stream processes found it.
    """

    def __init__(
        self, sessions: Mapping[Endpoint, BrokerSession], first: Endpoint, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sessions = sessions
        self._first = first
        self._clock = clock
        self._suspect_until = dict.fromkeys(sessions, float("-inf"))
        self._answered_at = dict.fromkeys(sessions, float("-inf"))
        self._under_way: dict[Endpoint, dict[object, float]] = {endpoint: {} for endpoint in sessions}

    async def submit_order(self, client_order_id: str, terms: OrderTerms, correlation_id: str = "") -> OrderReport:
        return await self._if_not_sent(lambda session: session.submit_order(client_order_id, terms, correlation_id))

    async def replace_order(self, broker_order_id: str, client_order_id: str, terms: OrderTerms) -> OrderReport:
        return await self._if_not_sent(lambda session: session.replace_order(broker_order_id, client_order_id, terms))

    async def cancel_order(self, broker_order_id: str) -> None:
        return await self._always(lambda session: session.cancel_order(broker_order_id))

    async def get_order(self, broker_order_id: str) -> OrderReport:
        return await self._always(lambda session: session.get_order(broker_order_id))

    async def find_order(self, client_order_id: str, symbol: str = "") -> OrderReport | None:
        return await self._always(lambda session: session.find_order(client_order_id, symbol))

    async def list_open_orders(self) -> list[OrderReport]:
        return await self._always(lambda session: session.list_open_orders())

    async def page_open_orders(self, after: str) -> OrderPage:
        return await self._always(lambda session: session.page_open_orders(after))

    async def page_fills(self, cursor: str) -> FillPage:
        return await self._always(lambda session: session.page_fills(cursor))

    async def list_fills(self, cursor: str) -> FillPage:
        return await self._always(lambda session: session.list_fills(cursor))

    async def list_positions(self) -> list[PositionReport]:
        return await self._always(lambda session: session.list_positions())

    async def get_account(self) -> AccountReport:
        return await self._always(lambda session: session.get_account())

    async def list_cash_movements(self, since: date) -> list[CashReport]:
        return await self._always(lambda session: session.list_cash_movements(since))

    async def list_instruments(self) -> list[InstrumentReport]:
        return await self._always(lambda session: session.list_instruments())

    def stream_orders(self) -> AsyncGenerator[StreamEvent | None, None]:
        """The stream of the first address; the stream processes follow both by themselves."""
        return self._sessions[Endpoint.PRIMARY].stream_orders()

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()

    async def _if_not_sent(self, make: Callable[[BrokerSession], Awaitable[_R]]) -> _R:
        """Call once, and at the other address only what provably never left for the first."""
        return await self._call(make, lambda failure: failure.kind is FailureKind.TRANSIENT)

    async def _always(self, make: Callable[[BrokerSession], Awaitable[_R]]) -> _R:
        """Call once, and at the other address when the first could not be reached or did not answer."""
        return await self._call(make, lambda failure: True)

    async def _call(
        self, make: Callable[[BrokerSession], Awaitable[_R]], may_repeat: Callable[[BrokerCallError], bool]
    ) -> _R:
        first, other = self._in_order()
        try:
            return await self._at(first, make)
        except BrokerCallError as error:
            failure = error
        if not self._suspect(first, failure) or not may_repeat(failure):
            raise failure
        logger.warning("a call goes to the other address", extra={"endpoint": other.value, "reason": str(failure)})
        try:
            return await self._at(other, make)
        except BrokerCallError as error:
            self._suspect(other, error)
            raise

    async def _at(self, endpoint: Endpoint, make: Callable[[BrokerSession], Awaitable[_R]]) -> _R:
        """Make one call at an address, and know meanwhile since when it is under way."""
        call = object()
        self._under_way[endpoint][call] = self._clock()
        try:
            result = await make(self._sessions[endpoint])
        except BrokerCallError as error:
            if error.category not in _LINK_FAILURES:
                self._answered_at[endpoint] = self._clock()
            raise
        else:
            self._answered_at[endpoint] = self._clock()
            return result
        finally:
            del self._under_way[endpoint][call]

    def _is_doubtful(self, endpoint: Endpoint, now: float) -> bool:
        oldest = next(iter(self._under_way[endpoint].values()), now)
        hangs = now - oldest >= HANGING_SECONDS and self._answered_at[endpoint] < oldest
        return hangs or self._suspect_until[endpoint] > now

    def _suspect(self, endpoint: Endpoint, failure: BrokerCallError) -> bool:
        """Leave an address out for a while if it was not reached or did not answer; returns whether it was so."""
        if failure.category not in _LINK_FAILURES:
            return False
        self._suspect_until[endpoint] = self._clock() + SUSPECT_SECONDS
        return True

    def _in_order(self) -> list[Endpoint]:
        """Return the addresses, those not in doubt first, then the one that is preferred."""
        now = self._clock()
        return sorted(self._sessions, key=lambda one: (self._is_doubtful(one, now), one is not self._first))
