"""The Alpaca adapter: a thin client of the official Trading API, version 2.

Source:
    Alpaca Trading API reference and its OpenAPI description (docs.alpaca.markets).
"""

import json
import re
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote

from yarl import URL

from brokers.adapters.alpaca import parsing
from brokers.adapters.alpaca.errors import Operation, is_absent_order, not_sent, wrong_order
from brokers.adapters.alpaca.stream import stream_trade_updates
from brokers.adapters.alpaca.transport import (
    CORRELATION_HEADER,
    REPLY_LIMIT_BYTES,
    AlpacaTransport,
    Reply,
    is_header_value,
    read_url,
)
from brokers.adapters.interface import AccountSettings, BrokerAdapter, BrokerSession
from brokers.core.capabilities import Capabilities
from brokers.core.clocks import proven_offset
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
    StreamEvent,
)
from reliability.core.taxonomy import FailureKind

ORDERS_PAGE_SIZE = 500
FILLS_PAGE_SIZE = 100
INSTRUMENTS_LIMIT_BYTES = 64 * 1024 * 1024
_BROKER_ORDER_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_CLIENT_ORDER_ID_MAX = 128
_ASSET_CLASSES = ("us_equity", "crypto")
_JSON_BODY = {"Content-Type": "application/json"}
_dump = json.JSONEncoder(separators=(",", ":")).encode

Parsed = TypeVar("Parsed")


