"""Accepting baskets, and what people decide about them."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from brokers.core.baskets import BasketRequest, BasketState, basket_state, parse_basket_request
from brokers.core.identifiers import uuid7
from brokers.core.order_reader import OrderInvalidError
from brokers.core.order_requests import OrderRequest, is_usable_idempotency_key
from brokers.models import Basket, BasketLeg
from brokers.selectors.baskets import is_within
from brokers.services.accounts import check_symbol, choose_accounts, require_within
from brokers.services.baskets.legs import BASKET_KIND
from reliability.core.correlation import correlation_or_new
from reliability.core.errors import ReliabilityError
from reliability.services.audit import record_audit
from reliability.services.sagas.control import NewStep, cancel_saga, close_saga, resume_saga, start_saga


@dataclass(frozen=True, slots=True)
class AcceptedBasket:
    """The answer to an accepted basket; ``replayed`` when the same intent had been accepted before."""

    id: UUID
    replayed: bool


def accept_basket(
    *,
    owner_id: int,
    actor: str,
    idempotency_key: object,
    body: object,
    within: Collection[int] | None = None,
) -> AcceptedBasket:
    """Make a basket durable together with the saga that carries it out; each leg is checked before any is accepted.

    ``within`` are the ids of the accounts the caller may reach, None for all: others do not exist for it.

    Raises:
        ReliabilityError: it cannot be accepted, or the key stands for another basket.
    """
    if not is_usable_idempotency_key(idempotency_key):
        raise ReliabilityError("VALIDATION_MISSING_IDEMPOTENCY_KEY")
    assert isinstance(idempotency_key, str)
    try:
        request = parse_basket_request(body)
    except OrderInvalidError as error:
        raise ReliabilityError("VALIDATION_INVALID_ORDER", details=dict(error.problems)) from error
    _each_leg(request, lambda leg: require_within(leg.route, within))
    known = _find(owner_id, idempotency_key, request, within)
    if known is not None:
        return known
    _each_leg(request, _check_leg)
    assert isinstance(body, dict)
    with transaction.atomic():
        basket_id = uuid7()
        rows = [
            Basket(
                pk=basket_id,
                owner_id=owner_id,
                idempotency_key=idempotency_key,
                request_hash=request.request_hash,
                correlation_id=correlation_or_new(),
                leg_order=request.leg_order,
                offset_fills=request.offset_fills,
            )
        ]
        Basket.objects.bulk_create(rows, ignore_conflicts=True)
        if Basket.objects.filter(pk=basket_id).exists():
            _start(basket_id, request, body, actor)
            return AcceptedBasket(basket_id, replayed=False)
    known = _find(owner_id, idempotency_key, request, within)
    assert known is not None
    return known


def cancel_basket(basket_id: UUID, *, actor: str, reason: str = "") -> BasketState:
    """Give a basket up: what is open is canceled, what filled is offset where the caller consented."""
    return basket_state(cancel_saga(_require(basket_id), actor=actor, reason=reason))


def resume_basket(basket_id: UUID, *, actor: str, reason: str) -> BasketState:
    """Take up the compensation of a basket that waits for a person."""
    return basket_state(resume_saga(_require(basket_id), actor=actor, reason=reason))


def offset_basket(basket_id: UUID, *, actor: str, reason: str) -> BasketState:
    """Consent for the caller that fills are offset by market orders, and take the compensation up again."""
    with transaction.atomic():
        state = resume_basket(basket_id, actor=actor, reason=reason)
        Basket.objects.filter(pk=basket_id).update(offset_fills=True)
        record_audit(actor, "consent_to_offset", f"basket:{basket_id}", reason=reason)
    return state


def close_basket(basket_id: UUID, *, actor: str, reason: str) -> None:
    """End a basket that waits for a person, who has settled by hand what is left of it."""
    close_saga(_require(basket_id), actor=actor, reason=reason)


def _find(owner_id: int, key: str, request: BasketRequest, within: Collection[int] | None) -> AcceptedBasket | None:
    row = Basket.objects.filter(owner_id=owner_id, idempotency_key=key).first()
    if row is None:
        return None
    if not is_within(row, within):
        raise ReliabilityError("VALIDATION_IDEMPOTENCY_CONFLICT")
    if row.request_hash != request.request_hash:
        raise ReliabilityError("VALIDATION_IDEMPOTENCY_CONFLICT", details={"basket_id": str(row.pk)})
    return AcceptedBasket(row.pk, replayed=True)


def _check_leg(leg: OrderRequest) -> None:
    for profile in choose_accounts(leg.route):
        check_symbol(profile, leg.terms.symbol)


def _each_leg(request: BasketRequest, check: Callable[[OrderRequest], None]) -> None:
    """Check each leg; what is wrong with one names it."""
    for number, leg in enumerate(request.legs):
        try:
            check(leg)
        except ReliabilityError as error:
            details = {f"legs[{number}].{name}": texts for name, texts in error.details.items()}
            raise ReliabilityError(error.code, error.message, details) from error


def _start(basket_id: UUID, request: BasketRequest, body: dict[str, object], actor: str) -> None:
    legs = body["legs"]
    assert isinstance(legs, list)
    BasketLeg.objects.bulk_create(
        BasketLeg(basket_id=basket_id, number=number, request=_plain(leg)) for number, leg in enumerate(legs, start=1)
    )
    start_saga(
        basket_id,
        BASKET_KIND,
        [NewStep("leg") for _ in legs],
        order=request.leg_order,
        deadline_at=timezone.now() + request.timeout,
        actor=actor,
    )


def _plain(leg: dict[str, object]) -> dict[str, object]:
    """Return a leg as JSON can keep it: decimals as text."""
    kept = (bool, list, type(None))
    return {name: value if isinstance(value, kept) else str(value) for name, value in leg.items()}


def _require(basket_id: UUID) -> UUID:
    if not Basket.objects.filter(pk=basket_id).exists():
        raise ReliabilityError("VALIDATION_NOT_FOUND", "There is no such basket.")
    return basket_id
