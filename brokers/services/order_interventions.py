"""An order whose outcome only a person can find out, as a question: look again, adopt, or end; by two persons."""

from uuid import UUID

from brokers.services.decisions import adopt, end_absent, look_again
from reliability.core.errors import ReliabilityError
from reliability.core.interventions import Choice
from reliability.services.interventions import Decision, InterventionKind

ORDER_KIND = "orders.unknown"
_LOOK, _ADOPT, _END = "look", "adopt", "end"

CHOICES = (
    Choice(
        _LOOK,
        "Look again now",
        "The broker is asked for it by its client order id. Nothing is sent; the question stays.",
        needs_second=False,
        closes=False,
    ),
    Choice(
        _ADOPT,
        "It exists: adopt it",
        "The broker must show that order with our terms; then it is ours, with its fills.",
        wants="broker_order_id",
        wants_label="The broker's order id",
    ),
    Choice(
        _END,
        "It never reached the broker: end it",
        "The order is refused and its exposure is free. If that is wrong, whoever sends it again sends it twice.",
    ),
)


def order_kind(page: str) -> InterventionKind:
    """Return the kind; ``page`` is the address of an order's evidence with ``{}`` for its id."""
    return InterventionKind(
        name=ORDER_KIND,
        choices=CHOICES,
        carry_out=_carry_out,
        permission="brokers.decide_order",
        page=lambda subject: page.format(order_of(subject)),
    )


def order_of(subject: str) -> UUID:
    """Return the order of a scope such as ``order:<id>``; raises ``ReliabilityError`` for any other."""
    try:
        return UUID(subject.removeprefix("order:"))
    except ValueError:
        raise ReliabilityError("VALIDATION_NOT_FOUND", "That is no order.") from None


def _carry_out(decision: Decision) -> str:
    order_id = order_of(decision.subject)
    actor = f"{decision.actor} and {decision.second}"[:150] if decision.second else decision.actor
    if decision.choice == _ADOPT:
        adopt(order_id, decision.value, actor=actor, reason=decision.reason)
        return "The broker is asked to show that order; it is adopted if its terms are ours."
    if decision.choice == _END:
        end_absent(order_id, actor=actor, reason=decision.reason)
        return "The order is ended: it never reached the broker."
    look_again(order_id, actor=actor, reason=decision.reason)
    return "The broker is asked for it now."
