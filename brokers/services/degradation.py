"""What becomes of the operations at brokers while a circuit keeps calls from them."""

from brokers.services.guards import CallClass
from reliability.services.degradation import declare

_OPERATIONS = (
    (
        "new orders",
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
