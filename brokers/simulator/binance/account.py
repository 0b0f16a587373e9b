"""/api/v3 beside the orders: ping, time, symbols, balances and trades."""

import zlib
from decimal import Decimal

from brokers.simulator.binance.dialect import server_time
from brokers.simulator.binance.requests import (
    BinanceRefusalError,
    assets_of,
    instrument_of,
    limit_of,
    offered,
    params_of,
    whole_number,
)
from brokers.simulator.binance.wire import instrument_json, milliseconds, number, order_id, trade_json
from brokers.simulator.gate import Answer, Call
from brokers.simulator.wire import Json

_LIMITS = (("REQUEST_WEIGHT", "MINUTE", 1, 6000), ("ORDERS", "SECOND", 10, 100), ("ORDERS", "DAY", 1, 200_000))


def ping(call: Call) -> Answer:
    return Answer({})


def get_time(call: Call) -> Answer:
    return Answer({"serverTime": server_time()})


def get_exchange_info(call: Call) -> Answer:
    instruments = offered(call.broker.instruments)
    symbol = call.query.get("symbol")
    if symbol:
        instruments = {symbol: instrument_of(call, call.query)}
    limits = [
        {"rateLimitType": kind, "interval": interval, "intervalNum": count, "limit": limit}
        for kind, interval, count, limit in _LIMITS
    ]
    symbols = [instrument_json(instrument) for instrument in instruments.values()]
    info = {"timezone": "UTC", "serverTime": server_time(), "rateLimits": limits, "exchangeFilters": []}
    return Answer({**info, "symbols": symbols})


def get_account(call: Call) -> Answer:
    """Answer the balances: what is traded as its quantity, cash in the asset that the first pair is paid in."""
    broker = call.broker
    latest = broker.venue.book.latest_at
    rates = dict.fromkeys(("maker", "taker", "buyer", "seller"), number(None))
    body: Json = {
        **dict.fromkeys(("makerCommission", "takerCommission", "buyerCommission", "sellerCommission"), 0),
        "commissionRates": rates,
        "canTrade": True,
        "canWithdraw": False,
        "canDeposit": False,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": milliseconds(latest) if latest else 0,
        "accountType": "SPOT",
        "balances": _balances(call),
        "permissions": ["SPOT"],
        "uid": zlib.crc32(broker.account_id.encode()),
    }
    return Answer(body)


def list_trades(call: Call) -> Answer:
    """List trades of one symbol, oldest first: from ``fromId`` or ``startTime`` on, or the newest ones."""
    params = params_of(call)
    symbol, limit = instrument_of(call, params).symbol, limit_of(params)
    first, start, end = (whole_number(params, name) for name in ("fromId", "startTime", "endTime"))
    wanted_order = whole_number(params, "orderId")
    if first is not None and (start is not None or end is not None):
        raise BinanceRefusalError(-1128, "Combination of optional parameters invalid.")
    book = call.broker.venue.book
    found: list[Json] = []
    for position in range(max((first or 1) - 1, 0), len(book.fills)):
        fill = book.fills[position]
        if fill.symbol != symbol or not (start or 0) <= milliseconds(fill.at) <= (end or 2**62):
            continue
        order_number = order_id(book.by_id[fill.order_id])
        if wanted_order in (None, order_number):
            found.append(trade_json(fill, position + 1, order_number))
    from_start = first is not None or start is not None
    return Answer(found[:limit] if from_start else found[-limit:])


def _balances(call: Call) -> list[Json]:
    account = call.broker.venue.book.account
    pairs = [assets_of(instrument) for instrument in offered(call.broker.instruments).values()]
    held: dict[str, tuple[Decimal, Decimal]] = {}
    for base, quote in pairs:
        symbol = f"{base}/{quote}"
        locked = account.held_quantities.get(symbol, Decimal(0))
        free, used = held.get(base, (Decimal(0), Decimal(0)))
        held[base] = free + account.quantity_of(symbol) - locked, used + locked
    if pairs:
        held[pairs[0][1]] = account.cash - account.reserved_cash, account.reserved_cash
    return [{"asset": asset, "free": number(free), "locked": number(locked)} for asset, (free, locked) in held.items()]
