"""Reading baskets: each leg with its order, and how far the basket is."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from brokers.core.baskets import MODE, basket_state
from brokers.models import Account, Basket, BasketLeg, Order
from brokers.selectors.orders import order_summary
from reliability.selectors.sagas import StepStatus, get_saga_status


def find_basket(basket_id: UUID) -> Basket | None:
    return Basket.objects.filter(pk=basket_id).first()


def is_within(basket: Basket, within: Collection[int] | None) -> bool:
    """Return whether every account of a basket, by what was asked for and where its orders are, is one of these ids.

    None: every account is. An account that is gone is not.
    """
    if within is None:
        return True
    ids: dict[str, int] = {}
    for pk, name, is_default in Account.objects.values_list("pk", "name", "is_default"):
        ids[name] = pk
        if is_default:
            ids[""] = pk
    legs = list(basket.legs.select_related("order"))
    wanted = {ids.get(name) for leg in legs for name in leg.request.get("route") or [leg.request.get("account") or ""]}
    return wanted | {leg.order.account_id for leg in legs if leg.order is not None} <= set(within)


def basket_summary(basket: Basket) -> dict[str, Any]:
    """Return one basket as plain data, its legs in order."""
    saga = get_saga_status(basket.pk)
    steps = {step.number: step for step in saga.steps}
    legs = list(basket.legs.select_related("order__account").order_by("number"))
    offset_ids = [offset for leg in legs for offset in leg.offset_orders]
    offsets = Order.objects.select_related("account").in_bulk(offset_ids)
    return {
        "id": str(basket.pk),
        "idempotency_key": basket.idempotency_key,
        "correlation_id": basket.correlation_id,
        "mode": MODE,
        "leg_order": basket.leg_order,
        "offset_fills": basket.offset_fills,
        "state": basket_state(saga.state).value,
        "final": saga.finished_at is not None,
        "legs_filled": sum(step.state == "done" for step in saga.steps),
        "legs_taken_back": sum(step.compensation == "done" for step in saga.steps),
        "error_code": saga.error_code or None,
        "error_message": saga.error_message or None,
        "created_at": basket.created_at,
        "deadline_at": saga.deadline_at,
        "finished_at": saga.finished_at,
        "legs": [_leg(leg, steps[leg.number], offsets) for leg in legs],
    }


def _leg(leg: BasketLeg, step: StepStatus, offsets: dict[UUID, Order]) -> dict[str, Any]:
    return {
        "number": leg.number,
        "state": step.state,
        "compensation": step.compensation,
        "error_code": step.error_code or None,
        "error_message": step.error_message or None,
        "request": leg.request,
        "order": order_summary(leg.order) if leg.order else None,
        "offsets": [order_summary(offsets[offset]) for offset in leg.offset_orders],
    }
