"""The ccxt adapter: any exchange ccxt knows, through one attempt a call and our own judgement of failures.

ccxt writes the requests and reads the replies. It neither retries nor waits here, and none of its classes
decides by itself what a failure proves. Importing this module does not import ccxt.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from brokers.adapters.ccxt import errors, parsing
from brokers.adapters.ccxt.address import misconfigured, read_address
from brokers.adapters.ccxt.binance_stream import StreamLogin, stream_user_data
from brokers.adapters.ccxt.calls import ExchangeCalls, calls_of
from brokers.adapters.ccxt.exchange import clock_can_be_set, load_library, make_exchange, use_clock
from brokers.adapters.ccxt.fills import EVERY_SYMBOL, FillReader
from brokers.adapters.ccxt.profiles import Dialect, ExchangeProfile, profile_of
from brokers.adapters.ccxt.shared import Venue, venue_of
from brokers.adapters.ccxt.terms import placing
from brokers.adapters.ccxt.transport import Attempt, CallRecord, OneAttemptHttp, current_call
from brokers.adapters.errors import BrokerCallError, StreamLostError
from brokers.adapters.interface import AccountSettings, BrokerSession
from brokers.core.capabilities import Capabilities
from brokers.core.clocks import proven_offset
from brokers.core.orders import OrderTerms
from brokers.core.reports import (
    AccountReport,
    CashReport,
    FillPage,
    InstrumentReport,
    OrderPage,
    OrderReport,
    PositionReport,
    ReportedStatus,
    StreamEvent,
)
from reliability.core.classification import Operation
from reliability.core.taxonomy import FailureKind

PREFIX = "ccxt:"
TOUCHED_MAX = 50

Result = TypeVar("Result")


class CcxtSession:
    """One account at one exchange; see ``BrokerSession`` for what each method promises."""

    def __init__(self, exchange_id: str, profile: ExchangeProfile, settings: AccountSettings) -> None:
        self._exchange_id = exchange_id
        self._profile = profile
        self._settings = settings
        self._address = read_address(settings, profile.currency)
        if not settings.credentials:
            raise misconfigured(settings, "it has no credentials")
        self._secrets = sorted((value for value in settings.credentials.values() if value), key=len, reverse=True)
        self._venue: Venue = venue_of(exchange_id, self._address.origin.geturl())
        self._http = OneAttemptHttp(settings)
        self._preparing = asyncio.Lock()
        self._calls: ExchangeCalls | None = None
        self._edition = 0
        self._touched: OrderedDict[str, None] = OrderedDict()
        self._held_is_known = False
        self._fills = FillReader()

    async def submit_order(self, client_order_id: str, terms: OrderTerms, correlation_id: str = "") -> OrderReport:
        """Place an order under our id. ccxt has no place for the correlation id, so it is not sent."""

        async def call(calls: ExchangeCalls) -> OrderReport:
            asked = placing(calls.exchange, client_order_id, terms)
            self._touch(terms.symbol)
            row = await calls.create_order(asked)
            if self._profile.replies_in_full:
                report = parsing.parse_order(row, self._profile.statuses)
            else:
                report = parsing.parse_acknowledgement(row, _as_asked(client_order_id, terms), self._profile.statuses)
            if report.client_order_id != client_order_id or report.symbol != terms.symbol or report.side != terms.side:
                raise errors.WrongOrderError("the reply is about another order")
            return report

        return await self._call(Operation.SUBMIT, call)

    async def cancel_order(self, broker_order_id: str) -> None:
        symbol, order_id = _split(broker_order_id)

        async def call(calls: ExchangeCalls) -> None:
            await calls.cancel_order(order_id, self._known(calls, symbol))

        await self._call(Operation.CANCEL, call)

    async def replace_order(self, broker_order_id: str, client_order_id: str, terms: OrderTerms) -> OrderReport:
        """Replace an order where the exchange is known to do it under an id of ours; refuse it unsent elsewhere."""
        if not self._profile.capabilities.replaces_orders:
            raise errors.not_sent(FailureKind.REJECTED, "VALIDATION_INVALID_REQUEST", "orders are not replaced here")
        symbol, order_id = _split(broker_order_id)

        async def call(calls: ExchangeCalls) -> OrderReport:
            asked = placing(calls.exchange, client_order_id, terms)
            row = await calls.replace_order(order_id, self._known(calls, symbol), asked)
            report = parsing.parse_order(row, self._profile.statuses)
            if report.client_order_id != client_order_id or report.symbol != terms.symbol or report.side != terms.side:
                raise errors.WrongOrderError("the reply is about another order")
            return report

        return await self._call(Operation.MODIFY, call)

    async def get_order(self, broker_order_id: str) -> OrderReport:
        symbol, order_id = _split(broker_order_id)

        async def call(calls: ExchangeCalls) -> OrderReport:
            row = await calls.fetch_order(order_id, self._known(calls, symbol))
            report = parsing.parse_order(row, self._profile.statuses)
            if report.broker_order_id != broker_order_id:
                raise errors.WrongOrderError("the reply is about another order")
            return report

        return await self._call(Operation.QUERY, call)

    async def find_order(self, client_order_id: str, symbol: str = "") -> OrderReport | None:
        """Return the order of our id; None only by the word of an exchange that can be asked for it in its symbol."""
        if not symbol or not self._profile.capabilities.finds_by_client_order_id:
            return await self._search_order(client_order_id, symbol)

        async def call(calls: ExchangeCalls) -> OrderReport:
            report = parsing.parse_order(
                await calls.find_order(client_order_id, self._known(calls, symbol)), self._profile.statuses
            )
            if report.client_order_id != client_order_id:
                raise errors.WrongOrderError("the reply is about another order")
            return report

        try:
            return await self._call(Operation.QUERY, call)
        except BrokerCallError as error:
            if errors.is_absence(error):
                return None
            raise

    async def list_open_orders(self) -> list[OrderReport]:
        async def call(calls: ExchangeCalls) -> list[OrderReport]:
            rows = await calls.fetch_open_orders(tuple(self._touched))
            reports = [parsing.parse_order(row, self._profile.statuses) for row in rows]
            for report in reports:
                self._touch(report.symbol)
            return list({report.broker_order_id: report for report in reports}.values())

        return await self._call(Operation.QUERY, call)

    async def page_open_orders(self, after: str) -> OrderPage:
        """Return all of them: there are no pages."""
        return OrderPage(tuple(await self.list_open_orders()))

    async def page_fills(self, cursor: str) -> FillPage:
        """Return all of them: there are no pages."""
        return await self.list_fills(cursor)

    async def list_fills(self, cursor: str) -> FillPage:
        """Return the executions behind the cursor.

        Where trades are listed per symbol: of the symbols in the cursor, those of orders this session
        placed or read, and those of what the account holds.
        """

        async def call(calls: ExchangeCalls) -> FillPage:
            if not calls.lists_trades_per_symbol:
                return await self._fills.read(cursor, (EVERY_SYMBOL,), calls.fetch_trades)
            if not self._held_is_known:
                self._touch_positions(calls, parsing.parse_positions(*await self._holdings(calls)))
            return await self._fills.read(cursor, tuple(self._touched), calls.fetch_trades)

        return await self._call(Operation.QUERY, call)

    async def list_positions(self) -> list[PositionReport]:
        async def call(calls: ExchangeCalls) -> list[PositionReport]:
            positions = parsing.parse_positions(*await self._holdings(calls))
            self._touch_positions(calls, positions)
            return positions

        return await self._call(Operation.QUERY, call)

    async def get_account(self) -> AccountReport:
        async def call(calls: ExchangeCalls) -> AccountReport:
            sent_at = datetime.now(UTC)
            balance = await calls.fetch_balance()
            account = parsing.parse_account(balance, self._address.currency, self._settings.account)
            return replace(account, clock_offset=_offset_of(current_call.get().decisive, sent_at))

        return await self._call(Operation.QUERY, call)

    async def list_cash_movements(self, since: date) -> list[CashReport]:
        """Return nothing: what moves cash beside executions is not listed."""
        return []

    async def list_instruments(self) -> list[InstrumentReport]:
        """Fetch the markets anew, for this call and for every session with this exchange."""

        async def call(calls: ExchangeCalls) -> list[InstrumentReport]:
            markets = await calls.exchange.fetch_markets()
            instruments = parsing.parse_instruments(markets)
            calls.exchange.set_markets(markets)
            self._venue.keep_markets(calls.exchange)
            self._edition = self._venue.edition
            return instruments

        return await self._call(Operation.QUERY, call)

    async def fetch_bars(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> list[list[Any]]:
        """Return rows of time in milliseconds, open, high, low, close and volume from an instant on, oldest first."""

        async def call(calls: ExchangeCalls) -> list[list[Any]]:
            market = self._known(calls, symbol)
            rows = await calls.exchange.fetch_ohlcv(market, timeframe, since_ms, limit)
            if not isinstance(rows, list) or not all(_is_bar(row) for row in rows):
                raise errors.ParseError("bars are not rows of a time and five numbers")
            return sorted(rows, key=lambda row: int(row[0]))

        return await self._call(Operation.DATA, call)

    async def fetch_ticker(self, symbol: str) -> dict[str, Any] | None:
        """Return ccxt's ticker of a symbol; None where the exchange has none."""

        async def call(calls: ExchangeCalls) -> dict[str, Any] | None:
            if not calls.exchange.has.get("fetchTicker"):
                return None
            row = await calls.exchange.fetch_ticker(self._known(calls, symbol))
            if not isinstance(row, dict):
                raise errors.ParseError("a ticker is no object")
            return row

        return await self._call(Operation.DATA, call)

    async def fetch_last_trade(self, symbol: str) -> dict[str, Any] | None:
        """Return the newest public trade of a symbol, as ccxt writes it; None where there is none."""

        async def call(calls: ExchangeCalls) -> dict[str, Any] | None:
            if not calls.exchange.has.get("fetchTrades"):
                return None
            rows = await calls.exchange.fetch_trades(self._known(calls, symbol), None, 1)
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise errors.ParseError("trades are no list of objects")
            return max(rows, key=lambda row: row.get("timestamp") or 0, default=None)

        return await self._call(Operation.DATA, call)

    async def stream_orders(self) -> AsyncGenerator[StreamEvent | None, None]:
        """Yield the order events of Binance; any other exchange has no stream here and says so at once."""
        if self._profile.dialect is not Dialect.BINANCE:
            message = f"{self._exchange_id} has no order stream here: it is asked instead"
            raise StreamLostError("BROKER_STREAM_REFUSED", message)
        try:
            exchange = (await self._ready()).exchange
        except BrokerCallError as error:
            raise StreamLostError(error.code, error.message) from None
        login = StreamLogin(exchange.apiKey, exchange.secret, exchange.nonce, lambda name: _symbol_of(exchange, name))
        async for event in stream_user_data(self._http.http, self._settings, login):
            yield event

    async def close(self) -> None:
        await self._http.close()
        if self._calls is not None:
            await self._calls.exchange.close()

    async def _call(self, operation: Operation, call: Callable[[ExchangeCalls], Awaitable[Result]]) -> Result:
        """Run one call on the exchange; whatever goes wrong in it becomes a ``BrokerCallError``."""
        calls = await self._ready()
        record = CallRecord(effectful=operation is not Operation.QUERY)
        token = current_call.set(record)
        try:
            return await call(calls)
        except BrokerCallError:
            raise
        except Exception as error:
            failure = errors.call_error(
                operation,
                self._exchange_id,
                error,
                record,
                refuses_in_success=self._profile.refuses_in_success,
                now=datetime.now(UTC),
            )
        finally:
            current_call.reset(token)
        # Raised here, apart from its cause: exceptions of the HTTP client hold the request headers.
        raise self._told(failure)

    async def _ready(self) -> ExchangeCalls:
        """Return the exchange with markets and clock; raises ``BrokerCallError`` of a call that did not begin."""
        calls = self._calls
        if calls is not None and self._edition == self._venue.edition and not self._venue.clock_in_doubt:
            use_clock(calls.exchange, self._venue.clock_offset_ms)
            return calls
        async with self._preparing:
            record = CallRecord(effectful=False)
            token = current_call.set(record)
            try:
                return await self._prepare()
            except BrokerCallError:
                raise
            except Exception as error:
                failure = errors.preparation_error(self._exchange_id, error, record, datetime.now(UTC))
            finally:
                current_call.reset(token)
        raise self._told(failure)

    async def _prepare(self) -> ExchangeCalls:
        if self._calls is None:
            try:
                library = await asyncio.to_thread(load_library)
            except ImportError as error:
                raise misconfigured(self._settings, f"it needs the extra stanchion[ccxt]: {error}") from None
            exchange = make_exchange(
                library, self._exchange_id, self._profile, self._settings, self._address, self._http
            )
            self._calls = calls_of(exchange, self._profile)
        exchange, venue = self._calls.exchange, self._venue
        if venue.edition == 0:
            await exchange.load_markets()
            venue.keep_markets(exchange)
        if self._edition != venue.edition:
            venue.lend_markets(exchange)
            self._edition = venue.edition
        if clock_can_be_set(exchange):
            if venue.clock_in_doubt:
                venue.clock_offset_ms = int(await exchange.load_time_difference())
            use_clock(exchange, venue.clock_offset_ms)
        venue.clock_in_doubt = False
        return self._calls

    async def _search_order(self, client_order_id: str, symbol: str) -> OrderReport | None:
        """Look among the open orders; not to be there proves nothing."""
        if symbol:
            self._touch(symbol)
        for report in await self.list_open_orders():
            if report.client_order_id == client_order_id:
                return report
        message = "it is not among the open orders, and cannot be asked for by its id and symbol"
        raise errors.not_sent(FailureKind.TRANSIENT, "DATA_NOT_AVAILABLE", message)

    def _known(self, calls: ExchangeCalls, symbol: str) -> str:
        if symbol not in calls.exchange.markets:
            raise errors.not_sent(FailureKind.REJECTED, "VALIDATION_UNKNOWN_SYMBOL", f"{symbol} is no market here")
        self._touch(symbol)
        return symbol

    async def _holdings(self, calls: ExchangeCalls) -> tuple[Any, str, Collection[str]]:
        return await calls.fetch_balance(), self._address.currency, calls.exchange.markets

    def _touch_positions(self, calls: ExchangeCalls, positions: Sequence[PositionReport]) -> None:
        for position in positions:
            if position.symbol in calls.exchange.markets:
                self._touch(position.symbol)
        self._held_is_known = True

    def _touch(self, symbol: str) -> None:
        self._touched[symbol] = None
        self._touched.move_to_end(symbol)
        while len(self._touched) > TOUCHED_MAX:
            self._touched.popitem(last=False)

    def _told(self, failure: BrokerCallError) -> BrokerCallError:
        """Return the error without secrets, having learned from it."""
        if failure.code == "SYSTEM_CLOCK_SKEW":
            self._venue.clock_in_doubt = True
        message = failure.message
        for secret in self._secrets:
            message = message.replace(secret, "[secret]")
        return failure.reworded(message)


