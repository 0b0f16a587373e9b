"""What the gateway answers to each request it knows: a request's fields in, frames out."""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from brokers.simulator import entry
from brokers.simulator.faults import FaultKind, Operation
from brokers.simulator.ib import wire
from brokers.simulator.ib.gateway import Client, Gateway, Group
from brokers.simulator.ib.wire import Binding, Fields
from brokers.simulator.orders import Order
from brokers.simulator.requests import RefusalError, parse_order

PLACE_ORDER, CANCEL_ORDER = 3, 4
SUMMARY_LIMIT_TEXT = "Max number of requests has been reached"
TYPES = {text: item for item, text in wire.TYPES.items()}
# Where placeOrder keeps what a plain order consists of; see the layout in ib_async's client.
_CONTRACT = slice(2, 14)
_ACTION, _QUANTITY, _TYPE, _LIMIT, _AUXILIARY, _TIF = range(16, 22)
_ORDER_REF, _TRANSMIT, _PARENT, _OUTSIDE_HOURS, _WHAT_IF, _CONDITIONS, _CASH_QUANTITY = 26, 27, 28, 33, 84, 89, 100

_EXIT_FAULTS = frozenset({FaultKind.IB_EXIT_REFUSED})

Answer = Callable[[Gateway, Client, Fields, int], Iterable[bytes]]


class ApiError(Exception):
    """The gateway answers a request with an error code."""

    def __init__(self, request_id: int, code: int, text: str) -> None:
        super().__init__(request_id, code, text)
        self.request_id = request_id
        self.code = code
        self.text = text


def place_order(gateway: Gateway, client: Client, fields: Fields, request_id: int) -> Iterable[bytes]:
    """Take a new order, or keep it until the last exit of its group is there and transmits them all.

    One that the venue refuses ends as Inactive, with error 201.
    """
    binding = Binding(client.client_id, int(fields[1]))
    if binding in gateway.orders or binding.order_id < gateway.next_order_id(client.client_id):
        raise ApiError(binding.order_id, 103, "Duplicate order id")
    symbol = _symbol_of(gateway, fields[_CONTRACT])
    if symbol is None:
        raise ApiError(binding.order_id, 200, "No security definition has been found for the request")
    if fields[_WHAT_IF] == "1" or fields[_CONDITIONS] != "0" or fields[_TYPE] not in TYPES:
        raise ApiError(binding.order_id, 321, "Error validating request: only plain orders are simulated")
    entry_binding = Binding(client.client_id, int(fields[_PARENT] or 0))
    if entry_binding.order_id and entry_binding not in gateway.untransmitted:
        raise ApiError(binding.order_id, 135, "Can't find order with ID = " + fields[_PARENT])
    group = [*gateway.untransmitted.pop(entry_binding, []), (binding, fields)]
    if fields[_TRANSMIT] != "1":
        gateway.untransmitted[group[0][0]] = group
        return
    yield from _place_group(gateway, client, group, symbol, request_id)


def _place_group(gateway: Gateway, client: Client, group: Group, symbol: str, request_id: int) -> Iterable[bytes]:
    """Take an order with the exits that hang on it: all of them, or none, unless a fault refuses the last one."""
    (binding, fields), exits = group[0], group[1:]
    faulty = exits and gateway.broker.faults.strike(_EXIT_FAULTS, Operation.SUBMIT)
    refused = [exits.pop()[0]] if faulty else []
    closed = gateway.broker.faults.find_active(FaultKind.MARKET_CLOSED)
    with gateway.answering(client, placing=binding):
        try:
            body = _terms(fields, symbol) | _exits([one for _, one in exits])
            terms = parse_order(json.dumps(body).encode(), gateway.broker.instruments)
            terms = replace(terms, **_names([one for _, one in exits]))
            if closed is not None and closed.parameters.get("mode") == "refuse":
                raise RefusalError(403, None, "Exchange is closed")
            order = entry.submit_order(gateway.broker.venue, terms, request_id)
        except RefusalError as refusal:
            _record_refusal(gateway, Operation.SUBMIT, fields[_ORDER_REF], request_id, refusal)
            for one, _ in group:
                yield wire.error(one.order_id, 201, f"Order rejected - reason:{refusal.message}")
                yield wire.ended_status(one, "Inactive")
            return
        gateway.bind(order, binding)
        legs = gateway.broker.venue.book.legs.get(order.id, [])
        by_name = {leg.client_order_id: leg for leg in legs}
        placed = [order, *(by_name[one[_ORDER_REF]] for _, one in exits)]
        for leg, (leg_binding, _) in zip(placed[1:], exits, strict=True):
            gateway.bind(leg, leg_binding)
    for taken in placed:
        yield from _state(gateway, taken)
    for one in refused:
        yield wire.error(one.order_id, 201, "Order rejected - reason:the exit is not acceptable")
        yield wire.ended_status(one, "Inactive")


