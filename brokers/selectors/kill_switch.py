"""Reading kill switches: what is stopped now, and how far each has got."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from brokers.core.halts import Halt
from brokers.core.orders import OrderState
from brokers.models import Account, Broker, KillSwitch, KillSwitchEvent, Order, OrderEvent

STOPPED_BY = "kill_switch"  # the source of what a kill switch does to an order

# The accounts that take no order now, as an array to compare with inside a statement: it is worked
# out once a statement, in the statement's own snapshot.
HALTED_ACCOUNTS = """ARRAY(
    SELECT a.id FROM brokers_killswitch k JOIN brokers_account a
    ON a.id = k.account_id OR a.broker_id = k.broker_id OR (k.account_id IS NULL AND k.broker_id IS NULL)
    WHERE k.released_at IS NULL)"""


def list_halts() -> list[Halt]:
    """Return the kill switches in force."""
    rows = KillSwitch.objects.select_related("account").filter(released_at=None).order_by("id")
    return [Halt(row.pk, row.scope, row.reason, row.engaged_by, row.engaged_at) for row in rows]


def accounts_stopped_by(switch: KillSwitch) -> QuerySet[Account]:
    if switch.account_id:
        return Account.objects.filter(pk=switch.account_id)
    return Account.objects.filter(broker=switch.broker_id) if switch.broker_id else Account.objects.all()


def open_orders(switch: KillSwitch) -> QuerySet[Order]:
    """Return the orders in its scope that are not final."""
    accounts = list(accounts_stopped_by(switch).values_list("pk", flat=True))
    return Order.objects.filter(account__in=accounts, finished_at=None)


@dataclass(frozen=True, slots=True)
class StopProgress:
    """How far a kill switch has got: orders in its scope that are not final, and those it has done with.

    ``open`` is all of them: ``unsent``, ``cancel_pending``, and those not asked to be canceled yet;
    ``unknown`` of them have an unknown outcome. ``done`` are orders it stopped that are final.
    """

    open: int
    unsent: int
    cancel_pending: int
    unknown: int
    done: int


def read_progress(switch: KillSwitch) -> StopProgress:
    stopped = OrderEvent.objects.filter(order=OuterRef("pk"), source=STOPPED_BY, recorded_at__gte=switch.engaged_at)
    counts = (
        open_orders(switch)
        .annotate(is_stopped=Exists(stopped))
        .aggregate(
            open=Count("pk"),
            unsent=Count("pk", filter=Q(state=OrderState.ACCEPTED)),
            cancel_pending=Count("pk", filter=Q(cancel_requested_at__isnull=False)),
            unknown=Count("pk", filter=Q(state=OrderState.UNKNOWN)),
            waiting=Count("pk", filter=Q(is_stopped=True)),
        )
    )
    waiting = counts.pop("waiting")
    return StopProgress(**counts, done=max(0, switch.orders_stopped - waiting))


def list_switches(*, in_force: bool | None = None, limit: int = 50) -> list[KillSwitch]:
    """Return kill switches, newest first."""
    rows = KillSwitch.objects.select_related("account").order_by("-id")
    if in_force is not None:
        rows = rows.filter(released_at__isnull=in_force)
    return list(rows[:limit])


def find_switch(switch_id: int) -> KillSwitch | None:
    return KillSwitch.objects.select_related("account").filter(pk=switch_id).first()


def switch_facts(switch: KillSwitch) -> dict[str, Any]:
    """Return one kill switch as plain data, with its progress while it is in force."""
    progress = read_progress(switch) if switch.released_at is None else None
    return {
        "id": switch.pk,
        "scope": str(switch.scope),
        "in_force": switch.released_at is None,
        "reason": switch.reason,
        "engaged_by": switch.engaged_by,
        "engaged_at": switch.engaged_at,
        "orders_stopped": switch.orders_stopped,
        "progress": {name: getattr(progress, name) for name in StopProgress.__slots__} if progress else None,
        "release_wanted_by": switch.release_wanted_by or None,
        "release_wanted_at": switch.release_wanted_at,
        "release_reason": switch.release_reason or None,
        "released_by": switch.released_by or None,
        "released_at": switch.released_at,
    }


def list_switch_events(switch_id: int) -> list[KillSwitchEvent]:
    """Return what happened to a kill switch, oldest first."""
    return list(KillSwitchEvent.objects.filter(kill_switch=switch_id).order_by("id"))


def list_scopes() -> list[tuple[str, str]]:
    """Return every scope there is with what people call it: everything, each broker, each account."""
    scopes = [("global", "everything")]
    for kind, names in (("broker", Broker.objects.values_list("pk", flat=True)), ("account", _account_names())):
        scopes.extend((f"{kind}:{name}", f"{kind} {name}") for name in sorted(names))
    return scopes


def _account_names() -> list[str]:
    return list(Account.objects.values_list("name", flat=True))
