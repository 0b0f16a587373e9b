"""What a basket's saga does: each leg an order through the same acceptance as any other."""

from datetime import timedelta
from typing import Any, ClassVar
from uuid import UUID

from brokers.core.baskets import NextUndo, OrderProgress, TakeBack, next_undo, opposite
from brokers.core.orders import FINAL_STATES, OrderState, Side
from brokers.models import BasketLeg, Order
from brokers.selectors.orders import plain
from brokers.services.cancellation import request_cancel
from brokers.services.doubts import ask_person, doubt_order
from brokers.services.order_batch import OrderBatch
from brokers.services.replacement import LEG_KEY
from brokers.services.submission import OrderSubmission, accept_order
from reliability.core.errors import ReliabilityError
from reliability.core.jobs import JobError
from reliability.core.saga import Failed, Finished, Verdict, Waiting
from reliability.selectors.sagas import was_restored
from reliability.services.sagas.kinds import SagaKind, StepAction, StepContext

BASKET_KIND = "basket"
ACTOR = "basket"
_LOOK_AGAIN = Waiting(timedelta(milliseconds=150))
_CANCEL_AGAIN = Waiting(timedelta(milliseconds=500))


class LegAction(StepAction):
    """Accept the leg's order and wait for its end; take it back by canceling it, then by offsetting what it filled."""

    def apply(self, step: StepContext, result: Any) -> Verdict:
        leg = _leg(step)
        if leg.order_id is None:
            return self._accept(step, leg)
        order = leg.order
        assert order is not None
        state = OrderState(order.state)
        if state is OrderState.FILLED:
            return Finished({"order_id": str(order.pk), "filled_quantity": plain(order.filled_quantity)})
        if state in FINAL_STATES:
            text = order.error_message or f"The order of leg {leg.number} ended {state}."
            return Failed(JobError(order.error_code or "BROKER_LEG_NOT_FILLED", text, {"order_id": str(order.pk)}))
        return _LOOK_AGAIN

    def _accept(self, step: StepContext, leg: BasketLeg) -> Verdict:
        try:
            leg.order_id = _submit(leg, f"{LEG_KEY}{leg.basket_id}:{leg.number}", leg.request)
        except ReliabilityError as error:
            return Failed(JobError(error.code, error.message, error.details))
        leg.save(update_fields=["order"])
        return _LOOK_AGAIN

    def apply_undo(self, step: StepContext, result: Any) -> Verdict:
        leg = _leg(step)
        offsets = list(Order.objects.filter(pk__in=leg.offset_orders))
        move = next_undo(
            _progress(leg.order) if leg.order else None,
            [_progress(offset) for offset in offsets],
            may_offset=leg.basket.offset_fills,
            rounds=step.undo_round,
        )
        match move.what:
            case TakeBack.CANCEL:
                assert leg.order_id is not None
                cancel_if_open(leg.order_id)
                return _CANCEL_AGAIN
            case TakeBack.WAIT:
                return _LOOK_AGAIN
            case TakeBack.OFFSET:
                return self._offset(leg, move)
            case TakeBack.ASK:
                text = f"Leg {leg.number} is left with {plain(move.quantity)} filled and not offset: a person decides."
                return Failed(JobError("BROKER_OFFSET_UNDECIDED", text))
            case TakeBack.NOTHING:
                return Finished({"offset_orders": [str(offset) for offset in leg.offset_orders]})

    def _offset(self, leg: BasketLeg, move: NextUndo) -> Verdict:
        order = leg.order
        assert order is not None
        body = {
            "account": order.account.name,
            "symbol": order.symbol,
            "side": opposite(Side(order.side)).value,
            "type": "market",
            "time_in_force": "day",
            "quantity": plain(move.quantity),
        }
        key = f"{LEG_KEY}{leg.basket_id}:{leg.number}:offset:{len(leg.offset_orders) + 1}"
        try:
            offset_id = _submit(leg, key, body)
        except ReliabilityError as error:
            text = f"The fill of leg {leg.number} cannot be offset: {error.message}"
            return Failed(JobError(error.code, text, error.details))
        leg.offset_orders = [*leg.offset_orders, offset_id]
        leg.save(update_fields=["offset_orders"])
        return _LOOK_AGAIN


class BasketSaga(SagaKind):
    name: ClassVar[str] = BASKET_KIND
    lane: ClassVar[str] = "orders"
    actions: ClassVar[dict[str, StepAction]] = {"leg": LegAction()}

    def on_turning_back(self, saga_id: UUID) -> None:
        """Cancel what is open at once, in the order of ids; the legs are then taken back one by one."""
        open_orders = Order.objects.filter(basket_leg__basket=saga_id).exclude(state__in=FINAL_STATES)
        for order_id in open_orders.order_by("pk").values_list("pk", flat=True):
            cancel_if_open(order_id)


def cancel_if_open(order_id: UUID) -> None:
    """Ask for a cancel; an order that ended meanwhile needs none."""
    try:
        request_cancel(order_id, actor=ACTOR, source="worker")
    except ReliabilityError as error:
        if error.code != "VALIDATION_ORDER_FINAL":
            raise


def _leg(step: StepContext) -> BasketLeg:
    legs = BasketLeg.objects.select_related("basket__owner", "order__account")
    return legs.get(basket_id=step.saga_id, number=step.number)


def _submit(leg: BasketLeg, key: str, body: dict[str, Any]) -> UUID:
    """Accept one order of a leg; the same key gives the same order, however often a crash repeats this."""
    owner = leg.basket.owner
    accepted = accept_order(owner_id=owner.pk, actor=owner.get_username(), submission=OrderSubmission(key, body))
    if not accepted.replayed and was_restored(leg.basket_id):
        _doubt(accepted.id, body)
    return accepted.id


def _doubt(order_id: UUID, body: dict[str, Any]) -> None:
    """Look up first what a basket from a backup makes: it may have made and sent it before, under the same id."""
    batch = OrderBatch.lock([order_id])
    doubt_order(batch, batch.rows[order_id], actor=ACTOR, reason="its basket was restored from a backup")
    batch.save()
    if len(body.get("route") or ()) > 1:
        ask_person([order_id], actor=ACTOR)


def _progress(order: Order) -> OrderProgress:
    return OrderProgress(
        state=OrderState(order.state),
        filled=order.filled_quantity,
        reported_filled=order.reported_filled_quantity,
        cancel_pending=order.cancel_requested_at is not None,
    )
