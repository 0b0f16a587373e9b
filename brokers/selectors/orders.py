"""Reading orders, their history and their fills."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.contrib.auth import get_user_model
from django.db.models import Case, Count, Min, Q, When
from django.utils import timezone

from brokers.core.exits import make_exits
from brokers.core.orders import FINAL_STATES, Exits, OrderState
from brokers.models import Account, Fill, Order, OrderEvent, Position
from brokers.selectors.accounts import list_known

# Written as the condition of the index of open orders is, so that PostgreSQL uses it.
IN_FLIGHT = Q(finished_at=None)


def list_orders(
    *,
    account: str = "",
    symbol: str = "",
    states: tuple[str, ...] = (),
    is_open: bool | None = None,
    before: UUID | None = None,
    limit: int = 100,
    within: Collection[int] | None = None,
) -> list[Order]:
    """Return orders, newest first; ``before`` goes on after the last one of a page.

    ``within`` are the ids of the accounts that may be seen, None for all.
    """
    orders = Order.objects.select_related("account").order_by("-id")
    if account:
        orders = orders.filter(account__name=account)
    if within is not None:
        orders = orders.filter(account__in=within)
    if symbol:
        orders = orders.filter(symbol=symbol)
    if states:
        orders = orders.filter(state__in=states)
    if is_open is not None:
        orders = orders.filter(finished_at__isnull=is_open)
    if before is not None:
        orders = orders.filter(pk__lt=before)
    return list(orders[:limit])


def hangs_together(order: Order) -> list[tuple[UUID, str]]:
    """Return the orders that an order brought along or belongs to, each with what it is."""
    if order.entry_id is not None:
        return [(order.entry_id, "The order it is an exit of")]
    if not order.order_class:
        return []
    exits = Order.objects.filter(entry=order.pk).order_by("id").values_list("pk", "exit_role")
    return [(pk, f"Its exit: {role.replace('_', ' ')}") for pk, role in exits]


def find_order(order_id: UUID, *, within: Collection[int] | None = None) -> Order | None:
    """Return an order, or None if there is none, or none on the accounts ``within`` (ids; None: all)."""
    orders = Order.objects.select_related("account").filter(pk=order_id)
    return (orders if within is None else orders.filter(account__in=within)).first()


def order_summary(order: Order) -> dict[str, Any]:
    """Return one order as plain data: decimals as strings, instants as they are."""
    (summary,) = order_summaries([order])
    return summary


def order_summaries(orders: Sequence[Order]) -> list[dict[str, Any]]:
    """Return orders as ``order_summary`` does, their replacements read at once."""
    found: dict[UUID, Order] = {}
    never = Q(state__in=(OrderState.REFUSED, OrderState.REJECTED)) | Q(state=OrderState.CANCELED, sent_at=None)
    for one in Order.objects.filter(replaces__in=[order.pk for order in orders]).exclude(never).order_by("id"):
        if one.replaces_id is not None:
            found[one.replaces_id] = one
    exits: dict[UUID, list[str]] = defaultdict(list)
    entries = [order.pk for order in orders if order.order_class]
    if entries:
        for pk, entry in Order.objects.filter(entry__in=entries).order_by("id").values_list("pk", "entry_id"):
            exits[entry].append(str(pk))
    return [_summary(order, found.get(order.pk), exits.get(order.pk, [])) for order in orders]


def exits_body(exits: Exits | None) -> dict[str, Any]:
    """Return the exits of an order as a caller gave them."""
    if exits is None:
        return {"order_class": None, "take_profit": None, "stop_loss": None}
    loss = {"stop_price": plain(exits.stop_loss), "limit_price": plain(exits.stop_loss_limit)}
    return {
        "order_class": exits.order_class.value,
        "take_profit": None if exits.take_profit is None else {"limit_price": plain(exits.take_profit)},
        "stop_loss": None if exits.stop_loss is None else {k: v for k, v in loss.items() if v is not None},
    }


def _summary(order: Order, replacement: Order | None, exits: list[str]) -> dict[str, Any]:
    average = order.filled_notional / order.filled_quantity if order.filled_quantity else None
    return {
        "id": str(order.pk),
        "client_order_id": order.client_order_id,
        "broker_order_id": order.broker_order_id or None,
        "idempotency_key": order.idempotency_key,
        "correlation_id": order.correlation_id,
        "account": order.account.name,
        "symbol": order.symbol,
        "side": order.side,
        "type": order.order_type,
        "time_in_force": order.time_in_force,
        "quantity": plain(order.quantity),
        "notional": plain(order.notional),
        "limit_price": plain(order.limit_price),
        "stop_price": plain(order.stop_price),
        "extended_hours": order.extended_hours,
        **exits_body(
            make_exits(order.order_class, order.take_profit_price, order.stop_loss_price, order.stop_loss_limit_price)
        ),
        "exits": exits,
        "entry": str(order.entry_id) if order.entry_id else None,
        "exit_role": order.exit_role or None,
        "state": order.state,
        "version": order.version,
        "final": OrderState(order.state) in FINAL_STATES,
        "filled_quantity": plain(order.filled_quantity),
        "reported_filled_quantity": plain(order.reported_filled_quantity),
        "average_price": plain(average),
        "overfilled": order.quantity is not None and order.filled_quantity > order.quantity,
        "cancel_requested_at": order.cancel_requested_at,
        "replaces": str(order.replaces_id) if order.replaces_id else None,
        "replaced_by": str(replacement.pk) if replacement else None,
        "replace_pending": bool(replacement and order.finished_at is None and replacement.finished_at is None),
        "error_code": order.error_code or None,
        "error_message": order.error_message or None,
        "accepted_at": order.accepted_at,
        "sent_at": order.sent_at,
        "acknowledged_at": order.acknowledged_at,
        "finished_at": order.finished_at,
    }


def plain(value: Any) -> str | None:
    """Return a decimal without needless zeros, as text."""
    if value is None:
        return None
    text = format(round(value, 12).normalize(), "f")
    return "0" if text == "-0" else text


def list_events(order_id: UUID) -> list[dict[str, Any]]:
    """Return the history of an order, oldest first."""
    fields = ("sequence", "kind", "from_state", "to_state", "source", "actor", "evidence", "broker_at", "recorded_at")
    return list(OrderEvent.objects.filter(order_id=order_id).order_by("sequence").values(*fields))


def list_fills(order_id: UUID) -> list[dict[str, Any]]:
    """Return the executions of an order, oldest first."""
    rows = Fill.objects.filter(order_id=order_id).order_by("id")
    return [
        {
            "execution_id": row.execution_id,
            "quantity": plain(row.quantity),
            "price": plain(row.price),
            "cumulative_quantity": plain(row.cumulative_quantity),
            "source": row.source,
            "executed_at": row.executed_at,
            "recorded_at": row.recorded_at,
        }
        for row in rows
    ]


def list_positions(account: str = "", *, within: Collection[int] | None = None) -> list[dict[str, Any]]:
    """Return what each account holds, and how old that knowledge is: ``stale`` when it may have changed unseen.

    ``within`` are the ids of the accounts that may be seen, None for all.
    """
    known, now = list_known(), timezone.now()
    rows = Position.objects.select_related("account").order_by("account__name", "symbol")
    if account:
        rows = rows.filter(account__name=account)
    if within is not None:
        rows = rows.filter(account__in=within)
    return [
        {
            "account": row.account.name,
            "symbol": row.symbol,
            "quantity": plain(row.quantity),
            "average_price": plain(row.average_price),
            "realized_profit": plain(row.realized_profit),
            "changed_at": row.changed_at,
            **known[row.account_id].freshness(now),
        }
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class InFlight:
    """How many orders are not final, how many of them nobody knows the outcome of, and since when."""

    orders: int
    oldest_at: datetime | None
    unknown: int
    oldest_unknown_at: datetime | None


_IS_UNKNOWN = Q(state=OrderState.UNKNOWN)


def count_in_flight() -> InFlight:
    """Return the orders in flight of all accounts, read from the index of open orders."""
    found = Order.objects.filter(IN_FLIGHT).aggregate(
        orders=Count("pk"),
        oldest_at=Min("accepted_at"),
        unknown=Count("pk", filter=_IS_UNKNOWN),
        oldest_unknown_at=Min("accepted_at", filter=_IS_UNKNOWN),
    )
    return InFlight(**found)


def count_open_by_state() -> dict[tuple[int, str], int]:
    """Return how many orders each account has in each state that is not final."""
    counts = Order.objects.filter(IN_FLIGHT).values_list("account_id", "state").annotate(Count("pk")).order_by()
    return {(account, state): number for account, state, number in counts}


def oldest_unknown() -> dict[int, datetime]:
    """Return when the oldest order with an unknown outcome was accepted, for accounts that have one."""
    found = (
        Order.objects.filter(IN_FLIGHT & _IS_UNKNOWN).values_list("account_id").annotate(Min("accepted_at")).order_by()
    )
    return dict(found)


def list_in_flight(limit: int) -> list[Order]:
    """Return orders that are not final: unknown ones first, then the newest."""
    worst_first = Case(When(_IS_UNKNOWN, then=0), default=1)
    return list(Order.objects.select_related("account").filter(IN_FLIGHT).order_by(worst_first, "-id")[:limit])


def list_finished(limit: int) -> list[Order]:
    """Return the newest orders that are final."""
    return list(Order.objects.select_related("account").exclude(IN_FLIGHT).order_by("-id")[:limit])


def matching_orders(text: str) -> Q:
    """Return the condition for orders that ``text`` is an id of, such that indexes answer it."""
    with suppress(ValueError):
        return Q(pk=UUID(text))
    accounts = list(Account.objects.values_list("pk", flat=True))
    owners = list(get_user_model().objects.values_list("pk", flat=True))
    return (
        Q(account__in=accounts, client_order_id=text)
        | (Q(account__in=accounts, broker_order_id=text) & ~Q(broker_order_id=""))
        | Q(owner__in=owners, idempotency_key=text)
    )
