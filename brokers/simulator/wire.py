"""The simulated broker's state in the words of Alpaca's API."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from brokers.simulator.account import Account, Position
from brokers.simulator.instruments import Instrument
from brokers.simulator.orders import CashActivity, Fill, Order, Status
from brokers.simulator.venue import Event

Json = dict[str, Any]
ACCOUNT_CREATED_AT = "2024-01-02T15:00:00.000000Z"
RATIO_STEP = Decimal("0.000001")


def number(value: Decimal) -> str:
    """Return a decimal without exponent and without trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def optional_number(value: Decimal | None) -> str | None:
    return None if value is None else number(value)


def instant(value: datetime) -> str:
    return value.isoformat(timespec="microseconds").replace("+00:00", "Z")


def money(value: Decimal) -> str:
    return f"{value:.2f}"


def ratio(value: Decimal) -> str:
    return number(value.quantize(RATIO_STEP))


def _ended(order: Order, status: Status) -> str | None:
    return instant(order.ended_at) if order.status is status and order.ended_at else None


def order_json(order: Order, instrument: Instrument, legs: Sequence[Order] = ()) -> Json:
    """Return one order, with its legs where the call tells them."""
    average = order.average_price
    return {
        "id": order.id,
        "client_order_id": order.client_order_id,
        "created_at": instant(order.submitted_at),
        "updated_at": instant(order.updated_at),
        "submitted_at": instant(order.submitted_at),
        "filled_at": _ended(order, Status.FILLED),
        "expired_at": _ended(order, Status.EXPIRED),
        "expires_at": instant(order.expires_at),
        "canceled_at": _ended(order, Status.CANCELED),
        "failed_at": _ended(order, Status.REJECTED),
        "replaced_at": _ended(order, Status.REPLACED),
        "replaced_by": order.replaced_by if order.status is Status.REPLACED else None,
        "replaces": order.replaces,
        "asset_id": instrument.id,
        "symbol": order.symbol,
        "asset_class": instrument.asset_class,
        "notional": optional_number(order.notional),
        "qty": number(order.quantity) if order.notional is None else None,
        "filled_qty": number(order.filled_quantity),
        "filled_avg_price": None if average is None else ratio(average),
        "order_class": order.order_class,
        "order_type": order.type,
        "type": order.type,
        "side": order.side,
        "position_intent": order.position_intent or f"{order.side}_to_{'open' if order.side == 'buy' else 'close'}",
        "time_in_force": order.time_in_force,
        "limit_price": optional_number(order.limit_price),
        "stop_price": optional_number(order.stop_price),
        "status": order.status,
        "extended_hours": order.extended_hours,
        "legs": [order_json(leg, instrument) for leg in legs] or None,
        "trail_percent": None,
        "trail_price": None,
        "hwm": None,
        "ratio_qty": None,
        "source": None,
        "subtag": None,
    }


def event_json(event: Event, instrument: Instrument) -> Json:
    """Return one trade_updates message; the order inside is as it is now."""
    data: Json = {
        "event": event.name,
        "timestamp": instant(event.at),
        "order": order_json(event.order, instrument),
    }
    if event.fill is not None:
        data |= {
            "execution_id": event.fill.execution_id,
            "price": number(event.fill.price),
            "qty": number(event.fill.quantity),
            "position_qty": number(event.fill.position_quantity),
        }
    return {"stream": "trade_updates", "data": data}


def activity_json(fill: Fill) -> Json:
    kind = "partial_fill" if fill.leaves_quantity else "fill"
    return {
        "id": fill.activity_id,
        "activity_type": "FILL",
        "transaction_time": instant(fill.at),
        "type": kind,
        "price": number(fill.price),
        "qty": number(fill.quantity),
        "side": fill.side,
        "symbol": fill.symbol,
        "leaves_qty": number(fill.leaves_quantity),
        "order_id": fill.order_id,
        "cum_qty": number(fill.cumulative_quantity),
        "order_status": "partially_filled" if fill.leaves_quantity else "filled",
    }