def cancel_order(gateway: Gateway, client: Client, fields: Fields, request_id: int) -> Iterable[bytes]:
    """Take a cancel of an order of the same client; nobody else's can be canceled."""
    order_id = int(fields[2])
    order = gateway.orders.get(Binding(client.client_id, order_id))
    if order is None:
        raise ApiError(order_id, 10147, f"OrderId {order_id} that needs to be cancelled is not found.")
    with gateway.answering(client):
        try:
            entry.cancel_order(gateway.broker.venue, order)
        except RefusalError as refusal:
            _record_refusal(gateway, Operation.CANCEL, order.client_order_id, request_id, refusal)
            state = wire.STATUSES[order.status]
            text = f"OrderId {order_id} that needs to be cancelled cannot be cancelled, state: {state}."
            raise ApiError(order_id, 10148, text) from refusal
    yield wire.order_status(order, gateway.binding_of(order))


def open_orders(gateway: Gateway, client: Client, fields: Fields, _: int) -> Iterable[bytes]:
    for orders in list(gateway.broker.venue.book.open_orders.values()):
        for order in list(orders.values()):
            if fields[0] == "16" or gateway.binding_of(order).client_id == client.client_id:
                yield from _state(gateway, order)
    yield wire.frame(53, 1)


def completed_orders(gateway: Gateway, _client: Client, fields: Fields, _: int) -> Iterable[bytes]:
    for order in _of_today(gateway):
        if order.is_final and (fields[1] != "1" or order.id in gateway.bindings):
            yield wire.completed_order(order, gateway.broker.instruments[order.symbol], gateway.account)
    yield wire.frame(102)


def executions(gateway: Gateway, _client: Client, fields: Fields, _: int) -> Iterable[bytes]:
    """Answer the executions of the day that pass the filter; times in it are UTC."""
    number, client_id, account, since, symbol = fields[2:7]
    book = gateway.broker.venue.book
    start = max(gateway.day_start(), _moment(since))
    for fill in book.fills:
        order = book.by_id[fill.order_id]
        binding = gateway.binding_of(order)
        if fill.at < start or account not in ("", gateway.account) or symbol not in ("", fill.symbol):
            continue
        if client_id in ("", "0", str(binding.client_id)):
            instrument = gateway.broker.instruments[fill.symbol]
            yield wire.execution(int(number), fill, order, instrument, binding, gateway.account)
            yield from wire.commission(fill)
    yield wire.frame(55, 1, number)


def positions(gateway: Gateway, _client: Client, _fields: Fields, _: int) -> Iterable[bytes]:
    account = gateway.broker.venue.book.account
    for symbol in list(account.positions):
        yield wire.position(account, symbol, gateway.broker.instruments[symbol], gateway.account)
    yield wire.frame(62, 1)


def account_summary(gateway: Gateway, _client: Client, fields: Fields, _: int) -> Iterable[bytes]:
    number, tags = fields[2], fields[4].split(",")
    values = wire.account_values(gateway.broker.venue.book.account, gateway.broker.venue.prices())
    for tag in tags:
        if tag in values:
            yield wire.frame(63, 1, number, gateway.account, tag, values[tag], wire.CURRENCY)
        elif tag == f"$LEDGER:{wire.CURRENCY}":
            yield wire.frame(63, 1, number, gateway.account, "CashBalance", values["TotalCashValue"], wire.CURRENCY)
    yield wire.frame(64, 1, number)


def account_updates(gateway: Gateway, _client: Client, fields: Fields, _: int) -> Iterable[bytes]:
    if fields[2] != "1":
        return
    values = wire.account_values(gateway.broker.venue.book.account, gateway.broker.venue.prices())
    for tag, value in values.items():
        yield wire.frame(6, 2, tag, value, wire.CURRENCY, gateway.account)
    yield wire.frame(54, 1, gateway.account)


def account_updates_multi(gateway: Gateway, _client: Client, fields: Fields, _: int) -> Iterable[bytes]:
    yield wire.frame(74, 1, fields[2])


def contract_details(gateway: Gateway, _client: Client, fields: Fields, _: int) -> Iterable[bytes]:
    number = int(fields[2])
    symbol = _symbol_of(gateway, fields[3:15])
    if symbol is None:
        raise ApiError(number, 200, "No security definition has been found for the request")
    yield wire.contract_details(number, gateway.broker.instruments[symbol])
    yield wire.frame(52, 1, number)


def current_time(_gateway: Gateway, _client: Client, _fields: Fields, _: int) -> Iterable[bytes]:
    yield wire.frame(49, 1, int(time.time()))


def next_valid_id(gateway: Gateway, client: Client, _fields: Fields, _: int) -> Iterable[bytes]:
    yield wire.frame(9, 1, gateway.next_order_id(client.client_id))


def managed_accounts(gateway: Gateway, _client: Client, _fields: Fields, _: int) -> Iterable[bytes]:
    yield wire.frame(15, 1, gateway.account)


def nothing(_gateway: Gateway, _client: Client, _fields: Fields, _: int) -> Iterable[bytes]:
    """Answer a request that ends or changes a subscription: the gateway says nothing to those."""
    return ()


