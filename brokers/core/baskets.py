"""Baskets without a database: reading a caller's request, and how a leg is taken back."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from brokers.core.order_reader import OrderInvalidError
from brokers.core.order_requests import OrderRequest, parse_order_request
from brokers.core.orders import FINAL_STATES, OrderState, Side
from reliability.core.saga import SagaState, StepOrder

MIN_LEGS = 2
MAX_LEGS = 20
LONGEST_TIMEOUT = timedelta(days=1)
DEFAULT_TIMEOUT = timedelta(minutes=5)
MODE = "all_or_compensate"
_FIELDS = frozenset({"legs", "mode", "leg_order", "offset_fills", "timeout_seconds"})


class BasketState(StrEnum):
    """A basket as its caller sees it; each is one state of the saga behind it."""

    WORKING = "working"
    COMPENSATING = "compensating"
    NEEDS_PERSON = "needs_person"
    FILLED = "filled"
    COMPENSATED = "compensated"
    CLOSED = "closed"


_BY_SAGA = dict(zip(SagaState, (
    BasketState.WORKING, BasketState.COMPENSATING, BasketState.NEEDS_PERSON, BasketState.FILLED,
    BasketState.COMPENSATED, BasketState.CLOSED,
), strict=True))  # fmt: skip


def basket_state(saga: SagaState) -> BasketState:
    return _BY_SAGA[saga]


@dataclass(frozen=True, slots=True)
class BasketRequest:
    """A checked basket: its legs in order, how they are sent, and its fingerprint."""

    legs: tuple[OrderRequest, ...]
    leg_order: StepOrder
    offset_fills: bool
    timeout: timedelta
    request_hash: str


def parse_basket_request(data: object) -> BasketRequest:
    """Return the basket in ``data``, the decoded JSON body.

    Raises:
        OrderInvalidError: names every wrong field; those of a leg as ``legs[0].symbol``.
    """
    if not isinstance(data, Mapping):
        raise OrderInvalidError({"basket": ["must be a JSON object"]})
    problems: dict[str, list[str]] = {
        str(name)[:64]: ["is not a field of a basket"] for name in data if name not in _FIELDS
    }
    legs = _read_legs(data.get("legs"), problems)
    if data.get("mode", MODE) != MODE:
        problems["mode"] = [f"must be {MODE}"]
    order = data.get("leg_order", StepOrder.SEQUENTIAL)
    if order not in list(StepOrder):
        problems["leg_order"] = ["must be one of " + ", ".join(StepOrder)]
    consent = data.get("offset_fills", False)
    if not isinstance(consent, bool):
        problems["offset_fills"] = ["must be true or false"]
    seconds = data.get("timeout_seconds", int(DEFAULT_TIMEOUT.total_seconds()))
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        problems["timeout_seconds"] = ["must be a whole number"]
    elif not 1 <= seconds <= LONGEST_TIMEOUT.total_seconds():
        problems["timeout_seconds"] = [f"must be from 1 to {int(LONGEST_TIMEOUT.total_seconds())}"]
    if problems:
        raise OrderInvalidError(problems)
    meaning = [[leg.request_hash for leg in legs], str(order), consent, seconds]
    fingerprint = hashlib.sha256(json.dumps(meaning).encode()).hexdigest()
    return BasketRequest(tuple(legs), StepOrder(order), bool(consent), timedelta(seconds=seconds), fingerprint)


def _read_legs(value: Any, problems: dict[str, list[str]]) -> list[OrderRequest]:
    if not isinstance(value, list) or not MIN_LEGS <= len(value) <= MAX_LEGS:
        problems["legs"] = [f"must be a list of {MIN_LEGS} to {MAX_LEGS} orders"]
        return []
    legs = []
    for number, item in enumerate(value):
        try:
            leg = parse_order_request(item)
            if leg.terms.exits is not None:
                problems[f"legs[{number}].order_class"] = ["a leg brings no exits along: they would outlive the basket"]
            legs.append(leg)
        except OrderInvalidError as error:
            problems.update({f"legs[{number}].{name}": texts for name, texts in error.problems.items()})
    return legs


@dataclass(frozen=True, slots=True)
class OrderProgress:
    """What is known of one order: whether a cancel was asked for, and what was reported and booked as filled."""

    state: OrderState
    filled: Decimal = Decimal(0)
    reported_filled: Decimal = Decimal(0)
    cancel_pending: bool = False

    @property
    def is_settled(self) -> bool:
        """Nothing more is to come: it is final, and every fill the broker reported is booked."""
        return self.state in FINAL_STATES and self.reported_filled <= self.filled


class TakeBack(StrEnum):
    """What a leg that is taken back needs next."""

    CANCEL = "cancel"
    WAIT = "wait"
    OFFSET = "offset"
    ASK = "ask"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class NextUndo:
    what: TakeBack
    quantity: Decimal = Decimal(0)


def next_undo(
    leg: OrderProgress | None, offsets: Sequence[OrderProgress], *, may_offset: bool, rounds: int
) -> NextUndo:
    """Return the next move in taking a leg back; it follows from evidence alone, so asking again is harmless.

    An order that is open is canceled; nothing is offset before it is settled, for an unknown
    or canceled order may yet turn out filled. What it filled, less what offsets filled, is
    traded back if somebody consented. ``rounds`` counts how often a person let it try: each
    allows one offset to end unfilled. More offset than filled is for a person, too.
    """
    if leg is None:
        return NextUndo(TakeBack.NOTHING)
    if not leg.is_settled:
        return NextUndo(TakeBack.WAIT if leg.cancel_pending or leg.state in FINAL_STATES else TakeBack.CANCEL)
    if any(not offset.is_settled for offset in offsets):
        return NextUndo(TakeBack.WAIT)
    left = leg.filled - sum((offset.filled for offset in offsets), Decimal(0))
    if left == 0:
        return NextUndo(TakeBack.NOTHING)
    spent = sum(offset.state is not OrderState.FILLED for offset in offsets)
    if left < 0 or not may_offset or spent >= rounds:
        return NextUndo(TakeBack.ASK, left)
    return NextUndo(TakeBack.OFFSET, left)


def opposite(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY
