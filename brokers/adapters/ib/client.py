"""The Interactive Brokers adapter: the TWS API of a TWS or IB Gateway, through the client of ib_async.

The broker does not know our order ids: they travel as ``orderRef``, a mere tag that it accepts any number of
times. An order is named by its permanent id, which is the same for every client and on every day.

Source:
    TWS API documentation, Interactive Brokers (interactivebrokers.github.io/tws-api, ibkrcampus.com).
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, TypeVar

from brokers.adapters.errors import BrokerCallError
from brokers.adapters.ib import errors, parsing
from brokers.adapters.ib.connection import GatewayConnection
from brokers.adapters.ib.known_orders import KnownOrder
from brokers.adapters.ib.parsing import ParseError
from brokers.adapters.ib.sessions import Connections
from brokers.adapters.ib.stream import stream_orders
from brokers.adapters.interface import AccountSettings, BrokerAdapter, BrokerSession
from brokers.core.capabilities import Capabilities
from brokers.core.orders import OrderClass, OrderTerms
from brokers.core.reports import (
    AccountReport,
    CashReport,
    FillPage,
    FillReport,
    InstrumentReport,
    OrderPage,
    OrderReport,
    PositionReport,
    ReportedStatus,
    StreamEvent,
)
from reliability.core.classification import Operation

_LONGEST_ORDER_ID = 19
_OPEN = frozenset({ReportedStatus.WORKING, ReportedStatus.PARTIALLY_FILLED})
T = TypeVar("T")


@dataclass(slots=True)
class _Attempt:
    """One call: since when, and whether its message has left."""

    connection: GatewayConnection
    begun_at: float
    sent: bool = False

    def mark_sent(self) -> None:
        self.sent = True

    @property
    def leaves_doubt(self) -> bool:
        """Whether the connection is of no more use: a list stayed out, or nothing at all was heard meanwhile."""
        return self.connection.has_overdue_list or self.connection.received.heard_at < self.begun_at


class IBSession:
    """One account at Interactive Brokers; see ``BrokerSession`` for what each method promises."""

    def __init__(self, settings: AccountSettings) -> None:
        self._settings = settings
        self._patience = settings.call_timeout_seconds
        self._connections = Connections(settings)
        self._contracts: dict[str, Any] = {}

    async def submit_order(self, client_order_id: str, terms: OrderTerms, correlation_id: str = "") -> OrderReport:
        """Place an order once. Its contract is looked up first, so an unknown symbol is refused with nothing sent."""
        if terms.exits is not None and terms.exits.order_class not in IB.capabilities.exit_classes:
            raise errors.refused("VALIDATION_INVALID_ORDER", f"no {terms.exits.order_class} orders here")
        orders = [parsing.order_for(client_order_id, terms, ""), *parsing.exits_for(client_order_id, terms, "")]
        description = parsing.contract_for(terms.symbol)

        async def step(attempt: _Attempt) -> OrderReport:
            contract = await self._find_contract(attempt, terms.symbol, description)
            for order in orders:
                order.account = self._connections.account
            placed = await attempt.connection.place(contract, orders, self._patience, attempt.mark_sent)
            report, *exits = map(parsing.open_order_report, placed)
            return parsing.with_legs(report, exits)

        return await self._call(Operation.SUBMIT, step)

    async def cancel_order(self, broker_order_id: str) -> None:
        """Ask for a cancel, as the client that placed the order: the gateway takes it from no other."""
        perm_id = _perm_id(broker_order_id)

        async def step(attempt: _Attempt) -> None:
            known = attempt.connection.received.memory.find(perm_id) or await self._find_open(attempt, perm_id)
            if known is None:
                raise await self._not_cancelable(attempt, perm_id)
            if known.order_id <= 0 or not self._connections.is_ours(known.client_id):
                raise errors.refused("BROKER_ORDER_NOT_CANCELABLE", "the order was placed by another program")
            try:
                await self._cancel_as_owner(attempt, known)
            except errors.ApiError as refusal:
                raise await self._read_back(attempt, perm_id, refusal) from refusal

        await self._call(Operation.CANCEL, step)

    async def replace_order(self, broker_order_id: str, client_order_id: str, terms: OrderTerms) -> OrderReport:
        """Refuse it with nothing sent: an order is canceled and submitted anew here."""
        raise errors.refused("VALIDATION_INVALID_REQUEST", "orders are not replaced")

    async def get_order(self, broker_order_id: str) -> OrderReport:
        perm_id = _perm_id(broker_order_id)
        report = await self._find(lambda report: report.broker_order_id == str(perm_id))
        if report is None:
            raise errors.refused("BROKER_ORDER_NOT_FOUND", "no order of the day has this id")
        return report

    async def find_order(self, client_order_id: str, symbol: str = "") -> OrderReport | None:
        """Return the order with our id if it is open, or was completed or executed in the gateway's day."""
        return await self._find(lambda report: report.client_order_id == client_order_id)

    async def list_open_orders(self) -> list[OrderReport]:
        async def step(attempt: _Attempt) -> list[OrderReport]:
            reports = [parsing.open_order_report(known) for known in await self._open_orders(attempt)]
            return [report for report in reports if report.status in _OPEN]

        return await self._call(Operation.QUERY, step)

    async def page_open_orders(self, after: str) -> OrderPage:
        """Return all of them: there are no pages."""
        return OrderPage(tuple(await self.list_open_orders()))

    async def page_fills(self, cursor: str) -> FillPage:
        """Return all of them: there are no pages."""
        return await self.list_fills(cursor)

    async def list_fills(self, cursor: str) -> FillPage:
        """Return the executions after ``cursor`` that the gateway still has: those of its day."""
        since = parsing.cursor_time(cursor)

        async def step(attempt: _Attempt) -> FillPage:
            fills = parsing.fills_after(cursor, await self._executions(attempt, since))
            return FillPage(tuple(fills), fills[-1].cursor if fills else cursor)

        return await self._call(Operation.QUERY, step)

    async def list_positions(self) -> list[PositionReport]:
        async def step(attempt: _Attempt) -> list[PositionReport]:
            rows = await attempt.connection.positions(self._patience)
            ours = [row for row in rows if row[0] == self._connections.account]
            reports = [parsing.position_report(contract, size, cost) for _, contract, size, cost in ours]
            return [report for report in reports if report.quantity]

        return await self._call(Operation.QUERY, step)

    async def get_account(self) -> AccountReport:
        async def step(attempt: _Attempt) -> AccountReport:
            rows = await attempt.connection.summary(self._patience)
            account = self._connections.account
            values = {tag: (value, currency) for name, tag, value, currency in rows if name == account}
            return parsing.account_report(account, values)

        return await self._call(Operation.QUERY, step)

    async def list_cash_movements(self, since: date) -> list[CashReport]:
        """Return nothing: what moves cash beside executions is not listed."""
        return []

    async def list_instruments(self) -> list[InstrumentReport]:
        """Return none: the API has no list of what can be traded. A symbol is looked up when an order names it."""
        return []

    def stream_orders(self) -> AsyncGenerator[StreamEvent | None, None]:
        return stream_orders(self._settings)

    async def close(self) -> None:
        self._connections.close()

    # -- inside ---------------------------------------------------------------------------

    async def _call(self, operation: Operation, step: Callable[[_Attempt], Awaitable[T]]) -> T:
        """Run one attempt within its time; every failure of it leaves as a ``BrokerCallError``."""
        attempt: _Attempt | None = None
        seconds = self._settings.call_timeout_seconds
        try:
            async with asyncio.timeout(seconds), self._connections.use() as connection:
                attempt = _Attempt(connection, asyncio.get_running_loop().time())
                self._require_link(connection)
                result = await step(attempt)
                if operation is Operation.QUERY:
                    self._require_link(connection)
                return result
        except BrokerCallError as error:
            failure = self._redacted(error)
        except TimeoutError:
            if attempt is not None and attempt.leaves_doubt:
                self._connections.retire(attempt.connection)
            sent = attempt is not None and (attempt.sent or operation is Operation.QUERY)
            failure = errors.timed_out(operation, sent=sent, seconds=seconds)
        except ParseError as error:
            failure = self._redacted(_malformed(operation, error))
        except Exception as error:
            failure = self._redacted(_failed(operation, attempt, error))
        # Raised apart from its cause, which may quote the account number.
        raise failure

    def _require_link(self, connection: GatewayConnection) -> None:
        """Stop a call while the gateway itself is cut off: orders would wait there, and lists are stale."""
        if not connection.received.is_linked:
            raise errors.not_sent("BROKER_UNAVAILABLE", "the gateway has lost its link to Interactive Brokers", "1100")

    async def _find_contract(self, attempt: _Attempt, symbol: str, description: Any) -> Any:
        """Return the one contract behind a symbol; nothing of the order has left when this fails."""
        known = self._contracts.get(symbol)
        if known is not None:
            return known
        try:
            details = await attempt.connection.find_contract(description, self._patience)
        except errors.ApiError as error:
            refusal = errors.unknown_contract(error)
            raise refusal or errors.call_error(Operation.QUERY, error) from error
        except errors.GatewayError as error:
            raise errors.connect_error(error) from error
        contracts = [item.contract for item in details if parsing.symbol_of(item.contract) == symbol]
        if len(contracts) != 1:
            raise errors.refused("VALIDATION_UNKNOWN_SYMBOL", f"{len(contracts)} contracts are called {symbol}")
        self._contracts[symbol] = contracts[0]
        return contracts[0]

    async def _cancel_as_owner(self, attempt: _Attempt, known: KnownOrder) -> None:
        if known.client_id == attempt.connection.client_id:
            await attempt.connection.cancel(known.order_id, self._patience, attempt.mark_sent)
            return
        async with self._connections.use_as(known.client_id) as other:
            await other.cancel(known.order_id, self._patience, attempt.mark_sent)

    async def _find(self, is_wanted: Callable[[OrderReport], bool]) -> OrderReport | None:
        return await self._call(Operation.QUERY, lambda attempt: self._look_up(attempt, is_wanted))

    async def _look_up(self, attempt: _Attempt, is_wanted: Callable[[OrderReport], bool]) -> OrderReport | None:
        """Look among open orders, then completed ones, then executions: the way an order goes, so none is missed."""
        known = reports = [parsing.open_order_report(known) for known in await self._open_orders(attempt)]
        if not any(map(is_wanted, reports)):
            rows = await attempt.connection.completed_orders(self._patience)
            reports = [parsing.completed_order_report(*row) for row in rows if self._is_ours(row[1].account)]
            known = [*reports, *known]
        found = [report for report in reports if is_wanted(report)]
        if found:
            return parsing.with_legs(found[-1], known)
        fills = await self._executions(attempt, "")
        of_order = [fill for fill in fills if is_wanted(parsing.executed_order_report([fill]))]
        return parsing.with_legs(parsing.executed_order_report(of_order), known) if of_order else None

    async def _open_orders(self, attempt: _Attempt) -> list[KnownOrder]:
        orders = await attempt.connection.open_orders(self._patience)
        return [known for known in orders if self._is_ours(known.order.account)]

    async def _find_open(self, attempt: _Attempt, perm_id: int) -> KnownOrder | None:
        return next((known for known in await self._open_orders(attempt) if known.perm_id == perm_id), None)

    async def _executions(self, attempt: _Attempt, since: str) -> list[FillReport]:
        rows = await attempt.connection.executions(self._connections.account, since, self._patience)
        ours = [row for row in rows if row[1].acctNumber == self._connections.account]
        costs = attempt.connection.received.commissions
        return [parsing.fill_report(contract, done, costs.get(done.execId)) for contract, done in ours]

    async def _not_cancelable(self, attempt: _Attempt, perm_id: int) -> BrokerCallError:
        """Return why an order that is not open cannot be canceled."""
        rows = await attempt.connection.completed_orders(self._patience)
        if any(row[1].permId == perm_id for row in rows):
            return errors.refused("BROKER_ORDER_NOT_CANCELABLE", "the order is completed")
        return errors.refused("BROKER_ORDER_NOT_FOUND", "no open or completed order has this id")

    async def _read_back(self, attempt: _Attempt, perm_id: int, refusal: errors.ApiError) -> BrokerCallError:
        """Return what a refused cancel amounts to: final only if the order is, by the gateway's own lists."""
        report = await self._look_up(attempt, lambda report: report.broker_order_id == str(perm_id))
        if report is None or report.status in _OPEN:
            return errors.call_error(Operation.CANCEL, errors.ApiError(refusal.number, refusal.text))
        return errors.refused("BROKER_ORDER_NOT_CANCELABLE", f"the order is {report.status}", str(refusal.number))

    def _is_ours(self, account: str) -> bool:
        return account in ("", self._connections.account)

    def _redacted(self, error: BrokerCallError) -> BrokerCallError:
        message = error.message
        for secret in (self._connections.account, *self._settings.credentials.values()):
            if secret:
                message = message.replace(secret, "[account]")
        return error.reworded(message)


def _perm_id(broker_order_id: str) -> int:
    if not (broker_order_id.isascii() and broker_order_id.isdigit() and len(broker_order_id) <= _LONGEST_ORDER_ID):
        raise errors.refused("VALIDATION_INVALID_REQUEST", "not an order id of this broker")
    return int(broker_order_id)


def _failed(operation: Operation, attempt: _Attempt | None, error: Exception) -> BrokerCallError:
    if attempt is None or (operation is not Operation.QUERY and not attempt.sent):
        return errors.connect_error(error)
    return errors.call_error(operation, error)


def _malformed(operation: Operation, error: ParseError) -> BrokerCallError:
    return errors.call_error(operation, errors.GatewayError("DATA_MALFORMED_REPLY", str(error)))


class _IB:
    name = "ib"
    capabilities = Capabilities(
        dedupes_client_order_id=False,
        finds_by_client_order_id=True,
        streams_orders=True,
        lists_fills=True,
        settle_time=timedelta(seconds=10),
        exit_classes=frozenset({OrderClass.BRACKET, OrderClass.OTO}),
        cash_follows_fills=True,
    )

    def open_session(self, settings: AccountSettings) -> BrokerSession:
        return IBSession(settings)


IB: BrokerAdapter = _IB()