ANSWERS: dict[int, tuple[Answer, Operation]] = {
    PLACE_ORDER: (place_order, Operation.SUBMIT),
    CANCEL_ORDER: (cancel_order, Operation.CANCEL),
    5: (open_orders, Operation.QUERY),
    6: (account_updates, Operation.ACCOUNT),
    7: (executions, Operation.ACCOUNT),
    8: (next_valid_id, Operation.DATA),
    9: (contract_details, Operation.DATA),
    15: (nothing, Operation.DATA),
    16: (open_orders, Operation.QUERY),
    17: (managed_accounts, Operation.DATA),
    49: (current_time, Operation.DATA),
    61: (positions, Operation.ACCOUNT),
    62: (account_summary, Operation.ACCOUNT),
    63: (nothing, Operation.DATA),
    64: (nothing, Operation.DATA),
    76: (account_updates_multi, Operation.ACCOUNT),
    77: (nothing, Operation.DATA),
    99: (completed_orders, Operation.QUERY),
}


def request_id_of(fields: Fields) -> int:
    """Return the number under which an error answers a request; -1 for requests without one."""
    places = {3: 1, 4: 2, 7: 2, 9: 2, 62: 2, 76: 2}
    place = places.get(int(fields[0]))
    return -1 if place is None else int(fields[place])


def entry_number_of(fields: Fields) -> int:
    """Return the number of the entry whose group a request to place belongs to; 0 for every other request."""
    if fields[0] != str(PLACE_ORDER):
        return 0
    parent = int(fields[_PARENT] or 0)
    return parent or (int(fields[1]) if fields[_TRANSMIT] != "1" else 0)


def client_order_id_of(gateway: Gateway, client: Client, fields: Fields) -> str | None:
    """Return the order reference that a request to place or cancel is about."""
    if fields[0] == str(PLACE_ORDER):
        return fields[_ORDER_REF] or None
    order = gateway.orders.get(Binding(client.client_id, int(fields[2])))
    return order.client_order_id if order else None


def _state(gateway: Gateway, order: Order) -> Iterator[bytes]:
    binding = gateway.binding_of(order)
    yield wire.open_order(order, gateway.broker.instruments[order.symbol], binding, gateway.account)
    yield wire.order_status(order, binding)


def _of_today(gateway: Gateway) -> list[Order]:
    start = gateway.day_start()
    return [order for order in gateway.broker.venue.book.orders if order.updated_at >= start]


def _symbol_of(gateway: Gateway, contract: Fields) -> str | None:
    return gateway.find_by_contract(contract[0], contract[1], contract[2], contract[9])


def _terms(fields: Fields, symbol: str) -> dict[str, object]:
    """Return the order as the shared order entry takes it. An absent price is an empty field or zero."""
    kind = TYPES[fields[_TYPE]]
    cash = fields[_CASH_QUANTITY]
    body: dict[str, object] = {
        "symbol": symbol,
        "side": fields[_ACTION].lower(),
        "type": kind,
        "time_in_force": (fields[_TIF] or "DAY").lower(),
        "client_order_id": fields[_ORDER_REF] or None,
        "extended_hours": fields[_OUTSIDE_HOURS] == "1",
    }
    if cash not in ("", "0", "0.0"):
        body["notional"] = cash
    else:
        body["qty"] = fields[_QUANTITY]
    if "limit" in kind:
        body["limit_price"] = fields[_LIMIT]
    if "stop" in kind:
        body["stop_price"] = fields[_AUXILIARY]
    return body


def _exits(exits: list[Fields]) -> dict[str, object]:
    """Return the exits of an order as the shared order entry takes them: a limit order, a stop order, or both."""
    if not exits:
        return {}
    body: dict[str, object] = {"order_class": "bracket" if len(exits) > 1 else "oto"}
    for one in exits:
        if _is_stop(one):
            limit = {"limit_price": one[_LIMIT]} if "limit" in TYPES[one[_TYPE]] else {}
            body["stop_loss"] = {"stop_price": one[_AUXILIARY], **limit}
        else:
            body["take_profit"] = {"limit_price": one[_LIMIT]}
    return body


def _names(exits: list[Fields]) -> dict[str, Any]:
    return {"stop_loss_name" if _is_stop(one) else "take_profit_name": one[_ORDER_REF] or None for one in exits}


def _is_stop(fields: Fields) -> bool:
    return "stop" in TYPES[fields[_TYPE]]


def _moment(text: str) -> datetime:
    if not text:
        return datetime.min.replace(tzinfo=UTC)
    digits = "".join(character for character in text if character.isdigit())
    return datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC)


def _record_refusal(
    gateway: Gateway, operation: Operation, client_order_id: str, request_id: int, refusal: RefusalError
) -> None:
    gateway.broker.ledger.append(
        {
            "kind": "refused",
            "request_id": request_id,
            "operation": operation,
            "client_order_id": client_order_id,
            "status": refusal.status,
            **refusal.body,
        }
    )
