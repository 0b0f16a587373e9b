"""/v2/account, /v2/clock, /v2/assets and /v2/positions."""

from datetime import datetime, timedelta

from brokers.simulator.account import Position
from brokers.simulator.gate import Answer, Call
from brokers.simulator.instruments import Instrument
from brokers.simulator.requests import NOT_FOUND, RefusalError, find_instrument
from brokers.simulator.wire import Json, account_json, asset_json, instant, position_json


def get_account(call: Call) -> Answer:
    venue = call.broker.venue
    body = account_json(venue.book.account, call.broker.account_id, venue.prices(), venue.now().date().isoformat())
    return Answer(body | {"shorting_enabled": venue.rules.allow_short})


def get_clock(call: Call) -> Answer:
    """The market of the simulator opens and closes at midnight UTC, that is: it is open all day unless switched off."""
    now = call.broker.venue.now()
    midnight = _next_midnight(now)
    times = {"timestamp": instant(now), "next_open": instant(midnight), "next_close": instant(midnight)}
    return Answer({**times, "is_open": call.broker.venue.is_open})


def list_assets(call: Call) -> Answer:
    asset_class, status = call.query.get("asset_class"), call.query.get("status", "active")
    chosen = [i for i in call.broker.instruments.values() if asset_class in (None, "", i.asset_class)]
    return Answer([asset_json(instrument) for instrument in chosen] if status == "active" else [])


def get_asset(call: Call) -> Answer:
    return Answer(asset_json(_get_instrument(call, "asset not found for ")))


def list_positions(call: Call) -> Answer:
    return Answer([_render(call, position) for position in call.broker.venue.book.account.positions.values()])


def get_position(call: Call) -> Answer:
    instrument = find_instrument(call.path_value("symbol"), call.broker.instruments)
    position = call.broker.venue.book.account.positions.get(instrument.symbol) if instrument else None
    if position is None:
        raise RefusalError(404, NOT_FOUND, "position does not exist")
    return Answer(_render(call, position))


def _next_midnight(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def _render(call: Call, position: Position) -> Json:
    broker, symbol = call.broker, position.symbol
    available = broker.venue.book.account.available_quantity(symbol)
    return position_json(position, broker.instruments[symbol], broker.venue.walks[symbol].price, available)


def _get_instrument(call: Call, message: str) -> Instrument:
    symbol = call.path_value("symbol")
    instrument = find_instrument(symbol, call.broker.instruments)
    if instrument is None:
        raise RefusalError(404, NOT_FOUND, f"{message}{symbol}")
    return instrument
