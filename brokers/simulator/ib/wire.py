"""The TWS socket protocol at server version 178: frames, and the messages the gateway sends.

A message is a list of text fields. On the wire each field ends with a NUL byte and the whole has its length
in front, four bytes, big-endian. The first field is the message's number.

Source:
    The layouts are those that the decoder of ib_async 2.1 reads; the meaning of the fields is described in
    "TWS API v9.72+", Interactive Brokers.
"""

import asyncio
import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from brokers.simulator.account import Account
from brokers.simulator.instruments import Instrument
from brokers.simulator.orders import Fill, Order, OrderType, Side, Status, TimeInForce

Fields = list[str]
SERVER_VERSION = 178
LONGEST_MESSAGE = 1 << 20
PERM_ID_BASE = 1_500_000_000
UNPLACED_BASE = 1_400_000_000
SHORTEST_ROW = 5
CONTRACT_IDS = 2_000_000_000
CURRENCY = "USD"

TYPES = {OrderType.MARKET: "MKT", OrderType.LIMIT: "LMT", OrderType.STOP: "STP", OrderType.STOP_LIMIT: "STP LMT"}
TIMES_IN_FORCE = {item: item.value.upper() for item in TimeInForce}
STATUSES = {
    Status.ACCEPTED: "PreSubmitted",
    Status.HELD: "PreSubmitted",
    Status.PENDING_NEW: "PendingSubmit",
    Status.NEW: "Submitted",
    Status.PARTIALLY_FILLED: "Submitted",
    Status.PENDING_CANCEL: "PendingCancel",
    Status.PENDING_REPLACE: "Submitted",
    Status.FILLED: "Filled",
    Status.CANCELED: "Cancelled",
    Status.EXPIRED: "Cancelled",
    Status.REPLACED: "Cancelled",
    Status.REJECTED: "Inactive",
}


@dataclass(frozen=True, slots=True)
class Binding:
    """Which API client placed an order, and under which number of its own; both 0 for an order placed elsewhere."""

    client_id: int = 0
    order_id: int = 0


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """Return the next message without its length; raises ``asyncio.IncompleteReadError`` at the end of the stream."""
    (length,) = struct.unpack(">I", await reader.readexactly(4))
    if length > LONGEST_MESSAGE:
        raise ValueError(f"a message of {length} bytes")
    return await reader.readexactly(length)


def split(frame: bytes) -> Fields:
    return frame.decode(errors="replace").split("\0")[:-1]


def frame(*fields: object) -> bytes:
    body = "".join(f"{field}\0" for field in fields).encode()
    return struct.pack(">I", len(body)) + body


def instant(at: datetime) -> str:
    """Return a moment as the gateway writes it: to the second, with the name of the time zone."""
    return f"{at.astimezone(UTC):%Y%m%d %H:%M:%S} UTC"


def perm_id(order: Order) -> int:
    """Return the account-wide number of an order; it is the same after a restart."""
    return PERM_ID_BASE + order.sequence


def contract_id(instrument: Instrument) -> int:
    return int(instrument.id[:8], 16) % CONTRACT_IDS + 1


def execution_id(fill: Fill) -> str:
    """Return the id of an execution in four parts; a correction would differ in the last one only."""
    digits = fill.execution_id.replace("-", "")
    return f"{digits[:8]}.{digits[8:16]}.01.01"


def number(value: Decimal | None) -> str:
    return "" if value is None else f"{value:f}"


def contract_fields(instrument: Instrument) -> Fields:
    """Return the fields from the contract id to the trading class, without exchange."""
    symbol, _, currency = instrument.symbol.partition("/")
    symbol = symbol.replace(".", " ")
    kind = "CRYPTO" if instrument.is_crypto else "STK"
    return [str(contract_id(instrument)), symbol, kind, "", "0", "", "", currency or CURRENCY]


def _contract(instrument: Instrument, exchange: str | None = None) -> Fields:
    *head, currency = contract_fields(instrument)
    local = instrument.symbol.replace("/", ".") if instrument.is_crypto else head[1]
    route = exchange or ("PAXOS" if instrument.is_crypto else "SMART")
    return [*head, route, currency, local, local]


def error(request_id: int, code: int, text: str) -> bytes:
    return frame(4, 2, request_id, code, text, "")


def order_status(order: Order, binding: Binding, status: str | None = None) -> bytes:
    last = order.average_price or Decimal(0)
    return frame(
        3,
        binding.order_id,
        status or STATUSES[order.status],
        number(order.filled_quantity),
        number(order.leaves_quantity),
        number(order.average_price or Decimal(0)),
        perm_id(order),
        0,
        number(last),
        binding.client_id,
        "",
        0,
    )


def ended_status(binding: Binding, status: str) -> bytes:
    """Return the last status of an order that never reached the venue."""
    return frame(3, binding.order_id, status, 0, 0, 0, UNPLACED_BASE + binding.order_id, 0, 0, binding.client_id, "", 0)