def cash_activity_json(activity: CashActivity) -> Json:
    """Return a non-trade activity; as at Alpaca it has a day and no time of day."""
    body = {
        "id": activity.activity_id,
        "activity_type": activity.type,
        "date": activity.at.date().isoformat(),
        "net_amount": number(activity.amount),
        "description": activity.description,
        "status": "executed",
    }
    return body | {"symbol": activity.symbol} if activity.symbol else body


def position_json(position: Position, instrument: Instrument, price: Decimal, available: Decimal) -> Json:
    cost, value = position.cost_basis, position.quantity * price
    profit = value - cost
    share = ratio(profit / abs(cost)) if cost else "0"
    change = ratio(price / instrument.base_price - 1)
    return {
        "asset_id": instrument.id,
        "symbol": position.symbol,
        "exchange": instrument.exchange,
        "asset_class": instrument.asset_class,
        "asset_marginable": not instrument.is_crypto,
        "avg_entry_price": ratio(position.average_entry_price),
        "qty": number(position.quantity),
        "qty_available": number(available),
        "side": "long" if position.quantity > 0 else "short",
        "market_value": ratio(value),
        "cost_basis": ratio(cost),
        "unrealized_pl": ratio(profit),
        "unrealized_plpc": share,
        "unrealized_intraday_pl": ratio(profit),
        "unrealized_intraday_plpc": share,
        "current_price": number(price),
        "lastday_price": number(instrument.base_price),
        "change_today": change,
    }


def account_json(account: Account, account_id: str, prices: dict[str, Decimal], today: str) -> Json:
    long_value, short_value = account.market_values(prices)
    equity, margin = account.cash + long_value + short_value, long_value - short_value
    buying_power = money(account.buying_power(prices))
    fixed = dict.fromkeys(("accrued_fees", "pending_transfer_in", "pending_transfer_out", "intraday_adjustments"), "0")
    return fixed | {
        "id": account_id,
        "account_number": f"SIM{account_id[:8].upper()}",
        "status": "ACTIVE",
        "crypto_status": "ACTIVE",
        "currency": "USD",
        "cash": number(account.cash),
        "equity": number(equity),
        "portfolio_value": number(equity),
        "last_equity": number(equity),
        "long_market_value": number(long_value),
        "short_market_value": number(short_value),
        "position_market_value": number(margin),
        "buying_power": buying_power,
        "regt_buying_power": buying_power,
        "non_marginable_buying_power": buying_power,
        "options_buying_power": buying_power,
        "options_approved_level": 0,
        "options_trading_level": 0,
        "initial_margin": number(margin),
        "maintenance_margin": number(margin),
        "last_maintenance_margin": number(margin),
        "sma": "0",
        "pending_reg_taf_fees": "0",
        "multiplier": number(account.multiplier),
        "shorting_enabled": True,
        "trading_blocked": False,
        "transfers_blocked": False,
        "account_blocked": False,
        "trade_suspended_by_user": False,
        "created_at": ACCOUNT_CREATED_AT,
        "balance_asof": today,
    }


def asset_json(instrument: Instrument) -> Json:
    return {
        "id": instrument.id,
        "class": instrument.asset_class,
        "exchange": instrument.exchange,
        "symbol": instrument.symbol,
        "name": instrument.name,
        "status": "active",
        "tradable": True,
        "marginable": not instrument.is_crypto,
        "maintenance_margin_requirement": 100 if instrument.is_crypto else 30,
        "margin_requirement_long": "100" if instrument.is_crypto else "30",
        "margin_requirement_short": "100" if instrument.is_crypto else "30",
        "shortable": not instrument.is_crypto,
        "easy_to_borrow": not instrument.is_crypto,
        "fractionable": True,
        "min_order_size": "0.000000001",
        "min_trade_increment": "0.000000001",
        "price_increment": number(instrument.price_increment),
        "attributes": [],
    }
