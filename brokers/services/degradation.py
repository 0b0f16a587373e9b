"""What becomes of the operations at brokers while a circuit, a kill switch or a freeze keeps calls from them."""

from collections.abc import Iterator
from datetime import datetime

from brokers.core.freezes import FreezeMode
from brokers.selectors.freezes import list_freezes_in_force
from brokers.selectors.kill_switch import list_halts
from brokers.services.accounts import get_profile
from brokers.services.guards import CallClass
from brokers.services.reachability import unreachable_accounts
from reliability.core.degradation import Health, OperationHealth
from reliability.services.degradation import add_obstacles, declare

_NEW_ORDERS = "new orders"

_OPERATIONS = (
    (
        _NEW_ORDERS,
        CallClass.ORDERS,
        "accepted and kept; sent when the broker takes orders again, or at once by another account of their route",
    ),
    ("cancels", CallClass.CANCELS, "kept and sent when the broker takes them again"),
    (
        "settling unknown orders",
        CallClass.LOOK_UPS,
        "they stay unknown and nothing is sent again; fills and the order stream still settle them",
    ),
    ("orders, fills and positions", CallClass.READS, "recorded values, marked stale with their age"),
    ("list of symbols", CallClass.DATA, "the last list the broker gave"),
)


def declare_operations() -> None:
    """Say what works without a broker; call it once, as the app starts."""
    for operation, call_class, fallback in _OPERATIONS:
        declare(operation, call_class.value, fallback)
    add_obstacles(held_orders)


def held_orders() -> Iterator[OperationHealth]:
    """Yield what keeps new orders back besides circuits: kill switches, freezes, brokers that answer nothing."""
    for halt in list_halts():
        fallback = f"refused until two persons release the kill switch: {halt.reason}"
        yield _held(str(halt.scope), fallback, halt.engaged_at, works=False)
    for freeze in list_freezes_in_force():
        is_narrow = freeze.mode is FreezeMode.REDUCE_ONLY
        what = "only those that reduce a position are taken" if is_narrow else "refused; those accepted before wait"
        yield _held(
            str(freeze.scope), f"{what} ({freeze.cause.value}: {freeze.reason})", freeze.frozen_at, works=is_narrow
        )
    for account in sorted(unreachable_accounts()):
        fallback = "accepted and kept; sent when the broker answers again, or at once by another account of their route"
        yield _held(f"account:{get_profile(account).name}", fallback, None, works=True)


def _held(scope: str, fallback: str, since: datetime | None, *, works: bool) -> OperationHealth:
    return OperationHealth(_NEW_ORDERS, scope, Health.DEGRADED if works else Health.DOWN, works, fallback, since)
