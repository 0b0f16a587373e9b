"""Reading a caller's order: every field is checked, and every problem is named at once."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from brokers.core.exits import check_exits, read_exits
from brokers.core.order_reader import OrderInvalidError, OrderReader
from brokers.core.orders import OrderTerms, OrderType, Side, TimeInForce
from brokers.core.routing import WhenUnavailable

_FIELDS = frozenset(
    {
        "account",
        "route",
        "when_unavailable",
        "symbol",
        "side",
        "type",
        "time_in_force",
        "quantity",
        "notional",
        "limit_price",
        "stop_price",
        "extended_hours",
        "order_class",
        "take_profit",
        "stop_loss",
    }
)
_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9./_-]{0,31}")
_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_KEY = re.compile(r"[\x21-\x7e]{1,128}")
MAX_ROUTE = 8


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """A checked order: its terms, where it may go, and its fingerprint.

    ``route`` names accounts in the order of preference, at most one where the caller named an
    account, none for the default account.
    """

    route: tuple[str, ...]
    when_unavailable: WhenUnavailable
    terms: OrderTerms
    request_hash: str


def is_usable_symbol(text: str) -> bool:
    """Return whether an order could name this symbol."""
    return _SYMBOL.fullmatch(text) is not None


def is_usable_idempotency_key(key: object) -> bool:
    """Return whether ``key`` is 1 to 128 printable ASCII characters without spaces."""
    return isinstance(key, str) and _KEY.fullmatch(key) is not None


def parse_order_request(data: object) -> OrderRequest:
    """Return the order in ``data``, the decoded JSON body.

    Numbers may be JSON numbers or decimal strings, with at most 15 digits before and 9
    after the point. Exactly one of ``quantity`` and ``notional`` is needed; a limit or
    stop price must be there when, and only when, the type uses it.

    Raises:
        OrderInvalidError: names every wrong field.
    """
    if not isinstance(data, Mapping):
        raise OrderInvalidError({"order": ["must be a JSON object"]})
    reader = OrderReader(data)
    terms = OrderTerms(
        symbol=reader.pattern("symbol", _SYMBOL, "1 to 32 capital letters, digits and . / _ -"),
        side=reader.choice("side", Side, None),
        order_type=reader.choice("type", OrderType, OrderType.MARKET),
        time_in_force=reader.choice("time_in_force", TimeInForce, TimeInForce.DAY),
        quantity=reader.amount("quantity"),
        notional=reader.amount("notional"),
        limit_price=reader.amount("limit_price"),
        stop_price=reader.amount("stop_price"),
        extended_hours=reader.flag("extended_hours"),
        exits=read_exits(reader, data),
    )
    route = _read_route(reader, data)
    when_unavailable = reader.choice("when_unavailable", WhenUnavailable, WhenUnavailable.HOLD)
    for name in data:
        if name not in _FIELDS:
            reader.problem(str(name)[:64], "is not a field of an order")
    check_together(terms, reader)
    if not reader.problems:
        check_exits(terms, reader)
    if reader.problems:
        raise OrderInvalidError(reader.problems)
    return OrderRequest(route, when_unavailable, terms, _fingerprint(route, when_unavailable, terms))


def _read_route(reader: OrderReader, data: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the accounts that may take the order; none stands for the default account."""
    route = data.get("route")
    if route is None:
        if data.get("account") in (None, ""):
            return ()
        return (reader.pattern("account", _ACCOUNT, "the name of an account"),)
    if data.get("account") not in (None, ""):
        reader.problem("route", "give either account or route")
    names = route if isinstance(route, list) else []
    if not 1 <= len(names) <= MAX_ROUTE or not all(
        isinstance(name, str) and _ACCOUNT.fullmatch(name) for name in names
    ):
        reader.problem("route", f"must be a list of 1 to {MAX_ROUTE} names of accounts")
        return ()
    if len(set(names)) != len(names):
        reader.problem("route", "must not name an account twice")
    return tuple(names)


def check_together(terms: OrderTerms, reader: OrderReader) -> None:
    """Note what of the terms does not fit together; fields that have a problem already are left alone."""
    if {"quantity", "notional"} & reader.problems.keys():
        return
    if (terms.quantity is None) == (terms.notional is None):
        reader.problem("quantity", "give either quantity or notional")
    if terms.notional is not None and terms.order_type is not OrderType.MARKET:
        reader.problem("notional", "is for market orders only")
    if "type" in reader.problems:
        return
    for name, value, types in (
        ("limit_price", terms.limit_price, {OrderType.LIMIT, OrderType.STOP_LIMIT}),
        ("stop_price", terms.stop_price, {OrderType.STOP, OrderType.STOP_LIMIT}),
    ):
        if name in reader.problems:
            continue
        if terms.order_type in types and value is None:
            reader.problem(name, f"is needed for a {terms.order_type} order")
        if terms.order_type not in types and value is not None:
            reader.problem(name, f"is not for a {terms.order_type} order")


def _fingerprint(route: tuple[str, ...], when_unavailable: WhenUnavailable, terms: OrderTerms) -> str:
    """Return a hash that is equal exactly when two requests mean the same: 1 and 1.0 are one quantity."""

    def plain(value: Decimal | None) -> str | None:
        return None if value is None else format(value.normalize(), "f")

    meaning: list[object] = [
        "".join(route) if len(route) < 2 else list(route),
        terms.symbol,
        terms.side,
        terms.order_type,
        terms.time_in_force,
        plain(terms.quantity),
        plain(terms.notional),
        plain(terms.limit_price),
        plain(terms.stop_price),
        terms.extended_hours,
    ]
    if when_unavailable is not WhenUnavailable.HOLD:
        meaning.append(when_unavailable)
    if terms.exits is not None:
        exits = terms.exits
        meaning.append([exits.order_class, *map(plain, (exits.take_profit, exits.stop_loss, exits.stop_loss_limit))])
    return hashlib.sha256(json.dumps(meaning).encode()).hexdigest()
