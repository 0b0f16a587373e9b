"""Replacing an order: what may change, what the new order is, and who may still be waiting for the outcome."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from uuid import UUID

from brokers.core.order_reader import OrderInvalidError, OrderReader
from brokers.core.order_requests import check_together
from brokers.core.orders import OrderTerms, TimeInForce


@dataclass(frozen=True, slots=True)
class ReplaceTerms:
    """What is to change; None leaves it as it is.

    ``quantity`` is the new order's own, whatever the old one has filled by then.
    """

    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce | None = None


_FIELDS = tuple(field.name for field in fields(ReplaceTerms))


def parse_replacement(data: object) -> ReplaceTerms:
    """Return the changes in ``data``, the decoded JSON body; amounts are read as in an order.

    Raises:
        OrderInvalidError: names every wrong field; or nothing is to be changed.
    """
    if not isinstance(data, Mapping):
        raise OrderInvalidError({"order": ["must be a JSON object"]})
    reader = OrderReader(data)
    in_force = data.get("time_in_force")
    changes = ReplaceTerms(
        quantity=reader.amount("quantity"),
        limit_price=reader.amount("limit_price"),
        stop_price=reader.amount("stop_price"),
        time_in_force=None if in_force is None else reader.choice("time_in_force", TimeInForce, None),
    )
    for name in data:
        if name not in _FIELDS:
            reader.problem(str(name)[:64], "cannot be replaced")
    if not reader.problems and changes == ReplaceTerms():
        reader.problem("order", "give at least one of " + ", ".join(_FIELDS))
    if reader.problems:
        raise OrderInvalidError(reader.problems)
    return changes


def replaced_terms(old: OrderTerms, filled: Decimal, changes: ReplaceTerms) -> OrderTerms:
    """Return the terms of the order that takes the place of one with ``filled`` of it done.

    Without a quantity of its own it is for what was left.

    Raises:
        OrderInvalidError: the old order was sized by its notional or has nothing left, or the
            changes do not fit its type.
    """
    if old.quantity is None:
        raise OrderInvalidError({"order": ["is sized by its notional, which no broker replaces: cancel it instead"]})
    left = old.quantity - filled
    if changes.quantity is None and left <= 0:
        raise OrderInvalidError({"quantity": ["nothing is left of the order"]})
    given = {name: value for name in _FIELDS if (value := getattr(changes, name)) is not None}
    terms = replace(old, **{"quantity": left, **given})
    reader = OrderReader({})
    check_together(terms, reader)
    if reader.problems:
        raise OrderInvalidError(reader.problems)
    return terms


def replacement_fingerprint(order_id: UUID, changes: ReplaceTerms) -> str:
    """Return a hash that is equal exactly when two requests ask for the same change of the same order."""
    meaning = ["replace", str(order_id), *(_plain(getattr(changes, name)) for name in _FIELDS)]
    return hashlib.sha256(json.dumps(meaning).encode()).hexdigest()


def _plain(value: Decimal | TimeInForce | None) -> str | None:
    return format(value.normalize(), "f") if isinstance(value, Decimal) else value