class AlpacaSession:
    """One account at Alpaca; see ``BrokerSession`` for what each method promises."""

    def __init__(self, settings: AccountSettings) -> None:
        base = read_url(settings, settings.base_url, "http", "https")
        self._settings = settings
        self._stream_url = read_url(settings, settings.stream_url, "ws", "wss")
        self._base = str(base)
        self._orders_url = URL(f"{base}/v2/orders", encoded=True)
        self._transport = AlpacaTransport(settings)

    async def submit_order(self, client_order_id: str, terms: OrderTerms, correlation_id: str = "") -> OrderReport:
        body = submission_body(client_order_id, terms)
        headers = _JSON_BODY
        if is_header_value(correlation_id):
            headers = {**_JSON_BODY, CORRELATION_HEADER: correlation_id}
        reply = await self._transport.call(Operation.SUBMIT, "POST", self._orders_url, body=body, headers=headers)
        report = self._parse(Operation.SUBMIT, reply, parsing.parse_order)
        if report.client_order_id != client_order_id:
            raise wrong_order(Operation.SUBMIT, reply.status)
        return report

    async def cancel_order(self, broker_order_id: str) -> None:
        url = self._order_url(broker_order_id)
        reply = await self._transport.call(Operation.CANCEL, "DELETE", url)
        if reply.status == 204:
            return
        if reply.status // 100 == 2:
            reason = parsing.ParseError("a cancel is confirmed by 204 alone")
            raise self._transport.distrust(Operation.CANCEL, reply, reason)
        raise self._transport.refusal(Operation.CANCEL, reply)

    async def replace_order(self, broker_order_id: str, client_order_id: str, terms: OrderTerms) -> OrderReport:
        body = replacement_body(client_order_id, terms)
        url = self._order_url(broker_order_id)
        reply = await self._transport.call(Operation.REPLACE, "PATCH", url, body=body, headers=_JSON_BODY)
        report = self._parse(Operation.REPLACE, reply, parsing.parse_order)
        if report.client_order_id != client_order_id:
            raise wrong_order(Operation.REPLACE, reply.status)
        return report

    async def get_order(self, broker_order_id: str) -> OrderReport:
        url = self._order_url(broker_order_id).update_query(nested="true")  # with the exits that hang on it
        reply = await self._transport.call(Operation.QUERY, "GET", url)
        report = self._parse(Operation.QUERY, reply, parsing.parse_order)
        if report.broker_order_id != broker_order_id:
            raise wrong_order(Operation.QUERY, reply.status)
        return report

    async def find_order(self, client_order_id: str, symbol: str = "") -> OrderReport | None:
        _require_client_order_id(client_order_id)
        url = self._url("/v2/orders:by_client_order_id", client_order_id=client_order_id)
        reply = await self._transport.call(Operation.QUERY, "GET", url)
        if is_absent_order(reply.status, reply.body[:65536].decode(errors="replace")):
            return None
        report = self._parse(Operation.QUERY, reply, parsing.parse_order)
        if report.client_order_id != client_order_id:
            raise wrong_order(Operation.QUERY, reply.status)
        return report

    async def list_open_orders(self) -> list[OrderReport]:
        """Return every open order, paged by order id, which unlike a submission time is never shared."""
        found: dict[str, OrderReport] = {}
        after = ""
        while True:
            known = len(found)
            reply, page = await self._page_open_orders(after)
            found.update((order.broker_order_id, order) for order in page.orders)
            if not page.after:
                return list(found.values())
            if len(found) == known:
                self._refuse_page(reply)
            after = page.after

    async def page_open_orders(self, after: str) -> OrderPage:
        return (await self._page_open_orders(after))[1]

    async def page_fills(self, cursor: str) -> FillPage:
        return (await self._page_fills(cursor, {cursor}))[1]

    async def list_fills(self, cursor: str) -> FillPage:
        """Return the FILL activities after the activity whose id is ``cursor``."""
        fills: list[FillReport] = []
        seen = {cursor}
        while True:
            reply, page = await self._page_fills(cursor, seen)
            fills += page.fills
            cursor = page.cursor
            if page.is_last:
                return FillPage(tuple(fills), cursor)
            if not page.fills:
                self._refuse_page(reply)

    async def list_positions(self) -> list[PositionReport]:
        reply, rows = await self._get_rows("/v2/positions")
        return [self._distrusting(reply, parsing.parse_position, row) for row in rows]

    async def get_account(self) -> AccountReport:
        sent_at = datetime.now(UTC)
        reply = await self._transport.call(Operation.QUERY, "GET", self._url("/v2/account"))
        account = self._parse(Operation.QUERY, reply, parsing.parse_account)
        offset = proven_offset(reply.headers.get("Date", ""), sent_at, datetime.now(UTC))
        return replace(account, clock_offset=offset)

    async def list_cash_movements(self, since: date) -> list[CashReport]:
        """Return the activities of ``CASH_TYPES`` that moved cash, of each day from ``since`` on."""
        query = {"activity_types": ",".join(parsing.CASH_TYPES), "direction": "asc", "page_size": str(FILLS_PAGE_SIZE)}
        query["after"] = f"{since - timedelta(days=1)}T00:00:00Z"
        found: dict[str, CashReport | None] = {}
        while True:
            reply, rows = await self._get_rows("/v2/account/activities", **query)
            known = len(found)
            for row in rows:
                movement = self._distrusting(reply, parsing.parse_cash_movement, row)
                found[self._distrusting(reply, parsing.activity_id, row)] = movement
            if len(rows) < FILLS_PAGE_SIZE:
                return [one for one in found.values() if one is not None and one.day >= since]
            if len(found) == known:
                self._refuse_page(reply)
            query["page_token"] = rows[-1]["id"]

    async def list_instruments(self) -> list[InstrumentReport]:
        """Return the active assets of both classes; without a class Alpaca lists equities only."""
        found: list[InstrumentReport] = []
        for asset_class in _ASSET_CLASSES:
            url = self._url("/v2/assets", status="active", asset_class=asset_class)
            reply = await self._transport.call(Operation.QUERY, "GET", url, reply_limit=INSTRUMENTS_LIMIT_BYTES)
            found += self._parse(
                Operation.QUERY, reply, lambda rows: parsing.parse_list(rows, parsing.parse_instrument)
            )
        return found

    def stream_orders(self) -> AsyncGenerator[StreamEvent | None, None]:
        return stream_trade_updates(self._transport.http, self._stream_url, self._settings)

    async def close(self) -> None:
        await self._transport.close()

    def _url(self, path: str, **query: str) -> URL:
        text = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
        return URL(f"{self._base}{path}?{text}" if text else f"{self._base}{path}", encoded=True)

    def _order_url(self, broker_order_id: str) -> URL:
        """Return the URL of one order. An empty id would address all orders at once: a cancel of everything."""
        if not _BROKER_ORDER_ID.fullmatch(broker_order_id):
            raise not_sent(FailureKind.REJECTED, "VALIDATION_INVALID_REQUEST", "not an order id of this broker")
        return self._url(f"/v2/orders/{broker_order_id}")

    async def _get_rows(self, path: str, **query: str) -> tuple[Reply, list[Any]]:
        url = self._url(path, **query)
        reply = await self._transport.call(Operation.QUERY, "GET", url, reply_limit=REPLY_LIMIT_BYTES)
        rows: list[Any] = self._parse(Operation.QUERY, reply, lambda rows: parsing.parse_list(rows, parsing.as_object))
        return reply, rows

    async def _page_open_orders(self, after: str) -> tuple[Reply, OrderPage]:
        query = {"status": "open", "direction": "asc", "limit": str(ORDERS_PAGE_SIZE), "nested": "false"}
        if after:
            query["after_order_id"] = after
        reply, rows = await self._get_rows("/v2/orders", **query)
        orders = tuple(self._distrusting(reply, parsing.parse_orders, rows))
        is_last = len(rows) < ORDERS_PAGE_SIZE
        return reply, OrderPage(orders, "" if is_last else self._distrusting(reply, _row_id, rows[-1]))

    async def _page_fills(self, cursor: str, seen: set[str]) -> tuple[Reply, FillPage]:
        """Return the fills of one page that are not in ``seen``, which takes them up."""
        query = {"direction": "asc", "page_size": str(FILLS_PAGE_SIZE), **({"page_token": cursor} if cursor else {})}
        reply, rows = await self._get_rows("/v2/account/activities/FILL", **query)
        fresh = [row for row in rows if self._distrusting(reply, parsing.activity_id, row) not in seen]
        fills = tuple(self._distrusting(reply, parsing.parse_fill, row) for row in fresh)
        seen.update(row["id"] for row in fresh)
        return reply, FillPage(fills, fresh[-1]["id"] if fresh else cursor, len(rows) < FILLS_PAGE_SIZE)

    def _parse(self, operation: Operation, reply: Reply, parse: Callable[[Any], Parsed]) -> Parsed:
        document = self._transport.document(operation, reply)
        try:
            return parse(document)
        except parsing.ParseError as error:
            raise self._transport.distrust(operation, reply, error) from error

    def _distrusting(self, reply: Reply, parse: Callable[[Any], Parsed], value: Any) -> Parsed:
        try:
            return parse(value)
        except parsing.ParseError as error:
            raise self._transport.distrust(Operation.QUERY, reply, error) from error

    def _refuse_page(self, reply: Reply) -> NoReturn:
        reason = parsing.ParseError("a full page brought nothing new, so the list cannot be completed")
        raise self._transport.distrust(Operation.QUERY, reply, reason)