def _offset_of(attempt: Attempt | None, sent_at: datetime) -> timedelta | None:
    """Return how far the exchange's clock is from ours, by the date of its last answer."""
    headers = None if attempt is None or attempt.reply is None else attempt.reply.headers
    look_up: Any = getattr(headers, "get", None)
    stamp = "" if look_up is None else str(look_up("Date", ""))
    return proven_offset(stamp, sent_at, datetime.now(UTC))


def _is_bar(row: Any) -> bool:
    return isinstance(row, list) and len(row) >= 6 and isinstance(row[0], int)


def _symbol_of(exchange: Any, market_id: str) -> str:
    markets = [market for market in exchange.markets_by_id.get(market_id, ()) if market.get("spot")]
    if not markets:
        raise errors.ParseError(f"an event of a market that is not known: {market_id[:40]!r}")
    return str(markets[0]["symbol"])


def _split(broker_order_id: str) -> tuple[str, str]:
    parts = parsing.split_order_key(broker_order_id)
    if parts is None:
        raise errors.not_sent(FailureKind.REJECTED, "VALIDATION_INVALID_REQUEST", "not an order id of this adapter")
    return parts


def _as_asked(client_order_id: str, terms: OrderTerms) -> OrderReport:
    return OrderReport(
        client_order_id, "", ReportedStatus.WORKING, terms.symbol, terms.side, Decimal(0), quantity=terms.quantity
    )


class CcxtAdapter:
    """One exchange of ccxt's as a kind of broker."""

    def __init__(self, exchange_id: str) -> None:
        self.name = f"{PREFIX}{exchange_id}"
        self._exchange_id = exchange_id
        self._profile = profile_of(exchange_id)
        self.capabilities: Capabilities = self._profile.capabilities

    def open_session(self, settings: AccountSettings) -> BrokerSession:
        return CcxtSession(self._exchange_id, self._profile, settings)