def damaged(message: bytes, mode: str) -> bytes:
    """Return a row of an answer as a ``wrong_data`` fault leaves it; short messages, which end lists, stay whole."""
    fields = split(message[4:])
    if len(fields) < SHORTEST_ROW:
        return message
    if mode == "other_order":
        return frame(*("other-order" if field.startswith("st-") else field for field in fields))
    if mode == "missing_fields":
        return frame(*fields[: len(fields) // 2])
    return frame(fields[0], *("?" if field.isdigit() else field for field in fields[1:]))


def _order_head(order: Order) -> Fields:
    return [
        "BUY" if order.side is Side.BUY else "SELL",
        number(order.quantity if order.notional is None else Decimal(0)),
        TYPES[order.type],
        number(order.limit_price or Decimal(0)),
        number(order.stop_price or Decimal(0)),
        TIMES_IN_FORCE[order.time_in_force],
        "",
    ]


def open_order(order: Order, instrument: Instrument, binding: Binding, account: str) -> bytes:
    """Return an openOrder message; see the decoder named above for the order of its fields."""
    return frame(
        5,
        binding.order_id,
        *_contract(instrument),
        *_order_head(order),
        account,
        "",
        0,
        order.client_order_id,
        binding.client_id,
        perm_id(order),
        int(order.extended_hours),
        *("0", "0", "", "", "", "", ""),
        *("", "", "", "", "", "0", "", "-1", "0", "", "", "", "", "", "0", "0", "0", "0", "", "3", "0", "0", "", "0"),
        *("0", "", "0", "", ""),  # trigger method, volatility, delta neutral
        *("0", "0", "", "", "", "", ""),  # reference price, trailing, basis points
        *("0", "0", "0"),  # combination legs
        *("", "", "", ""),  # scale, hedge
        *("0", "", "IB", "0", "0", ""),  # clearing, delta neutral contract, algorithm
        *("0", "0", STATUSES[order.status]),
        *[""] * 14,  # margins, commissions, warning
        *("0", "0", "0"),  # randomize, conditions
        *("", "", "", "", "", "", "", "0", "", "", "", number(order.notional), "0", "0", "0", ""),
        *("", "", "0"),  # duration, post to ATS, cancel with parent
        *[""] * 5,
    )


def completed_order(order: Order, instrument: Instrument, account: str) -> bytes:
    """Return a completedOrder message. It has no API order number, and 0 for the quantity asked for."""
    status = STATUSES[order.status]
    reason = {"Filled": "Filled Size: " + number(order.filled_quantity), "Inactive": "Rejected"}.get(
        status, "Cancelled"
    )
    if order.status is Status.EXPIRED:
        reason = "Expired"
    head = _order_head(order)
    head[1] = "0"
    return frame(
        101,
        *_contract(instrument),
        *head,
        account,
        "",
        0,
        order.client_order_id,
        perm_id(order),
        int(order.extended_hours),
        *("0", "0", "", "", "", ""),
        *("", "", "", "", "", "0", "", "-1", "", "", "", "", "", "0", "0", "0", "", "3", "0", "", "0", "", ""),
        *("0", "0", "", "", ""),  # reference price, trailing
        *("0", "0", "0"),
        *("", "", "", ""),
        *("", "IB", "0", "0", ""),
        *("0", status, "0", "0", "0"),
        *("", "", number(order.notional), "0", "0", "", number(order.filled_quantity), "0", "0", "", "0", "0", "0"),
        instant(order.ended_at or order.updated_at),
        reason,
        *[""] * 5,
    )


def execution(
    request_id: int, fill: Fill, order: Order, instrument: Instrument, binding: Binding, account: str
) -> bytes:
    return frame(
        11,
        request_id,
        binding.order_id,
        *_contract(instrument, instrument.exchange),
        execution_id(fill),
        instant(fill.at),
        account,
        instrument.exchange,
        "BOT" if fill.side is Side.BUY else "SLD",
        number(fill.quantity),
        number(fill.price),
        perm_id(order),
        binding.client_id,
        0,
        number(fill.cumulative_quantity),
        number(order.average_price),
        fill.client_order_id,
        "",
        "",
        "",
        1,
        0,
    )


def commission(fill: Fill) -> list[bytes]:
    """Return the message on what an execution cost, none where it is not told."""
    if not fill.tells_fee:
        return []
    return [frame(59, 1, execution_id(fill), number(fill.fee), fill.fee_asset or CURRENCY, "", "", "")]


def contract_details(request_id: int, instrument: Instrument) -> bytes:
    identity, symbol, kind, _, strike, right, multiplier, currency = contract_fields(instrument)
    local = _contract(instrument)[-1]
    return frame(
        10,
        request_id,
        symbol,
        kind,
        "",
        strike,
        right,
        "PAXOS" if instrument.is_crypto else "SMART",
        currency,
        local,
        local,
        local,
        identity,
        number(instrument.price_increment),
        multiplier,
        "LMT,MKT,STP,STPLMT",
        "SMART," + instrument.exchange,
        1,
        0,
        instrument.name,
        instrument.exchange,
        *("", "", "", "", "UTC", "", "", "", "0", "0"),
        *("1", "", "", "26", "", "COMMON"),
        *("0.0001", "0.0001", "100"),
    )


def position(account: Account, symbol: str, instrument: Instrument, name: str) -> bytes:
    held = account.positions[symbol]
    return frame(
        61,
        3,
        name,
        *_contract(instrument, instrument.exchange),
        number(held.quantity),
        number(held.average_entry_price),
    )


def account_values(account: Account, prices: dict[str, Decimal]) -> dict[str, str]:
    """Return the values of an account summary by tag, in the account's currency."""
    long_value, short_value = account.market_values(prices)
    return {
        "NetLiquidation": number(account.cash + long_value + short_value),
        "TotalCashValue": number(account.cash),
        "BuyingPower": number(account.buying_power(prices)),
        "GrossPositionValue": number(long_value - short_value),
    }