def submission_body(client_order_id: str, terms: OrderTerms) -> bytes:
    """Return the JSON of a new order; raises ``BrokerCallError`` for terms that cannot be written down."""
    _require_client_order_id(client_order_id)
    body: dict[str, str | bool | dict[str, str]] = {
        "symbol": terms.symbol,
        "side": terms.side.value,
        "type": terms.order_type.value,
        "time_in_force": terms.time_in_force.value,
        "client_order_id": client_order_id,
    }
    for name, value in (
        ("qty", terms.quantity),
        ("notional", terms.notional),
        ("limit_price", terms.limit_price),
        ("stop_price", terms.stop_price),
    ):
        if value is not None:
            body[name] = _number(value)
    if terms.extended_hours:
        body["extended_hours"] = True
    if terms.exits is not None:
        body.update(_exits(terms))
    return _dump(body).encode()


def _exits(terms: OrderTerms) -> dict[str, str | dict[str, str]]:
    """Return the exits; the limit order of a one-cancels-other is its take-profit."""
    exits = terms.exits
    assert exits is not None
    body: dict[str, str | dict[str, str]] = {"order_class": exits.order_class.value}
    profit = terms.limit_price if exits.order_class is OrderClass.OCO else exits.take_profit
    if profit is not None:
        body["take_profit"] = {"limit_price": _number(profit)}
    loss = {"stop_price": exits.stop_loss, "limit_price": exits.stop_loss_limit}
    if exits.stop_loss is not None:
        body["stop_loss"] = {name: _number(price) for name, price in loss.items() if price is not None}
    return body


def replacement_body(client_order_id: str, terms: OrderTerms) -> bytes:
    """Return the JSON of a replacement; raises ``BrokerCallError`` for terms that cannot be written down."""
    _require_client_order_id(client_order_id)
    body: dict[str, str] = {"client_order_id": client_order_id, "time_in_force": terms.time_in_force.value}
    for name, value in (("qty", terms.quantity), ("limit_price", terms.limit_price), ("stop_price", terms.stop_price)):
        if value is not None:
            body[name] = _number(value)
    return _dump(body).encode()


def _number(value: Decimal) -> str:
    if not value.is_finite():
        raise not_sent(FailureKind.REJECTED, "VALIDATION_INVALID_ORDER", "a quantity or price is not a number")
    return format(value, "f")


def _require_client_order_id(client_order_id: str) -> None:
    """Refuse what the broker would replace by an id of its own: such an order could not be found again."""
    if not client_order_id or len(client_order_id) > _CLIENT_ORDER_ID_MAX:
        raise not_sent(FailureKind.REJECTED, "VALIDATION_INVALID_ORDER", "a client order id has 1 to 128 characters")


def _row_id(row: Any) -> str:
    identity = row.get("id")
    if not isinstance(identity, str) or not identity:
        raise parsing.ParseError("an order without an id")
    return identity


class _Alpaca:
    name = "alpaca"
    capabilities = Capabilities(
        dedupes_client_order_id=True,
        finds_by_client_order_id=True,
        streams_orders=True,
        lists_fills=True,
        replaces_orders=True,
        exit_classes=frozenset(OrderClass),
        cash_follows_fills=True,
        lists_cash_movements=True,
    )

    def open_session(self, settings: AccountSettings) -> BrokerSession:
        return AlpacaSession(settings)


ALPACA: BrokerAdapter = _Alpaca()
